//! SmoothL1LossOHEM: SmoothL1Loss that also tells the loss of each item.

use cortado_kernels::Write;
use cortado_proto::caffe::LossParameter;
use cortado_proto::caffe::loss_parameter::NormalizationMode;

use super::normalize::{self, divisor};
use super::paired::paired_items;
use super::smooth_l1_loss::smooth_l1;
use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("SmoothL1LossOHEM", build, &DOC)
    .bottoms(Arity::between(2, 3))
    .tops(Arity::between(1, 2))
    .needs(needs)
    .grads(GradBottoms::Only(&[0, 1]))
    .ends_gradients()
    .loss()
    .dialect("rfcn, intel");

static DOC: LayerDoc = LayerDoc {
    params: &["loss_param"],
    bottoms: &["a: N x C x H x W", "b: the shape of a", "weights (optional): the shape of a"],
    tops: &[
        "loss: scalar",
        "losses (optional): N x 1 x H x W, the sum over the channels of each place",
    ],
    forward: "loss = Σ f(w · (a − b)) / normaliser, f(d) = d² / 2 where |d| < 1, else |d| − 1/2",
    backward: "da = weight · f'(w · (a − b)) / normaliser   db = −da",
    notes: "The normaliser: N · H · W (FULL and VALID, the default), N (BATCH_SIZE), 1 (NONE), or what \
            `pre_fixed_normalizer` says (PRE_FIXED). `w` is not multiplied into the derivative a second \
            time, as in the fork: for weights of 0 and 1, which it is meant for, that is the gradient. The \
            second top is for BoxAnnotatorOHEM to choose by; nothing comes back through it.",
    example: r#"layer { name: "per_roi_loss_bbox" type: "SmoothL1LossOHEM" bottom: "bbox_pred"
  bottom: "bbox_targets" bottom: "inside" top: "loss" top: "losses" loss_weight: 1 loss_weight: 0 }"#,
    source: "Dai, Li, He, Sun 2016 (R-FCN); Shrivastava, Gupta, Girshick 2016 (OHEM)",
    ..LayerDoc::new("Squared distance near 0, distance beyond, told for each item as well.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.loss_param.clone().unwrap_or_default();
    normalize::check(&param)?;
    Ok(Box::new(SmoothL1OhemLayer { param, dims: (0, 0, 0) }))
}

struct SmoothL1OhemLayer {
    param: LossParameter,
    /// Items, channels, places.
    dims: (usize, usize, usize),
}

impl SmoothL1OhemLayer {
    fn divisor(&self) -> f32 {
        let (outer, _, inner) = self.dims;
        divisor(&self.param, NormalizationMode::Valid, outer, inner, outer * inner)
    }
}

impl Layer for SmoothL1OhemLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        paired_items(cx.bottoms)?;
        let a = cx.bottoms[0].clone();
        if !(2..=4).contains(&a.len()) {
            return Err(LayerError::bottom(0, format!("N x C x H x W is wanted, found {a}")));
        }
        self.dims = a.around(1);
        let axis = |i: usize| a.get(i).copied().unwrap_or(1);
        let places = [a[0], 1, axis(2), axis(3)];
        cx.save(a.clone());
        cx.top(0, Shape::scalar());
        if cx.tops.len() > 1 {
            cx.top(1, places);
        }
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (outer, c, inner) = self.dims;
        let (a, b) = (cx.bottom(0).data, cx.bottom(1).data);
        let weights = cx.bottoms.get(2).copied().flatten().map(|view| view.data);
        let mut losses = vec![0f32; outer * inner];
        for (i, slope) in cx.saved[0].data_mut().iter_mut().enumerate() {
            let (value, derivative) = smooth_l1(weights.map_or(1.0, |w| w[i]) * (a[i] - b[i]), 1.0);
            losses[i / (c * inner) * inner + i % inner] += value;
            // At 0 there is no side to go to.
            *slope = if value == 0.0 { 0.0 } else { derivative };
        }
        let sum: f64 = losses.iter().map(|&loss| f64::from(loss)).sum();
        cx.tops[0].data[0] = (sum / f64::from(self.divisor())) as f32;
        if let Some(top) = cx.tops.get_mut(1) {
            top.data.copy_from_slice(&losses);
        }
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let factor = cx.loss_weight() / self.divisor();
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
