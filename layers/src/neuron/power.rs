//! Power: (shift + scale·x)^power.

use cortado_kernels::{Kernels, SrcDst, Write};
use cortado_proto::caffe::PowerParameter;

use super::pointwise::{Neuron, Pointwise};
use crate::{Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("Power", build, &DOC).in_place().needs(needs);

static DOC: LayerDoc = LayerDoc {
    params: &["power_param"],
    bottoms: &["x: any shape"],
    tops: &["y: the shape of x"],
    forward: "y = (shift + scale · x)^power",
    backward: "dx = dy · scale · power · (shift + scale · x)^(power − 1)",
    notes: "With power · scale = 0 the output is the constant shift^power and the gradient 0.",
    example: r#"layer { name: "half" type: "Power" bottom: "x" top: "y" power_param { scale: 0.5 } }"#,
    source: "Caffe's power_layer.cpp",
    ..LayerDoc::new("A power of a linear function of each element.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    Ok(Box::new(Neuron(Power(def.power_param.unwrap_or_default()))))
}

struct Power(PowerParameter);

impl Power {
    fn is_constant(&self) -> bool {
        self.0.power() * self.0.scale() == 0.0
    }
}

impl Pointwise for Power {
    const KEEPS_X: bool = true;

    fn forward(&self, k: &Kernels, mut io: SrcDst<'_>) {
        let (power, scale, shift) = (self.0.power(), self.0.scale(), self.0.shift());
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

    fn backward(&self, k: &Kernels, diff: SrcDst<'_>, x: &[f32], _: &[f32], write: Write) {
        let (power, scale, shift) = (self.0.power(), self.0.scale(), self.0.shift());
        if self.is_constant() {
            return k.map2(diff, x, write, |_, _| 0.0);
        }
        let factor = power * scale;
        match power {
            1.0 => k.map2(diff, x, write, move |dy, _| dy * factor),
            2.0 => k.map2(diff, x, write, move |dy, x| dy * factor * (shift + scale * x)),
            _ => k.map2(diff, x, write, move |dy, x| {
                dy * factor * (shift + scale * x).powf(power - 1.0)
            }),
        }
    }
}
