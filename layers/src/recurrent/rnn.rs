//! RNN: a vanilla recurrent net through T steps.

use cortado_kernels::{SrcDst, Trans, Write, math};

use super::sequence::{Sequence, keep, macs, start};
use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape, SetUp, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("RNN", build, &DOC)
    .bottoms(Arity::between(2, 4))
    .tops(Arity::between(1, 2))
    .needs(|_| Needs::BOTH)
    .grads(GradBottoms::Only(&[0, 2]))
    .ends_gradients()
    .macs(|_: &[Shape], tops, params| macs(tops, params, 5));

static DOC: LayerDoc = LayerDoc {
    params: &["recurrent_param"],
    bottoms: &[
        "x: T x N x …, T steps of N sequences side by side, D numbers each",
        "cont: T x N, 0 where a new sequence begins, else 1",
        "xs (may be left out): N x …, S numbers that are the same at every step",
        "h0 (with expose_hidden): 1 x N x num_output, the state before the first step",
    ],
    tops: &[
        "o: T x N x num_output",
        "hT (with expose_hidden): 1 x N x num_output, the state after the last step",
    ],
    blobs: &[
        "W_x: num_output x D",
        "b_h: num_output",
        "W_xs: num_output x S, only with xs",
        "W_h: num_output x num_output",
        "W_o: num_output x num_output",
        "b_o: num_output",
    ],
    forward: "h_t = tanh(W_x x_t + b_h + W_xs xs + W_h (cont_t h_{t-1}))   o_t = tanh(W_o h_t + b_o)",
    backward: "through all T steps, into x, xs and the parameters",
    notes: "Without `expose_hidden` the state after the last step is where the next pass begins; \
            set cont to 0 to begin anew (the first pass, and one with another N, begin at 0). T may \
            change from pass to pass, D and S are fixed when the net is built.\n\n\
            No gradient goes from one pass to the one before. As in the original this holds for \
            exposed states too: the diff of hT is not used, that of h0 is 0.",
    example: r#"layer { name: "rnn" type: "RNN" bottom: "x" bottom: "cont" top: "o"
  recurrent_param { num_output: 64 weight_filler { type: "xavier" } } }"#,
    source: "Elman 1990; Caffe's rnn_layer.cpp, recurrent_layer.cpp",
    ..LayerDoc::new("A plain recurrent net: its hidden vector goes from step to step.")
};

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    Ok(Box::new(Rnn { seq: Sequence::build(def, 1, 1)?, h: Vec::new() }))
}

struct Rnn {
    seq: Sequence,
    /// The state after the last pass.
    h: Vec<f32>,
}

impl Layer for Rnn {
    fn setup(&mut self, cx: &mut SetUp<'_>) -> Result<(), LayerError> {
        self.seq.setup(cx)?;
        let hidden = self.seq.hidden();
        self.seq.weight(cx, [hidden, hidden]);
        self.seq.weight(cx, [hidden, hidden]);
        self.seq.bias(cx, hidden);
        Ok(())
    }

    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        self.seq.reshape(cx)?;
        let Sequence { t, n, .. } = self.seq;
        let hidden = self.seq.hidden();
        cx.save([t, n, hidden]); // h
        cx.save([t, n, hidden]); // cont · h of the step before
        let step = self.seq.step();
        cx.scratch = 2 * t * step + step + self.seq.scratch();
        Ok(())
    }

    fn carried(&self) -> Vec<f32> {
        self.h.clone()
    }

    fn carry(&mut self, carried: &[f32]) {
        self.h = carried.to_vec();
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (k, hidden, n, step) = (cx.k, self.seq.hidden(), self.seq.n, self.seq.step());
        let [h, kept] = &mut cx.saved[..] else {
            return Err(LayerError::layer("the layer was not reshaped"));
        };
        let (h, kept) = (h.data_mut(), kept.data_mut());
        self.seq.forward(k, cx.bottoms, cx.weights, h)?;
        let cont = cx.bottoms[1].expect("not in place").data;
        let [w, w_out, b_out] = [0, 1, 2].map(|i| cx.weights[self.seq.own_params() + i].data);
        for t in 0..self.seq.t {
            let (before, h) = h.split_at_mut(t * step);
            let last = match t {
                0 => start(&self.seq, cx.bottoms, 0, &mut self.h),
                _ => &before[(t - 1) * step..],
            };
            let (h, kept) = (&mut h[..step], &mut kept[t * step..(t + 1) * step]);
            keep(&cont[t * n..(t + 1) * n], last, kept);
            k.gemm(Trans::No, Trans::Yes, n, hidden, hidden, 1.0, kept, w, 1.0, h);
            k.map(SrcDst::InPlace(h), math::tanh);
        }
        let state = &h[(self.seq.t - 1) * step..];
        let (top, more) = cx.tops.split_first_mut().expect("there is a top");
        match more.first_mut() {
            Some(top) => top.data.copy_from_slice(state),
            None => self.h.copy_from_slice(state),
        }
        top.data.chunks_exact_mut(hidden).for_each(|row| row.copy_from_slice(b_out));
        let steps = self.seq.t * n;
        k.gemm(Trans::No, Trans::Yes, steps, hidden, hidden, 1.0, h, w_out, 1.0, top.data);
        k.map(SrcDst::InPlace(top.data), math::tanh);
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let (k, hidden, n, step) = (cx.k, self.seq.hidden(), self.seq.n, self.seq.step());
        let (steps, own) = (self.seq.t * n, self.seq.own_params());
        let scratch = std::mem::take(&mut cx.scratch);
        let (dh, rest) = scratch.split_at_mut(steps * hidden);
        let (dout, rest) = rest.split_at_mut(steps * hidden);
        let (back, rest) = rest.split_at_mut(step);
        let slope = |d: f32, y: f32| d * (1.0 - y * y);
        match cx.top_diffs[0].filter(|dy| !dy.data.is_empty()) {
            Some(dy) => k.map2(SrcDst::Apart(dy.data, dout), cx.tops[0].data, Write::Set, slope),
            None => dout.fill(0.0),
        }
        let (h, kept) = (cx.saved[0].data(), cx.saved[1].data());
        let [w, w_out] = [0, 1].map(|i| cx.weights[own + i].data);
        if let Some(dw) = &mut cx.weight_diffs[own + 1] {
            k.gemm(Trans::Yes, Trans::No, hidden, hidden, steps, 1.0, dout, h, 1.0, dw.data);
        }
        if let Some(db) = &mut cx.weight_diffs[own + 2] {
            k.sum_channels(steps, hidden, 1, dout, db.data);
        }
        k.gemm(Trans::No, Trans::No, steps, hidden, hidden, 1.0, dout, w_out, 0.0, dh);
        let cont = cx.bottom(1).data;
        for t in (0..self.seq.t).rev() {
            let at = t * step..(t + 1) * step;
            let (before, dh) = dh.split_at_mut(at.start);
            let dh = &mut dh[..step];
            k.map2(SrcDst::InPlace(dh), &h[at], Write::Set, slope);
            if t > 0 {
                k.gemm(Trans::No, Trans::No, n, hidden, hidden, 1.0, dh, w, 0.0, back);
                let rows = back.chunks_exact_mut(hidden).zip(&cont[t * n..]);
                rows.for_each(|(row, cont)| row.iter_mut().for_each(|d| *d *= cont));
                k.axpy(1.0, back, &mut before[(t - 1) * step..]);
            }
        }
        if let Some(dw) = &mut cx.weight_diffs[own] {
            k.gemm(Trans::Yes, Trans::No, hidden, hidden, steps, 1.0, dh, kept, 1.0, dw.data);
        }
        self.seq.backward(cx, dh, rest);
        Ok(())
    }
}
