//! Power: (shift + scale·x)^power.

use cortado_kernels::{Kernels, SrcDst, Write};
use cortado_proto::caffe::PowerParameter;

use super::pointwise::{Neuron, Pointwise};
use crate::{Affine, Layer, LayerDef, LayerDoc, LayerError, LayerKind, LowerCx, Needs, Prim};

/// The layer type.
pub static KIND: LayerKind =
    LayerKind::new("Power", build, &DOC).in_place().needs(needs).lower(lower);

static DOC: LayerDoc = LayerDoc {
    params: &["power_param"],
    bottoms: &["x: any shape"],
    tops: &["y: the shape of x"],
    forward: "y = (shift + scale · x)^power",
    backward: "dx = dy · scale · power · (shift + scale · x)^(power − 1)",
    notes: "With power · scale = 0 the output is the constant shift^power and the gradient 0.\n\n\
            In place, backward gives the square of the derivative, taken at y, and loses dy, as the \
            original does: a top of another name gives the right gradient.",
    example: r#"layer { name: "half" type: "Power" bottom: "x" top: "y" power_param { scale: 0.5 } }"#,
    source: "Caffe's power_layer.cpp",
    ..LayerDoc::new("A power of a linear function of each element.")
};

fn needs(def: &LayerDef) -> Needs {
    if super::overwrites(def) { Needs::TOP } else { Needs::BOTTOM }
}

/// A linear one is an affine map.
fn lower(cx: &LowerCx<'_>) -> Option<Prim> {
    let (p, c) = (cx.def.power_param.unwrap_or_default(), cx.channels()?);
    let linear = p.power() == 1.0 && p.scale() != 0.0;
    let affine = || Affine { scale: vec![p.scale(); c], shift: vec![p.shift(); c] };
    linear.then(|| Prim::Affine(affine()))
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let overwrites = super::overwrites(def);
    Ok(Box::new(Neuron(Power { param: def.power_param.unwrap_or_default(), overwrites })))
}

struct Power {
    param: PowerParameter,
    overwrites: bool,
}

impl Power {
    fn is_constant(&self) -> bool {
        self.param.power() * self.param.scale() == 0.0
    }
}

impl Pointwise for Power {
    const KEEPS_X: bool = false;

    fn forward(&self, k: &Kernels, mut io: SrcDst<'_>) {
        let (power, scale, shift) = (self.param.power(), self.param.scale(), self.param.shift());
        if self.is_constant() {
            let value = if power == 0.0 { 1.0 } else { shift.powf(power) };
            return k.map(io, move |_| value);
        }
        k.affine(io.reborrow(), scale, shift);
        if power != 1.0 {
            let y = match io {
                SrcDst::Apart(_, y) | SrcDst::InPlace(y) => y,
            };
            k.powf(SrcDst::InPlace(y), power);
        }
    }

    fn backward(&self, k: &Kernels, diff: SrcDst<'_>, x: &[f32], y: &[f32], write: Write) {
        let (power, scale, shift) = (self.param.power(), self.param.scale(), self.param.shift());
        if self.is_constant() {
            return k.map2(diff, x, write, |_, _| 0.0);
        }
        let factor = power * scale;
        if self.overwrites {
            let derivative = move |y: f32| match power {
                1.0 => factor,
                2.0 => factor * (shift + scale * y),
                _ if shift == 0.0 => power,
                _ => factor * y / (shift + scale * y),
            };
            return k.map2(diff, y, write, move |_, y| derivative(y).powi(2));
        }
        match power {
            1.0 => k.map2(diff, x, write, move |dy, _| dy * factor),
            2.0 => k.map2(diff, x, write, move |dy, x| dy * factor * (shift + scale * x)),
            _ => k.map2(diff, x, write, move |dy, x| {
                dy * factor * (shift + scale * x).powf(power - 1.0)
            }),
        }
    }
}
