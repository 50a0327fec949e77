//! ArgMax: where the largest elements stand, and what they are.

use std::cmp::Ordering;

use cortado_proto::caffe::ArgMaxParameter;

use crate::{
    Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape, Shape,
};

/// The layer type.
pub static KIND: LayerKind =
    LayerKind::new("ArgMax", build, &DOC).needs(needs).grads(GradBottoms::None);

static DOC: LayerDoc = LayerDoc {
    params: &["argmax_param"],
    bottoms: &["x: N x …"],
    tops: &[
        "y: N x 1 x top_k (N x 2 x top_k with `out_max_val`), followed by 1s up to the bottom's \
             number of axes; with `axis` the bottom's shape with that axis of length top_k",
    ],
    forward: "y = indices of the `top_k` largest of each item, largest first",
    notes: "Without `axis` an item is all that lies behind the first axis, and `out_max_val` puts the \
            values in a second row behind the indices. With `axis` each line along it is searched, and \
            `out_max_val` gives the values in place of the indices. Of equal elements the one with the \
            larger index comes first; NaN comes last.",
    example: r#"layer { name: "best" type: "ArgMax" bottom: "prob" top: "best" argmax_param { axis: 1 } }"#,
    source: "Caffe's argmax_layer.cpp",
    ..LayerDoc::new("Finds the largest elements.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.argmax_param.unwrap_or_default();
    if param.top_k() == 0 {
        return Err(LayerError::field("argmax_param.top_k", "`top_k` is at least 1, found 0"));
    }
    Ok(Box::new(ArgMaxLayer { param, dims: (0, 0, 0) }))
}

struct ArgMaxLayer {
    param: ArgMaxParameter,
    /// The bottom as (outer, length of a line, inner).
    dims: (usize, usize, usize),
}

impl Layer for ArgMaxLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let (bottom, top_k) = (&cx.bottoms[0], self.param.top_k() as usize);
        let top = match self.param.axis {
            Some(axis) => {
                let axis = bottom.axis(axis, "argmax_param.axis")?;
                self.dims = bottom.around(axis);
                bottom.with_axis(axis, top_k)
            }
            None => {
                let Some(&items) = bottom.first() else {
                    return Err(LayerError::bottom(0, "a scalar has nothing to choose from"));
                };
                self.dims = (items, bottom.count_from(1), 1);
                let mut top = vec![1; bottom.len().max(3)];
                (top[0], top[2]) = (items, top_k);
                top[1] = if self.param.out_max_val() { 2 } else { 1 };
                Shape::new(&top)
            }
        };
        let length = self.dims.1;
        if top_k > length {
            let why =
                format!("`top_k` {top_k} exceeds the {length} elements to choose from in {bottom}");
            return Err(LayerError::field("argmax_param.top_k", why));
        }
        cx.top(0, top);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (outer, length, inner) = self.dims;
        let (x, y) = (cx.bottom(0).data, &mut *cx.tops[0].data);
        let (top_k, values) = (self.param.top_k() as usize, self.param.out_max_val());
        let mut line: Vec<(f32, usize)> = Vec::with_capacity(length);
        for item in 0..outer * inner {
            let (o, i) = (item / inner, item % inner);
            line.clear();
            line.extend((0..length).map(|j| (x[(o * length + j) * inner + i], j)));
            if top_k < length {
                line.select_nth_unstable_by(top_k - 1, larger_first);
            }
            line[..top_k].sort_unstable_by(larger_first);
            for (j, &(value, index)) in line[..top_k].iter().enumerate() {
                match self.param.axis {
                    None if values => {
                        y[2 * item * top_k + j] = index as f32;
                        y[(2 * item + 1) * top_k + j] = value;
                    }
                    _ => {
                        let found = if values { value } else { index as f32 };
                        y[(o * top_k + j) * inner + i] = found;
                    }
                }
            }
        }
        Ok(())
    }

    fn backward(&mut self, _: &mut Backward<'_>) -> Result<(), LayerError> {
        Ok(())
    }
}

/// Larger values first, of equal ones the larger index, NaN at the end.
fn larger_first(a: &(f32, usize), b: &(f32, usize)) -> Ordering {
    let by_value = b.0.partial_cmp(&a.0).unwrap_or(a.0.is_nan().cmp(&b.0.is_nan()));
    by_value.then(b.1.cmp(&a.1))
}
