//! Reverse: an axis read from its end.

use cortado_kernels::Write;

use crate::{Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs, Reshape};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("Reverse", build, &DOC).needs(needs).dialect("ctpn");

static DOC: LayerDoc = LayerDoc {
    params: &["reverse_param"],
    bottoms: &["x: any shape"],
    tops: &["y: the shape of x"],
    forward: "y[…, i, …] = x[…, L − 1 − i, …] along `axis` of length L",
    backward: "dx[…, i, …] = dy[…, L − 1 − i, …]",
    notes: "For the way back of a sequence: Reverse, LSTM, Reverse.",
    example: r#"layer { name: "reverse" type: "Reverse" bottom: "x" top: "y" reverse_param { axis: 0 } }"#,
    source: "Tian, Huang, He, He, Qiao 2016 (Connectionist Text Proposal Network), its Caffe",
    ..LayerDoc::new("Turns an axis around.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let axis = def.reverse_param.unwrap_or_default().axis();
    Ok(Box::new(ReverseLayer { axis, dims: (0, 0, 0) }))
}

struct ReverseLayer {
    axis: i32,
    dims: (usize, usize, usize),
}

impl ReverseLayer {
    fn copy(&self, from: &[f32], to: &mut [f32], write: Write) {
        let (_, length, inner) = self.dims;
        for (row, to) in to.chunks_mut(inner.max(1)).enumerate() {
            let at = (row / length * length + length - 1 - row % length) * inner;
            let from = &from[at..at + inner];
            match write {
                Write::Set => to.copy_from_slice(from),
                Write::Add => to.iter_mut().zip(from).for_each(|(to, from)| *to += from),
            }
        }
    }
}

impl Layer for ReverseLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let x = cx.bottoms[0].clone();
        self.dims = x.around(x.axis(self.axis, "reverse_param.axis")?);
        cx.top(0, x);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        self.copy(cx.bottom(0).data, cx.tops[0].data, Write::Set);
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        if let (Some(dy), Some(dx)) = (cx.top_diffs[0], &mut cx.bottom_diffs[0]) {
            self.copy(dy.data, dx.data, dx.write);
        }
        Ok(())
    }
}
