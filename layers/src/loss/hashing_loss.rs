//! HashingLoss: codes of similar items near each other, of others apart, and all near −1 and 1.

use cortado_kernels::Write;
use cortado_proto::caffe::HashingLossParameter;
use rand::RngExt;

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
            told leaves out.\n\n\
            With `nsim`, DMSH's form for items of several labels: p = max(|x_i − x_j|² − 4 C bi_margin e^−s, 0) \
            for pairs that share s labels, max(2 C − |x_i − x_j|², 0) for others; where fewer than a tenth of \
            the pairs share `nsim` labels, others are left out at random until it is a tenth; the value told \
            is a mean over the pairs that count.",
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
    Ok(Box::new(HashingLossLayer { param, n: 0, c: 0, labels: 1 }))
}

struct HashingLossLayer {
    param: HashingLossParameter,
    n: usize,
    c: usize,
    /// Numbers per item that say what it is.
    labels: usize,
}

/// Of all pairs so many are to be similar ones.
const SHARE: f32 = 0.1;

impl HashingLossLayer {
    /// How many labels a pair has in common.
    fn shared(&self, labels: &[f32], i: usize, j: usize) -> f32 {
        let of = |i: usize| &labels[i * self.labels..][..self.labels];
        match self.labels {
            1 => f32::from(u8::from(of(i)[0] as i32 == of(j)[0] as i32)),
            _ => of(i).iter().zip(of(j)).map(|(a, b)| a * b).sum(),
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

    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let n = self.n;
        (0..n).flat_map(move |i| (i + 1..n).map(move |j| (i, j)))
    }

    /// With which part of the pairs without a label in common it counts one of them.
    fn kept(&self, labels: &[f32]) -> f32 {
        let Some(nsim) = self.param.nsim else { return 1.0 };
        let similar = self.pairs().filter(|&(i, j)| self.shared(labels, i, j) >= nsim).count();
        let share = similar as f32 / (self.pair_count() / 2.0);
        if share < SHARE { (share / SHARE - share) / (1.0 - share) } else { 1.0 }
    }

    /// The loss of a pair, and whether it draws together (1), apart (−1) or lets be (0).
    fn pair(&self, shared: f32, squared: f32) -> (f32, f32) {
        let margin = self.param.bi_margin();
        let (together, far) = match self.param.nsim {
            Some(_) if shared >= 1.0 => (true, 4.0 * self.c as f32 * margin * (-shared).exp()),
            Some(_) => (false, 2.0 * self.c as f32),
            None => (shared > 0.0, if shared > 0.0 { 0.0 } else { margin }),
        };
        match together {
            true if squared >= far => (squared - far, 1.0),
            false if squared < far => (far - squared, -1.0),
            _ => (0.0, 0.0),
        }
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
        // For each pair whether it is drawn together or apart.
        let (n, scalar) = (self.n, Shape::scalar());
        cx.save([n, n]);
        cx.top(0, scalar);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (x, labels) = (cx.bottom(0).data, cx.bottom(1).data);
        let kept = self.kept(labels);
        let directions = cx.saved[0].data_mut();
        directions.fill(0.0);
        let (mut sum, mut counted) = (0f64, 0usize);
        for (i, j) in self.pairs() {
            let shared = self.shared(labels, i, j);
            // Drawn for each pair, so that one does not depend on the others.
            let drawn: f32 = if self.param.nsim.is_some() { cx.rng.random() } else { 0.0 };
            if shared < 1.0 && drawn > kept {
                continue;
            }
            let loss;
            (loss, directions[i * self.n + j]) = self.pair(shared, self.squared(x, i, j));
            sum += f64::from(loss);
            counted += 1;
        }
        let divisor = match self.param.nsim {
            Some(_) => counted.max(1) as f64,
            None => f64::from(self.pair_count()),
        };
        let far: f64 = x.iter().map(|x| f64::from((x.abs() - 1.0).abs())).sum();
        let spread = f64::from(self.param.tradeoff()) * far / self.n.max(1) as f64;
        cx.tops[0].data[0] = (sum / divisor + spread) as f32;
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let weight = cx.loss_weight();
        let (x, directions) = (cx.bottom(0).data, cx.saved[0].data());
        let Some(diff) = &mut cx.bottom_diffs[0] else { return Ok(()) };
        if diff.write == Write::Set {
            diff.data.fill(0.0);
        }
        let (c, alpha) = (self.c, weight / self.pair_count());
        for (i, j) in self.pairs().filter(|&(i, j)| directions[i * self.n + j] != 0.0) {
            for at in 0..c {
                let step = alpha * directions[i * self.n + j] * (x[i * c + at] - x[j * c + at]);
                diff.data[i * c + at] += step;
                diff.data[j * c + at] -= step;
            }
        }
        let beta = weight * self.param.tradeoff() / self.n.max(1) as f32;
        for (diff, &x) in diff.data.iter_mut().zip(x) {
            let up = x >= 1.0 || (-1.0..=0.0).contains(&x);
            *diff += if up { beta } else { -beta };
        }
        Ok(())
    }
}
