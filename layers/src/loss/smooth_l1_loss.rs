//! SmoothL1Loss: the squared distance near 0, the distance beyond.

use cortado_kernels::Write;

use super::paired::paired_items;
use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("SmoothL1Loss", build, &DOC)
    .bottoms(Arity::between(2, 4))
    .needs(needs)
    .grads(GradBottoms::Only(&[0, 1]))
    .ends_gradients()
    .loss()
    .dialect("ssd, rfcn, intel, py-faster-rcnn");

static DOC: LayerDoc = LayerDoc {
    params: &["smooth_l1_loss_param"],
    bottoms: &[
        "a: N x …",
        "b: the shape of a",
        "inside weights (optional): the shape of a",
        "outside weights (optional): the shape of a",
    ],
    tops: &["loss: scalar"],
    forward: "loss = Σ out · f(in · (a − b)) / N\nf(d) = σ² d² / 2 where |d| < 1/σ², else |d| − 1/(2σ²)",
    backward: "da = weight · out · in · f'(in · (a − b)) / N   db = −da",
    notes: "Without `sigma` σ is 1, as in SSD, whose layer takes two bottoms only. Weights take no \
            gradient.",
    example: r#"layer { name: "loss_bbox" type: "SmoothL1Loss" bottom: "bbox_pred" bottom: "bbox_targets"
  bottom: "inside" bottom: "outside" top: "loss_bbox" loss_weight: 1 }"#,
    source: "Girshick 2015 (Fast R-CNN), equation 3; smooth_L1_loss_layer of py-faster-rcnn and SSD",
    ..LayerDoc::new("Squared distance near 0, distance beyond.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let sigma = def.smooth_l1_loss_param.as_ref().map_or(1.0, |p| p.sigma());
    if !(sigma > 0.0) {
        let why = format!("`sigma` must be above 0, found {sigma}");
        return Err(LayerError::field("smooth_l1_loss_param.sigma", why));
    }
    Ok(Box::new(SmoothL1LossLayer { sigma2: sigma * sigma, items: 0 }))
}

struct SmoothL1LossLayer {
    sigma2: f32,
    items: usize,
}

/// The loss of a distance, and its derivative.
pub(crate) fn smooth_l1(d: f32, sigma2: f32) -> (f32, f32) {
    if d.abs() < 1.0 / sigma2 {
        (0.5 * sigma2 * d * d, sigma2 * d)
    } else {
        (d.abs() - 0.5 / sigma2, d.signum())
    }
}

impl Layer for SmoothL1LossLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        self.items = paired_items(cx.bottoms)?;
        // out · in · f'(in · (a − b))
        cx.save(cx.bottoms[0].clone());
        cx.top(0, Shape::scalar());
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (a, b) = (cx.bottom(0).data, cx.bottom(1).data);
        let weights = |i: usize| cx.bottoms.get(i).copied().flatten().map(|view| view.data);
        let (inside, outside) = (weights(2), weights(3));
        let mut loss = 0f64;
        for (i, slope) in cx.saved[0].data_mut().iter_mut().enumerate() {
            let inner = inside.map_or(1.0, |w| w[i]);
            let outer = outside.map_or(1.0, |w| w[i]);
            let (value, derivative) = smooth_l1(inner * (a[i] - b[i]), self.sigma2);
            loss += f64::from(outer * value);
            *slope = outer * inner * derivative;
        }
        cx.tops[0].data[0] = (loss / self.items as f64) as f32;
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let factor = cx.loss_weight() / self.items as f32;
        let slope = cx.saved[0].data();
        for (diff, sign) in cx.bottom_diffs.iter_mut().zip([1.0, -1.0]) {
            let Some(diff) = diff else { continue };
            if diff.write == Write::Set {
                diff.data.fill(0.0);
            }
            cx.k.axpy(sign * factor, slope, diff.data);
        }
        Ok(())
    }
}
