//! Crop: a part of a blob, of the size of another.

use cortado_kernels::Write;

use super::slabs::copy_rows;
use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("Crop", build, &DOC)
    .bottoms(Arity::exactly(2))
    .needs(needs)
    .grads(GradBottoms::Only(&[0]))
    .ends_gradients();

static DOC: LayerDoc = LayerDoc {
    params: &["crop_param"],
    bottoms: &["x: any shape", "reference: only its lengths from `axis` on are used"],
    tops: &["y: the lengths of x before `axis`, those of the reference from there on"],
    forward: "y[p] = x[p + offset]",
    backward: "dx[p + offset] = dy[p], 0 around it; nothing to the reference",
    notes: "`offset` stands once for all axes from `axis` on, or once per such axis.",
    example: r#"layer { name: "score" type: "Crop" bottom: "upscore" bottom: "data" top: "score"
  crop_param { axis: 2 offset: 19 } }"#,
    source: "Caffe's crop_layer.cpp",
    ..LayerDoc::new("Cuts a blob to the size of another.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.crop_param.clone().unwrap_or_default();
    let offsets = param.offset.iter().map(|&offset| offset as usize).collect();
    let (from, to) = (Shape::scalar(), Shape::scalar());
    Ok(Box::new(CropLayer { axis: param.axis(), offsets, from, to, first: Vec::new() }))
}

struct CropLayer {
    axis: i32,
    offsets: Vec<usize>,
    from: Shape,
    to: Shape,
    /// Of each axis, the first index that is kept.
    first: Vec<usize>,
}

impl CropLayer {
    /// Calls `f(place in the bottom, place in the top)` for every two axes' worth of the top, a
    /// plane of rows.
    fn each_plane(&self, mut f: impl FnMut(usize, usize)) {
        let planes = self.to.len().saturating_sub(2);
        let plane = self.to.count_from(planes);
        if plane == 0 {
            return;
        }
        for at in 0..self.to.count_to(planes) {
            let (mut rest, mut from, mut step) = (at, 0, self.from.count_from(planes));
            for axis in (0..planes).rev() {
                from += (rest % self.to[axis] + self.first[axis]) * step;
                rest /= self.to[axis];
                step *= self.from[axis];
            }
            f(from + self.start(), at * plane);
        }
    }

    /// Rows of a plane, their lengths in the top and in the bottom.
    fn rows(&self) -> (usize, usize, usize) {
        let last = |shape: &Shape| shape.last().copied().unwrap_or(1);
        let rows = self.to.len().checked_sub(2).map_or(1, |axis| self.to[axis]);
        (rows, last(&self.to), last(&self.from))
    }

    /// Where in a plane of the bottom the first row begins.
    fn start(&self) -> usize {
        match self.first[..] {
            [] => 0,
            [column] => column,
            [.., row, column] => row * self.rows().2 + column,
        }
    }
}

impl Layer for CropLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let (x, reference) = (&cx.bottoms[0], &cx.bottoms[1]);
        let axis = x.axis(self.axis, "crop_param.axis")?;
        let cropped = x.len() - axis;
        if self.offsets.len() > 1 && self.offsets.len() != cropped {
            let why = format!(
                "`offset` stands once or once for each of the {cropped} axes from {axis} on, found {} times",
                self.offsets.len()
            );
            return Err(LayerError::field("crop_param.offset", why));
        }
        if reference.len() < x.len() {
            let why = format!("the reference has as many axes as {x}, found {reference}");
            return Err(LayerError::bottom(1, why));
        }
        self.first = vec![0; x.len()];
        for i in axis..x.len() {
            let offset = self.offsets.get(i - axis).or(self.offsets.first()).copied();
            self.first[i] = offset.unwrap_or(0);
            if self.first[i].saturating_add(reference[i]) > x[i] {
                let why = format!(
                    "{} elements from offset {} on do not fit axis {i} of {x}",
                    reference[i], self.first[i]
                );
                return Err(LayerError::field("crop_param.offset", why)
                    .help(format!("the reference is {reference}")));
            }
        }
        self.from = x.clone();
        self.to = x.with_tail(axis, &reference[axis..x.len()]);
        cx.top(0, self.to.clone());
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (x, (rows, width, step)) = (cx.bottom(0).data, self.rows());
        let y = &mut *cx.tops[0].data;
        self.each_plane(|from, to| {
            copy_rows(rows, width, (x, from, step), (y, to, width), Write::Set);
        });
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let (Some(dy), (rows, width, step)) = (cx.top_diffs[0], self.rows()) else { return Ok(()) };
        let Some(dx) = &mut cx.bottom_diffs[0] else { return Ok(()) };
        if dx.write == Write::Set {
            dx.data.fill(0.0);
        }
        self.each_plane(|from, to| {
            copy_rows(rows, width, (dy.data, to, width), (dx.data, from, step), Write::Add);
        });
        Ok(())
    }
}
