//! SoftmaxWithLoss: the cross-entropy of labels and the softmax of scores.

use cortado_kernels::{SrcDst, Write};
use cortado_proto::caffe::LossParameter;
use cortado_proto::caffe::loss_parameter::NormalizationMode;

use super::labels::{check_count, class};
use super::normalize::{self, at_least, divisor};
use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("SoftmaxWithLoss", build, &DOC)
    .bottoms(Arity::exactly(2))
    .tops(Arity::between(1, 2))
    .needs(needs)
    .grads(GradBottoms::Only(&[0]))
    .loss();

/// The same, which tells the loss of each item as well.
pub static OHEM: LayerKind = LayerKind::new("SoftmaxWithLossOHEM", build, &OHEM_DOC)
    .bottoms(Arity::exactly(2))
    .tops(Arity::between(1, 3))
    .needs(needs)
    .grads(GradBottoms::Only(&[0]))
    .loss()
    .dialect("rfcn, intel");

static OHEM_DOC: LayerDoc = LayerDoc {
    params: &["loss_param", "softmax_param"],
    bottoms: DOC.bottoms,
    tops: &[
        "loss: scalar",
        "prob (optional): the softmax",
        "losses (optional): the shape of the labels, −ln(prob[label]) of each, 0 where ignored",
    ],
    forward: DOC.forward,
    backward: DOC.backward,
    notes: "As SoftmaxWithLoss; the third top is for BoxAnnotatorOHEM to choose by, nothing comes back \
            through it.",
    example: r#"layer { name: "per_roi_loss_cls" type: "SoftmaxWithLossOHEM" bottom: "cls_score"
  bottom: "labels" top: "loss" top: "prob" top: "losses"
  loss_weight: 1 loss_weight: 0 loss_weight: 0 }"#,
    source: "Shrivastava, Gupta, Girshick 2016 (OHEM); Dai, Li, He, Sun 2016 (R-FCN)",
    ..LayerDoc::new("Cross-entropy of labels and scores, told for each item as well.")
};

static DOC: LayerDoc = LayerDoc {
    params: &["loss_param", "softmax_param"],
    bottoms: &[
        "scores: N x C x …, the classes along `softmax_param.axis`",
        "labels: N x …, whole numbers below C",
    ],
    tops: &["loss: scalar", "prob (optional): the softmax"],
    forward: "loss = −Σ ln(max(prob[label], FLT_MIN)) / normaliser   (class_weighting: each term · weight[label])",
    backward: "dscores = weight · (prob − [class = label]) / normaliser; 0 where ignored",
    notes: "The normaliser: VALID (default) the number of labels not ignored, FULL all, BATCH_SIZE N, \
            NONE 1; at least 1. `normalize` is the old spelling (true VALID, false BATCH_SIZE), looked at \
            only without `normalization`. A loss of 87.3365 is −ln(FLT_MIN): the probability of the right \
            class has become 0, the net has diverged. A label out of range is an error (release builds of \
            the original read beyond the blob).\n\n\
            **SegNet's weights.** With `weight_by_label_freqs: true` each position counts as often as the \
            `class_weighting` of its label says, in the loss and in the gradient; the field is given once per \
            class. The normaliser stays the number of positions. `class_weighting` alone changes nothing.",
    example: r#"layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc8" bottom: "label" top: "loss" }"#,
    source: "Caffe's softmax_loss_layer.cpp",
    ..LayerDoc::new("Cross-entropy of labels and scores.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let axis = def.softmax_param.as_ref().map_or(1, |p| p.axis());
    let param = def.loss_param.clone().unwrap_or_default();
    normalize::check(&param)?;
    let weighted = param.weight_by_label_freqs();
    Ok(Box::new(SoftmaxLossLayer { axis, param, weighted, dims: (0, 0, 0), divisor: 1.0 }))
}

struct SoftmaxLossLayer {
    axis: i32,
    param: LossParameter,
    /// Whether `class_weighting` counts.
    weighted: bool,
    /// The scores as (outer, classes, inner).
    dims: (usize, usize, usize),
    /// Of the last forward.
    divisor: f32,
}

impl SoftmaxLossLayer {
    fn check_weights(&self, classes: usize) -> Result<(), LayerError> {
        let given = self.param.class_weighting.len();
        if !self.weighted || given == classes {
            return Ok(());
        }
        let why = format!(
            "`weight_by_label_freqs` wants one `class_weighting` per class: {classes} classes, {given} weights"
        );
        Err(LayerError::field("loss_param.class_weighting", why)
            .help("without `weight_by_label_freqs` all classes count alike"))
    }

    /// As `backward`, each position by the weight of its class.
    fn backward_weighted(&self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let (outer, c, inner) = self.dims;
        let factor = cx.loss_weight() / self.divisor;
        let labels = cx.bottom(1).data;
        let prob = cx.saved[0].data();
        let Some(diff) = &mut cx.bottom_diffs[0] else { return Ok(()) };
        if diff.write == Write::Set {
            diff.data.fill(0.0);
        }
        for item in 0..outer * inner {
            let Some(label) = class(labels, item, c, self.param.ignore_label)? else { continue };
            let factor = factor * self.param.class_weighting[label];
            for class in 0..c {
                let i = (item / inner * c + class) * inner + item % inner;
                diff.data[i] += factor * (prob[i] - f32::from(u8::from(class == label)));
            }
        }
        Ok(())
    }
}

impl Layer for SoftmaxLossLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let scores = cx.bottoms[0].clone();
        let axis = scores.axis(self.axis, "softmax_param.axis")?;
        check_count(&cx.bottoms[1], &scores, axis)?;
        self.dims = scores.around(axis);
        self.check_weights(scores[axis])?;
        cx.save(scores.clone());
        cx.top(0, Shape::scalar());
        if cx.tops.len() > 1 {
            cx.top(1, scores);
        }
        if cx.tops.len() > 2 {
            cx.top(2, cx.bottoms[1].clone());
        }
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (outer, c, inner) = self.dims;
        let (scores, labels) = (cx.bottom(0).data, cx.bottom(1).data);
        let prob = cx.saved[0].data_mut();
        cx.k.softmax_forward(outer, c, inner, SrcDst::Apart(scores, prob));
        let (mut loss, mut valid) = (0f64, 0);
        for item in 0..outer * inner {
            let label = class(labels, item, c, self.param.ignore_label)?;
            let own = label.map_or(0.0, |label| {
                let p = prob[(item / inner * c + label) * inner + item % inner];
                let own = -f64::from(at_least(f32::MIN_POSITIVE, p)).ln();
                if self.weighted { own * f64::from(self.param.class_weighting[label]) } else { own }
            });
            loss += own;
            valid += usize::from(label.is_some());
            if let Some(top) = cx.tops.get_mut(2) {
                top.data[item] = own as f32;
            }
        }
        self.divisor = divisor(&self.param, NormalizationMode::Valid, outer, inner, valid);
        cx.tops[0].data[0] = (loss / f64::from(self.divisor)) as f32;
        if let Some(top) = cx.tops.get_mut(1) {
            top.data.copy_from_slice(prob);
        }
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        if self.weighted {
            return self.backward_weighted(cx);
        }
        let (outer, c, inner) = self.dims;
        let factor = cx.loss_weight() / self.divisor;
        let labels = cx.bottom(1).data;
        let prob = cx.saved[0].data();
        let Some(diff) = &mut cx.bottom_diffs[0] else { return Ok(()) };
        let add = diff.write == Write::Add;
        match add {
            true => cx.k.axpy(factor, prob, diff.data),
            false => cx.k.affine(SrcDst::Apart(prob, diff.data), factor, 0.0),
        }
        for item in 0..outer * inner {
            let at = |class: usize| (item / inner * c + class) * inner + item % inner;
            match class(labels, item, c, self.param.ignore_label)? {
                Some(label) => diff.data[at(label)] -= factor,
                None => (0..c).map(at).for_each(|i| match add {
                    true => diff.data[i] -= factor * prob[i],
                    false => diff.data[i] = 0.0,
                }),
            }
        }
        Ok(())
    }
}
