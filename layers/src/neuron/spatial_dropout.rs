//! SpatialDropout: whole channels left out at random.

use cortado_kernels::{SrcDst, Write};
use rand::RngExt;

use crate::{
    Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs, Phase, Reshape,
};

/// The layer type.
pub static KIND: LayerKind =
    LayerKind::new("SpatialDropout", build, &DOC).needs(needs).dialect("intel");

static DOC: LayerDoc = LayerDoc {
    params: &["spatial_dropout_param"],
    bottoms: &["x: N x C x …"],
    tops: &["y: the shape of x"],
    forward: "TRAIN: y = x / (1 − dropout_ratio), or with that probability 0, drawn per item and channel\n\
              TEST: y = x",
    backward: "dx = dy with the same factors",
    example: r#"layer { name: "drop1" type: "SpatialDropout" bottom: "conv1" top: "drop1"
  spatial_dropout_param { dropout_ratio: 0.1 } }"#,
    source: "Tompson et al. 2014 (Efficient Object Localization), section 4.2; Intel's Caffe",
    ..LayerDoc::new("Leaves out whole channels at random in training.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let ratio = def.spatial_dropout_param.unwrap_or_default().dropout_ratio();
    if !(0.0..1.0).contains(&ratio) {
        let why = format!("`dropout_ratio` is at least 0 and below 1, found {ratio}");
        return Err(LayerError::field("spatial_dropout_param.dropout_ratio", why));
    }
    Ok(Box::new(SpatialDropoutLayer { ratio, planes: 0, inner: 0 }))
}

struct SpatialDropoutLayer {
    ratio: f32,
    /// Items x channels.
    planes: usize,
    inner: usize,
}

impl Layer for SpatialDropoutLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let bottom = cx.bottoms[0].clone();
        let axis = bottom.axis(1, "bottom")?;
        (self.planes, self.inner) = (bottom.count_to(axis + 1), bottom.count_from(axis + 1));
        // What each channel is multiplied with.
        cx.save([self.planes]);
        cx.top(0, bottom);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let train = cx.phase == Phase::Train;
        let kept = 1.0 / (1.0 - self.ratio);
        for factor in cx.saved[0].data_mut() {
            *factor = match train {
                true if cx.rng.random::<f32>() < self.ratio => 0.0,
                true => kept,
                false => 1.0,
            };
        }
        let io = SrcDst::Apart(cx.bottom(0).data, &mut *cx.tops[0].data);
        cx.k.mul_channels(1, self.planes, self.inner, io, cx.saved[0].data());
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let (Some(dy), Some(dx)) = (cx.top_diffs[0], &mut cx.bottom_diffs[0]) else {
            return Ok(());
        };
        if dx.write == Write::Set {
            dx.data.fill(0.0);
        }
        let width = self.inner.max(1);
        let planes = dy.data.chunks(width).zip(dx.data.chunks_mut(width));
        for ((dy, dx), &factor) in planes.zip(cx.saved[0].data()) {
            cx.k.axpy(factor, dy, dx);
        }
        Ok(())
    }
}
