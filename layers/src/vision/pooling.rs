//! Pooling: the maximum, the mean, or a random element of each window.

use cortado_kernels::{PoolGeometry, PoolWindow, Round};
use cortado_proto::caffe::PoolingParameter;
use cortado_proto::caffe::pooling_parameter::{PoolMethod, RoundMode};
use cortado_proto::defaults::pool_axes;

use super::pool::Pool;
use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind,
    Layout, Layouts, LowerCx, Needs, PoolKind, Prim, Reshape, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("Pooling", build, &DOC)
    .tops(Arity::between(1, 2))
    .needs(needs)
    .grads(GradBottoms::Only(&[0]))
    .lower(lower)
    .layouts(Layouts::Blocked);

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
    notes: "Sizes are rounded up, unlike Convolution's; `round_mode: FLOOR` rounds down, as does \
            `ceil_mode: false` of forks. The size of an AVE window counts padding, but not what lies beyond \
            the padded edge. `global_pooling` covers the whole plane whatever its size. Any number of spatial axes (the original: two) and \
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
    let windows = PoolingLayer { param, pool: None }.windows(bottom).ok()?;
    Some(Prim::Pool(PoolGeometry { n: bottom[0], c: bottom[1], windows }, kind))
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.pooling_param.clone().unwrap_or_default();
    let axes = pool_axes(&param)?;
    for (field, differs) in
        [("torch_pooling", param.torch_pooling()), ("avg_include_pad", !param.avg_include_pad())]
    {
        if differs {
            let why = format!(
                "`{field}: {}` asks for windows of a fork, which are not built here; without it they are \
                 Caffe's own",
                field == "torch_pooling"
            );
            return Err(LayerError::field(format!("pooling_param.{field}"), why));
        }
    }
    if param.pool() == PoolMethod::Stochastic && pads(&param) {
        let [h, w] = axes.pad;
        let why = format!("STOCHASTIC pooling takes no padding, found {h} and {w}");
        return Err(LayerError::field("pooling_param.pad", why));
    }
    if def.top.len() > 1 && param.pool() != PoolMethod::Max {
        let why = format!(
            "only MAX pooling has a second top, the mask; found {}",
            param.pool().as_str_name()
        );
        return Err(LayerError::top(1, why));
    }
    Ok(Box::new(PoolingLayer { param, pool: None }))
}

/// How sizes are rounded: by `round_mode`, or as forks say it, by `ceil_mode`.
fn round(param: &PoolingParameter) -> Result<Round, LayerError> {
    let by_mode = param.round_mode.map(|_| param.round_mode() == RoundMode::Ceil);
    match (by_mode, param.ceil_mode) {
        (Some(one), Some(other)) if one != other => {
            let why = format!(
                "`ceil_mode: {other}` says the opposite of `round_mode: {}`; one of them is enough",
                param.round_mode().as_str_name()
            );
            Err(LayerError::field("pooling_param.ceil_mode", why))
        }
        (Some(false), _) | (_, Some(false)) => Ok(Round::Floor),
        _ => Ok(Round::Ceil),
    }
}

fn pads(param: &PoolingParameter) -> bool {
    param.pad() > 0 || param.pad_h() > 0 || param.pad_w() > 0
}

/// A row with its padding is held in memory.
const MOST_PADDING: usize = 1 << 20;

struct PoolingLayer {
    param: PoolingParameter,
    pool: Option<Pool>,
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
        let round = round(&self.param)?;
        let mut windows = Vec::with_capacity(spatial);
        for i in 0..spatial {
            let input = bottom[2 + i];
            let kernel = axes.kernel.map_or(input, |kernel| both(kernel, i));
            let (stride, pad) = (both(axes.stride, i), both(axes.pad, i));
            if pad > MOST_PADDING {
                let why = format!("padding of {pad} is too large; up to {MOST_PADDING} is taken");
                return Err(LayerError::field("pooling_param.pad", why));
            }
            let output =
                PoolGeometry::output_size(input, kernel, stride, pad, pads(&self.param), round);
            let output = output.filter(|_| input > 0).ok_or_else(|| {
                let why = format!(
                    "the window (size {kernel}, stride {stride}, pad {pad}) does not fit spatial axis {i} \
                     of the bottom, {bottom}"
                );
                LayerError::field("pooling_param.kernel_size", why)
            })?;
            // Nothing lies behind the padding, however far a window or the next one reaches; rows are made
            // as long.
            let end = input + 2 * pad;
            let (kernel, stride) = (kernel.min(end), stride.min(end));
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
        let method = self.param.pool();
        if Pool::has_mask(method) {
            cx.save(top);
        }
        let geometry = PoolGeometry { n: bottom[0], c: bottom[1], windows };
        self.pool = Some(Pool { method, geometry });
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let Some(pool) = &self.pool else { return Ok(()) };
        let x = cx.bottom(0).data;
        if cx.bottom(0).layout != Layout::Nchw {
            pool.forward_blocked(cx.k, x, cx.tops[0].data, cx.saved);
            return Ok(());
        }
        let drawn = pool.method == PoolMethod::Stochastic;
        let wanted = cx.backward || cx.tops.len() > 1 || drawn;
        let mask = cx.saved.first_mut().filter(|_| wanted).map(|mask| mask.bits_mut());
        pool.forward(cx.k, (cx.phase, &mut *cx.rng), x, cx.tops[0].data, mask);
        if let Some(top) = cx.tops.get_mut(1) {
            let mask = cx.saved[0].bits();
            let shown = |at: u32| if at == u32::MAX { -1.0 } else { at as f32 };
            top.data.iter_mut().zip(mask).for_each(|(top, &at)| *top = shown(at));
        }
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let (Some(pool), Some(dy)) = (&self.pool, cx.top_diffs[0]) else { return Ok(()) };
        let Some(dx) = &mut cx.bottom_diffs[0] else { return Ok(()) };
        let mask = cx.saved.first().map_or(&[][..], |mask| mask.bits());
        if dx.layout != Layout::Nchw {
            pool.backward_blocked(cx.k, dy.data, mask, dx.write, dx.data);
            return Ok(());
        }
        pool.backward(cx.k, cx.phase, dy.data, mask, dx.write, dx.data)
    }
}
