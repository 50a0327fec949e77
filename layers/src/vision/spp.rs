//! SPP: poolings of ever finer grids, joined: as many numbers for pictures of any size.

use cortado_kernels::{PoolGeometry, PoolWindow, Round, Write};
use cortado_proto::caffe::pooling_parameter::PoolMethod;
use cortado_proto::caffe::spp_parameter;

use super::pool::Pool;
use crate::common::slabs::copy_rows;
use crate::{
    Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs, Reshape, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("SPP", build, &DOC).needs(needs);

static DOC: LayerDoc = LayerDoc {
    params: &["spp_param"],
    bottoms: &["x: N x C x spatial axes"],
    tops: &["y: N x (C · number of bins of all levels); N x C x 1 x … with one level"],
    forward: "y = [level 0, level 1, …], level l the pooling of x on a grid of 2^l bins per axis\n\
              kernel = stride = ⌈input / bins⌉, pad = ⌈(kernel · bins − input) / 2⌉",
    backward: "dx = Σ of the gradients of the levels' poolings",
    notes: "`pyramid_height` is the number of levels. As in the original an axis can't be cut into bins \
            where the padding would reach the size of the kernel, such as 17 into 8 bins. Any number of \
            spatial axes (the original: two) and STOCHASTIC are extensions.",
    example: r#"layer { name: "spp" type: "SPP" bottom: "conv5" top: "spp"
  spp_param { pyramid_height: 3 pool: MAX } }"#,
    source: "He, Zhang, Ren, Sun 2014, arXiv 1406.4729; Caffe's spp_layer.cpp",
    ..LayerDoc::new("Pools a picture of any size to a vector of one length.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.spp_param.unwrap_or_default();
    let height = param.pyramid_height();
    if height == 0 {
        let why = "`pyramid_height` must be given and above 0";
        return Err(LayerError::field("spp_param.pyramid_height", why));
    }
    let method = match param.pool() {
        spp_parameter::PoolMethod::Max => PoolMethod::Max,
        spp_parameter::PoolMethod::Ave => PoolMethod::Ave,
        spp_parameter::PoolMethod::Stochastic => PoolMethod::Stochastic,
    };
    Ok(Box::new(SppLayer { height, method, levels: Vec::new(), rows: 0, width: 0 }))
}

struct SppLayer {
    height: u32,
    method: PoolMethod,
    /// Each level with the elements it gives per item.
    levels: Vec<(Pool, usize)>,
    /// Items.
    rows: usize,
    /// Elements of the top per item.
    width: usize,
}

impl SppLayer {
    fn window(&self, level: u32, input: usize, axis: usize) -> Result<PoolWindow, LayerError> {
        let window = || {
            let bins = 1usize.checked_shl(level).filter(|&bins| bins > 0)?;
            let kernel = input.div_ceil(bins).max(1);
            let pad = (kernel.checked_mul(bins)? - input).div_ceil(2);
            if pad >= kernel || (pad > 0 && self.method == PoolMethod::Stochastic) {
                return None;
            }
            let output =
                PoolGeometry::output_size(input, kernel, kernel, pad, pad > 0, Round::Ceil)?;
            Some(PoolWindow { input, output, kernel, stride: kernel, pad })
        };
        window().ok_or_else(|| {
            let why = format!(
                "level {level} cuts spatial axis {axis}, of length {input}, into 2^{level} bins, which \
                 needs more padding than {} pooling allows",
                self.method.as_str_name()
            );
            LayerError::field("spp_param.pyramid_height", why)
        })
    }
}

impl Layer for SppLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let bottom = &cx.bottoms[0];
        if bottom.len() < 3 {
            let why = format!("SPP wants N x C x spatial axes, the bottom is {bottom}");
            return Err(LayerError::bottom(0, why));
        }
        self.levels.clear();
        for level in 0..self.height {
            let windows = bottom[2..].iter().enumerate().map(|(i, &n)| self.window(level, n, i));
            let windows = windows.collect::<Result<Vec<_>, _>>()?;
            let bins = windows.iter().map(|w| w.output).product::<usize>();
            let geometry = PoolGeometry { n: bottom[0], c: bottom[1], windows };
            self.levels.push((Pool { method: self.method, geometry }, bottom[1] * bins));
        }
        self.rows = bottom[0];
        self.width = self.levels.iter().map(|(_, width)| width).sum();
        let top = match self.height {
            1 => bottom.with_tail(2, &vec![1; bottom.len() - 2]),
            _ => Shape::from([self.rows, self.width]),
        };
        cx.top(0, top);
        for (_, width) in &self.levels {
            cx.scratch = cx.scratch.max(self.rows * width);
            if Pool::has_mask(self.method) {
                cx.saved.push(Shape::from([self.rows, *width]));
            }
        }
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (x, top, mut at) = (cx.bottom(0).data, &mut *cx.tops[0].data, 0);
        for (i, (pool, width)) in self.levels.iter().enumerate() {
            let y = &mut cx.scratch[..self.rows * width];
            let mask = cx.saved.get_mut(i).map(|mask| mask.bits_mut());
            pool.forward(cx.k, (cx.phase, &mut *cx.rng), x, y, mask);
            copy_rows(self.rows, *width, (y, 0, *width), (top, at, self.width), Write::Set);
            at += width;
        }
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let Some(dy) = cx.top_diffs[0] else { return Ok(()) };
        let Some(dx) = &mut cx.bottom_diffs[0] else { return Ok(()) };
        let mut at = 0;
        for (i, (pool, width)) in self.levels.iter().enumerate() {
            let level = &mut cx.scratch[..self.rows * width];
            let (from, to) = ((dy.data, at, self.width), (&mut *level, 0, *width));
            copy_rows(self.rows, *width, from, to, Write::Set);
            let mask = cx.saved.get(i).map_or(&[][..], |mask| mask.bits());
            let write = if i == 0 { dx.write } else { Write::Add };
            pool.backward(cx.k, cx.phase, level, mask, write, dx.data)?;
            at += width;
        }
        Ok(())
    }
}
