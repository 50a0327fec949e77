//! LSTM: long short-term memory through T steps.

use cortado_kernels::Trans;

use super::sequence::{Sequence, keep, macs, start};
use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape, SetUp, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("LSTM", build, &DOC)
    .bottoms(Arity::between(2, 5))
    .tops(Arity::between(1, 3))
    .needs(|_| Needs::BOTTOM)
    .grads(GradBottoms::Only(&[0, 2]))
    .ends_gradients()
    .macs(|_: &[Shape], tops, params| macs(tops, params, 3));

static DOC: LayerDoc = LayerDoc {
    params: &["recurrent_param"],
    bottoms: &[
        "x: T x N x …, T steps of N sequences side by side, D numbers each",
        "cont: T x N, 0 where a new sequence begins, else 1",
        "xs (may be left out): N x …, S numbers that are the same at every step",
        "h0, c0 (with expose_hidden): 1 x N x num_output, the states before the first step",
    ],
    tops: &[
        "h: T x N x num_output",
        "hT, cT (with expose_hidden): 1 x N x num_output, the states after the last step",
    ],
    blobs: &[
        "W_x: 4 num_output x D, rows in the order of the gates i, f, o, g",
        "b: 4 num_output",
        "W_xs: 4 num_output x S, only with xs",
        "W_h: 4 num_output x num_output",
    ],
    forward: "i, f, o, g = σ, σ, σ, tanh of (W_x x_t + b + W_xs xs + W_h (cont_t h_{t-1}))   \
              c_t = cont_t f c_{t-1} + i g   h_t = o tanh(c_t)",
    backward: "through all T steps, into x, xs and the parameters",
    notes: "Without `expose_hidden` the states after the last step are where the next pass begins; \
            set cont to 0 to begin anew (the first pass, and one with another N, begin at 0). T may \
            change from pass to pass, D and S are fixed when the net is built.\n\n\
            No gradient goes from one pass to the one before. As in the original this holds for \
            exposed states too: the diffs of hT and cT are not used, those of h0 and c0 are 0.\n\n\
            cont may be any number; it multiplies h and the forget gate. Its use in nets is 0 and 1. \
            The original takes f (1 - f) as the slope of cont f, which is right only for these.",
    example: r#"layer { name: "lstm" type: "LSTM" bottom: "x" bottom: "cont" top: "h"
  recurrent_param { num_output: 256
    weight_filler { type: "uniform" min: -0.08 max: 0.08 } } }"#,
    source: "Hochreiter and Schmidhuber 1997; Caffe's lstm_layer.cpp, recurrent_layer.cpp",
    ..LayerDoc::new("Long short-term memory: carries what it has seen from step to step.")
};

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    Ok(Box::new(Lstm { seq: Sequence::build(def, 4, 2)?, h: Vec::new(), c: Vec::new() }))
}

struct Lstm {
    seq: Sequence,
    /// The states after the last pass.
    h: Vec<f32>,
    c: Vec<f32>,
}

impl Layer for Lstm {
    fn setup(&mut self, cx: &mut SetUp<'_>) -> Result<(), LayerError> {
        self.seq.setup(cx)?;
        let hidden = self.seq.hidden();
        self.seq.weight(cx, [4 * hidden, hidden]);
        Ok(())
    }

    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        self.seq.reshape(cx)?;
        let Sequence { t, n, .. } = self.seq;
        let hidden = self.seq.hidden();
        cx.save([t, n, 4 * hidden]); // activations of the gates
        cx.save([t, n, hidden]); // cont · h of the step before
        cx.save([t + 1, n, hidden]); // cells
        let step = self.seq.step();
        cx.scratch = 4 * t * step + 2 * step + self.seq.scratch();
        Ok(())
    }

    fn carried(&self) -> Vec<f32> {
        [&self.h[..], &self.c].concat()
    }

    fn carry(&mut self, carried: &[f32]) {
        let (h, c) = carried.split_at(carried.len() / 2);
        (self.h, self.c) = (h.to_vec(), c.to_vec());
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (k, hidden, n, step) = (cx.k, self.seq.hidden(), self.seq.n, self.seq.step());
        let cont = cx.bottom(1).data;
        let [gates, kept, cells] = &mut cx.saved[..] else {
            return Err(LayerError::layer("the layer was not reshaped"));
        };
        let (gates, kept, cells) = (gates.data_mut(), kept.data_mut(), cells.data_mut());
        self.seq.forward(k, cx.bottoms, cx.weights, gates)?;
        let (Some((top, more)), Some(w)) = (cx.tops.split_first_mut(), cx.weights.last()) else {
            return Err(LayerError::layer("the layer has no top or no weights"));
        };
        let w = w.data;
        cells[..step].copy_from_slice(start(&self.seq, cx.bottoms, 1, &mut self.c));
        for t in 0..self.seq.t {
            let (before, h) = top.data.split_at_mut(t * step);
            let last = match t {
                0 => start(&self.seq, cx.bottoms, 0, &mut self.h),
                _ => &before[(t - 1) * step..],
            };
            let at = t * step..(t + 1) * step;
            let (cont, gates) = (&cont[t * n..(t + 1) * n], &mut gates[4 * at.start..4 * at.end]);
            let kept = &mut kept[at.clone()];
            keep(cont, last, kept);
            k.gemm(Trans::No, Trans::Yes, n, 4 * hidden, hidden, 1.0, kept, w, 1.0, gates);
            let (c_prev, c) = cells[at.start..].split_at_mut(step);
            k.lstm_forward(hidden, cont, c_prev, gates, &mut c[..step], &mut h[..step]);
        }
        let end = self.seq.t * step;
        for (state, carried, top) in
            [(&top.data[end - step..], &mut self.h, 0), (&cells[end..], &mut self.c, 1)]
        {
            match more.get_mut(top) {
                Some(top) => top.data.copy_from_slice(state),
                None => carried.copy_from_slice(state),
            }
        }
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let (k, hidden, n, step) = (cx.k, self.seq.hidden(), self.seq.n, self.seq.step());
        let (steps, last) = (self.seq.t, cx.weights.len() - 1);
        let scratch = std::mem::take(&mut cx.scratch);
        let (dgates, rest) = scratch.split_at_mut(4 * steps * step);
        let (dh, rest) = rest.split_at_mut(step);
        let (dc, rest) = rest.split_at_mut(step);
        dh.fill(0.0);
        dc.fill(0.0);
        let (gates, cells) = (cx.saved[0].data(), cx.saved[2].data());
        let (cont, w) = (cx.bottom(1).data, cx.weights[last].data);
        let dy = cx.top_diffs[0].map_or(&[][..], |dy| dy.data);
        for t in (0..steps).rev() {
            let at = t * step..(t + 1) * step;
            if let Some(dy) = dy.get(at.clone()) {
                k.axpy(1.0, dy, dh);
            }
            let (c_prev, c) = cells[at.start..].split_at(step);
            let wide = 4 * at.start..4 * at.end;
            let dgates = &mut dgates[wide.clone()];
            k.lstm_backward(hidden, c_prev, &gates[wide], &c[..step], dh, dc, dgates);
            if t > 0 {
                k.gemm(Trans::No, Trans::No, n, hidden, 4 * hidden, 1.0, dgates, w, 0.0, dh);
                let rows = dh.chunks_exact_mut(hidden).zip(&cont[t * n..]);
                rows.for_each(|(row, cont)| row.iter_mut().for_each(|d| *d *= cont));
            }
        }
        if let Some(dw) = &mut cx.weight_diffs[last] {
            let (rows, kept) = (4 * hidden, cx.saved[1].data());
            k.gemm(Trans::Yes, Trans::No, rows, hidden, steps * n, 1.0, dgates, kept, 1.0, dw.data);
        }
        self.seq.backward(cx, dgates, rest);
        Ok(())
    }
}
