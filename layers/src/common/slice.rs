//! Slice: a blob cut into parts along an axis.

use cortado_kernels::Write;
use cortado_proto::defaults::slice_axis;

use super::slabs::copy_rows;
use crate::{
    Alias, Arity, Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("Slice", build, &DOC)
    .tops(Arity::at_least(1))
    .needs(needs)
    .alias(Alias::OneToOne);

static DOC: LayerDoc = LayerDoc {
    params: &["slice_param"],
    bottoms: &["x: any shape"],
    tops: &["y_1, y_2, …: the parts, equal in all axes but `axis`"],
    forward: "y_i = x from slice_point i−1 to slice_point i along `axis`",
    backward: "dx = [dy_1, dy_2, …]",
    notes: "Without `slice_point` all parts are equal. `slice_dim` is the old spelling of `axis`.",
    example: r#"layer { name: "slice" type: "Slice" bottom: "x" top: "a" top: "b"
  slice_param { axis: 1 slice_point: 2 } }"#,
    source: "Caffe's slice_layer.cpp",
    ..LayerDoc::new("Cuts a blob along an axis.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.slice_param.clone().unwrap_or_default();
    let axis = slice_axis(&param)?;
    let points = param.slice_point.iter().map(|&point| point as usize).collect();
    Ok(Box::new(SliceLayer { axis, points, outer: 0, widths: Vec::new() }))
}

struct SliceLayer {
    axis: i32,
    points: Vec<usize>,
    outer: usize,
    /// Elements of each top per outer index.
    widths: Vec<usize>,
}

impl SliceLayer {
    /// Lengths of the parts of the axis.
    fn lengths(&self, bottom: &Shape, axis: usize, tops: usize) -> Result<Vec<usize>, LayerError> {
        let fail = |why: String| Err(LayerError::field("slice_param.slice_point", why));
        let length = bottom[axis];
        if self.points.is_empty() {
            if !length.is_multiple_of(tops) {
                return fail(format!(
                    "axis {axis} of the bottom, {bottom}, does not divide into {tops} equal parts"
                ));
            }
            return Ok(vec![length / tops; tops]);
        }
        if self.points.len() != tops - 1 {
            let points = self.points.len();
            let noun = if tops == 2 { "point" } else { "points" };
            return fail(format!("{tops} tops want {} slice {noun}, found {points}", tops - 1));
        }
        let mut ends = self.points.clone();
        ends.push(length);
        let mut start = 0;
        let mut lengths = Vec::with_capacity(tops);
        for &end in &ends {
            if end <= start {
                return fail(format!(
                    "slice points must grow and lie between 0 and {length}, the length of axis {axis} of \
                     the bottom, {bottom}; found {:?}",
                    self.points
                ));
            }
            lengths.push(end - start);
            start = end;
        }
        Ok(lengths)
    }
}

impl Layer for SliceLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let bottom = &cx.bottoms[0];
        let axis = bottom.axis(self.axis, "slice_param.axis")?;
        let lengths = self.lengths(bottom, axis, cx.tops.len())?;
        self.outer = bottom.count_to(axis);
        let inner = bottom.count_from(axis + 1);
        self.widths = lengths.iter().map(|length| length * inner).collect();
        for (top, &length) in cx.tops.iter_mut().zip(&lengths) {
            *top = bottom.with_axis(axis, length);
        }
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (step, mut at) = (self.widths.iter().sum(), 0);
        let x = cx.bottom(0).data;
        for (top, &width) in cx.tops.iter_mut().zip(&self.widths) {
            copy_rows(self.outer, width, (x, at, step), (&mut *top.data, 0, width), Write::Set);
            at += width;
        }
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let (step, mut at) = (self.widths.iter().sum(), 0);
        let Some(diff) = &mut cx.bottom_diffs[0] else { return Ok(()) };
        for (dy, &width) in cx.top_diffs.iter().zip(&self.widths) {
            if let Some(dy) = dy {
                copy_rows(
                    self.outer,
                    width,
                    (dy.data, 0, width),
                    (&mut *diff.data, at, step),
                    diff.write,
                );
            }
            at += width;
        }
        Ok(())
    }
}
