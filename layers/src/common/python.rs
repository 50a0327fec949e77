//! Python: a layer written in Python. Only the Python module can run one; here it is known by name, so
//! that files that hold one are told what they need. One of them, which is in all files of Faster R-CNN,
//! is the type `Proposal`.

use crate::{Arity, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("Python", build, &DOC)
    .bottoms(Arity::at_least(0))
    .tops(Arity::at_least(0))
    .grads(GradBottoms::None)
    .ends_gradients()
    .dynamic();

pub(super) static DOC: LayerDoc = LayerDoc {
    params: &["python_param"],
    bottoms: &["what the class takes"],
    tops: &["what the class makes"],
    forward: "the method `forward` of the class",
    backward: "the method `backward` of the class",
    notes: "The program has no Python in it: a net with such a layer is refused, with the class and the \
            module that it wants. `rpn.proposal_layer` of py-faster-rcnn runs all the same: it is built as \
            the type Proposal.",
    example: r#"layer { name: "loss" type: "Python" bottom: "x" bottom: "t" top: "loss" loss_weight: 1
  python_param { module: "pyloss" layer: "EuclideanLossLayer" } }"#,
    source: "Caffe's python_layer.hpp",
    ..LayerDoc::new("Runs a layer that is written in Python (in the Python module only).")
};

/// Whether the layer runs without Python.
pub fn runs(def: &LayerDef) -> bool {
    def.python_param.as_ref().is_some_and(|p| p.module() == "rpn.proposal_layer")
}

pub(super) fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.python_param.clone().unwrap_or_default();
    if runs(def) {
        return crate::detection::proposal::from_python(param.param_str());
    }
    let why = format!(
        "this layer is Python code, the class `{}` of the module `{}`",
        param.layer(),
        param.module()
    );
    Err(LayerError::field("type", why)
        .help("nets with `Python` layers run in the Python module, which brings the type"))
}
