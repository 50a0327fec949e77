//! ELU: x above 0, alpha·(e^x − 1) below.

use cortado_kernels::{Kernels, SrcDst, Write};

use super::pointwise::{Neuron, Pointwise};
use crate::{Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("ELU", build, &DOC).in_place().needs(needs);

static DOC: LayerDoc = LayerDoc {
    params: &["elu_param"],
    bottoms: &["x: any shape"],
    tops: &["y: the shape of x"],
    forward: "y = x if x > 0, else alpha · (e^x − 1)",
    backward: "dx = dy if x > 0, else dy · (y + alpha)",
    notes: "",
    example: r#"layer { name: "elu1" type: "ELU" bottom: "conv1" top: "conv1" elu_param { alpha: 1 } }"#,
    source: "Clevert, Unterthiner, Hochreiter 2016; Caffe's elu_layer.cpp",
    ..LayerDoc::new("A rectifier that saturates below 0.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTH
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let alpha = def.elu_param.as_ref().map_or(1.0, |p| p.alpha());
    Ok(Box::new(Neuron(Elu { alpha })))
}

struct Elu {
    alpha: f32,
}

impl Pointwise for Elu {
    const KEEPS_X: bool = true;

    fn forward(&self, k: &Kernels, io: SrcDst<'_>) {
        let alpha = self.alpha;
        k.map(io, move |x| if x > 0.0 { x } else { alpha * (x.exp() - 1.0) });
    }

    fn backward(&self, k: &Kernels, diff: SrcDst<'_>, x: &[f32], y: &[f32], write: Write) {
        let alpha = self.alpha;
        k.map3(diff, x, y, write, move |dy, x, y| if x > 0.0 { dy } else { dy * (y + alpha) });
    }
}
