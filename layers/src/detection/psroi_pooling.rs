//! PSROIPooling: each region reduced to a grid of means, each cell from channels of its own.

use cortado_kernels::Write;
use cortado_proto::caffe::PsroiPoolingParameter;

use super::rois::{self, Roi, clipped};
use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("PSROIPooling", build, &DOC)
    .bottoms(Arity::exactly(2))
    .needs(needs)
    .grads(GradBottoms::Only(&[0]))
    .ends_gradients()
    .dialect("rfcn, intel");

static DOC: LayerDoc = LayerDoc {
    params: &["psroi_pooling_param"],
    bottoms: &[
        "x: N x (output_dim · group_size²) x H x W",
        "regions: R x 5: item, x1, y1, x2, y2 in pixels of the picture",
    ],
    tops: &["y: R x output_dim x group_size x group_size"],
    forward: "y[c, i, j] = mean of channel (c · group_size + i) · group_size + j over cell (i, j) of the \
              grid laid over the region; 0 where a cell is empty",
    backward: "dx += dy / size of the cell, all over the cell; nothing to the regions",
    notes: "Corners are rounded before they are multiplied with `spatial_scale`; a region is at least 0.1 \
            wide and high.",
    example: r#"layer { name: "psroi" type: "PSROIPooling" bottom: "rfcn_cls" bottom: "rois" top: "psroi"
  psroi_pooling_param { spatial_scale: 0.0625 output_dim: 21 group_size: 7 } }"#,
    source: "Dai, Li, He, Sun 2016 (R-FCN), equation 1; psroi_pooling_layer of its Caffe",
    ..LayerDoc::new("Reduces each region to a grid of means, each cell of its own channels.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let Some(p) = def.psroi_pooling_param else {
        return Err(LayerError::layer(
            "`psroi_pooling_param { spatial_scale: … output_dim: … group_size: … }` must be given",
        ));
    };
    for (field, value) in [("output_dim", p.output_dim), ("group_size", p.group_size)] {
        if value < 1 {
            let why = format!("`{field}` must be above 0, found {value}");
            return Err(LayerError::field(format!("psroi_pooling_param.{field}"), why));
        }
    }
    Ok(Box::new(PsroiPoolingLayer { p, features: [0; 4], count: 0 }))
}

struct PsroiPoolingLayer {
    p: PsroiPoolingParameter,
    features: [usize; 4],
    /// Number of regions.
    count: usize,
}

impl PsroiPoolingLayer {
    /// Calls `visit(top element, first element of the plane, places in it)` for each cell.
    fn cells(
        &self,
        r: usize,
        roi: Roi,
        mut visit: impl FnMut(usize, usize, &mut dyn Iterator<Item = usize>, usize),
    ) {
        let [_, c, h, w] = self.features;
        let (outputs, grid) = (self.p.output_dim as usize, self.p.group_size as usize);
        let scale = self.p.spatial_scale;
        let [x1, y1, x2, y2] = roi.corners.map(f32::round);
        let (left, top) = (x1 * scale, y1 * scale);
        let cell_w = ((x2 + 1.0) * scale - left).max(0.1) / grid as f32;
        let cell_h = ((y2 + 1.0) * scale - top).max(0.1) / grid as f32;
        for i in 0..grid {
            let (from, to) = (i as f32 * cell_h + top, (i as f32 + 1.0) * cell_h + top);
            let hs = clipped(from.floor(), to.ceil(), h);
            for j in 0..grid {
                let (from, to) = (j as f32 * cell_w + left, (j as f32 + 1.0) * cell_w + left);
                let ws = clipped(from.floor(), to.ceil(), w);
                for output in 0..outputs {
                    let channel = (output * grid + i) * grid + j;
                    let at = ((r * outputs + output) * grid + i) * grid + j;
                    let mut places = hs.clone().flat_map(|y| ws.clone().map(move |x| y * w + x));
                    visit(at, (roi.item * c + channel) * h * w, &mut places, hs.len() * ws.len());
                }
            }
        }
    }
}

impl Layer for PsroiPoolingLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        (self.features, self.count) = rois::check(&cx.bottoms[0], &cx.bottoms[1])?;
        let (outputs, grid) = (self.p.output_dim as usize, self.p.group_size as usize);
        let wanted = grid.checked_mul(grid).and_then(|cells| cells.checked_mul(outputs));
        if wanted != Some(self.features[1]) {
            let why = format!(
                "x has output_dim {outputs} · group_size² {grid}² channels, found {}",
                cx.bottoms[0]
            );
            return Err(LayerError::bottom(0, why));
        }
        let dims = [self.count, outputs, grid, grid].map(|d| i64::try_from(d).unwrap_or(i64::MAX));
        let top = Shape::from_file(&dims)
            .map_err(|why| LayerError::field("psroi_pooling_param.group_size", why))?;
        cx.top(0, top);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (x, regions) = (cx.bottom(0).data, cx.bottom(1));
        let y = &mut *cx.tops[0].data;
        for r in 0..self.count {
            let roi = rois::at(regions, r, self.features[0])?;
            self.cells(r, roi, |at, plane, places, size| {
                let sum: f32 = places.map(|place| x[plane + place]).sum();
                y[at] = if size == 0 { 0.0 } else { sum / size as f32 };
            });
        }
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let regions = cx.bottom(1);
        let (Some(dy), Some(dx)) = (cx.top_diffs[0], &mut cx.bottom_diffs[0]) else {
            return Ok(());
        };
        if dx.write == Write::Set {
            dx.data.fill(0.0);
        }
        for r in 0..self.count {
            let roi = rois::at(regions, r, self.features[0])?;
            self.cells(r, roi, |at, plane, places, size| {
                let part = dy.data[at] / size as f32;
                places.for_each(|place| dx.data[plane + place] += part);
            });
        }
        Ok(())
    }
}
