//! AbsVal: the magnitude.

use cortado_kernels::{Kernels, SrcDst, Write};

use super::pointwise::{Neuron, Pointwise};
use crate::{Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("AbsVal", build, &DOC).needs(needs);

static DOC: LayerDoc = LayerDoc {
    params: &[],
    bottoms: &["x: any shape"],
    tops: &["y: the shape of x"],
    forward: "y = |x|",
    backward: "dx = sign(x) · dy, 0 where x is 0",
    notes: "Not in place: backward needs the sign.",
    example: r#"layer { name: "abs" type: "AbsVal" bottom: "x" top: "y" }"#,
    source: "Caffe's absval_layer.cpp",
    ..LayerDoc::new("The magnitude of each element.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

fn build(_: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    Ok(Box::new(Neuron(AbsVal)))
}

struct AbsVal;

impl Pointwise for AbsVal {
    const KEEPS_X: bool = true;

    fn forward(&self, k: &Kernels, io: SrcDst<'_>) {
        k.map(io, f32::abs);
    }

    fn backward(&self, k: &Kernels, diff: SrcDst<'_>, x: &[f32], _: &[f32], write: Write) {
        k.map2(diff, x, write, |dy, x| {
            if x > 0.0 {
                dy
            } else if x < 0.0 {
                -dy
            } else {
                0.0
            }
        });
    }
}
