//! Exp: base^(shift + scale·x).

use cortado_kernels::{Kernels, SrcDst, Write};

use super::pointwise::{Neuron, Pointwise};
use crate::{Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("Exp", build, &DOC).in_place().needs(needs);

static DOC: LayerDoc = LayerDoc {
    params: &["exp_param"],
    bottoms: &["x: any shape"],
    tops: &["y: the shape of x"],
    forward: "y = base^(shift + scale · x); base −1 means e",
    backward: "dx = dy · y · scale · ln(base)",
    notes: "",
    example: r#"layer { name: "exp" type: "Exp" bottom: "x" top: "y" }"#,
    source: "Caffe's exp_layer.cpp",
    ..LayerDoc::new("An exponential of each element.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::TOP
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let p = def.exp_param.unwrap_or_default();
    let ln_base = super::ln_base(p.base(), "exp_param.base")?;
    let (inner, outer) = (ln_base * p.scale(), (ln_base * p.shift()).exp());
    Ok(Box::new(Neuron(Exp { inner, outer })))
}

struct Exp {
    /// y = outer · e^(inner · x)
    inner: f32,
    outer: f32,
}

impl Pointwise for Exp {
    const KEEPS_X: bool = false;

    fn forward(&self, k: &Kernels, io: SrcDst<'_>) {
        let (inner, outer) = (self.inner, self.outer);
        k.map(io, move |x| outer * cortado_kernels::math::exp(inner * x));
    }

    fn backward(&self, k: &Kernels, diff: SrcDst<'_>, _: &[f32], y: &[f32], write: Write) {
        let inner = self.inner;
        k.map2(diff, y, write, move |dy, y| dy * y * inner);
    }
}
