//! Concat: blobs one after the other along an axis.

use cortado_kernels::Write;
use cortado_proto::defaults::concat_axis;

use super::slabs::copy_rows;
use crate::{
    Alias, Arity, Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Layouts,
    LowerCx, Needs, Prim, Reshape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("Concat", build, &DOC)
    .bottoms(Arity::at_least(1))
    .needs(needs)
    .alias(Alias::OneToOne)
    .layouts(Layouts::Blocked)
    .lower(lower);

static DOC: LayerDoc = LayerDoc {
    params: &["concat_param"],
    bottoms: &["x_1, x_2, …: equal in all axes but `axis`"],
    tops: &["y: their lengths along `axis` added up"],
    forward: "y = [x_1, x_2, …] along `axis`",
    backward: "dx_i = the part of dy that x_i fills",
    notes: "`concat_dim` is the old spelling of `axis`. One bottom is passed on as it is.",
    example: r#"layer { name: "concat" type: "Concat" bottom: "a" bottom: "b" top: "y" }"#,
    source: "Caffe's concat_layer.cpp",
    ..LayerDoc::new("Joins blobs along an axis.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn lower(cx: &LowerCx<'_>) -> Option<Prim> {
    let axis = concat_axis(&cx.def.concat_param.unwrap_or_default()).ok()?;
    Some(Prim::Concat { axis: cx.bottoms[0].axis(axis, "").ok()? })
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let axis = concat_axis(&def.concat_param.unwrap_or_default())?;
    Ok(Box::new(ConcatLayer { axis, outer: 0, widths: Vec::new() }))
}

struct ConcatLayer {
    axis: i32,
    outer: usize,
    /// Elements of each bottom per outer index.
    widths: Vec<usize>,
}

impl Layer for ConcatLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let first = &cx.bottoms[0];
        let axis = first.axis(self.axis, "concat_param.axis")?;
        let mut length = 0_usize;
        for (i, bottom) in cx.bottoms.iter().enumerate() {
            if bottom.len() != first.len() || bottom.with_axis(axis, 0) != first.with_axis(axis, 0)
            {
                let why =
                    format!("bottoms may differ only in axis {axis}, found {first} and {bottom}");
                return Err(LayerError::bottom(i, why));
            }
            length = bottom[axis].saturating_add(length);
        }
        self.outer = first.count_to(axis);
        self.widths = cx.bottoms.iter().map(|bottom| bottom.count_from(axis)).collect();
        let top = first.with_axis(axis, length);
        cx.top(0, top);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (step, mut at) = (self.widths.iter().sum(), 0);
        for (i, &width) in self.widths.iter().enumerate() {
            let from = cx.bottom(i).data;
            copy_rows(
                self.outer,
                width,
                (from, 0, width),
                (&mut *cx.tops[0].data, at, step),
                Write::Set,
            );
            at += width;
        }
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let (step, mut at) = (self.widths.iter().sum(), 0);
        let Some(dy) = cx.top_diffs[0] else { return Ok(()) };
        for (diff, &width) in cx.bottom_diffs.iter_mut().zip(&self.widths) {
            if let Some(diff) = diff {
                copy_rows(
                    self.outer,
                    width,
                    (dy.data, at, step),
                    (&mut *diff.data, 0, width),
                    diff.write,
                );
            }
            at += width;
        }
        Ok(())
    }
}
