//! TanH: the hyperbolic tangent.

use cortado_kernels::{Kernels, SrcDst, Write};

use super::pointwise::{Neuron, Pointwise};
use crate::{Act, Layer, LayerDef, LayerDoc, LayerError, LayerKind, LowerCx, Needs, Prim};

/// The layer type.
pub static KIND: LayerKind =
    LayerKind::new("TanH", build, &DOC).in_place().needs(needs).lower(lower);

static DOC: LayerDoc = LayerDoc {
    params: &["tanh_param"],
    bottoms: &["x: any shape"],
    tops: &["y: the shape of x"],
    forward: "y = tanh x",
    backward: "dx = dy · (1 − y²)",
    notes: "",
    example: r#"layer { name: "tanh1" type: "TanH" bottom: "fc1" top: "fc1" }"#,
    source: "Caffe's tanh_layer.cpp",
    ..LayerDoc::new("Squeezes each element between −1 and 1.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::TOP
}

fn lower(_: &LowerCx<'_>) -> Option<Prim> {
    Some(Prim::Act(Act::TanH))
}

fn build(_: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    Ok(Box::new(Neuron(TanH)))
}

struct TanH;

impl Pointwise for TanH {
    const KEEPS_X: bool = false;

    fn forward(&self, k: &Kernels, io: SrcDst<'_>) {
        k.tanh(io);
    }

    fn backward(&self, k: &Kernels, diff: SrcDst<'_>, _: &[f32], y: &[f32], write: Write) {
        k.map2(diff, y, write, |dy, y| dy * (1.0 - y * y));
    }
}
