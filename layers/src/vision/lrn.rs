//! LRN: local response normalisation, over channels or over a square around each position.

use cortado_kernels::{PoolGeometry, PoolWindow, Write};
use cortado_proto::caffe::LrnParameter;
use cortado_proto::caffe::lrn_parameter::NormRegion;

use crate::{
    Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, LowerCx, Needs, Prim,
    Reshape, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("LRN", build, &DOC).needs(needs).lower(lower);

static DOC: LayerDoc = LayerDoc {
    params: &["lrn_param"],
    bottoms: &["x: N x C x spatial axes"],
    tops: &["y: the shape of x"],
    forward: "ACROSS_CHANNELS: s = k + alpha/n · Σ x² over n channels around c   y = x · s^−beta\n\
              WITHIN_CHANNEL: s = 1 + alpha · mean of x² over the n-square around p   y = x · s^−beta",
    backward: "dx = s^−beta · dy − 2·(alpha/n)·beta · x · Σ (dy · y / s) over the same neighbours",
    notes: "n is `local_size`, which must be odd. WITHIN_CHANNEL ignores `k`, and its mean counts the \
            padding: the original builds it from an average pooling.",
    example: r#"layer { name: "norm1" type: "LRN" bottom: "pool1" top: "norm1"
  lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 } }"#,
    source: "Krizhevsky, Sutskever, Hinton 2012, section 3.3; Caffe's lrn_layer.cpp",
    ..LayerDoc::new("Divides each element by the strength of its neighbours.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTH
}

fn lower(cx: &LowerCx<'_>) -> Option<Prim> {
    let p = cx.def.lrn_param.unwrap_or_default();
    let (size, alpha, beta, k) = (p.local_size() as usize, p.alpha(), p.beta(), p.k());
    let across = p.norm_region() == NormRegion::AcrossChannels;
    across.then_some(Prim::Lrn { size, alpha, beta, k })
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.lrn_param.unwrap_or_default();
    if param.local_size().is_multiple_of(2) {
        let why = format!("`local_size` must be odd, found {}", param.local_size());
        return Err(LayerError::field("lrn_param.local_size", why));
    }
    Ok(Box::new(LrnLayer { param, dims: [0; 3], square: None }))
}

struct LrnLayer {
    param: LrnParameter,
    /// The bottom as [outer, channels, inner].
    dims: [usize; 3],
    /// The squares of WITHIN_CHANNEL.
    square: Option<PoolGeometry>,
}

impl LrnLayer {
    fn within(&self, bottom: &Shape) -> PoolGeometry {
        let kernel = self.param.local_size() as usize;
        let window = |&input: &usize| PoolWindow {
            input,
            output: input,
            kernel,
            stride: 1,
            pad: (kernel - 1) / 2,
        };
        PoolGeometry {
            n: bottom[0],
            c: bottom[1],
            windows: bottom[2..].iter().map(window).collect(),
        }
    }
}

impl Layer for LrnLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let bottom = cx.bottoms[0].clone();
        let is_within = self.param.norm_region() == NormRegion::WithinChannel;
        let least = if is_within { 3 } else { 2 };
        if bottom.len() < least {
            let why = format!("LRN wants N x C x spatial axes, the bottom is {bottom}");
            return Err(LayerError::bottom(0, why));
        }
        let (outer, c, inner) = bottom.around(1);
        self.dims = [outer, c, inner];
        if is_within {
            self.square = Some(self.within(&bottom));
        }
        cx.save(bottom.clone());
        cx.scratch = 2 * bottom.count();
        cx.top(0, bottom);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (x, k, p) = (cx.bottom(0).data, cx.k, &self.param);
        let ([outer, c, inner], y) = (self.dims, &mut *cx.tops[0].data);
        let s = cx.saved[0].data_mut();
        let Some(square) = &self.square else {
            let size = p.local_size() as usize;
            k.lrn_across_forward(outer, c, inner, size, p.alpha(), p.beta(), p.k(), x, s, y);
            return Ok(());
        };
        let squares = &mut cx.scratch[..x.len()];
        k.mul(x, x, squares);
        k.ave_pool_forward(square, squares, s);
        k.affine(cortado_kernels::SrcDst::InPlace(s), p.alpha(), 1.0);
        k.powf(cortado_kernels::SrcDst::Apart(s, squares), -p.beta());
        k.mul(x, squares, y);
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let (x, y, k, p) = (cx.bottom(0).data, cx.tops[0].data, cx.k, &self.param);
        let ([outer, c, inner], Some(dy)) = (self.dims, cx.top_diffs[0]) else { return Ok(()) };
        let Some(dx) = &mut cx.bottom_diffs[0] else { return Ok(()) };
        let (s, dy) = (cx.saved[0].data(), dy.data);
        let Some(square) = &self.square else {
            let size = p.local_size() as usize;
            let (alpha, beta) = (p.alpha(), p.beta());
            k.lrn_across_backward(
                outer, c, inner, size, alpha, beta, x, y, s, dy, dx.write, dx.data,
            );
            return Ok(());
        };
        // ds = −beta · dy · y / s, spread over each square as its mean, times the gradient of x².
        let (ds, spread) = cx.scratch[..2 * x.len()].split_at_mut(x.len());
        for i in 0..x.len() {
            ds[i] = dy[i] * y[i] / s[i];
        }
        k.ave_pool_backward(square, ds, Write::Set, spread);
        let factor = -2.0 * p.alpha() * p.beta();
        k.powf(cortado_kernels::SrcDst::Apart(s, ds), -p.beta());
        for i in 0..x.len() {
            let value = dy[i] * ds[i] + factor * x[i] * spread[i];
            match dx.write {
                Write::Set => dx.data[i] = value,
                Write::Add => dx.data[i] += value,
            }
        }
        Ok(())
    }
}
