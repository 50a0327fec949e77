//! Threshold: 1 above a value, else 0.

use crate::{
    Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape,
};

/// The layer type.
pub static KIND: LayerKind =
    LayerKind::new("Threshold", build, &DOC).in_place().needs(needs).grads(GradBottoms::None);

static DOC: LayerDoc = LayerDoc {
    params: &["threshold_param"],
    bottoms: &["x: any shape"],
    tops: &["y: the shape of x"],
    forward: "y = 1 if x > threshold, else 0",
    example: r#"layer { name: "t" type: "Threshold" bottom: "x" top: "y" threshold_param { threshold: 0.5 } }"#,
    source: "Caffe's threshold_layer.cpp",
    ..LayerDoc::new("Tells which elements exceed a value.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let threshold = def.threshold_param.as_ref().map_or(0.0, |p| p.threshold());
    Ok(Box::new(ThresholdLayer { threshold }))
}

struct ThresholdLayer {
    threshold: f32,
}

impl Layer for ThresholdLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        cx.top(0, cx.bottoms[0].clone());
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (k, threshold) = (cx.k, self.threshold);
        k.map(cx.src_dst(0), move |x| if x > threshold { 1.0 } else { 0.0 });
        Ok(())
    }

    fn backward(&mut self, _: &mut Backward<'_>) -> Result<(), LayerError> {
        Ok(())
    }
}
