//! ReLU: max(x, 0), or a smaller slope below 0.

use cortado_kernels::{Kernels, SrcDst, Write};

use super::pointwise::{Neuron, Pointwise};
use crate::{Act, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Layouts, LowerCx, Needs, Prim};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("ReLU", build, &DOC)
    .in_place()
    .needs(needs)
    .lower(lower)
    .layouts(Layouts::Elementwise);

static DOC: LayerDoc = LayerDoc {
    params: &["relu_param"],
    bottoms: &["x: any shape"],
    tops: &["y: the shape of x"],
    forward: "y = x if x > 0, else negative_slope · x",
    backward: "dx = dy if x > 0, else negative_slope · dy",
    notes: "Backward reads y, so that it can run in place; with a negative `negative_slope` (where the sign of y does not tell that of x) it reads x.",
    example: r#"layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }"#,
    source: "Nair, Hinton 2010; Maas, Hannun, Ng 2013 (leaky); Caffe's relu_layer.cpp",
    ..LayerDoc::new("Passes what is above 0.")
};

fn needs(def: &LayerDef) -> Needs {
    if slope(def) < 0.0 { Needs::BOTTOM } else { Needs::TOP }
}

fn lower(cx: &LowerCx<'_>) -> Option<Prim> {
    Some(Prim::Act(Act::Relu(slope(cx.def))))
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let slope = slope(def);
    Ok(match slope < 0.0 {
        true => Box::new(Neuron(FromX { slope })),
        false => Box::new(Neuron(FromY { slope })),
    })
}

fn slope(def: &LayerDef) -> f32 {
    def.relu_param.as_ref().map_or(0.0, |p| p.negative_slope())
}

/// Backward by the sign of y.
struct FromY {
    slope: f32,
}

impl Pointwise for FromY {
    const KEEPS_X: bool = false;

    fn forward(&self, k: &Kernels, io: SrcDst<'_>) {
        k.relu_forward(io, self.slope);
    }

    fn backward(&self, k: &Kernels, diff: SrcDst<'_>, _: &[f32], y: &[f32], write: Write) {
        k.relu_backward(diff, y, self.slope, write);
    }
}

/// Backward by the sign of x.
struct FromX {
    slope: f32,
}

impl Pointwise for FromX {
    const KEEPS_X: bool = true;

    fn forward(&self, k: &Kernels, io: SrcDst<'_>) {
        k.relu_forward(io, self.slope);
    }

    fn backward(&self, k: &Kernels, diff: SrcDst<'_>, x: &[f32], _: &[f32], write: Write) {
        k.relu_backward(diff, x, self.slope, write);
    }
}
