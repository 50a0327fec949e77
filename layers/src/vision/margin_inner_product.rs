//! MarginInnerProduct: an inner product with unit weights that asks more of the right class.

use cortado_kernels::{Trans, Write};
use cortado_proto::caffe::MarginInnerProductParameter;
use cortado_proto::caffe::margin_inner_product_parameter::MarginType;

use super::num_output;
use crate::common::index;
use crate::filler::or_zero;
use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape, SetUp, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("MarginInnerProduct", build, &DOC)
    .bottoms(Arity::exactly(2))
    .tops(Arity::between(1, 2))
    .needs(needs)
    .grads(GradBottoms::Only(&[0]))
    .macs(macs)
    .dialect("sphereface");

static DOC: LayerDoc = LayerDoc {
    params: &["margin_inner_product_param"],
    bottoms: &["x: M x K, K all from `axis` on", "labels: M, whole numbers below num_output"],
    tops: &["y: M x num_output", "lambda (optional): 1, how much of the plain product is mixed in"],
    blobs: &["W: num_output x K, whose rows count by their direction only"],
    forward: "y_j = x · w_j / |w_j|, for the label's j: (|x| ψ(cos θ) + λ y_j) / (1 + λ), cos θ = y_j / |x|\n\
              ψ: cos θ (SINGLE), cos 2θ (DOUBLE), cos 3θ (TRIPLE), cos 4θ (QUADRUPLE), each made to fall all \
              the way to θ = π\nλ = max(lambda_min, base · (1 + gamma · iteration)^−power)",
    backward: "dx = Σ_j dy_j w_j / |w_j|, with the label's part set to length 1 before λ is mixed in   \
               dw_j += |w_j| · Σ_m dy_mj x_m",
    notes: "The fork writes the unit rows back into W in each pass; here W is left alone and its diff is \
            multiplied with |w_j|, which moves the directions by as much. As in the fork neither the margin \
            nor the length enters the diff of W, and the label's part of dx has length 1: both are not the \
            derivative. `iteration` is where counting starts; each pass counts.",
    example: r#"layer { name: "fc6" type: "MarginInnerProduct" bottom: "fc5" bottom: "label"
  top: "fc6" top: "lambda" margin_inner_product_param { num_output: 10572 type: QUADRUPLE
    weight_filler { type: "xavier" } base: 1000 gamma: 0.12 power: 1 lambda_min: 5 } }"#,
    source: "Liu, Wen, Yu, Li, Raj, Song 2017 (SphereFace), equations 5 to 7 and appendix",
    ..LayerDoc::new("Scores by angle, with a margin for the right class.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

fn macs(_: &[Shape], tops: &[Shape], params: &[Shape]) -> u64 {
    let inputs = params.first().map_or(0, |w| w.count_from(1.min(w.len())));
    tops.first().map_or(0, |top| (top.count() * inputs) as u64)
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.margin_inner_product_param.clone().unwrap_or_default();
    let n = num_output(param.num_output, "margin_inner_product_param")?;
    let pass = param.iteration();
    Ok(Box::new(MarginLayer { param, n, m: 0, k: 0, pass, lambda: 0.0 }))
}

struct MarginLayer {
    param: MarginInnerProductParameter,
    n: usize,
    m: usize,
    k: usize,
    /// Passes so far.
    pass: i32,
    /// Of the last pass.
    lambda: f32,
}

fn sign(x: f32) -> f32 {
    if x == 0.0 { 0.0 } else { x.signum() }
}

/// ψ(cos θ), what the direction of w has of its derivative, and what −x / |x| has.
fn margin(kind: MarginType, c: f32) -> (f32, f32, f32) {
    let (s, c2) = (sign(c), c * c);
    match kind {
        MarginType::Single => (c, 1.0, 0.0),
        MarginType::Double => (2.0 * s * c2 - 1.0, 4.0 * s * c, 2.0 * s * c2 + 1.0),
        MarginType::Triple => {
            let s1 = sign(c.abs() - 0.5);
            let s2 = s * (1.0 + s1) - 2.0;
            let psi = s1 * (4.0 * c2 * c - 3.0 * c) + s2;
            (psi, s1 * (12.0 * c2 - 3.0), 8.0 * s1 * c2 * c - s2)
        }
        MarginType::Quadruple => {
            let s3 = s * sign(2.0 * c2 - 1.0);
            let s4 = 2.0 * s + s3 - 3.0;
            let psi = s3 * (8.0 * c2 * c2 - 8.0 * c2 + 1.0) + s4;
            (psi, s3 * (32.0 * c2 * c - 16.0 * c), s3 * (24.0 * c2 * c2 - 8.0 * c2 - 1.0) - s4)
        }
    }
}

impl MarginLayer {
    fn label(&self, labels: &[f32], item: usize) -> Result<usize, LayerError> {
        index(labels[item], self.n).ok_or_else(|| {
            let (label, last) = (labels[item], self.n - 1);
            let why =
                format!("label {label} at item {item} is out of range: labels are 0 to {last}");
            LayerError::bottom(1, why)
        })
    }
}

impl Layer for MarginLayer {
    fn setup(&mut self, cx: &mut SetUp<'_>) -> Result<(), LayerError> {
        let axis = cx.bottoms[0].axis(self.param.axis(), "margin_inner_product_param.axis")?;
        let shape = [self.n, cx.bottoms[0].count_from(axis)];
        let filler = or_zero(&self.param.weight_filler);
        cx.weight_of("margin_inner_product_param.weight_filler", shape, filler);
        Ok(())
    }

    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let x = &cx.bottoms[0];
        let axis = x.axis(self.param.axis(), "margin_inner_product_param.axis")?;
        (self.m, self.k) = (x.count_to(axis), x.count_from(axis));
        if self.k != cx.params[0][1] || self.k == 0 {
            let why = format!("the weights are for {} inputs, the bottom is {x}", cx.params[0][1]);
            return Err(LayerError::bottom(0, why));
        }
        if cx.bottoms[1].count() != self.m {
            let why = format!(
                "one label for each of the {} items is wanted, found {}",
                self.m, cx.bottoms[1]
            );
            return Err(LayerError::bottom(1, why));
        }
        let top = x.with_tail(axis, &[self.n]);
        cx.top(0, top);
        if cx.tops.len() > 1 {
            cx.top(1, [1]);
        }
        cx.save([self.n, self.k]); // w / |w|
        cx.save([self.n]); // |w|
        cx.save([self.m]); // |x|
        cx.save([self.m]); // cos θ of the label
        Ok(())
    }

    fn carried(&self) -> Vec<f32> {
        vec![self.pass as f32]
    }

    fn carry(&mut self, carried: &[f32]) {
        self.pass = carried.first().map_or(self.param.iteration(), |&pass| pass as i32);
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        self.pass = self.pass.saturating_add(1);
        let p = &self.param;
        let faded = p.base() * (1.0 + p.gamma() * self.pass as f32).powf(-p.power());
        self.lambda = faded.max(p.lambda_min());
        let (x, labels, w) = (cx.bottom(0).data, cx.bottom(1).data, cx.weights[0].data);
        let (k, n, kind, lambda) = (self.k, self.n, p.r#type(), self.lambda);
        let [unit, lengths, norms, cosines] = &mut cx.saved[..] else { return Ok(()) };
        let (unit, lengths) = (unit.data_mut(), lengths.data_mut());
        // A row of zeros has no direction: it stays 0.
        let length = |row: &[f32]| (cx.k.sum_sq(row).sqrt() as f32).max(f32::MIN_POSITIVE);
        for ((row, unit), to) in w.chunks(k).zip(unit.chunks_mut(k)).zip(lengths.iter_mut()) {
            *to = length(row);
            unit.iter_mut().zip(row).for_each(|(unit, w)| *unit = w / *to);
        }
        let y = &mut *cx.tops[0].data;
        cx.k.gemm(Trans::No, Trans::Yes, self.m, n, k, 1.0, x, unit, 0.0, y);
        for item in 0..self.m {
            let label = self.label(labels, item)?;
            let (norm, y) = (length(&x[item * k..][..k]), &mut y[item * n + label]);
            (norms.data_mut()[item], cosines.data_mut()[item]) = (norm, *y / norm);
            if kind != MarginType::Single {
                *y = (norm * margin(kind, *y / norm).0 + lambda * *y) / (1.0 + lambda);
            }
        }
        if let Some(top) = cx.tops.get_mut(1) {
            top.data[0] = lambda;
        }
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let Some(dy) = cx.top_diffs[0] else { return Ok(()) };
        let (x, labels, dy) = (cx.bottom(0).data, cx.bottom(1).data, dy.data);
        let (m, n, k, kind) = (self.m, self.n, self.k, self.param.r#type());
        let [unit, lengths, norms, cosines] = [0, 1, 2, 3].map(|i| cx.saved[i].data());
        if let Some(dw) = &mut cx.weight_diffs[0] {
            let mut rows = vec![0.0; n * k];
            cx.k.gemm(Trans::Yes, Trans::No, n, k, m, 1.0, dy, x, 0.0, &mut rows);
            for ((dw, row), &length) in dw.data.chunks_mut(k).zip(rows.chunks(k)).zip(lengths) {
                cx.k.axpy(length, row, dw);
            }
        }
        let Some(dx) = &mut cx.bottom_diffs[0] else { return Ok(()) };
        let beta = if dx.write == Write::Add { 1.0 } else { 0.0 };
        cx.k.gemm(Trans::No, Trans::No, m, k, n, 1.0, dy, unit, beta, dx.data);
        if kind == MarginType::Single {
            return Ok(());
        }
        for item in 0..m {
            let label = self.label(labels, item)?;
            let (_, of_w, of_x) = margin(kind, cosines[item]);
            let of_x = -of_x / norms[item];
            let length = (of_w * of_w + of_x * of_x).sqrt().max(f32::MIN_POSITIVE);
            let step = dy[item * n + label] / (1.0 + self.lambda);
            let row = &mut dx.data[item * k..][..k];
            cx.k.axpy(step * (of_w / length - 1.0), &unit[label * k..][..k], row);
            cx.k.axpy(step * of_x / length, &x[item * k..][..k], row);
        }
        Ok(())
    }
}
