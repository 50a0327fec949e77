//! Sigmoid: 1 / (1 + e^−x).

use cortado_kernels::{Kernels, SrcDst, Write};

use super::pointwise::{Neuron, Pointwise};
use crate::{Act, Layer, LayerDef, LayerDoc, LayerError, LayerKind, LowerCx, Needs, Prim};

/// The layer type.
pub static KIND: LayerKind =
    LayerKind::new("Sigmoid", build, &DOC).in_place().needs(needs).lower(lower);

static DOC: LayerDoc = LayerDoc {
    params: &["sigmoid_param"],
    bottoms: &["x: any shape"],
    tops: &["y: the shape of x"],
    forward: "y = 1 / (1 + e^−x)",
    backward: "dx = dy · y · (1 − y)",
    notes: "",
    example: r#"layer { name: "sigmoid1" type: "Sigmoid" bottom: "fc1" top: "fc1" }"#,
    source: "Caffe's sigmoid_layer.cpp",
    ..LayerDoc::new("Squeezes each element between 0 and 1.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::TOP
}

fn lower(_: &LowerCx<'_>) -> Option<Prim> {
    Some(Prim::Act(Act::Sigmoid))
}

fn build(_: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    Ok(Box::new(Neuron(Sigmoid)))
}

struct Sigmoid;

impl Pointwise for Sigmoid {
    const KEEPS_X: bool = false;

    fn forward(&self, k: &Kernels, io: SrcDst<'_>) {
        k.sigmoid(io);
    }

    fn backward(&self, k: &Kernels, diff: SrcDst<'_>, _: &[f32], y: &[f32], write: Write) {
        k.map2(diff, y, write, |dy, y| dy * y * (1.0 - y));
    }
}
