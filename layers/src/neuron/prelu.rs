//! PReLU: a rectifier whose slope below 0 is learned per channel.

use cortado_proto::caffe::PReLuParameter;
use cortado_proto::defaults::filler_or;

use crate::{
    Act, Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, LowerCx, Needs, Prim,
    Reshape, SetUp, Shape,
};

/// The layer type.
pub static KIND: LayerKind =
    LayerKind::new("PReLU", build, &DOC).in_place().needs(needs).lower(lower);

static DOC: LayerDoc = LayerDoc {
    params: &["prelu_param"],
    bottoms: &["x: N x C x spatial axes"],
    tops: &["y: the shape of x"],
    blobs: &["a: C, or one number without axes with `channel_shared`"],
    forward: "y = x if x > 0, else a · x",
    backward: "dx = dy if x > 0, else a · dy   da += Σ dy · min(x, 0)",
    notes: "a starts at 0.25 unless a `filler` says otherwise. In place it keeps a copy of its input.",
    example: r#"layer { name: "prelu1" type: "PReLU" bottom: "conv1" top: "conv1" }"#,
    source: "He et al. 2015; Caffe's prelu_layer.cpp",
    ..LayerDoc::new("A rectifier with a learned slope below 0.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

fn lower(cx: &LowerCx<'_>) -> Option<Prim> {
    Some(Prim::Act(Act::PRelu(cx.param(0)?.data.to_vec())))
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.prelu_param.clone().unwrap_or_default();
    Ok(Box::new(PReluLayer { param, dims: [0; 3] }))
}

struct PReluLayer {
    param: PReLuParameter,
    /// The bottom as [outer, channels, inner].
    dims: [usize; 3],
}

impl Layer for PReluLayer {
    fn setup(&mut self, cx: &mut SetUp<'_>) -> Result<(), LayerError> {
        let bottom = &cx.bottoms[0];
        if bottom.len() < 2 {
            let why = format!("PReLU wants at least N x C, the bottom is {bottom}");
            return Err(LayerError::bottom(0, why));
        }
        let filler = filler_or(self.param.filler.as_ref(), 0.25);
        let shape = match self.param.channel_shared() {
            true => Shape::scalar(),
            false => Shape::from([bottom[1]]),
        };
        cx.weight_of("prelu_param.filler", shape, filler);
        Ok(())
    }

    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let bottom = cx.bottoms[0].clone();
        let slopes = cx.params[0].count();
        if bottom.len() < 2 || (!self.param.channel_shared() && bottom[1] != slopes) {
            let why = format!("there are slopes for {slopes} channels, the bottom is {bottom}");
            return Err(LayerError::bottom(0, why));
        }
        self.dims = bottom.around(1).into();
        if cx.in_place[0] && cx.backward {
            cx.save(bottom.clone());
        }
        cx.top(0, bottom);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        if let (None, [copy]) = (&cx.bottoms[0], &mut cx.saved[..]) {
            copy.data_mut().copy_from_slice(cx.tops[0].data);
        }
        let ([outer, c, inner], k, slopes) = (self.dims, cx.k, cx.weights[0].data);
        k.prelu_forward(outer, c, inner, cx.src_dst(0), slopes);
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let ([outer, c, inner], k, slopes) = (self.dims, cx.k, cx.weights[0].data);
        let saved = std::mem::take(&mut cx.saved);
        let x = match (&cx.bottoms[0], &*saved) {
            (Some(bottom), _) => bottom.data,
            (None, [copy]) => copy.data(),
            (None, _) => return Ok(()),
        };
        let dy = match (&cx.top_diffs[0], &cx.bottom_diffs[0]) {
            (Some(dy), _) => dy.data,
            (None, Some(diff)) => &*diff.data,
            (None, None) => return Ok(()),
        };
        if let Some(slope) = &mut cx.weight_diffs[0] {
            k.prelu_backward_slope(outer, c, inner, dy, x, slope.data);
        }
        if let Some((diff, write)) = cx.diff(0) {
            k.prelu_backward_data(outer, c, inner, diff, x, slopes, write);
        }
        Ok(())
    }
}
