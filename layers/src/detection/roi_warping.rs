//! ROIWarping: each region read bilinearly on a grid.

use cortado_kernels::Write;

use super::rois::{self, Roi};
use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("ROIWarping", build, &DOC)
    .bottoms(Arity::exactly(2))
    .needs(needs)
    .grads(GradBottoms::Only(&[0]))
    .ends_gradients()
    .dialect("mnc");

static DOC: LayerDoc = LayerDoc {
    params: &["roi_warping_param"],
    bottoms: &["x: N x C x H x W", "regions: R x 5: item, x1, y1, x2, y2 in pixels of the picture"],
    tops: &["y: R x C x pooled_h x pooled_w"],
    forward: "y[i, j] = x, read bilinearly at (y1 + i · height / pooled_h, x1 + j · width / pooled_w)",
    backward: "dx += dy in the parts with which each element was read",
    notes: "Corners are multiplied with `spatial_scale` and rounded. A point more than half a pixel outside of \
            the plane counts as 0. In the fork the regions get a gradient as well; here they do not.",
    example: r#"layer { name: "roi_pool5" type: "ROIWarping" bottom: "conv5_3" bottom: "rois" top: "pool5"
  roi_warping_param { pooled_w: 7 pooled_h: 7 spatial_scale: 0.0625 } }"#,
    source: "Dai, He, Sun 2016 (Instance-aware Semantic Segmentation via Multi-task Network Cascades), \
             section 3.2",
    ..LayerDoc::new("Reads each region on a grid of points.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let p = def.roi_warping_param.unwrap_or_default();
    let (height, width, scale) = (p.pooled_h() as usize, p.pooled_w() as usize, p.spatial_scale());
    if height == 0 || width == 0 {
        let why = format!("`pooled_h` and `pooled_w` must be above 0, found {height} and {width}");
        return Err(LayerError::field("roi_warping_param.pooled_h", why));
    }
    Ok(Box::new(RoiWarpingLayer { grid: [height, width], scale, features: [0; 4], count: 0 }))
}

struct RoiWarpingLayer {
    grid: [usize; 2],
    scale: f32,
    features: [usize; 4],
    count: usize,
}

/// Along one axis: two neighbours and the part of the second one.
pub(crate) fn tap(at: f32, length: usize) -> Option<(usize, usize, f32)> {
    if !(at >= -0.5 && at <= length as f32 - 0.5) {
        return None;
    }
    let (at, last) = (at.max(0.0), length - 1);
    let first = (at as usize).min(last);
    let part = if first == last { 0.0 } else { at - first as f32 };
    Some((first, (first + 1).min(last), part))
}

impl RoiWarpingLayer {
    /// Calls `visit(cell, element of the plane, weight)` for all that the cells of a region read.
    fn visit(&self, roi: Roi, mut visit: impl FnMut(usize, usize, f32)) {
        let [.., h, w] = self.features;
        let [x1, y1, x2, y2] = roi.corners.map(|v| (v * self.scale).round());
        let point = |start: f32, end: f32, i: usize, cells: usize| {
            start + i as f32 * ((end - start).max(0.0) / cells as f32)
        };
        let [rows, columns] = self.grid;
        for cell in 0..rows * columns {
            let (i, j) = (cell / columns, cell % columns);
            let y = tap(point(y1, y2, i, rows), h);
            let x = tap(point(x1, x2, j, columns), w);
            let (Some((y0, y1, v)), Some((x0, x1, u))) = (y, x) else { continue };
            visit(cell, y0 * w + x0, (1.0 - v) * (1.0 - u));
            visit(cell, y0 * w + x1, (1.0 - v) * u);
            visit(cell, y1 * w + x0, v * (1.0 - u));
            visit(cell, y1 * w + x1, v * u);
        }
    }
}

impl Layer for RoiWarpingLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        (self.features, self.count) = rois::check(&cx.bottoms[0], &cx.bottoms[1])?;
        let [_, c, h, w] = self.features;
        if h == 0 || w == 0 {
            let why = format!("the planes of {} are empty", cx.bottoms[0]);
            return Err(LayerError::bottom(0, why));
        }
        let dims = [self.count, c, self.grid[0], self.grid[1]];
        let top = Shape::from_file(&dims.map(|d| i64::try_from(d).unwrap_or(i64::MAX)))
            .map_err(|why| LayerError::field("roi_warping_param.pooled_h", why))?;
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
