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
    notes: "In place, backward takes y for x, as the original does: a top of another name gives the \
            right gradient.",
    example: r#"layer { name: "bnll" type: "BNLL" bottom: "x" top: "y" }"#,
    source: "Caffe's bnll_layer.cpp",
    ..LayerDoc::new("A smooth rectifier.")
};

fn needs(def: &LayerDef) -> Needs {
    if super::overwrites(def) { Needs::TOP } else { Needs::BOTTOM }
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    Ok(Box::new(Neuron(Bnll { overwrites: super::overwrites(def) })))
}

struct Bnll {
    overwrites: bool,
}

impl Pointwise for Bnll {
    const KEEPS_X: bool = false;

    fn forward(&self, k: &Kernels, io: SrcDst<'_>) {
        k.map(io, |x| if x > 0.0 { x + (-x).exp().ln_1p() } else { x.exp().ln_1p() });
    }

    fn backward(&self, k: &Kernels, diff: SrcDst<'_>, x: &[f32], y: &[f32], write: Write) {
        let x = if self.overwrites { y } else { x };
        k.map2(diff, x, write, |dy, x| {
            let e = x.min(50.0).exp();
            dy * e / (e + 1.0)
        });
    }
}
