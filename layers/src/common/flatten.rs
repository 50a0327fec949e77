//! Flatten: several axes as one.

use super::AliasLayer;
use crate::{Alias, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs, Shape};

/// The layer type.
pub static KIND: LayerKind =
    LayerKind::new("Flatten", build, &DOC).needs(needs).alias(Alias::Always);

static DOC: LayerDoc = LayerDoc {
    params: &["flatten_param"],
    bottoms: &["x: any shape"],
    tops: &["y: the axes `axis` to `end_axis` as one"],
    forward: "y = x in another shape",
    backward: "dx = dy",
    notes: "The top is the bottom's memory.",
    example: r#"layer { name: "flatten" type: "Flatten" bottom: "pool5" top: "flat" }"#,
    source: "Caffe's flatten_layer.cpp",
    ..LayerDoc::new("Takes several axes as one.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.flatten_param.unwrap_or_default();
    Ok(Box::new(AliasLayer(move |bottom: &Shape| {
        let first = bottom.axis(param.axis(), "flatten_param.axis")?;
        let last = bottom.axis(param.end_axis(), "flatten_param.end_axis")?;
        if last < first {
            let why = format!("`end_axis` {last} comes before `axis` {first}");
            return Err(LayerError::field("flatten_param.end_axis", why));
        }
        let mut dims = bottom[..first].to_vec();
        dims.push(bottom[first..=last].iter().product());
        dims.extend(&bottom[last + 1..]);
        Ok(Shape::new(&dims))
    })))
}
