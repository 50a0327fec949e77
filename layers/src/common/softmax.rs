//! Softmax: scores as probabilities.

use crate::{Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs, Reshape};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("Softmax", build, &DOC).in_place().needs(needs);

static DOC: LayerDoc = LayerDoc {
    params: &["softmax_param"],
    bottoms: &["x: any shape; the classes lie along `axis`"],
    tops: &["y: the shape of x"],
    forward: "y = e^(x − max x) / Σ e^(x − max x) along `axis`",
    backward: "dx = (dy − Σ dy · y) · y",
    example: r#"layer { name: "prob" type: "Softmax" bottom: "fc8" top: "prob" }"#,
    source: "Caffe's softmax_layer.cpp",
    ..LayerDoc::new("Turns scores into probabilities.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::TOP
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let axis = def.softmax_param.as_ref().map_or(1, |p| p.axis());
    Ok(Box::new(SoftmaxLayer { axis, dims: (0, 0, 0) }))
}

struct SoftmaxLayer {
    axis: i32,
    /// The bottom as (outer, classes, inner).
    dims: (usize, usize, usize),
}

impl Layer for SoftmaxLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let bottom = cx.bottoms[0].clone();
        self.dims = bottom.around(bottom.axis(self.axis, "softmax_param.axis")?);
        cx.top(0, bottom);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let ((outer, c, inner), k) = (self.dims, cx.k);
        k.softmax_forward(outer, c, inner, cx.src_dst(0));
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let ((outer, c, inner), k, y) = (self.dims, cx.k, cx.tops[0].data);
        if let Some((diff, write)) = cx.diff(0) {
            k.softmax_backward(outer, c, inner, y, diff, write);
        }
        Ok(())
    }
}
