//! Pooling: the maximum, the mean, or a random element of each window.

use cortado_kernels::{PoolGeometry, PoolWindow, Round, Write};
use cortado_proto::caffe::PoolingParameter;
use cortado_proto::caffe::pooling_parameter::{PoolMethod, RoundMode};
use cortado_proto::defaults::pool_axes;
use rand::RngExt;

use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind,
    LowerCx, Needs, Phase, PoolKind, Prim, Reshape, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("Pooling", build, &DOC)
    .tops(Arity::between(1, 2))
    .needs(needs)
    .grads(GradBottoms::Only(&[0]))
    .lower(lower);

static DOC: LayerDoc = LayerDoc {
    params: &["pooling_param"],
    bottoms: &["x: N x C x spatial axes"],
    tops: &["y: N x C x output axes", "mask (MAX only): where each maximum stood in its plane"],
    forward: "MAX: y = max of the window (the first of equals)\n\
              AVE: y = sum of the window / its size\n\
              STOCHASTIC: TRAIN an element drawn with probability x/Σx, TEST Σx²/Σx\n\
              output = ⌈(input + 2·pad − kernel) / stride⌉ + 1, less one if the last window would \
              begin in the padding",
    backward: "MAX, STOCHASTIC: dx[mask] += dy   AVE: dx += dy / size",
    notes: "Sizes are rounded up (`round_mode: FLOOR` rounds down), unlike Convolution's. The size of an \
            AVE window counts padding, but not what lies beyond the padded edge. `global_pooling` covers \
            the whole plane whatever its size. Any number of spatial axes (the original: two) and \
            STOCHASTIC on the CPU (the original: not implemented; Zeiler, Fergus 2013) are extensions.",
    example: r#"layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1"
  pooling_param { pool: MAX kernel_size: 3 stride: 2 } }"#,
    source: "Caffe's pooling_layer.cpp",
    ..LayerDoc::new("Reduces each window to one element.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn lower(cx: &LowerCx<'_>) -> Option<Prim> {
    let param = cx.def.pooling_param.clone().unwrap_or_default();
    let kind = match param.pool() {
        PoolMethod::Max if cx.tops.len() == 1 => PoolKind::Max,
        PoolMethod::Ave => PoolKind::Average,
        _ => return None,
    };
    let bottom = &cx.bottoms[0];
    let windows = PoolingLayer { param, geometry: None }.windows(bottom).ok()?;
    Some(Prim::Pool(PoolGeometry { n: bottom[0], c: bottom[1], windows }, kind))
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.pooling_param.clone().unwrap_or_default();
    pool_axes(&param)?;
    if param.pool() == PoolMethod::Stochastic && pads(&param) {
        let why = "STOCHASTIC pooling takes no padding";
        return Err(LayerError::field("pooling_param.pad", why));
    }
    if def.top.len() > 1 && param.pool() != PoolMethod::Max {
        return Err(LayerError::top(1, "only MAX pooling has a second top, the mask"));
    }
    Ok(Box::new(PoolingLayer { param, geometry: None }))
}

fn pads(param: &PoolingParameter) -> bool {
    param.pad() > 0 || param.pad_h() > 0 || param.pad_w() > 0
}

struct PoolingLayer {
    param: PoolingParameter,
    geometry: Option<PoolGeometry>,
}

impl PoolingLayer {
    fn windows(&self, bottom: &Shape) -> Result<Vec<PoolWindow>, LayerError> {
        let spatial = bottom.len().saturating_sub(2);
        if spatial == 0 {
            let why = format!("pooling wants N x C x spatial axes, the bottom is {bottom}");
            return Err(LayerError::bottom(0, why));
        }
        let axes = pool_axes(&self.param)?;
        let both = |pair: [usize; 2], i: usize| if spatial == 2 { pair[i] } else { pair[0] };
        let two_only = self.param.kernel_h.is_some()
            || self.param.stride_h.is_some()
            || self.param.pad_h.is_some();
        if two_only && spatial != 2 {
            let why =
                format!("the `_h`/`_w` fields go with 2 spatial axes, the bottom is {bottom}");
            return Err(LayerError::field("pooling_param.kernel_h", why));
        }
        let round = match self.param.round_mode() {
            RoundMode::Ceil => Round::Ceil,
            RoundMode::Floor => Round::Floor,
        };
        let mut windows = Vec::with_capacity(spatial);
        for i in 0..spatial {
            let input = bottom[2 + i];
            let kernel = axes.kernel.map_or(input, |kernel| both(kernel, i));
            let (stride, pad) = (both(axes.stride, i), both(axes.pad, i));
            let output =
                PoolGeometry::output_size(input, kernel, stride, pad, pads(&self.param), round);
            let output = output.filter(|&output| output > 0 || input == 0).ok_or_else(|| {
                let why = format!(
                    "the window (size {kernel}, stride {stride}, pad {pad}) does not fit spatial axis {i}, \
                     of length {input}"
                );
                LayerError::field("pooling_param.kernel_size", why)
                    .help(format!("the bottom is {bottom}"))
            })?;
            windows.push(PoolWindow { input, output, kernel, stride, pad });
        }
        Ok(windows)
    }
}

impl Layer for PoolingLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let bottom = &cx.bottoms[0];
        let windows = self.windows(bottom)?;
        let outputs: Vec<usize> = windows.iter().map(|w| w.output).collect();
        let top = bottom.with_tail(2, &outputs);
        cx.tops.iter_mut().for_each(|shape| shape.clone_from(&top));
        if self.param.pool() != PoolMethod::Ave {
            cx.save(top.clone());
        }
        if self.param.pool() == PoolMethod::Stochastic {
            cx.scratch = top.count();
        }
        self.geometry = Some(PoolGeometry { n: bottom[0], c: bottom[1], windows });
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let Some(g) = &self.geometry else { return Ok(()) };
        let x = cx.bottom(0).data;
        match self.param.pool() {
            PoolMethod::Ave => cx.k.ave_pool_forward(g, x, cx.tops[0].data),
            PoolMethod::Max => {
                let wanted = cx.backward || cx.tops.len() > 1;
                let mask = wanted.then(|| cx.saved[0].bits_mut());
                cx.k.max_pool_forward(g, x, cx.tops[0].data, mask);
                if let Some(top) = cx.tops.get_mut(1) {
                    let mask = cx.saved[0].bits();
                    let shown = |at: u32| if at == u32::MAX { -1.0 } else { at as f32 };
                    top.data.iter_mut().zip(mask).for_each(|(top, &at)| *top = shown(at));
                }
            }
            PoolMethod::Stochastic if cx.phase == Phase::Train => {
                let uniform = &mut cx.scratch[..];
                uniform.iter_mut().for_each(|u| *u = cx.rng.random());
                let mask = cx.saved[0].bits_mut();
                cx.k.stochastic_pool_train(g, x, uniform, cx.tops[0].data, mask);
            }
            PoolMethod::Stochastic => cx.k.stochastic_pool_test(g, x, cx.tops[0].data),
        }
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let Some(g) = &self.geometry else { return Ok(()) };
        if self.param.pool() == PoolMethod::Stochastic && cx.phase == Phase::Test {
            return Err(LayerError::layer("STOCHASTIC pooling has no gradient in TEST"));
        }
        let (k, Some(dy)) = (cx.k, cx.top_diffs[0]) else { return Ok(()) };
        let Some(dx) = &mut cx.bottom_diffs[0] else { return Ok(()) };
        let write: Write = dx.write;
        match self.param.pool() {
            PoolMethod::Ave => k.ave_pool_backward(g, dy.data, write, dx.data),
            _ => k.max_pool_backward(g, dy.data, cx.saved[0].bits(), write, dx.data),
        }
        Ok(())
    }
}
