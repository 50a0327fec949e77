//! HingeLoss: every class against all others, with a margin of 1.

use cortado_kernels::{SrcDst, Write};
use cortado_proto::caffe::hinge_loss_parameter::Norm;

use super::labels::{check_items, class};
use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("HingeLoss", build, &DOC)
    .bottoms(Arity::exactly(2))
    .needs(needs)
    .grads(GradBottoms::Only(&[0]))
    .loss();

static DOC: LayerDoc = LayerDoc {
    params: &["hinge_loss_param"],
    bottoms: &[
        "scores: N x C, all elements of an item are classes",
        "labels: N, whole numbers below C",
    ],
    tops: &["loss: scalar"],
    forward: "m = max(0, 1 − x) at the label, max(0, 1 + x) elsewhere\n\
              L1: loss = Σ m / N   L2: loss = Σ m² / N",
    backward: "s = −1 at the label, 1 elsewhere\n\
               L1: dx = weight · s · [m > 0] / N   L2: dx = 2 · weight · s · m / N",
    example: r#"layer { name: "loss" type: "HingeLoss" bottom: "fc8" bottom: "label" top: "loss"
  hinge_loss_param { norm: L2 } }"#,
    source: "Caffe's hinge_loss_layer.cpp",
    ..LayerDoc::new("One-vs-all hinge loss.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let norm = def.hinge_loss_param.unwrap_or_default().norm();
    Ok(Box::new(HingeLossLayer { norm, items: 0, classes: 0 }))
}

struct HingeLossLayer {
    norm: Norm,
    items: usize,
    classes: usize,
}

impl HingeLossLayer {
    /// Turns the sign of every item's element of its label.
    fn turn(&self, labels: &[f32], values: &mut [f32]) -> Result<(), LayerError> {
        for item in 0..self.items {
            if let Some(label) = class(labels, item, self.classes, None)? {
                values[item * self.classes + label] *= -1.0;
            }
        }
        Ok(())
    }
}

impl Layer for HingeLossLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let scores = cx.bottoms[0].clone();
        self.items = check_items(1, &cx.bottoms[1], &scores)?;
        self.classes = scores.count() / self.items.max(1);
        cx.scratch = scores.count();
        cx.save(scores);
        cx.top(0, Shape::scalar());
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (scores, labels, k) = (cx.bottom(0).data, cx.bottom(1).data, cx.k);
        let margin = cx.saved[0].data_mut();
        margin.copy_from_slice(scores);
        self.turn(labels, margin)?;
        k.map(SrcDst::InPlace(margin), |x| (1.0 + x).max(0.0));
        let sum = match self.norm {
            Norm::L1 => k.asum(margin),
            Norm::L2 => k.sum_sq(margin),
        };
        cx.tops[0].data[0] = (sum / self.items.max(1) as f64) as f32;
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let (labels, k) = (cx.bottom(1).data, cx.k);
        let factor = cx.loss_weight() / self.items.max(1) as f32;
        let norm = self.norm;
        let Some(diff) = &mut cx.bottom_diffs[0] else { return Ok(()) };
        let slope = &mut cx.scratch[..diff.data.len()];
        k.map(SrcDst::Apart(cx.saved[0].data(), slope), move |m| match norm {
            Norm::L1 if m > 0.0 => factor,
            Norm::L1 => 0.0,
            Norm::L2 => 2.0 * factor * m,
        });
        self.turn(labels, slope)?;
        match diff.write {
            Write::Set => diff.data.copy_from_slice(slope),
            Write::Add => k.axpy(1.0, slope, diff.data),
        }
        Ok(())
    }
}
