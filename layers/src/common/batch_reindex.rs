//! BatchReindex: items of a batch chosen by index, in any order and number.

use cortado_kernels::Write;

use super::index;
use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("BatchReindex", build, &DOC)
    .bottoms(Arity::exactly(2))
    .needs(needs)
    .grads(GradBottoms::Only(&[0]));

static DOC: LayerDoc = LayerDoc {
    bottoms: &["x: N x …", "indices: M, whole numbers below N"],
    tops: &["y: M x …"],
    forward: "y[m] = x[indices[m]]",
    backward: "dx[n] = Σ dy[m] over all m with indices[m] = n",
    notes: "No gradient goes to the indices. An index out of range is an error of the pass.",
    example: r#"layer { name: "chosen" type: "BatchReindex" bottom: "x" bottom: "indices" top: "chosen" }"#,
    source: "Caffe's batch_reindex_layer.cpp",
    ..LayerDoc::new("Chooses items of a batch by their index.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

fn build(_: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    Ok(Box::new(BatchReindexLayer { items: 0, inner: 0 }))
}

struct BatchReindexLayer {
    /// Items of the bottom.
    items: usize,
    /// Elements of an item.
    inner: usize,
}

impl BatchReindexLayer {
    fn item(&self, indices: &[f32], at: usize) -> Result<usize, LayerError> {
        index(indices[at], self.items).ok_or_else(|| {
            let (value, items) = (indices[at], self.items);
            let why = format!("index {value} at {at} is out of range: the batch has {items} items");
            LayerError::bottom(1, why)
        })
    }
}

impl Layer for BatchReindexLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let (x, indices) = (&cx.bottoms[0], &cx.bottoms[1]);
        let Some(&items) = x.first() else {
            return Err(LayerError::bottom(0, "a scalar has no items to choose from"));
        };
        let &[chosen] = &indices[..] else {
            let why = format!("the indices have one axis, found {indices}");
            return Err(LayerError::bottom(1, why));
        };
        (self.items, self.inner) = (items, x.count_from(1));
        let top = x.with_axis(0, chosen);
        cx.top(0, top);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (x, indices) = (cx.bottom(0).data, cx.bottom(1).data);
        for at in 0..indices.len() {
            let item = self.item(indices, at)?;
            let from = &x[item * self.inner..][..self.inner];
            cx.tops[0].data[at * self.inner..][..self.inner].copy_from_slice(from);
        }
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let (indices, Some(dy)) = (cx.bottom(1).data, cx.top_diffs[0]) else { return Ok(()) };
        let Some(dx) = &mut cx.bottom_diffs[0] else { return Ok(()) };
        if dx.write == Write::Set {
            dx.data.fill(0.0);
        }
        for at in 0..indices.len() {
            let item = self.item(indices, at)?;
            let to = &mut dx.data[item * self.inner..][..self.inner];
            cx.k.axpy(1.0, &dy.data[at * self.inner..][..self.inner], to);
        }
        Ok(())
    }
}
