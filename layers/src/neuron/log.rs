//! Log: the logarithm of shift + scale·x.

use cortado_kernels::{Kernels, SrcDst, Write};

use super::pointwise::{Neuron, Pointwise};
use crate::{Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("Log", build, &DOC).in_place().needs(needs);

static DOC: LayerDoc = LayerDoc {
    params: &["log_param"],
    bottoms: &["x: any shape"],
    tops: &["y: the shape of x"],
    forward: "y = log_base(shift + scale · x); base −1 means e",
    backward: "dx = dy · scale / ((shift + scale · x) · ln(base))",
    notes: "",
    example: r#"layer { name: "log" type: "Log" bottom: "x" top: "y" }"#,
    source: "Caffe's log_layer.cpp",
    ..LayerDoc::new("A logarithm of each element.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let p = def.log_param.unwrap_or_default();
    if p.base() == 1.0 {
        let why = "`base` must not be 1: there is no logarithm to it";
        return Err(LayerError::field("log_param.base", why));
    }
    let factor = 1.0 / super::ln_base(p.base(), "log_param.base")?;
    Ok(Box::new(Neuron(Log { factor, scale: p.scale(), shift: p.shift() })))
}

struct Log {
    factor: f32,
    scale: f32,
    shift: f32,
}

impl Pointwise for Log {
    const KEEPS_X: bool = true;

    fn forward(&self, k: &Kernels, io: SrcDst<'_>) {
        let (factor, scale, shift) = (self.factor, self.scale, self.shift);
        k.map(io, move |x| factor * cortado_kernels::math::ln(shift + scale * x));
    }

    fn backward(&self, k: &Kernels, diff: SrcDst<'_>, x: &[f32], _: &[f32], write: Write) {
        let (factor, scale, shift) = (self.factor, self.scale, self.shift);
        k.map2(diff, x, write, move |dy, x| dy * factor * scale / (shift + scale * x));
    }
}
