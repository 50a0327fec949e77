//! ContrastiveLoss: draws similar pairs together and pushes others a margin apart.

use cortado_kernels::Write;
use cortado_proto::caffe::ContrastiveLossParameter;

use super::labels::check_items;
use super::paired::paired_items;
use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("ContrastiveLoss", build, &DOC)
    .bottoms(Arity::exactly(3))
    .needs(needs)
    .grads(GradBottoms::Only(&[0, 1]))
    .ends_gradients()
    .loss();

static DOC: LayerDoc = LayerDoc {
    params: &["contrastive_loss_param"],
    bottoms: &["a: N x C", "b: N x C", "similar: N, 0 for pairs that differ"],
    tops: &["loss: scalar"],
    forward: "d = ‖a − b‖\n\
              loss = Σ (similar: d²; else: max(margin − d, 0)²) / (2 N)",
    backward: "similar: da = weight · (a − b) / N\n\
               else, where d < margin: da = −weight · (margin − d) / (d + 10⁻⁴) · (a − b) / N\n\
               db = −da",
    notes: "`legacy_version` takes max(margin − d², 0) for pairs that differ, as early versions of the \
            original did.",
    example: r#"layer { name: "loss" type: "ContrastiveLoss" bottom: "feat" bottom: "feat_p" bottom: "sim"
  top: "loss" contrastive_loss_param { margin: 1 } }"#,
    source: "Hadsell, Chopra, LeCun 2006; Caffe's contrastive_loss_layer.cpp",
    ..LayerDoc::new("Draws similar pairs together, others apart.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.contrastive_loss_param.unwrap_or_default();
    Ok(Box::new(ContrastiveLossLayer { param, items: 0 }))
}

struct ContrastiveLossLayer {
    param: ContrastiveLossParameter,
    items: usize,
}

impl ContrastiveLossLayer {
    /// The loss of a pair at this squared distance, and what its a − b is multiplied with backward.
    fn pair(&self, similar: bool, squared: f32) -> (f32, f32) {
        if similar {
            return (squared, 1.0);
        }
        let legacy = self.param.legacy_version();
        let distance = if legacy { squared } else { squared.sqrt() };
        let missing = self.param.margin() - distance;
        match missing > 0.0 {
            false => (0.0, 0.0),
            true if legacy => (missing, -1.0),
            true => (missing * missing, -missing / (distance + 1e-4)),
        }
    }
}

impl Layer for ContrastiveLossLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        paired_items(&cx.bottoms[..2])?;
        let a = &cx.bottoms[0];
        self.items = check_items(2, &cx.bottoms[2], a)?;
        let difference = a.clone();
        cx.save(difference);
        cx.save([self.items]);
        cx.top(0, Shape::scalar());
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (a, b, similar) = (cx.bottom(0).data, cx.bottom(1).data, cx.bottom(2).data);
        let [difference, factors] = cx.saved else { return Ok(()) };
        let difference = difference.data_mut();
        difference.copy_from_slice(a);
        cx.k.axpy(-1.0, b, difference);
        let width = a.len() / self.items.max(1);
        let mut loss = 0.0;
        for (item, factor) in factors.data_mut().iter_mut().enumerate() {
            let squared = cx.k.sum_sq(&difference[item * width..][..width]) as f32;
            let pair;
            (pair, *factor) = self.pair(similar[item] as i32 != 0, squared);
            loss += f64::from(pair);
        }
        cx.tops[0].data[0] = (loss / self.items.max(1) as f64 / 2.0) as f32;
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let scale = cx.loss_weight() / self.items.max(1) as f32;
        let [difference, factors] = cx.saved else { return Ok(()) };
        let width = difference.data().len() / self.items.max(1);
        for (diff, sign) in cx.bottom_diffs.iter_mut().zip([1.0, -1.0]) {
            let Some(diff) = diff else { continue };
            if diff.write == Write::Set {
                diff.data.fill(0.0);
            }
            for (item, factor) in factors.data().iter().enumerate() {
                let row = item * width..(item + 1) * width;
                let from = &difference.data()[row.clone()];
                cx.k.axpy(sign * scale * factor, from, &mut diff.data[row]);
            }
        }
        Ok(())
    }
}
