//! Parameter: a learned blob as a top.

use cortado_proto::caffe::FillerParameter;

use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape, SetUp, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("Parameter", build, &DOC)
    .bottoms(Arity::exactly(0))
    .needs(needs)
    .grads(GradBottoms::None);

static DOC: LayerDoc = LayerDoc {
    params: &["parameter_param"],
    tops: &["y: the shape of the blob"],
    blobs: &["p: `shape`, starting at 0"],
    forward: "y = p",
    backward: "dp += dy",
    example: r#"layer { name: "p" type: "Parameter" top: "p" parameter_param { shape { dim: 4 } } }"#,
    source: "Caffe's parameter_layer.hpp",
    ..LayerDoc::new("A learned blob.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let dims = def.parameter_param.as_ref().and_then(|p| p.shape.as_ref());
    let dims = dims.map_or(&[][..], |shape| &shape.dim);
    let fail = |why| LayerError::field("parameter_param.shape", why);
    Ok(Box::new(ParameterLayer { shape: Shape::from_file(dims).map_err(fail)? }))
}

struct ParameterLayer {
    shape: Shape,
}

impl Layer for ParameterLayer {
    fn setup(&mut self, cx: &mut SetUp<'_>) -> Result<(), LayerError> {
        cx.weight(self.shape.clone(), FillerParameter::default());
        Ok(())
    }

    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        cx.top(0, self.shape.clone());
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        cx.tops[0].data.copy_from_slice(cx.weights[0].data);
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        if let (Some(dy), Some(dw)) = (cx.top_diffs[0], &mut cx.weight_diffs[0]) {
            cx.k.axpy(1.0, dy.data, dw.data);
        }
        Ok(())
    }
}
