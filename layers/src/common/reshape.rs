//! Reshape: the same elements in another shape.

use cortado_proto::caffe::ReshapeParameter;

use super::AliasLayer;
use crate::{Alias, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs, Shape};

/// The layer type.
pub static KIND: LayerKind =
    LayerKind::new("Reshape", build, &DOC).needs(needs).alias(Alias::Always);

static DOC: LayerDoc = LayerDoc {
    params: &["reshape_param"],
    bottoms: &["x: any shape"],
    tops: &["y: as `shape` says"],
    forward: "y = x in another shape",
    backward: "dx = dy",
    notes: "In `shape`, 0 copies the bottom's axis and −1 (once) takes what remains. Only the `num_axes` \
            axes from `axis` on are replaced; a negative `axis` counts from one past the end, so that −1 \
            appends. The top is the bottom's memory.",
    example: r#"layer { name: "reshape" type: "Reshape" bottom: "x" top: "y"
  reshape_param { shape { dim: 0 dim: -1 } } }"#,
    source: "Caffe's reshape_layer.cpp",
    ..LayerDoc::new("Gives a blob another shape.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.reshape_param.clone().unwrap_or_default();
    let dims = param.shape.as_ref().map_or(&[][..], |shape| &shape.dim);
    let inferred = dims.iter().filter(|&&dim| dim == -1).count();
    let field = "reshape_param.shape.dim";
    if inferred > 1 {
        return Err(LayerError::field(field, format!("-1 may stand once, found {inferred} times")));
    }
    if let Some(dim) = dims.iter().find(|&&dim| dim < -1) {
        return Err(LayerError::field(field, format!("an axis can't have the length {dim}")));
    }
    Ok(Box::new(AliasLayer(move |bottom: &Shape| reshaped(&param, bottom))))
}

fn reshaped(param: &ReshapeParameter, bottom: &Shape) -> Result<Shape, LayerError> {
    let (len, axis, count) = (bottom.len() as i64, i64::from(param.axis()), param.num_axes());
    let start = if axis >= 0 { axis } else { len + axis + 1 };
    if !(0..=len).contains(&start) {
        let why = format!("axis {axis} does not exist: the bottom has {len} axes, {bottom}");
        return Err(LayerError::field("reshape_param.axis", why));
    }
    let end = if count == -1 { len } else { start + i64::from(count) };
    if count < -1 || end > len {
        let why =
            format!("`num_axes` {count} from axis {start} on does not fit the bottom, {bottom}");
        return Err(LayerError::field("reshape_param.num_axes", why));
    }
    let (start, end) = (start as usize, end as usize);
    let mut dims = bottom[..start].to_vec();
    let mut inferred = None;
    for (i, &dim) in param.shape.as_ref().map_or(&[][..], |shape| &shape.dim).iter().enumerate() {
        match dim {
            -1 => {
                inferred = Some(dims.len());
                dims.push(1);
            }
            0 => match bottom.get(start + i) {
                Some(&dim) => dims.push(dim),
                None => {
                    let why =
                        format!("0 copies axis {}, which the bottom, {bottom}, lacks", start + i);
                    return Err(LayerError::field(format!("reshape_param.shape.dim[{i}]"), why));
                }
            },
            dim => dims.push(dim as usize),
        }
    }
    dims.extend(&bottom[end..]);
    let shape = |dims: &[usize]| Shape::new(dims);
    let Some(known) = shape(&dims).checked_count() else {
        let why = format!("{} is too large", shape(&dims));
        return Err(LayerError::field("reshape_param.shape", why));
    };
    if let Some(at) = inferred {
        if known == 0 || !bottom.count().is_multiple_of(known) {
            let why = format!(
                "the {} elements of the bottom, {bottom}, do not divide by {known}",
                bottom.count()
            );
            return Err(LayerError::field("reshape_param.shape", why));
        }
        dims[at] = bottom.count() / known;
    } else if known != bottom.count() {
        let why = format!(
            "the bottom, {bottom}, has {} elements, {} has {known}",
            bottom.count(),
            shape(&dims)
        );
        return Err(LayerError::field("reshape_param.shape", why));
    }
    Ok(shape(&dims))
}
