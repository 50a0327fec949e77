//! MVN: mean-variance normalisation of each item by itself.

use cortado_kernels::{SrcDst, Write};
use cortado_proto::caffe::MvnParameter;

use crate::{Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs, Reshape};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("MVN", build, &DOC).needs(needs);

static DOC: LayerDoc = LayerDoc {
    params: &["mvn_param"],
    bottoms: &["x: N x C x spatial axes"],
    tops: &["y: the shape of x"],
    forward: "y = (x − μ) / (σ + eps), μ and σ over each plane, or over all channels of an item with \
              `across_channels`; only x − μ without `normalize_variance`",
    backward: "dx = (dy − mean(dy) − mean(dy · y) · y) / (σ + eps); without the variance dy − mean(dy)",
    notes: "`eps` stands outside the root, unlike in BatchNorm.",
    example: r#"layer { name: "mvn" type: "MVN" bottom: "data" top: "mvn" }"#,
    source: "Caffe's mvn_layer.cpp",
    ..LayerDoc::new("Normalises each plane to mean 0 and variance 1.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::TOP
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.mvn_param.unwrap_or_default();
    Ok(Box::new(MvnLayer { param, rows: 0, width: 0 }))
}

struct MvnLayer {
    param: MvnParameter,
    /// How many groups are normalised by themselves, and how long each is.
    rows: usize,
    width: usize,
}

impl Layer for MvnLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let bottom = cx.bottoms[0].clone();
        let axes = if self.param.across_channels() { 1 } else { 2 };
        if bottom.len() < axes {
            let why = format!("MVN wants N x C x spatial axes, the bottom is {bottom}");
            return Err(LayerError::bottom(0, why));
        }
        self.rows = bottom.count_to(axes);
        self.width = bottom.count_from(axes);
        cx.save([self.rows]);
        cx.save([self.rows]);
        cx.top(0, bottom);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let x = cx.bottom(0).data;
        let [mean, scale] = &mut cx.saved[..] else { return Ok(()) };
        let (mean, scale) = (mean.data_mut(), scale.data_mut());
        cx.k.moments(1, self.rows, self.width, x, mean, scale);
        for (mean, scale) in mean.iter_mut().zip(&mut *scale) {
            *scale = match self.param.normalize_variance() {
                true => 1.0 / (scale.sqrt() + self.param.eps()),
                false => 1.0,
            };
            *mean *= -*scale;
        }
        let io = SrcDst::Apart(x, cx.tops[0].data);
        cx.k.affine_channels(1, self.rows, self.width, io, scale, Some(mean));
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let (y, Some(dy)) = (cx.tops[0].data, cx.top_diffs[0]) else { return Ok(()) };
        let Some(dx) = &mut cx.bottom_diffs[0] else { return Ok(()) };
        let (scale, with_variance) = (cx.saved[1].data(), self.param.normalize_variance());
        let width = self.width.max(1);
        let rows = dy.data.chunks(width).zip(y.chunks(width)).zip(dx.data.chunks_mut(width));
        for (row, ((dy, y), dx_row)) in rows.enumerate() {
            let n = dy.len() as f64;
            let mean = (cx.k.sum(dy) / n) as f32;
            let along = if with_variance { (cx.k.dot(dy, y) / n) as f32 } else { 0.0 };
            for ((dx_value, &dy), &y) in dx_row.iter_mut().zip(dy).zip(y) {
                let value = (dy - mean - along * y) * scale[row];
                match dx.write {
                    Write::Set => *dx_value = value,
                    Write::Add => *dx_value += value,
                }
            }
        }
        Ok(())
    }
}
