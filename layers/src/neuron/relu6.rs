//! ReLU6: each element held between 0 and 6.

use cortado_kernels::{Kernels, SrcDst, Write};

use super::pointwise::{Neuron, Pointwise};
use crate::{Act, Layer, LayerDef, LayerDoc, LayerError, LayerKind, LowerCx, Needs, Prim};

/// The layer type.
pub static KIND: LayerKind =
    LayerKind::new("ReLU6", build, &DOC).in_place().needs(needs).lower(lower).dialect("mobilenet");

static DOC: LayerDoc = LayerDoc {
    bottoms: &["x: any shape"],
    tops: &["y: the shape of x"],
    forward: "y = min(max(x, 0), 6)",
    backward: "dx = dy if 0 < x < 6, else 0",
    notes: "Files for the original Caffe write `Clip { min: 0 max: 6 }` (or ReLU, which is the same while \
            nothing exceeds 6).",
    example: r#"layer { name: "relu1" type: "ReLU6" bottom: "conv1" top: "conv1" }"#,
    source: "Krizhevsky 2010 (Convolutional Deep Belief Networks on CIFAR-10); MobileNet",
    ..LayerDoc::new("Holds each element between 0 and 6.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::TOP
}

fn lower(_: &LowerCx<'_>) -> Option<Prim> {
    Some(Prim::Act(Act::Clip(0.0, 6.0)))
}

fn build(_: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    Ok(Box::new(Neuron(ReLU6)))
}

struct ReLU6;

impl Pointwise for ReLU6 {
    const KEEPS_X: bool = false;

    fn forward(&self, k: &Kernels, io: SrcDst<'_>) {
        k.map(io, |x| x.clamp(0.0, 6.0));
    }

    fn backward(&self, k: &Kernels, diff: SrcDst<'_>, _: &[f32], y: &[f32], write: Write) {
        k.map2(diff, y, write, |dy, y| if y > 0.0 && y < 6.0 { dy } else { 0.0 });
    }
}
