//! RReLU: what is below 0 divided by a number drawn for each element.

use cortado_kernels::{SrcDst, Write};
use rand::RngExt;

use crate::{
    Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs, Phase, Reshape,
};

/// The layer type.
pub static KIND: LayerKind =
    LayerKind::new("RReLU", build, &DOC).in_place().needs(needs).dialect("ducha-aiki");

static DOC: LayerDoc = LayerDoc {
    params: &["rrelu_param"],
    bottoms: &["x: any shape"],
    tops: &["y: the shape of x"],
    forward: "y = x if x > 0, else x / a: TRAIN a drawn evenly from lb to ub, TEST a = (lb + ub) / 2",
    backward: "dx = dy if x > 0, else dy / a",
    example: r#"layer { name: "rrelu1" type: "RReLU" bottom: "conv1" top: "conv1" }"#,
    source: "Xu, Wang, Chen, Li 2015 (Empirical Evaluation of Rectified Activations), section 2.4",
    ..LayerDoc::new("ReLU with a random slope below 0.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.rrelu_param.unwrap_or_default();
    let (lb, ub) = (param.lb(), param.ub());
    if !(lb > 0.0 && lb <= ub && ub.is_finite()) {
        let why = format!("`lb` is above 0 and at most `ub`, found {lb} and {ub}");
        return Err(LayerError::field("rrelu_param.lb", why));
    }
    Ok(Box::new(RReluLayer { lb, ub }))
}

struct RReluLayer {
    lb: f32,
    ub: f32,
}

impl Layer for RReluLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let bottom = cx.bottoms[0].clone();
        // The slope of each element.
        cx.save(bottom.clone());
        cx.top(0, bottom);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (k, train) = (cx.k, cx.phase == Phase::Train);
        let mut slopes = std::mem::take(&mut cx.saved[0]);
        // Drawn for each element, so that one does not depend on the others' signs.
        for slope in slopes.data_mut() {
            let drawn = if train { cx.rng.random::<f32>() } else { 0.5 };
            *slope = 1.0 / (self.lb + (self.ub - self.lb) * drawn);
        }
        for (slope, &x) in slopes.data_mut().iter_mut().zip(cx.x(0)) {
            *slope = if x > 0.0 { 1.0 } else { *slope };
        }
        k.map2(cx.src_dst(0), slopes.data(), Write::Set, |x, slope| x * slope);
        cx.saved[0] = slopes;
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let k = cx.k;
        let saved = std::mem::take(&mut cx.saved);
        let Some((diff, write)): Option<(SrcDst<'_>, Write)> = cx.diff(0) else { return Ok(()) };
        k.map2(diff, saved[0].data(), write, |dy, slope| dy * slope);
        Ok(())
    }
}
