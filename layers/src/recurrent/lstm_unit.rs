//! LSTMUnit: one step of LSTM cells, from the gates on.

use cortado_kernels::{SrcDst, Write};

use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("LSTMUnit", build, &DOC)
    .bottoms(Arity::exactly(3))
    .tops(Arity::exactly(2))
    .needs(|_| Needs::BOTH)
    .grads(GradBottoms::Only(&[0, 1]));

static DOC: LayerDoc = LayerDoc {
    bottoms: &[
        "c_prev: 1 x N x H, the cells before the step",
        "gates: 1 x N x 4H, i, f, o, g before their functions",
        "cont: 1 x N, 0 where a new sequence begins, else 1",
    ],
    tops: &["c: 1 x N x H", "h: 1 x N x H"],
    forward: "c = cont σ(f) c_prev + σ(i) tanh(g)   h = σ(o) tanh(c)",
    backward: "into c_prev and gates",
    notes: "The layer that the original builds LSTM from. cont may be any number, see LSTM.",
    example: r#"layer { name: "unit" type: "LSTMUnit" bottom: "c0" bottom: "gates" bottom: "cont"
  top: "c1" top: "h1" }"#,
    source: "Caffe's lstm_unit_layer.cpp",
    ..LayerDoc::new("One step of long short-term memory.")
};

fn build(_: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    Ok(Box::new(LstmUnit { hidden: 0 }))
}

struct LstmUnit {
    hidden: usize,
}

impl Layer for LstmUnit {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let wrong = |i: usize, wanted: String| {
            Err(LayerError::bottom(
                i,
                format!("{wanted} is wanted, the bottom is {}", cx.bottoms[i]),
            ))
        };
        let c = &cx.bottoms[0];
        let &[1, n, hidden] = &c[..] else { return wrong(0, "1 x N x H".to_owned()) };
        if hidden == 0 {
            return wrong(0, "at least one cell".to_owned());
        }
        if cx.bottoms[1][..] != [1, n, 4 * hidden] {
            return wrong(1, format!("1x{n}x{}, four gates per cell,", 4 * hidden));
        }
        if cx.bottoms[2][..] != [1, n] {
            return wrong(2, format!("1x{n}, a number per sequence,"));
        }
        self.hidden = hidden;
        let shape = c.clone();
        cx.save(cx.bottoms[1].clone()); // activations of the gates
        cx.scratch = 5 * n * hidden;
        cx.top(0, shape.clone());
        cx.top(1, shape);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let [c_prev, gates, cont] = [0, 1, 2].map(|i| cx.bottom(i).data);
        let activations = cx.saved[0].data_mut();
        activations.copy_from_slice(gates);
        let [c, h] = &mut cx.tops[..] else {
            return Err(LayerError::layer("there must be two tops"));
        };
        cx.k.lstm_forward(self.hidden, cont, c_prev, activations, c.data, h.data);
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let c = cx.tops[0].data;
        let scratch = std::mem::take(&mut cx.scratch);
        let (dc, rest) = scratch.split_at_mut(c.len());
        let (dgates, _) = rest.split_at_mut(4 * c.len());
        // A top that leads to no loss has no diff.
        let zeros = vec![0.0; c.len()];
        let diff = |i: usize| cx.top_diffs[i].map_or(&[][..], |diff: crate::View<'_>| diff.data);
        let dh = if diff(1).is_empty() { &zeros } else { diff(1) };
        dc.copy_from_slice(if diff(0).is_empty() { &zeros } else { diff(0) });
        let (c_prev, gates) = (cx.bottom(0).data, cx.saved[0].data());
        cx.k.lstm_backward(self.hidden, c_prev, gates, c, dh, dc, dgates);
        for (diff, found) in cx.bottom_diffs.iter_mut().zip([&*dc, &*dgates]) {
            match diff {
                Some(diff) if diff.write == Write::Add => cx.k.axpy(1.0, found, diff.data),
                Some(diff) => cx.k.map(SrcDst::Apart(found, diff.data), |d| d),
                None => {}
            }
        }
        Ok(())
    }
}
