//! EltwiseAffine: a learned scale and shift, per channel or one for all.

use cortado_kernels::SrcDst;
use cortado_proto::caffe::EltwiseAffineParameter;
use cortado_proto::defaults::filler_or;

use crate::{
    Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs, Reshape, SetUp,
    Shape,
};

/// The layer type.
pub static KIND: LayerKind =
    LayerKind::new("EltwiseAffine", build, &DOC).needs(needs).dialect("ducha-aiki");

static DOC: LayerDoc = LayerDoc {
    params: &["eltwise_affine_param"],
    bottoms: &["x: N x C x …"],
    tops: &["y: the shape of x"],
    blobs: &["slope: C, or one number with `channel_shared`", "bias: the shape of the slope"],
    forward: "y = slope · x + bias",
    backward: "dx = slope · dy   dslope += Σ dy · x   dbias += Σ dy",
    notes: "Behind a BatchNorm it is what Scale with `bias_term: true` is. A filler not given is 1 for the \
            slope and 0 for the bias.",
    example: r#"layer { name: "aff1" type: "EltwiseAffine" bottom: "bn1" top: "aff1" }"#,
    source: "Mishkin, Sergievskiy, Matas 2016 (caffenet-benchmark); ducha-aiki's caffe",
    ..LayerDoc::new("Multiplies with a learned slope and adds a bias.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.eltwise_affine_param.clone().unwrap_or_default();
    Ok(Box::new(EltwiseAffineLayer { param, dims: [0; 3] }))
}

struct EltwiseAffineLayer {
    param: EltwiseAffineParameter,
    /// The bottom as [outer, slopes, inner].
    dims: [usize; 3],
}

impl Layer for EltwiseAffineLayer {
    fn setup(&mut self, cx: &mut SetUp<'_>) -> Result<(), LayerError> {
        let bottom = &cx.bottoms[0];
        let shape = match self.param.channel_shared() {
            true => Shape::scalar(),
            false => Shape::new(&[bottom[bottom.axis(1, "bottom")?]]),
        };
        let (slope, bias) = (&self.param.slope_filler, &self.param.bias_filler);
        let (slope, bias) = (filler_or(slope.as_ref(), 1.0), filler_or(bias.as_ref(), 0.0));
        cx.weight_of("eltwise_affine_param.slope_filler", shape.clone(), slope);
        cx.weight_of("eltwise_affine_param.bias_filler", shape, bias);
        Ok(())
    }

    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let bottom = cx.bottoms[0].clone();
        let slopes = cx.params[0].count();
        self.dims = match self.param.channel_shared() {
            true => [1, 1, bottom.count()],
            false => bottom.around(bottom.axis(1, "bottom")?).into(),
        };
        if self.dims[1] != slopes {
            let why = format!("the blobs are for {slopes} channels, the bottom is {bottom}");
            return Err(LayerError::bottom(0, why));
        }
        cx.top(0, bottom);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let [outer, c, inner] = self.dims;
        let io = SrcDst::Apart(cx.bottom(0).data, &mut *cx.tops[0].data);
        let [slope, bias] = [0, 1].map(|i| cx.weights[i].data);
        cx.k.affine_channels(outer, c, inner, io, slope, Some(bias));
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let [outer, c, inner] = self.dims;
        let Some(dy) = cx.top_diffs[0] else { return Ok(()) };
        let x = cx.bottom(0).data;
        if let Some(dslope) = &mut cx.weight_diffs[0] {
            cx.k.dot_channels(outer, c, inner, dy.data, x, dslope.data);
        }
        if let Some(dbias) = &mut cx.weight_diffs[1] {
            cx.k.sum_channels(outer, c, inner, dy.data, dbias.data);
        }
        if let Some(dx) = &mut cx.bottom_diffs[0] {
            let io = SrcDst::Apart(dy.data, &mut *dx.data);
            super::scale_channels(cx.k, self.dims, cx.weights[0].data, io, dx.write);
        }
        Ok(())
    }
}
