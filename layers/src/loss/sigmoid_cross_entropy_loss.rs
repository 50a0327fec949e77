//! SigmoidCrossEntropyLoss: the cross-entropy of targets and the sigmoids of scores.

use cortado_kernels::{SrcDst, Write, math};
use cortado_proto::caffe::LossParameter;
use cortado_proto::caffe::loss_parameter::NormalizationMode;

use super::normalize::divisor;
use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("SigmoidCrossEntropyLoss", build, &DOC)
    .bottoms(Arity::between(2, 3))
    .needs(needs)
    .grads(GradBottoms::Only(&[0]))
    .loss();

static DOC: LayerDoc = LayerDoc {
    params: &["loss_param"],
    bottoms: &[
        "scores: N x …",
        "targets: as many elements, from 0 to 1",
        "weights (optional, MNC's fork): as many elements",
    ],
    tops: &["loss: scalar"],
    forward: "p = sigmoid(x)   loss = −Σ (t ln p + (1 − t) ln(1 − p)) / normaliser",
    backward: "dx = weight · (p − t) / normaliser; 0 where ignored",
    notes: "The normaliser: BATCH_SIZE (default) N, VALID the number of elements not ignored, FULL all \
            elements, NONE 1; at least 1. `normalize` is the old spelling (true VALID, false BATCH_SIZE), \
            looked at only without `normalization`. An element is ignored when its target, cut to a whole \
            number, is `ignore_label`. Targets need not be 0 or 1.\n\n\
            With weights w each element counts w times, and the normaliser is Σ w (1 where that is not above \
            0), whatever `normalization` says.",
    example: r#"layer { name: "loss" type: "SigmoidCrossEntropyLoss" bottom: "score" bottom: "target" top: "loss" }"#,
    source: "Caffe's sigmoid_cross_entropy_loss_layer.cpp; with weights that of Dai, He, Sun 2016 (MNC)",
    ..LayerDoc::new("Cross-entropy of independent yes-or-no targets and scores.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.loss_param.clone().unwrap_or_default();
    Ok(Box::new(SigmoidCrossEntropyLossLayer { param, dims: (0, 0), divisor: 1.0 }))
}

struct SigmoidCrossEntropyLossLayer {
    param: LossParameter,
    /// Items, and elements of each.
    dims: (usize, usize),
    /// Of the last forward.
    divisor: f32,
}

impl SigmoidCrossEntropyLossLayer {
    fn ignores(&self, target: f32) -> bool {
        self.param.ignore_label.is_some_and(|ignore| target as i32 == ignore && !target.is_nan())
    }
}

impl Layer for SigmoidCrossEntropyLossLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let (scores, targets) = (&cx.bottoms[0], &cx.bottoms[1]);
        if scores.count() != targets.count() || scores.first() != targets.first() {
            let why = format!("there is one target per score: {scores} and {targets}");
            return Err(LayerError::bottom(1, why));
        }
        if let Some(weights) = cx.bottoms.get(2).filter(|w| w.count() != scores.count()) {
            let why = format!("there is one weight per score: {scores} and {weights}");
            return Err(LayerError::bottom(2, why));
        }
        let items = scores.first().copied().unwrap_or(1);
        self.dims = (items, scores.count() / items.max(1));
        cx.scratch = scores.count();
        cx.top(0, Shape::scalar());
        Ok(())
    }

    /// −ln of the probability of the target is max(x, 0) − x·t + ln(1 + e^−|x|): no overflow.
    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (scores, targets) = (cx.bottom(0).data, cx.bottom(1).data);
        let soft = &mut cx.scratch[..scores.len()];
        cx.k.map(
            SrcDst::Apart(scores, soft),
            #[inline(always)]
            move |x| math::ln(1.0 + math::exp(-x.abs())),
        );
        let weights = cx.bottoms.get(2).copied().flatten().map(|view| view.data);
        let (mut loss, mut valid, mut sum) = (0f64, 0, 0f64);
        for (i, ((&x, &target), &soft)) in scores.iter().zip(targets).zip(&*soft).enumerate() {
            if self.ignores(target) {
                continue;
            }
            let weight = weights.map_or(1.0, |weights| f64::from(weights[i]));
            let own = f64::from(x.max(0.0)) - f64::from(x) * f64::from(target) + f64::from(soft);
            loss += weight * own;
            sum += weight;
            valid += 1;
        }
        let (outer, inner) = self.dims;
        self.divisor = match weights {
            Some(_) if sum > 0.0 => sum as f32,
            Some(_) => 1.0,
            None => divisor(&self.param, NormalizationMode::BatchSize, outer, inner, valid),
        };
        cx.tops[0].data[0] = (loss / f64::from(self.divisor)) as f32;
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let (scores, targets) = (cx.bottom(0).data, cx.bottom(1).data);
        let weights = cx.bottoms.get(2).copied().flatten().map(|view| view.data);
        let factor = cx.loss_weight() / self.divisor;
        let Some(diff) = &mut cx.bottom_diffs[0] else { return Ok(()) };
        let slope = &mut cx.scratch[..scores.len()];
        cx.k.map2(
            SrcDst::Apart(scores, slope),
            targets,
            Write::Set,
            #[inline(always)]
            move |x, target| factor * (math::sigmoid(x) - target),
        );
        if let Some(weights) = weights {
            slope.iter_mut().zip(weights).for_each(|(slope, weight)| *slope *= weight);
        }
        for (slope, &target) in slope.iter_mut().zip(targets) {
            if self.ignores(target) {
                *slope = 0.0;
            }
        }
        match diff.write {
            Write::Set => diff.data.copy_from_slice(slope),
            Write::Add => cx.k.axpy(1.0, slope, diff.data),
        }
        Ok(())
    }
}
