//! MultinomialLogisticLoss: the cross-entropy of labels and probabilities.

use cortado_kernels::Write;

use super::labels::{check_items, class};
use super::normalize::at_least;
use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("MultinomialLogisticLoss", build, &DOC)
    .bottoms(Arity::exactly(2))
    .needs(needs)
    .grads(GradBottoms::Only(&[0]))
    .loss();

static DOC: LayerDoc = LayerDoc {
    bottoms: &[
        "prob: N x C, all elements of an item are classes",
        "labels: N, whole numbers below C",
    ],
    tops: &["loss: scalar"],
    forward: "loss = −Σ ln(max(prob[label], 10⁻²⁰)) / N",
    backward: "dprob[label] = −weight / (max(prob[label], 10⁻²⁰) · N), 0 elsewhere",
    notes: "It takes probabilities, not scores: SoftmaxWithLoss does both at once and is safer near 0.",
    example: r#"layer { name: "loss" type: "MultinomialLogisticLoss" bottom: "prob" bottom: "label" top: "loss" }"#,
    source: "Caffe's multinomial_logistic_loss_layer.cpp",
    ..LayerDoc::new("Cross-entropy of labels and probabilities.")
};

/// Probabilities count as at least this.
pub(super) const LOG_THRESHOLD: f32 = 1e-20;

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

fn build(_: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    Ok(Box::new(MultinomialLogisticLossLayer { items: 0, classes: 0 }))
}

struct MultinomialLogisticLossLayer {
    items: usize,
    classes: usize,
}

impl MultinomialLogisticLossLayer {
    /// The place of each item's label among all probabilities.
    fn places(&self, labels: &[f32]) -> Result<Vec<usize>, LayerError> {
        let mut places = Vec::with_capacity(self.items);
        for item in 0..self.items {
            let label = class(labels, item, self.classes, None)?;
            places.extend(label.map(|label| item * self.classes + label));
        }
        Ok(places)
    }
}

impl Layer for MultinomialLogisticLossLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        self.items = check_items(1, &cx.bottoms[1], &cx.bottoms[0])?;
        self.classes = cx.bottoms[0].count() / self.items.max(1);
        cx.top(0, Shape::scalar());
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let prob = cx.bottom(0).data;
        let ln = |place: usize| f64::from(at_least(LOG_THRESHOLD, prob[place])).ln();
        let loss = -self.places(cx.bottom(1).data)?.into_iter().map(ln).sum::<f64>();
        cx.tops[0].data[0] = (loss / self.items.max(1) as f64) as f32;
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let (prob, labels) = (cx.bottom(0).data, cx.bottom(1).data);
        let factor = -cx.loss_weight() / self.items.max(1) as f32;
        let Some(diff) = &mut cx.bottom_diffs[0] else { return Ok(()) };
        if diff.write == Write::Set {
            diff.data.fill(0.0);
        }
        for place in self.places(labels)? {
            diff.data[place] += factor / at_least(LOG_THRESHOLD, prob[place]);
        }
        Ok(())
    }
}
