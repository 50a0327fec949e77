//! ROIPooling: each region of a blob reduced to a grid of maxima.

use cortado_kernels::Write;

use super::rois::{self, clipped};
use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("ROIPooling", build, &DOC)
    .bottoms(Arity::exactly(2))
    .needs(needs)
    .grads(GradBottoms::Only(&[0]))
    .ends_gradients()
    .dialect("fast-rcnn, rfcn, intel, ducha-aiki");

static DOC: LayerDoc = LayerDoc {
    params: &["roi_pooling_param"],
    bottoms: &["x: N x C x H x W", "regions: R x 5: item, x1, y1, x2, y2 in pixels of the picture"],
    tops: &["y: R x C x pooled_h x pooled_w"],
    forward: "y = max of x over each cell of the grid laid over the region; 0 where a cell is empty",
    backward: "dx += dy where the maximum stood; nothing to the regions",
    notes: "Corners are multiplied with `spatial_scale`, rounded, and both belong to the region; cells are \
            rounded outwards, so that they may overlap.",
    example: r#"layer { name: "pool5" type: "ROIPooling" bottom: "conv5" bottom: "rois" top: "pool5"
  roi_pooling_param { pooled_h: 7 pooled_w: 7 spatial_scale: 0.0625 } }"#,
    source: "Girshick 2015 (Fast R-CNN), section 2.1; roi_pooling_layer.cpp of its Caffe",
    ..LayerDoc::new("Reduces each region to a grid of maxima.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let p = def.roi_pooling_param.clone().unwrap_or_default();
    let given = |own: Option<u32>, i: usize| own.or(p.pooled_size.get(i).copied());
    let side = |own: Option<u32>, i: usize| given(own, i).or(p.pooled_size.first().copied());
    let grid = [side(p.pooled_h, 0), side(p.pooled_w, 1)];
    let [Some(height @ 1..), Some(width @ 1..)] = grid else {
        let why = format!(
            "`pooled_h` and `pooled_w` must be above 0, found {} and {}",
            grid[0].unwrap_or(0),
            grid[1].unwrap_or(0)
        );
        return Err(LayerError::field("roi_pooling_param.pooled_h", why));
    };
    let grid = [height as usize, width as usize];
    Ok(Box::new(RoiPoolingLayer { grid, scale: p.spatial_scale(), features: [0; 4], count: 0 }))
}

struct RoiPoolingLayer {
    grid: [usize; 2],
    scale: f32,
    features: [usize; 4],
    /// Number of regions.
    count: usize,
}

/// No place.
const NOWHERE: u32 = u32::MAX;

impl Layer for RoiPoolingLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        (self.features, self.count) = rois::check(&cx.bottoms[0], &cx.bottoms[1])?;
        let dims = [self.count, self.features[1], self.grid[0], self.grid[1]];
        let top = Shape::from_file(&dims.map(|d| i64::try_from(d).unwrap_or(i64::MAX)))
            .map_err(|why| LayerError::field("roi_pooling_param.pooled_h", why))?;
        // Where in its plane each maximum stood.
        cx.save(top.clone());
        cx.top(0, top);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let ([n, c, h, w], [rows, columns]) = (self.features, self.grid);
        let (x, regions) = (cx.bottom(0).data, cx.bottom(1));
        let (y, mask) = (&mut *cx.tops[0].data, cx.saved[0].bits_mut());
        for r in 0..self.count {
            let roi = rois::at(regions, r, n)?;
            let [x1, y1, x2, y2] = roi.corners.map(|v| (v * self.scale).round());
            let cell_h = (y2 - y1 + 1.0).max(1.0) / rows as f32;
            let cell_w = (x2 - x1 + 1.0).max(1.0) / columns as f32;
            for cell in 0..rows * columns {
                let (i, j) = ((cell / columns) as f32, (cell % columns) as f32);
                let hs = clipped((i * cell_h).floor() + y1, ((i + 1.0) * cell_h).ceil() + y1, h);
                let ws = clipped((j * cell_w).floor() + x1, ((j + 1.0) * cell_w).ceil() + x1, w);
                for channel in 0..c {
                    let plane = &x[(roi.item * c + channel) * h * w..][..h * w];
                    let places = hs.clone().flat_map(|h| ws.clone().map(move |j| h * w + j));
                    let mut best = None;
                    for place in places {
                        if best.is_none_or(|(most, _)| plane[place] > most) {
                            best = Some((plane[place], place as u32));
                        }
                    }
                    let at = (r * c + channel) * rows * columns + cell;
                    (y[at], mask[at]) = best.unwrap_or((0.0, NOWHERE));
                }
            }
        }
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let ([n, c, h, w], cells) = (self.features, self.grid[0] * self.grid[1]);
        let regions = cx.bottom(1);
        let mask = cx.saved[0].bits();
        let (Some(dy), Some(dx)) = (cx.top_diffs[0], &mut cx.bottom_diffs[0]) else {
            return Ok(());
        };
        if dx.write == Write::Set {
            dx.data.fill(0.0);
        }
        for r in 0..self.count {
            let item = rois::at(regions, r, n)?.item;
            for i in 0..c * cells {
                let (at, plane) = (r * c * cells + i, item * c + i / cells);
                if mask[at] != NOWHERE {
                    dx.data[plane * h * w + mask[at] as usize] += dy.data[at];
                }
            }
        }
        Ok(())
    }
}
