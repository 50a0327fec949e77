//! HashingLoss: codes of similar items near each other, of others apart, and all near −1 and 1.

use cortado_kernels::Write;
use cortado_proto::caffe::HashingLossParameter;

use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("HashingLoss", build, &DOC)
    .bottoms(Arity::exactly(2))
    .needs(needs)
    .grads(GradBottoms::Only(&[0]))
    .loss()
    .dialect("dsh");

static DOC: LayerDoc = LayerDoc {
    params: &["hashing_loss_param"],
    bottoms: &[
        "x: N x C, the codes",
        "labels: N classes, or N x L with a 1 for each label that holds",
    ],
    tops: &["loss: scalar"],
    forward: "loss = Σ_{i<j} p_ij / (N (N − 1)) + tradeoff · Σ | |x| − 1 | / N\n\
              p = |x_i − x_j|² for similar pairs, max(bi_margin − |x_i − x_j|², 0) for others",
    backward: "dx_i = weight · (Σ_j ±(x_i − x_j) / (N (N − 1)) + tradeoff · sign(|x| − 1) · sign(x) / N)",
    notes: "Two items are similar if they have one class, or share a label. As in the fork the pairs' part \
            of the backward pass is half of the derivative: the paper's loss has a factor 1/2 that the value \
            told leaves out. `nsim` is 1; a fork in which it samples pairs is not followed.",
    example: r#"layer { name: "loss" type: "HashingLoss" bottom: "code" bottom: "label" top: "loss"
  hashing_loss_param { bi_margin: 24 tradeoff: 0.01 } }"#,
    source: "Liu, Wang, Shan, Chen 2016 (Deep Supervised Hashing for Fast Image Retrieval), equation 3",
    ..LayerDoc::new("Codes of similar items near each other, others apart.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.hashing_loss_param.unwrap_or_default();
    if param.nsim() != 1.0 {
        let why = format!(
            "`nsim` is 1 here, one shared label makes two items similar; found {}",
            param.nsim()
        );
        return Err(LayerError::field("hashing_loss_param.nsim", why));
    }
    Ok(Box::new(HashingLossLayer { param, n: 0, c: 0, labels: 1 }))
}

struct HashingLossLayer {
    param: HashingLossParameter,
    n: usize,
    c: usize,
    /// Numbers per item that say what it is.
    labels: usize,
}

impl HashingLossLayer {
    /// Calls `visit(i, j, similar)` for each pair.
    fn pairs(&self, labels: &[f32], mut visit: impl FnMut(usize, usize, bool)) {
        let of = |i: usize| &labels[i * self.labels..][..self.labels];
        for i in 0..self.n {
            for j in i + 1..self.n {
                let shared: f32 = of(i).iter().zip(of(j)).map(|(a, b)| a * b).sum();
                let similar = match self.labels {
                    1 => of(i)[0] as i32 == of(j)[0] as i32,
                    _ => shared > 0.0,
                };
                visit(i, j, similar);
            }
        }
    }

    fn squared(&self, x: &[f32], i: usize, j: usize) -> f32 {
        let row = |i: usize| &x[i * self.c..][..self.c];
        row(i).iter().zip(row(j)).map(|(a, b)| (a - b) * (a - b)).sum()
    }

    /// N (N − 1), never 0.
    fn pair_count(&self) -> f32 {
        (self.n * self.n.saturating_sub(1)).max(1) as f32
    }
}

impl Layer for HashingLossLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let [x, labels] = cx.bottoms else { return Ok(()) };
        self.n = x.first().copied().unwrap_or(1);
        self.c = x.count_from(1.min(x.len()));
        if labels.first() != Some(&self.n) || labels.count() < self.n {
            let why = format!("one label or more for each item of {x} is wanted, found {labels}");
            return Err(LayerError::bottom(1, why));
        }
        self.labels = labels.count_from(1);
        cx.top(0, Shape::scalar());
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (x, margin) = (cx.bottom(0).data, self.param.bi_margin());
        let mut pairs = 0f64;
        self.pairs(cx.bottom(1).data, |i, j, similar| {
            let squared = self.squared(x, i, j);
            pairs += f64::from(if similar { squared } else { (margin - squared).max(0.0) });
        });
        let far: f64 = x.iter().map(|x| f64::from((x.abs() - 1.0).abs())).sum();
        let loss = pairs / f64::from(self.pair_count())
            + f64::from(self.param.tradeoff()) * far / self.n.max(1) as f64;
        cx.tops[0].data[0] = loss as f32;
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let weight = cx.loss_weight();
        let (x, labels, margin) = (cx.bottom(0).data, cx.bottom(1).data, self.param.bi_margin());
        let Some(diff) = &mut cx.bottom_diffs[0] else { return Ok(()) };
        if diff.write == Write::Set {
            diff.data.fill(0.0);
        }
        let (c, alpha) = (self.c, weight / self.pair_count());
        self.pairs(labels, |i, j, similar| {
            let factor = match similar {
                true => alpha,
                false if margin > self.squared(x, i, j) => -alpha,
                false => return,
            };
            for at in 0..c {
                let step = factor * (x[i * c + at] - x[j * c + at]);
                diff.data[i * c + at] += step;
                diff.data[j * c + at] -= step;
            }
        });
        let beta = weight * self.param.tradeoff() / self.n.max(1) as f32;
        for (diff, &x) in diff.data.iter_mut().zip(x) {
            let up = x >= 1.0 || (-1.0..=0.0).contains(&x);
            *diff += if up { beta } else { -beta };
        }
        Ok(())
    }
}
