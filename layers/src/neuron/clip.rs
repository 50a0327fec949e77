//! Clip: each element held between two bounds.

use cortado_kernels::{Kernels, SrcDst, Write};

use super::pointwise::{Neuron, Pointwise};
use crate::{Act, Layer, LayerDef, LayerDoc, LayerError, LayerKind, LowerCx, Needs, Prim};

/// The layer type.
pub static KIND: LayerKind =
    LayerKind::new("Clip", build, &DOC).in_place().needs(needs).lower(lower);

static DOC: LayerDoc = LayerDoc {
    params: &["clip_param"],
    bottoms: &["x: any shape"],
    tops: &["y: the shape of x"],
    forward: "y = min(max(x, min), max)",
    backward: "dx = dy if min ≤ x ≤ max, else 0",
    notes: "`min` and `max` must be given.",
    example: r#"layer { name: "clip" type: "Clip" bottom: "x" top: "y" clip_param { min: 0 max: 6 } }"#,
    source: "Caffe's clip_layer.cpp",
    ..LayerDoc::new("Holds each element between two bounds.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

fn lower(cx: &LowerCx<'_>) -> Option<Prim> {
    let p = cx.def.clip_param.as_ref()?;
    Some(Prim::Act(Act::Clip(p.min, p.max)))
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let Some(p) = &def.clip_param else {
        return Err(LayerError::layer("`clip_param { min: … max: … }` must be given"));
    };
    // Written so that NaN is refused.
    if !(p.min <= p.max) {
        let why = format!("`max` is at least `min`, found min {} and max {}", p.min, p.max);
        return Err(LayerError::field("clip_param.max", why));
    }
    Ok(Box::new(Neuron(Clip { min: p.min, max: p.max })))
}

struct Clip {
    min: f32,
    max: f32,
}

impl Pointwise for Clip {
    const KEEPS_X: bool = true;

    fn forward(&self, k: &Kernels, io: SrcDst<'_>) {
        let (min, max) = (self.min, self.max);
        k.map(io, move |x| {
            if x < min {
                min
            } else if x > max {
                max
            } else {
                x
            }
        });
    }

    fn backward(&self, k: &Kernels, diff: SrcDst<'_>, x: &[f32], _: &[f32], write: Write) {
        let (min, max) = (self.min, self.max);
        k.map2(diff, x, write, move |dy, x| if x >= min && x <= max { dy } else { 0.0 });
    }
}
