//! CReLU: what is above 0, and behind it what is below.

use cortado_kernels::Write;

use crate::{Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs, Reshape};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("CReLU", build, &DOC).needs(needs).dialect("pvanet");

static DOC: LayerDoc = LayerDoc {
    bottoms: &["x: N x C x …"],
    tops: &["y: N x 2C x …"],
    forward: "y = [max(x, 0), max(−x, 0)] along the channels",
    backward: "dx = dy of the first half where x > 0, −dy of the second where x < 0",
    notes: "Most files make it of Power (scale −1), Concat and ReLU.",
    example: r#"layer { name: "crelu1" type: "CReLU" bottom: "conv1" top: "crelu1" }"#,
    source: "Shang, Sohn, Almeida, Lee 2016 (Concatenated Rectified Linear Units)",
    ..LayerDoc::new("Passes both signs, each in channels of its own.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

fn build(_: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    Ok(Box::new(CReluLayer { item: 0 }))
}

struct CReluLayer {
    /// Elements of the bottom per item.
    item: usize,
}

impl Layer for CReluLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let bottom = &cx.bottoms[0];
        let axis = bottom.axis(1, "bottom")?;
        self.item = bottom.count_from(axis);
        let top = bottom.with_axis(axis, bottom[axis].saturating_mul(2));
        if top.checked_count().is_none() {
            return Err(LayerError::bottom(0, format!("twice {bottom} is too large")));
        }
        cx.top(0, top);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let width = self.item.max(1);
        let items = cx.bottom(0).data.chunks(width).zip(cx.tops[0].data.chunks_mut(2 * width));
        for (x, y) in items {
            let (above, below) = y.split_at_mut(width);
            above.iter_mut().zip(x).for_each(|(y, x)| *y = x.max(0.0));
            below.iter_mut().zip(x).for_each(|(y, x)| *y = (-x).max(0.0));
        }
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let width = self.item.max(1);
        let x = cx.bottom(0).data;
        let (Some(dy), Some(diff)) = (cx.top_diffs[0], &mut cx.bottom_diffs[0]) else {
            return Ok(());
        };
        let add = diff.write == Write::Add;
        let items = x.chunks(width).zip(dy.data.chunks(2 * width));
        for ((x, dy), dx) in items.zip(diff.data.chunks_mut(width)) {
            let (above, below) = dy.split_at(width);
            for (i, dx) in dx.iter_mut().enumerate() {
                let value = if x[i] > 0.0 {
                    above[i]
                } else if x[i] < 0.0 {
                    -below[i]
                } else {
                    0.0
                };
                *dx = if add { *dx + value } else { value };
            }
        }
        Ok(())
    }
}
