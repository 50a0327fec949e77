//! Filter: the items of a batch that a selector lets through.

use cortado_kernels::Write;

use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind,
    Measure, Needs, Reshape, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("Filter", build, &DOC)
    .bottoms(Arity::at_least(2))
    .tops(Arity::at_least(1))
    .needs(needs)
    .grads(GradBottoms::AllButLast)
    .dynamic();

static DOC: LayerDoc = LayerDoc {
    bottoms: &["x_1, x_2, …: N x …", "selector: N (x 1 x …), not 0 for the items to keep"],
    tops: &["y_1, y_2, …: M x …, M the number of items kept, one per bottom before the selector"],
    forward: "y_i = the items n of x_i with selector[n] ≠ 0, in their order",
    backward: "dx_i = dy_i at the items kept, 0 at the others; nothing to the selector",
    notes: "The tops have another shape in each pass, so that all behind them are shaped anew. No item \
            may be kept: the tops have 0 items then.",
    example: r#"layer { name: "kept" type: "Filter" bottom: "x" bottom: "label" bottom: "keep"
  top: "kept_x" top: "kept_label" }"#,
    source: "Caffe's filter_layer.cpp",
    ..LayerDoc::new("Lets some items of a batch through.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let (tops, wanted) = (def.top.len(), def.bottom.len().saturating_sub(1));
    if tops != wanted {
        let why =
            format!("there is one top per bottom before the selector: {wanted}, found {tops}");
        return Err(LayerError::top(tops.saturating_sub(1), why));
    }
    Ok(Box::new(FilterLayer { kept: Vec::new() }))
}

struct FilterLayer {
    /// Indices of the items kept, as measured before the last forward.
    kept: Vec<usize>,
}

impl Layer for FilterLayer {
    /// As if all items were kept; `measure` knows better.
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let Some((selector, bottoms)) = cx.bottoms.split_last() else { return Ok(()) };
        let items = selector.first().copied();
        if items.is_none_or(|items| items != selector.count()) {
            let why = format!("the selector has one element per item, found {selector}");
            return Err(LayerError::bottom(bottoms.len(), why));
        }
        for (i, bottom) in bottoms.iter().enumerate() {
            if bottom.first().copied() != items {
                let why =
                    format!("every bottom has as many items as the selector, {selector}: {bottom}");
                return Err(LayerError::bottom(i, why));
            }
            cx.tops[i].clone_from(bottom);
        }
        Ok(())
    }

    fn measure(&mut self, cx: &mut Measure<'_>) -> Result<Vec<Shape>, LayerError> {
        let Some((selector, bottoms)) = cx.bottoms.split_last() else { return Ok(Vec::new()) };
        self.kept = (0..selector.data.len()).filter(|&item| selector.data[item] != 0.0).collect();
        Ok(bottoms.iter().map(|bottom| bottom.shape.with_axis(0, self.kept.len())).collect())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        for i in 0..cx.tops.len() {
            let x = cx.bottom(i);
            let (inner, y) = (x.shape.count_from(1), &mut *cx.tops[i].data);
            for (at, &item) in self.kept.iter().enumerate() {
                y[at * inner..][..inner].copy_from_slice(&x.data[item * inner..][..inner]);
            }
        }
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        for (dy, dx) in cx.top_diffs.iter().zip(cx.bottom_diffs.iter_mut()) {
            let (Some(dy), Some(dx)) = (dy, dx) else { continue };
            let inner = dx.shape.count_from(1);
            if dx.write == Write::Set {
                dx.data.fill(0.0);
            }
            for (at, &item) in self.kept.iter().enumerate() {
                let to = &mut dx.data[item * inner..][..inner];
                cx.k.axpy(1.0, &dy.data[at * inner..][..inner], to);
            }
        }
        Ok(())
    }
}
