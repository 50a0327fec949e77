//! EuclideanLoss: half the mean squared distance.

use cortado_kernels::Write;

use super::paired::paired_items;
use crate::{
    Arity, Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs, Reshape,
    Shape,
};

/// The layer type.
pub static KIND: LayerKind =
    LayerKind::new("EuclideanLoss", build, &DOC).bottoms(Arity::exactly(2)).needs(needs).loss();

static DOC: LayerDoc = LayerDoc {
    bottoms: &["a: N x …", "b: as many elements per item"],
    tops: &["loss: scalar"],
    forward: "loss = Σ (a − b)² / (2 N)",
    backward: "da = weight · (a − b) / N   db = −da",
    example: r#"layer { name: "loss" type: "EuclideanLoss" bottom: "pred" bottom: "target" top: "loss" }"#,
    source: "Caffe's euclidean_loss_layer.cpp",
    ..LayerDoc::new("Half the mean squared distance.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(_: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    Ok(Box::new(EuclideanLossLayer { items: 0 }))
}

struct EuclideanLossLayer {
    items: usize,
}

impl Layer for EuclideanLossLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        self.items = paired_items(cx.bottoms)?;
        cx.save(cx.bottoms[0].clone());
        cx.top(0, Shape::scalar());
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (a, b) = (cx.bottom(0).data, cx.bottom(1).data);
        let distance = cx.saved[0].data_mut();
        distance.copy_from_slice(a);
        cx.k.axpy(-1.0, b, distance);
        cx.tops[0].data[0] = (cx.k.sum_sq(distance) / self.items as f64 / 2.0) as f32;
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let factor = cx.loss_weight() / self.items as f32;
        let distance = cx.saved[0].data();
        for (diff, sign) in cx.bottom_diffs.iter_mut().zip([1.0, -1.0]) {
            let Some(diff) = diff else { continue };
            if diff.write == Write::Set {
                diff.data.fill(0.0);
            }
            cx.k.axpy(sign * factor, distance, diff.data);
        }
        Ok(())
    }
}
