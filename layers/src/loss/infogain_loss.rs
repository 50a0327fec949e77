//! InfogainLoss: cross-entropy with a price for every pair of true and predicted class.

use cortado_kernels::{SrcDst, Write};
use cortado_proto::caffe::LossParameter;
use cortado_proto::caffe::loss_parameter::NormalizationMode;
use cortado_proto::wire::read_blob;

use super::labels::{check_count, class};
use super::multinomial_logistic_loss::LOG_THRESHOLD;
use super::normalize::{at_least, divisor};
use crate::paths::Folder;
use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("InfogainLoss", build, &DOC)
    .bottoms(Arity::between(2, 3))
    .tops(Arity::between(1, 2))
    .needs(needs)
    .grads(GradBottoms::Only(&[0]))
    .loss();

static DOC: LayerDoc = LayerDoc {
    params: &["infogain_loss_param", "loss_param"],
    bottoms: &[
        "scores: N x C x …, the classes along `infogain_loss_param.axis`",
        "labels: N x …, whole numbers below C",
        "H (or `source`): C x C, row: true class, column: predicted class",
    ],
    tops: &["loss: scalar", "prob (optional): the softmax"],
    forward: "prob = softmax(scores)   loss = −Σ Σ_c H[label, c] · ln(max(prob[c], 10⁻²⁰)) / normaliser",
    backward: "dscores[c] = weight · (prob[c] · Σ_k H[label, k] − H[label, c]) / normaliser; 0 where ignored",
    notes: "With H the unit matrix it is SoftmaxWithLoss. The normaliser is SoftmaxWithLoss's (VALID by \
            default); `normalize` is refused. `source` names a binaryproto file with one blob, looked for \
            from the working directory and beside the prototxt. No gradient goes to the labels or H. Two \
            tops want `loss_weight: 1 loss_weight: 0`.",
    example: r#"layer { name: "loss" type: "InfogainLoss" bottom: "fc8" bottom: "label" bottom: "H" top: "loss" }"#,
    source: "Caffe's infogain_loss_layer.cpp",
    ..LayerDoc::new("Cross-entropy with a price for each kind of mistake.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let infogain = def.infogain_loss_param.clone().unwrap_or_default();
    let param = def.loss_param.clone().unwrap_or_default();
    if param.normalize.is_some() {
        let why = "InfogainLoss does not take `normalize`; `normalization` says it";
        return Err(LayerError::field("loss_param.normalize", why));
    }
    let field = "infogain_loss_param.source";
    let matrix = match &infogain.source {
        _ if def.bottom.len() > 2 => None,
        None => {
            let why = "`source` must be given, or the matrix as a third bottom";
            return Err(LayerError::field(field, why));
        }
        Some(source) => {
            let path = Folder::of(def).find(field, source)?;
            let unreadable = |e: cortado_proto::Error| {
                let why = format!("`{}` is no matrix: {}", path.display(), e.kind);
                LayerError::field(field, why)
            };
            Some(read_blob(&path).map_err(unreadable)?.1)
        }
    };
    let axis = infogain.axis();
    Ok(Box::new(InfogainLossLayer { axis, param, matrix, dims: (0, 0, 0), divisor: 1.0 }))
}

struct InfogainLossLayer {
    axis: i32,
    param: LossParameter,
    /// H, where it comes from a file.
    matrix: Option<Vec<f32>>,
    /// The scores as (outer, classes, inner).
    dims: (usize, usize, usize),
    /// Of the last forward.
    divisor: f32,
}

impl Layer for InfogainLossLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let scores = cx.bottoms[0].clone();
        let axis = scores.axis(self.axis, "infogain_loss_param.axis")?;
        check_count(&cx.bottoms[1], &scores, axis)?;
        self.dims = scores.around(axis);
        let c = self.dims.1;
        let found = match &self.matrix {
            Some(matrix) => matrix.len(),
            None => cx.bottoms[2].count(),
        };
        if Some(found) != c.checked_mul(c) {
            let why = format!("the matrix has {found} elements, {c} classes want {c} x {c}");
            return Err(match self.matrix {
                Some(_) => LayerError::field("infogain_loss_param.source", why),
                None => LayerError::bottom(2, why),
            });
        }
        cx.save(scores.clone());
        cx.top(0, Shape::scalar());
        if cx.tops.len() > 1 {
            cx.top(1, scores);
        }
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (outer, c, inner) = self.dims;
        let (scores, labels) = (cx.bottom(0).data, cx.bottom(1).data);
        let matrix = self.matrix.as_deref().unwrap_or_else(|| cx.bottom(2).data);
        let prob = cx.saved[0].data_mut();
        cx.k.softmax_forward(outer, c, inner, SrcDst::Apart(scores, prob));
        let (mut loss, mut valid) = (0f64, 0);
        for item in 0..outer * inner {
            let Some(label) = class(labels, item, c, self.param.ignore_label)? else { continue };
            for (other, &price) in matrix[label * c..][..c].iter().enumerate() {
                let p = prob[(item / inner * c + other) * inner + item % inner];
                loss -= f64::from(price) * f64::from(at_least(LOG_THRESHOLD, p)).ln();
            }
            valid += 1;
        }
        self.divisor = divisor(&self.param, NormalizationMode::Valid, outer, inner, valid);
        cx.tops[0].data[0] = (loss / f64::from(self.divisor)) as f32;
        if let Some(top) = cx.tops.get_mut(1) {
            top.data.copy_from_slice(prob);
        }
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let (outer, c, inner) = self.dims;
        let factor = cx.loss_weight() / self.divisor;
        let labels = cx.bottom(1).data;
        let given = cx.bottoms.get(2).copied().flatten().map(|bottom| bottom.data);
        let Some(matrix) = self.matrix.as_deref().or(given) else { return Ok(()) };
        let prob = cx.saved[0].data();
        let Some(diff) = &mut cx.bottom_diffs[0] else { return Ok(()) };
        if diff.write == Write::Set {
            diff.data.fill(0.0);
        }
        for item in 0..outer * inner {
            let Some(label) = class(labels, item, c, self.param.ignore_label)? else { continue };
            let prices = &matrix[label * c..][..c];
            let total: f32 = prices.iter().sum();
            for (other, &price) in prices.iter().enumerate() {
                let at = (item / inner * c + other) * inner + item % inner;
                diff.data[at] += factor * (prob[at] * total - price);
            }
        }
        Ok(())
    }
}
