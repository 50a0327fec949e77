//! ROIAlign: each region reduced to a grid of means of points between the pixels.

use cortado_kernels::Write;

use super::rois::{self, Roi};
use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("ROIAlign", build, &DOC)
    .bottoms(Arity::exactly(2))
    .needs(needs)
    .grads(GradBottoms::Only(&[0]))
    .ends_gradients()
    .dialect("mask-rcnn");

static DOC: LayerDoc = LayerDoc {
    params: &["roi_align_param"],
    bottoms: &["x: N x C x H x W", "regions: R x 5: item, x1, y1, x2, y2 in pixels of the picture"],
    tops: &["y: R x C x pooled_h x pooled_w"],
    forward: "y = mean of x, read bilinearly, at the points of a cell: ⌈cell height⌉ rows of ⌈cell width⌉ \
              points, evenly apart",
    backward: "dx += dy / number of points, in the parts with which each element was read",
    notes: "Corners are multiplied with `spatial_scale` and not rounded; a region is at least 1 wide and \
            high. A point more than 1 outside of the plane counts as 0.",
    example: r#"layer { name: "pool5" type: "ROIAlign" bottom: "conv5" bottom: "rois" top: "pool5"
  roi_align_param { pooled_h: 7 pooled_w: 7 spatial_scale: 0.0625 } }"#,
    source: "He, Gkioxari, Dollár, Girshick 2017 (Mask R-CNN), section 3",
    ..LayerDoc::new("Reduces each region to a grid of means, without rounding.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let p = def.roi_align_param.unwrap_or_default();
    let (height, width, scale) = (p.pooled_h() as usize, p.pooled_w() as usize, p.spatial_scale());
    if height == 0 || width == 0 {
        let why = format!("`pooled_h` and `pooled_w` must be above 0, found {height} and {width}");
        return Err(LayerError::field("roi_align_param.pooled_h", why));
    }
    Ok(Box::new(RoiAlignLayer { grid: [height, width], scale, features: [0; 4], count: 0 }))
}

struct RoiAlignLayer {
    grid: [usize; 2],
    scale: f32,
    features: [usize; 4],
    /// Number of regions.
    count: usize,
}

/// Along one axis: where a point is read, as two neighbours and the part of the second one.
fn tap(at: f32, length: usize) -> Option<(usize, usize, f32)> {
    if !(at >= -1.0 && at <= length as f32) {
        return None;
    }
    let (at, last) = (at.max(0.0), length - 1);
    let first = (at as usize).min(last);
    let part = if first == last { 0.0 } else { at - first as f32 };
    Some((first, (first + 1).min(last), part))
}

/// The points of each cell along one axis: as many per cell as the cell is long.
fn points(
    start: f32,
    end: f32,
    cells: usize,
    length: usize,
) -> Vec<Vec<Option<(usize, usize, f32)>>> {
    let cell = (end - start).max(1.0) / cells as f32;
    // No more points than make a difference, however long a region's numbers say it is.
    let count = (cell.ceil() as usize).clamp(1, 2 * length.max(1));
    let point = |i: usize, p: usize| start + (i as f32 + (p as f32 + 0.5) / count as f32) * cell;
    (0..cells).map(|i| (0..count).map(|p| tap(point(i, p), length)).collect()).collect()
}

impl RoiAlignLayer {
    /// Calls `visit(cell, element of the plane, weight)` for all that the cells of a region read.
    fn visit(&self, roi: Roi, mut visit: impl FnMut(usize, usize, f32)) {
        let [.., h, w] = self.features;
        let [x1, y1, x2, y2] = roi.corners.map(|v| v * self.scale);
        let rows = points(y1, y2, self.grid[0], h);
        let columns = points(x1, x2, self.grid[1], w);
        for (i, ys) in rows.iter().enumerate() {
            for (j, xs) in columns.iter().enumerate() {
                let share = 1.0 / (ys.len() * xs.len()) as f32;
                for &(y0, y1, v) in ys.iter().flatten() {
                    for &(x0, x1, u) in xs.iter().flatten() {
                        let cell = i * self.grid[1] + j;
                        visit(cell, y0 * w + x0, share * (1.0 - v) * (1.0 - u));
                        visit(cell, y0 * w + x1, share * (1.0 - v) * u);
                        visit(cell, y1 * w + x0, share * v * (1.0 - u));
                        visit(cell, y1 * w + x1, share * v * u);
                    }
                }
            }
        }
    }
}

impl Layer for RoiAlignLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        (self.features, self.count) = rois::check(&cx.bottoms[0], &cx.bottoms[1])?;
        let [_, c, h, w] = self.features;
        if h == 0 || w == 0 {
            return Err(LayerError::bottom(
                0,
                format!("the planes of {} are empty", cx.bottoms[0]),
            ));
        }
        let dims = [self.count, c, self.grid[0], self.grid[1]];
        let top = Shape::from_file(&dims.map(|d| i64::try_from(d).unwrap_or(i64::MAX)))
            .map_err(|why| LayerError::field("roi_align_param.pooled_h", why))?;
        cx.top(0, top);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let ([n, c, h, w], cells) = (self.features, self.grid[0] * self.grid[1]);
        let (x, regions) = (cx.bottom(0).data, cx.bottom(1));
        let y = &mut *cx.tops[0].data;
        y.fill(0.0);
        for r in 0..self.count {
            let roi = rois::at(regions, r, n)?;
            let planes = &x[roi.item * c * h * w..][..c * h * w];
            let y = &mut y[r * c * cells..][..c * cells];
            self.visit(roi, |cell, at, weight| {
                for channel in 0..c {
                    y[channel * cells + cell] += weight * planes[channel * h * w + at];
                }
            });
        }
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let ([n, c, h, w], cells) = (self.features, self.grid[0] * self.grid[1]);
        let regions = cx.bottom(1);
        let (Some(dy), Some(dx)) = (cx.top_diffs[0], &mut cx.bottom_diffs[0]) else {
            return Ok(());
        };
        if dx.write == Write::Set {
            dx.data.fill(0.0);
        }
        for r in 0..self.count {
            let roi = rois::at(regions, r, n)?;
            let planes = &mut dx.data[roi.item * c * h * w..][..c * h * w];
            let dy = &dy.data[r * c * cells..][..c * cells];
            self.visit(roi, |cell, at, weight| {
                for channel in 0..c {
                    planes[channel * h * w + at] += weight * dy[channel * cells + cell];
                }
            });
        }
        Ok(())
    }
}
