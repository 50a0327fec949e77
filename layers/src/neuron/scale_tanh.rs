//! ScaleTanH: a tanh that gets steeper from pass to pass.

use crate::{Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs, Reshape};
use cortado_proto::caffe::ScaleTanHParameter;

/// The layer type.
pub static KIND: LayerKind =
    LayerKind::new("ScaleTanH", build, &DOC).in_place().needs(needs).dialect("hashnet");

static DOC: LayerDoc = LayerDoc {
    params: &["scale_tanh_param"],
    bottoms: &["x: any shape"],
    tops: &["y: the shape of x"],
    forward: "y = tanh(s · x), s = init_scale, from pass k · step_size on init_scale · (1 + gamma · pass)^power",
    backward: "dx = dy · s · (1 − y²)",
    notes: "The steepness changes every `step_size` passes; so the codes come near −1 and 1 in the end. \
            Counting starts anew with the net.",
    example: r#"layer { name: "continuation" type: "ScaleTanH" bottom: "code" top: "code"
  scale_tanh_param { init_scale: 1 step_size: 200 gamma: 0.005 power: 0.5 } }"#,
    source: "Cao, Long, Wang, Yu 2017 (HashNet), section 3.2",
    ..LayerDoc::new("Squeezes each element between −1 and 1, ever steeper.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::TOP
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.scale_tanh_param.unwrap_or_default();
    if param.step_size() == 0 {
        let why = "`step_size` must be above 0, found 0";
        return Err(LayerError::field("scale_tanh_param.step_size", why));
    }
    Ok(Box::new(ScaleTanHLayer { scale: param.init_scale(), param, pass: 0 }))
}

struct ScaleTanHLayer {
    param: ScaleTanHParameter,
    /// Passes so far.
    pass: u32,
    scale: f32,
}

impl Layer for ScaleTanHLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        cx.top(0, cx.bottoms[0].clone());
        Ok(())
    }

    fn carried(&self) -> Vec<f32> {
        vec![self.pass as f32, self.scale]
    }

    fn carry(&mut self, carried: &[f32]) {
        (self.pass, self.scale) = match *carried {
            [pass, scale] => (pass as u32, scale),
            _ => (0, self.param.init_scale()),
        };
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        self.pass = self.pass.saturating_add(1);
        let p = &self.param;
        if self.pass.is_multiple_of(p.step_size()) {
            self.scale = p.init_scale() * (1.0 + p.gamma() * self.pass as f32).powf(p.power());
        }
        let (k, scale) = (cx.k, self.scale);
        k.map(cx.src_dst(0), |x| (scale * x).tanh());
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let (k, y, scale) = (cx.k, cx.tops[0].data, self.scale);
        if let Some((diff, write)) = cx.diff(0) {
            k.map2(diff, y, write, |dy, y| dy * scale * (1.0 - y * y));
        }
        Ok(())
    }
}
