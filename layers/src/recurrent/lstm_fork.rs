//! Lstm: the LSTM of the CTPN and OCR forks, whose sequences begin with the batch.

use cortado_kernels::{Kernels, Trans, Write};
use cortado_proto::caffe::LstmParameter;

use super::sequence::keep;
use crate::filler::or_zero;
use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape, SetUp,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("Lstm", build, &DOC)
    .bottoms(Arity::between(1, 2))
    .needs(|_| Needs::BOTTOM)
    .grads(GradBottoms::Only(&[0]))
    .dialect("ctpn");

static DOC: LayerDoc = LayerDoc {
    params: &["lstm_param"],
    bottoms: &[
        "x: T x N x …, T steps of N sequences, I numbers each; or (T · N) x I with `batch_size` N",
        "cont (may be left out): T · N numbers, 0 where a new sequence begins, else 1",
    ],
    tops: &["h: T x N x num_output, or (T · N) x num_output"],
    blobs: &[
        "W_x: 4 num_output x I, rows in the order of the gates i, f, o, g",
        "W_h: 4 num_output x num_output",
        "b: 4 num_output",
    ],
    forward: "i, f, o, g = σ, σ, σ, tanh of (W_x x_t + b + W_h h_{t-1})   c_t = f c_{t-1} + i g   \
              h_t = o tanh(c_t)",
    backward: "through all T steps; the diffs of the gates before their functions are held within \
               ± `clipping_threshold` if that is above 0",
    notes: "Without `cont` every pass begins at 0. With it the states after the last step are where the \
            next pass begins, as in LSTM, whose blobs stand in another order.",
    example: r#"layer { name: "lstm" type: "Lstm" bottom: "x" top: "h"
  lstm_param { num_output: 128 clipping_threshold: 1 weight_filler { type: "gaussian" std: 0.01 } } }"#,
    source: "Hochreiter, Schmidhuber 1997; Tian, Huang, He, He, Qiao 2016 (CTPN), its Caffe",
    ..LayerDoc::new("Long short-term memory over sequences that lie one after the other.")
};

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.lstm_param.clone().unwrap_or_default();
    if param.num_output() == 0 || param.batch_size() == 0 {
        let field = if param.num_output() == 0 { "num_output" } else { "batch_size" };
        let why = format!("`{field}` must be given and above 0");
        return Err(LayerError::field(format!("lstm_param.{field}"), why));
    }
    let hidden = param.num_output() as usize;
    Ok(Box::new(LstmLayer { param, hidden, t: 0, n: 0, inputs: 0, carried: None }))
}

struct LstmLayer {
    param: LstmParameter,
    hidden: usize,
    /// Steps.
    t: usize,
    /// Sequences.
    n: usize,
    /// Numbers of an input.
    inputs: usize,
    /// h and c after the last pass with `cont`.
    carried: Option<[Vec<f32>; 2]>,
}

impl LstmLayer {
    /// Whether the steps lie in the items, one batch of sequences after the other.
    fn flat(&self, axes: usize) -> bool {
        axes < 3 || self.param.batch_size.is_some()
    }

    /// For each step and sequence whether it goes on.
    fn cont(&self, given: Option<&[f32]>) -> Vec<f32> {
        let begins = |i: usize| if i < self.n { 0.0 } else { 1.0 };
        match given {
            Some(cont) => cont.iter().map(|&c| if c == 0.0 { 0.0 } else { 1.0 }).collect(),
            None => (0..self.t * self.n).map(begins).collect(),
        }
    }

    /// The products with what comes in.
    fn inputs(&self, k: &Kernels, x: &[f32], w: &[f32], b: &[f32], gates: &mut [f32]) {
        let rows = 4 * self.hidden;
        gates.chunks_exact_mut(rows).for_each(|row| row.copy_from_slice(b));
        k.gemm(Trans::No, Trans::Yes, self.t * self.n, rows, self.inputs, 1.0, x, w, 1.0, gates);
    }
}

impl Layer for LstmLayer {
    fn setup(&mut self, cx: &mut SetUp<'_>) -> Result<(), LayerError> {
        let x = &cx.bottoms[0];
        if x.len() < 2 {
            return Err(LayerError::bottom(
                0,
                format!("steps x sequences x … is wanted, found {x}"),
            ));
        }
        self.inputs = x.count_from(if self.flat(x.len()) { 1 } else { 2 });
        let (rows, weights) = (4 * self.hidden, or_zero(&self.param.weight_filler));
        cx.weight_of("lstm_param.weight_filler", [rows, self.inputs], weights.clone());
        cx.weight_of("lstm_param.weight_filler", [rows, self.hidden], weights);
        cx.weight_of("lstm_param.bias_filler", [rows], or_zero(&self.param.bias_filler));
        Ok(())
    }

    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let x = &cx.bottoms[0];
        let flat = self.flat(x.len());
        let axes = if flat { 1 } else { 2 };
        if x.len() <= axes || x.count_from(axes) != self.inputs || x.count_to(axes) == 0 {
            let why =
                format!("the weights are for {} numbers a step, the bottom is {x}", self.inputs);
            return Err(LayerError::bottom(0, why));
        }
        let batch = self.param.batch_size() as usize;
        if flat && !x[0].is_multiple_of(batch) {
            let why = format!("`batch_size` {batch} must divide the items of the bottom, {x}");
            return Err(LayerError::field("lstm_param.batch_size", why));
        }
        (self.t, self.n) = if flat { (x[0] / batch, batch) } else { (x[0], x[1]) };
        let (t, n, hidden) = (self.t, self.n, self.hidden);
        if let Some(cont) = cx.bottoms.get(1).filter(|cont| cont.count() != t * n) {
            let why =
                format!("cont has one number for each of {t} steps of {n} sequences, found {cont}");
            return Err(LayerError::bottom(1, why));
        }
        match flat {
            true => cx.top(0, [t * n, hidden]),
            false => cx.top(0, [t, n, hidden]),
        }
        cx.save([t, n, 4 * hidden]); // activations of the gates
        cx.save([t, n, hidden]); // cont · h of the step before
        cx.save([t + 1, n, hidden]); // cells
        cx.scratch = 4 * t * n * hidden + 2 * n * hidden;
        Ok(())
    }

    fn carried(&self) -> Vec<f32> {
        self.carried.as_ref().map(|states| states.concat()).unwrap_or_default()
    }

    fn carry(&mut self, carried: &[f32]) {
        let (h, c) = carried.split_at(carried.len() / 2);
        self.carried = (!carried.is_empty()).then(|| [h.to_vec(), c.to_vec()]);
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (k, n, hidden, step) = (cx.k, self.n, self.hidden, self.n * self.hidden);
        let given = cx.bottoms.get(1).copied().flatten().map(|view| view.data);
        let cont = self.cont(given);
        let [gates, kept, cells] = &mut cx.saved[..] else { return Ok(()) };
        let (gates, kept, cells) = (gates.data_mut(), kept.data_mut(), cells.data_mut());
        let x = cx.bottoms[0].map_or(&[][..], |view| view.data);
        let [w, w_h, b] = [0, 1, 2].map(|i| cx.weights[i].data);
        self.inputs(k, x, w, b, gates);
        let start = self.carried.take().filter(|state| given.is_some() && state[0].len() == step);
        let [h_0, c_0] = start.unwrap_or_else(|| [vec![0.0; step], vec![0.0; step]]);
        cells[..step].copy_from_slice(&c_0);
        let top = &mut *cx.tops[0].data;
        for t in 0..self.t {
            let (before, h) = top.split_at_mut(t * step);
            let last = if t == 0 { &h_0[..] } else { &before[(t - 1) * step..] };
            let at = t * step..(t + 1) * step;
            let (cont, gates) = (&cont[t * n..(t + 1) * n], &mut gates[4 * at.start..4 * at.end]);
            let kept = &mut kept[at.clone()];
            keep(cont, last, kept);
            k.gemm(Trans::No, Trans::Yes, n, 4 * hidden, hidden, 1.0, kept, w_h, 1.0, gates);
            let (c_prev, c) = cells[at.start..].split_at_mut(step);
            k.lstm_forward(hidden, cont, c_prev, gates, &mut c[..step], &mut h[..step]);
        }
        if given.is_some() {
            let end = self.t * step;
            self.carried = Some([top[end - step..].to_vec(), cells[end..].to_vec()]);
        }
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let Some(dy) = cx.top_diffs[0] else { return Ok(()) };
        let (k, n, hidden, step) = (cx.k, self.n, self.hidden, self.n * self.hidden);
        let cont = self.cont(cx.bottoms.get(1).copied().flatten().map(|view| view.data));
        let (dgates, rest) = cx.scratch.split_at_mut(4 * self.t * step);
        let (dh, dc) = rest[..2 * step].split_at_mut(step);
        dh.fill(0.0);
        dc.fill(0.0);
        let (gates, kept, cells) = (cx.saved[0].data(), cx.saved[1].data(), cx.saved[2].data());
        let (x, limit) =
            (cx.bottoms[0].map_or(&[][..], |v| v.data), self.param.clipping_threshold());
        let [w, w_h] = [0, 1].map(|i| cx.weights[i].data);
        for t in (0..self.t).rev() {
            let at = t * step..(t + 1) * step;
            k.axpy(1.0, &dy.data[at.clone()], dh);
            let (c_prev, c) = cells[at.start..].split_at(step);
            let wide = 4 * at.start..4 * at.end;
            let dgates = &mut dgates[wide.clone()];
            k.lstm_backward(hidden, c_prev, &gates[wide], &c[..step], dh, dc, dgates);
            if limit > 0.0 {
                dgates.iter_mut().for_each(|d| *d = d.clamp(-limit, limit));
            }
            if t > 0 {
                k.gemm(Trans::No, Trans::No, n, hidden, 4 * hidden, 1.0, dgates, w_h, 0.0, dh);
                let rows = dh.chunks_exact_mut(hidden).zip(&cont[t * n..]);
                rows.for_each(|(row, cont)| row.iter_mut().for_each(|d| *d *= cont));
            }
        }
        let (steps, rows, inputs) = (self.t * n, 4 * hidden, self.inputs);
        if let Some(dw) = &mut cx.weight_diffs[0] {
            k.gemm(Trans::Yes, Trans::No, rows, inputs, steps, 1.0, dgates, x, 1.0, dw.data);
        }
        if let Some(dw) = &mut cx.weight_diffs[1] {
            k.gemm(Trans::Yes, Trans::No, rows, hidden, steps, 1.0, dgates, kept, 1.0, dw.data);
        }
        if let Some(db) = &mut cx.weight_diffs[2] {
            k.sum_channels(steps, rows, 1, dgates, db.data);
        }
        if let Some(dx) = &mut cx.bottom_diffs[0] {
            let beta = if dx.write == Write::Add { 1.0 } else { 0.0 };
            k.gemm(Trans::No, Trans::No, steps, inputs, rows, 1.0, dgates, w, beta, dx.data);
        }
        Ok(())
    }
}
