//! Mish: x·tanh(ln(1 + eˣ)).

use cortado_kernels::{Kernels, SrcDst, Write};

use super::pointwise::{Neuron, Pointwise};
use crate::{Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs};

/// The layer type.
pub static KIND: LayerKind =
    LayerKind::new("Mish", build, &DOC).in_place().needs(needs).dialect("yolo");

static DOC: LayerDoc = LayerDoc {
    bottoms: &["x: any shape"],
    tops: &["y: the shape of x"],
    forward: "y = x · t, t = tanh(ln(1 + eˣ))",
    backward: "dx = dy · (t + x · (1 − t²) / (1 + e⁻ˣ))",
    notes: "A layer in place keeps a copy of its input for backward.",
    example: r#"layer { name: "mish1" type: "Mish" bottom: "conv1" top: "conv1" }"#,
    source: "Misra 2019 (Mish); YOLO v4's files for Caffe",
    ..LayerDoc::new("A smooth relative of ReLU.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

fn build(_: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    Ok(Box::new(Neuron(Mish)))
}

struct Mish;

/// tanh(ln(1 + eˣ)) = (e² + 2e) / (e² + 2e + 2), e = eˣ; 1 where e² would overflow.
fn gate(x: f32) -> f32 {
    let e = x.min(20.0).exp();
    let n = e * (e + 2.0);
    n / (n + 2.0)
}

impl Pointwise for Mish {
    const KEEPS_X: bool = true;

    fn forward(&self, k: &Kernels, io: SrcDst<'_>) {
        k.map(io, |x| x * gate(x));
    }

    fn backward(&self, k: &Kernels, diff: SrcDst<'_>, x: &[f32], _: &[f32], write: Write) {
        k.map2(diff, x, write, |dy, x| {
            let t = gate(x);
            dy * (t + x * (1.0 - t * t) / (1.0 + (-x).exp()))
        });
    }
}
