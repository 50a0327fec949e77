//! PairwiseLoss: the products of codes, large for similar pairs and small for others.

use cortado_kernels::{Trans, Write};
use cortado_proto::caffe::PairwiseParameter;

use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("PairwiseLoss", build, &DOC)
    .bottoms(Arity::exactly(4))
    .needs(needs)
    .grads(GradBottoms::Only(&[0, 2]))
    .loss()
    .dialect("hashnet");

static DOC: LayerDoc = LayerDoc {
    params: &["pairwise_param"],
    bottoms: &[
        "a: N x K, codes",
        "labels of a: N x L, a 1 for each label that holds",
        "b: N x K, codes",
        "labels of b: N x L",
    ],
    tops: &["loss: scalar"],
    forward: "loss = Σ_ij w_ij · (ln(1 + e^p_ij) − s_ij p_ij) / Σ w, p_ij = sigmoid_param · a_i · b_j\n\
              s_ij = 1 where the labels of a_i and b_j have one in common, else 0; w = class_num for similar \
              pairs, 1 for others, 0 where L or more labels are in common, which says that they are not known",
    backward: "da_i = weight · l_lambda · 2 · sigmoid_param · Σ_j w_ij (σ(p_ij) − s_ij) b_j / Σ w   db alike",
    notes: "As in the fork the backward pass is twice the derivative, and with `continous_similarity` it is \
            multiplied with 4 c², c the number of common labels by the lengths of both (4 · 0.25 for pairs \
            without one), while the loss told is the same. From `l_threshold` on ln(1 + e^p) is taken as p. \
            `q_threshold` and `q_lambda` are read and not used.",
    example: r#"layer { name: "loss" type: "PairwiseLoss" bottom: "a" bottom: "label_a" bottom: "b"
  bottom: "label_b" top: "loss" pairwise_param { l_threshold: 15 class_num: 1 sigmoid_param: 0.2 } }"#,
    source: "Cao, Long, Wang, Yu 2017 (HashNet: Deep Learning to Hash by Continuation), equation 4",
    ..LayerDoc::new("Draws the codes of similar items together, others apart.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.pairwise_param.unwrap_or_default();
    Ok(Box::new(PairwiseLossLayer { param, n: 0, k: 0, labels: 0, total: 1.0 }))
}

struct PairwiseLossLayer {
    param: PairwiseParameter,
    n: usize,
    k: usize,
    labels: usize,
    /// Σ w of the last forward, never 0.
    total: f32,
}

impl Layer for PairwiseLossLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let [a, labels, b, others] = cx.bottoms else { return Ok(()) };
        if a.is_empty() || labels.is_empty() {
            return Err(LayerError::bottom(0, format!("N x K is wanted, found {a}")));
        }
        (self.n, self.k, self.labels) = (a[0], a.count_from(1), labels.count_from(1));
        for (i, found, wanted) in [(1, labels, [self.n, self.labels]), (2, b, [self.n, self.k])] {
            if found.first() != Some(&self.n) || found.count() != wanted[0] * wanted[1] {
                let why = format!("{} x {} is wanted, found {found}", wanted[0], wanted[1]);
                return Err(LayerError::bottom(i, why));
            }
        }
        if others.count() != labels.count() || others.first() != labels.first() {
            return Err(LayerError::bottom(3, format!("{labels} is wanted, found {others}")));
        }
        // Per pair what its gradient is multiplied with.
        cx.save([self.n, self.n]);
        cx.top(0, Shape::scalar());
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let [a, labels, b, others] = [0, 1, 2, 3].map(|i| cx.bottom(i).data);
        let (n, p) = (self.n, &self.param);
        let slopes = cx.saved[0].data_mut();
        cx.k.gemm(Trans::No, Trans::Yes, n, n, self.k, p.sigmoid_param(), a, b, 0.0, slopes);
        let row = |of: &[f32], i: usize| of[i * self.labels..][..self.labels].to_vec();
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let own = |of: &[f32], i: usize| {
            let length = dot(&row(of, i), &row(of, i));
            if length == 0.0 { 1.0 } else { length }
        };
        let (mut loss, mut total) = (0f64, 0f64);
        for (pair, slope) in slopes.iter_mut().enumerate() {
            let (i, j) = (pair / n, pair % n);
            let product = *slope;
            let shared = dot(&row(labels, i), &row(others, j));
            if shared < 0.0 || shared >= self.labels as f32 {
                *slope = 0.0;
                continue;
            }
            let similar = if shared > 0.0 { 1.0 } else { 0.0 };
            let weight = if shared > 0.0 { p.class_num() } else { 1.0 };
            let large = p.l_threshold() >= 0.0 && product >= p.l_threshold();
            let value = match large {
                true => product * (1.0 - similar),
                false => product.exp().ln_1p() - similar * product,
            };
            loss += f64::from(value.abs() * weight);
            total += f64::from(weight);
            *slope = 2.0 * (1.0 / (1.0 + (-product).exp()) - similar) * weight;
            if p.continous_similarity() {
                let common = shared * shared / (own(labels, i) * own(others, j));
                *slope *= 4.0 * if common == 0.0 { 0.25 } else { common };
            }
        }
        self.total = if total > 0.0 { total as f32 } else { 1.0 };
        let counted = p.l_lambda() > 0.0;
        cx.tops[0].data[0] = if counted { (loss / f64::from(self.total)) as f32 } else { 0.0 };
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let p = &self.param;
        let factor = cx.loss_weight() * p.l_lambda() * p.sigmoid_param() / self.total;
        let (a, b, slopes) = (cx.bottom(0).data, cx.bottom(2).data, cx.saved[0].data());
        for (i, turn, codes) in [(0, Trans::No, b), (2, Trans::Yes, a)] {
            let Some(diff) = &mut cx.bottom_diffs[i] else { continue };
            let beta = if diff.write == Write::Add { 1.0 } else { 0.0 };
            let (n, k) = (self.n, self.k);
            cx.k.gemm(turn, Trans::No, n, k, n, factor, slopes, codes, beta, diff.data);
        }
        Ok(())
    }
}
