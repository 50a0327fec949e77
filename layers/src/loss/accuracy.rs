//! Accuracy: how often the right class is among the best.

use cortado_proto::caffe::AccuracyParameter;

use super::labels::{check_count, class};
use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("Accuracy", build, &DOC)
    .bottoms(Arity::exactly(2))
    .tops(Arity::between(1, 2))
    .needs(needs)
    .grads(GradBottoms::None);

static DOC: LayerDoc = LayerDoc {
    params: &["accuracy_param"],
    bottoms: &[
        "scores: N x C x …, the classes along `axis`",
        "labels: N x …, whole numbers below C",
    ],
    tops: &["accuracy: scalar", "per class (optional): C"],
    forward: "the share of labels whose score is among the `top_k` best",
    notes: "Ties count against: a label is right when fewer than `top_k` other classes have a score at \
            least as high, so that equal scores everywhere give 0. Where nothing is counted the accuracy \
            is 0.",
    example: r#"layer { name: "accuracy" type: "Accuracy" bottom: "fc8" bottom: "label" top: "accuracy"
  accuracy_param { top_k: 5 } }"#,
    source: "Caffe's accuracy_layer.cpp",
    ..LayerDoc::new("How often the right class is among the best.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.accuracy_param.unwrap_or_default();
    if param.top_k() == 0 {
        return Err(LayerError::field("accuracy_param.top_k", "`top_k` is at least 1, found 0"));
    }
    Ok(Box::new(AccuracyLayer { param, dims: (0, 0, 0) }))
}

struct AccuracyLayer {
    param: AccuracyParameter,
    /// The scores as (outer, classes, inner).
    dims: (usize, usize, usize),
}

impl Layer for AccuracyLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let scores = cx.bottoms[0].clone();
        let axis = scores.axis(self.param.axis(), "accuracy_param.axis")?;
        check_count(&cx.bottoms[1], &scores, axis)?;
        self.dims = scores.around(axis);
        let top_k = self.param.top_k() as usize;
        if top_k > self.dims.1 {
            let why = format!(
                "`top_k` {top_k} exceeds the {} classes of the scores, {scores}",
                self.dims.1
            );
            return Err(LayerError::field("accuracy_param.top_k", why));
        }
        cx.top(0, Shape::scalar());
        if cx.tops.len() > 1 {
            cx.top(1, [self.dims.1]);
        }
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (outer, c, inner) = self.dims;
        let (scores, labels) = (cx.bottom(0).data, cx.bottom(1).data);
        let top_k = self.param.top_k() as usize;
        let (mut right, mut counted) = (vec![0usize; c], vec![0usize; c]);
        for item in 0..outer * inner {
            let Some(label) = class(labels, item, c, self.param.ignore_label)? else { continue };
            let score = |class: usize| scores[(item / inner * c + class) * inner + item % inner];
            let own = score(label);
            let better = (0..c).filter(|&other| other != label && score(other) >= own).count();
            counted[label] += 1;
            right[label] += usize::from(better < top_k);
        }
        let share = |right: usize, of: usize| if of == 0 { 0.0 } else { right as f32 / of as f32 };
        cx.tops[0].data[0] = share(right.iter().sum(), counted.iter().sum());
        if let Some(top) = cx.tops.get_mut(1) {
            for (class, value) in top.data.iter_mut().enumerate() {
                *value = share(right[class], counted[class]);
            }
        }
        Ok(())
    }

    fn backward(&mut self, _: &mut Backward<'_>) -> Result<(), LayerError> {
        Ok(())
    }
}
