//! Swish: x · σ(beta·x).

use cortado_kernels::{Kernels, SrcDst, Write};

use super::pointwise::{Neuron, Pointwise};
use crate::{Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("Swish", build, &DOC).in_place().needs(needs);

static DOC: LayerDoc = LayerDoc {
    params: &["swish_param"],
    bottoms: &["x: any shape"],
    tops: &["y: the shape of x"],
    forward: "y = x · σ(beta · x)",
    backward: "dx = dy · (beta · y + σ(beta · x) · (1 − beta · y))",
    notes: "",
    example: r#"layer { name: "swish1" type: "Swish" bottom: "conv1" top: "conv1" swish_param { beta: 1 } }"#,
    source: "Ramachandran, Zoph, Le 2017; Caffe's swish_layer.cpp",
    ..LayerDoc::new("Passes each element by as much as its sigmoid.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTH
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let beta = def.swish_param.as_ref().map_or(1.0, |p| p.beta());
    Ok(Box::new(Neuron(Swish { beta })))
}

fn sigmoid(x: f32) -> f32 {
    0.5 * (0.5 * x).tanh() + 0.5
}

struct Swish {
    beta: f32,
}

impl Pointwise for Swish {
    const KEEPS_X: bool = true;

    fn forward(&self, k: &Kernels, io: SrcDst<'_>) {
        let beta = self.beta;
        k.map(io, move |x| x * sigmoid(beta * x));
    }

    fn backward(&self, k: &Kernels, diff: SrcDst<'_>, x: &[f32], y: &[f32], write: Write) {
        let beta = self.beta;
        k.map3(diff, x, y, write, move |dy, x, y| {
            let s = sigmoid(beta * x);
            dy * (beta * y + s * (1.0 - beta * y))
        });
    }
}
