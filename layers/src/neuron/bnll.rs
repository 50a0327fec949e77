//! BNLL: ln(1 + e^x), a smooth rectifier.

use cortado_kernels::{Kernels, SrcDst, Write};

use super::pointwise::{Neuron, Pointwise};
use crate::{Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("BNLL", build, &DOC).in_place().needs(needs);

static DOC: LayerDoc = LayerDoc {
    params: &[],
    bottoms: &["x: any shape"],
    tops: &["y: the shape of x"],
    forward: "y = ln(1 + e^x), computed as x + ln(1 + e^−x) for x > 0",
    backward: "dx = dy · e^x / (1 + e^x), with x taken as at most 50",
    notes: "",
    example: r#"layer { name: "bnll" type: "BNLL" bottom: "x" top: "y" }"#,
    source: "Caffe's bnll_layer.cpp",
    ..LayerDoc::new("A smooth rectifier.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

fn build(_: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    Ok(Box::new(Neuron(Bnll)))
}

struct Bnll;

impl Pointwise for Bnll {
    const KEEPS_X: bool = true;

    fn forward(&self, k: &Kernels, io: SrcDst<'_>) {
        k.map(io, |x| if x > 0.0 { x + (-x).exp().ln_1p() } else { x.exp().ln_1p() });
    }

    fn backward(&self, k: &Kernels, diff: SrcDst<'_>, x: &[f32], _: &[f32], write: Write) {
        k.map2(diff, x, write, |dy, x| {
            let e = x.min(50.0).exp();
            dy * e / (e + 1.0)
        });
    }
}
