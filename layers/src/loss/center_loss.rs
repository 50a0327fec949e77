//! CenterLoss: how far features lie from the centre of their class, which moves with them.

use cortado_kernels::Write;
use cortado_proto::caffe::FillerParameter;

use super::labels::{check_items, class};
use crate::filler::or_zero;
use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape, SetUp, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("CenterLoss", build, &DOC)
    .bottoms(Arity::exactly(2))
    .needs(needs)
    .grads(GradBottoms::Only(&[0]))
    .loss()
    .dialect("center-face");

static DOC: LayerDoc = LayerDoc {
    params: &["center_loss_param"],
    bottoms: &["x: M x K, K all from `axis` on", "labels: M, whole numbers below num_output"],
    tops: &["loss: scalar"],
    blobs: &["c: num_output x K, the centre of each class"],
    forward: "loss = Σ (x_m − c_label(m))² / (2 M)",
    backward: "dx_m = weight · (x_m − c_label(m)) / M   dc_j += Σ_{label(m) = j} (c_j − x_m) / (1 + count(j))",
    notes: "The diff of the centres is not the gradient of the loss: it is the step by which the paper \
            moves them, and takes no loss weight. `lr_mult` times the learning rate is the paper's α.",
    example: r#"layer { name: "center_loss" type: "CenterLoss" bottom: "fc5" bottom: "label"
  top: "center_loss" loss_weight: 0.008 param { lr_mult: 1 decay_mult: 0 }
  center_loss_param { num_output: 10572 center_filler { type: "xavier" } } }"#,
    source: "Wen, Zhang, Li, Qiao 2016 (A Discriminative Feature Learning Approach for Deep Face \
             Recognition), equations 2 to 4",
    ..LayerDoc::new("Draws features to the centre of their class.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let p = def.center_loss_param.clone().unwrap_or_default();
    if p.num_output() == 0 {
        let why = "`num_output` must be given and above 0";
        return Err(LayerError::field("center_loss_param.num_output", why));
    }
    let (classes, axis, filler) = (p.num_output() as usize, p.axis(), or_zero(&p.center_filler));
    Ok(Box::new(CenterLossLayer { classes, axis, filler, m: 0, k: 0 }))
}

struct CenterLossLayer {
    classes: usize,
    axis: i32,
    filler: FillerParameter,
    m: usize,
    k: usize,
}

impl Layer for CenterLossLayer {
    fn setup(&mut self, cx: &mut SetUp<'_>) -> Result<(), LayerError> {
        let axis = cx.bottoms[0].axis(self.axis, "center_loss_param.axis")?;
        let shape = [self.classes, cx.bottoms[0].count_from(axis)];
        cx.weight_of("center_loss_param.center_filler", shape, self.filler.clone());
        Ok(())
    }

    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let x = &cx.bottoms[0];
        let axis = x.axis(self.axis, "center_loss_param.axis")?;
        (self.m, self.k) = (x.count_to(axis), x.count_from(axis));
        if self.k != cx.params[0][1] {
            let why = format!("the centres are of {} numbers, the bottom is {x}", cx.params[0][1]);
            return Err(LayerError::bottom(0, why));
        }
        check_items(1, &cx.bottoms[1], &Shape::from([self.m]))?;
        // x − c
        cx.save([self.m, self.k]);
        cx.top(0, Shape::scalar());
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (x, labels, centers) = (cx.bottom(0).data, cx.bottom(1).data, cx.weights[0].data);
        let (k, distance) = (self.k, cx.saved[0].data_mut());
        distance.copy_from_slice(x);
        for (item, row) in distance.chunks_mut(k.max(1)).enumerate() {
            let Some(label) = class(labels, item, self.classes, None)? else { continue };
            cx.k.axpy(-1.0, &centers[label * k..][..k], row);
        }
        let loss = cx.k.sum_sq(distance) / (2 * self.m.max(1)) as f64;
        cx.tops[0].data[0] = loss as f32;
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let factor = cx.loss_weight() / self.m.max(1) as f32;
        let (k, labels, distance) = (self.k, cx.bottom(1).data, cx.saved[0].data());
        if let Some(centers) = &mut cx.weight_diffs[0] {
            let mut counts = vec![1f32; self.classes];
            let of = |item: usize| class(labels, item, self.classes, None);
            for item in 0..self.m {
                counts[of(item)?.unwrap_or(0)] += 1.0;
            }
            for (item, row) in distance.chunks(k.max(1)).enumerate() {
                let Some(label) = of(item)? else { continue };
                cx.k.axpy(-1.0 / counts[label], row, &mut centers.data[label * k..][..k]);
            }
        }
        if let Some(diff) = &mut cx.bottom_diffs[0] {
            if diff.write == Write::Set {
                diff.data.fill(0.0);
            }
            cx.k.axpy(factor, distance, diff.data);
        }
        Ok(())
    }
}
