//! L1Loss: the mean distance.

use cortado_kernels::Write;

use super::paired::paired_items;
use crate::{
    Arity, Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs, Reshape,
    Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("L1Loss", build, &DOC)
    .bottoms(Arity::exactly(2))
    .needs(needs)
    .loss()
    .dialect("nvcaffe");

static DOC: LayerDoc = LayerDoc {
    bottoms: &["a: N x …", "b: as many elements per item"],
    tops: &["loss: scalar"],
    forward: "loss = Σ |a − b| / N",
    backward: "da = weight · sign(a − b) / N   db = −da",
    example: r#"layer { name: "loss" type: "L1Loss" bottom: "bboxes" bottom: "target" top: "loss" }"#,
    source: "l1_loss_layer.cpp of NVIDIA's Caffe (DetectNet)",
    ..LayerDoc::new("The mean distance.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

fn build(_: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    Ok(Box::new(L1LossLayer { items: 0 }))
}

struct L1LossLayer {
    items: usize,
}

impl Layer for L1LossLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        self.items = paired_items(cx.bottoms)?;
        cx.top(0, Shape::scalar());
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let pairs = cx.bottom(0).data.iter().zip(cx.bottom(1).data);
        let sum: f64 = pairs.map(|(a, b)| f64::from((a - b).abs())).sum();
        cx.tops[0].data[0] = (sum / self.items as f64) as f32;
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let factor = cx.loss_weight() / self.items as f32;
        let (a, b) = (cx.bottom(0).data, cx.bottom(1).data);
        for (diff, factor) in cx.bottom_diffs.iter_mut().zip([factor, -factor]) {
            let Some(diff) = diff else { continue };
            let add = diff.write == Write::Add;
            for ((dx, a), b) in diff.data.iter_mut().zip(a).zip(b) {
                let sign = if a == b { 0.0 } else { (a - b).signum() };
                *dx = if add { *dx + factor * sign } else { factor * sign };
            }
        }
        Ok(())
    }
}
