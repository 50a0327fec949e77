//! BatchNorm: each channel shifted and scaled to mean 0 and variance 1.

use cortado_kernels::SrcDst;
use cortado_proto::caffe::BatchNormParameter;

use crate::{
    Affine, Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, LowerCx, Needs,
    Phase, Prim, Reshape, SetUp, Shape,
};

/// The layer type.
pub static KIND: LayerKind =
    LayerKind::new("BatchNorm", build, &DOC).in_place().needs(needs).lower(lower);

static DOC: LayerDoc = LayerDoc {
    params: &["batch_norm_param"],
    bottoms: &["x: N x C x spatial axes; with one axis, one channel"],
    tops: &["y: the shape of x"],
    blobs: &[
        "sum of means: C (state, never learned)",
        "sum of variances: C (state, never learned)",
        "factor: 1 (state; mean = blob 0 / factor, variance = blob 1 / factor)",
    ],
    forward: "batch statistics (TRAIN): μ, σ² = mean and variance of each channel over N and space\n\
              y = (x − μ) / √(σ² + eps)\n\
              blob 2 ← f · blob 2 + 1   blob 0 ← f · blob 0 + μ   blob 1 ← f · blob 1 + σ² · m/(m−1)\n\
              global statistics (TEST): μ = blob 0 / blob 2, σ² = blob 1 / blob 2",
    backward: "batch statistics: dx = (dy − mean(dy) − mean(dy · y) · y) / √(σ² + eps)\n\
               global statistics: dx = dy / √(σ² + eps)",
    notes: "**Why two layers.** The paper's transform has two halves: normalisation, which depends on \
            the batch, and y = γ·x + β, which is learned. Caffe keeps them apart: BatchNorm normalises \
            and learns nothing; a Scale layer with `bias_term: true` behind it holds γ and β. A net \
            without the Scale can only make outputs of mean 0 and variance 1.\n\n\
            **What is stored.** Not the averages but their weighted sums, and in blob 2 the sum of the \
            weights (m is the number of elements per channel; m/(m−1) makes the variance unbiased, 1 \
            if m is 1). Always divide by blob 2. A factor of 0 means that nothing was ever seen: mean \
            and variance are then taken as 0, as in the original, and the output is x/√eps, far too \
            large; an untrained net in TEST shows this.\n\n\
            **TRAIN and TEST.** `use_global_stats` is false in TRAIN and true in TEST unless it is \
            given; a given value holds in both phases. Statistics move in every forward pass with \
            batch statistics, `iter_size` passes and timing runs included. To fine-tune with frozen \
            statistics set `use_global_stats: true` and the lr_mult of the Scale to 0.\n\n\
            **Learning rates.** The statistics never learn: an absent lr_mult means 0, another value \
            is a warning (the original aborts). A bias in the convolution before is redundant: the \
            mean takes it out again.",
    example: r#"layer { name: "bn1" type: "BatchNorm" bottom: "conv1" top: "conv1" }"#,
    source: "Ioffe, Szegedy 2015; Caffe's batch_norm_layer.cpp",
    ..LayerDoc::new("Normalises each channel to mean 0 and variance 1.")
};

/// Backward reads only what forward kept.
fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

/// With global statistics an affine map.
fn lower(cx: &LowerCx<'_>) -> Option<Prim> {
    let p = cx.def.batch_norm_param.clone().unwrap_or_default();
    if !global(&p, cx.phase) || cx.bottoms[0].len() < 2 {
        return None;
    }
    let factor = cx.param(2)?.data[0];
    let factor = if factor == 0.0 { 0.0 } else { 1.0 / factor };
    let inv_std = |var: &f32| 1.0 / (var * factor + p.eps()).sqrt();
    let scale: Vec<f32> = cx.param(1)?.data.iter().map(inv_std).collect();
    let mean = cx.param(0)?.data.iter().map(|mean| mean * factor);
    let shift = mean.zip(&scale).map(|(mean, scale)| -mean * scale).collect();
    Some(Prim::Affine(Affine { scale, shift }))
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.batch_norm_param.clone().unwrap_or_default();
    Ok(Box::new(BatchNormLayer { param, channels: 0, dims: [0; 3] }))
}

struct BatchNormLayer {
    param: BatchNormParameter,
    channels: usize,
    /// The bottom as [outer, channels, inner].
    dims: [usize; 3],
}

fn channels(bottom: &Shape) -> usize {
    if bottom.len() < 2 { 1 } else { bottom[1] }
}

/// Whether the statistics are those kept, not the batch's.
fn global(param: &BatchNormParameter, phase: Phase) -> bool {
    param.use_global_stats.unwrap_or(phase == Phase::Test)
}

impl Layer for BatchNormLayer {
    fn setup(&mut self, cx: &mut SetUp<'_>) -> Result<(), LayerError> {
        self.channels = channels(&cx.bottoms[0]);
        cx.state([self.channels]);
        cx.state([self.channels]);
        cx.state([1]);
        Ok(())
    }

    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let bottom = cx.bottoms[0].clone();
        if channels(&bottom) != self.channels {
            let why = format!(
                "the statistics are for {} channels, the bottom is {bottom}",
                self.channels
            );
            return Err(LayerError::bottom(0, why));
        }
        self.dims = match bottom.len() {
            0 => [1, 1, 1],
            1 => [1, 1, bottom[0]],
            _ => bottom.around(1).into(),
        };
        // mean, then 1/std; and for batch statistics the normalised values.
        cx.save([self.channels]);
        cx.save([self.channels]);
        if cx.backward && !global(&self.param, cx.phase) {
            cx.save(bottom.clone());
        }
        cx.top(0, bottom);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let [outer, c, inner] = self.dims;
        let (fraction, eps) = (self.param.moving_average_fraction(), self.param.eps());
        let global = global(&self.param, cx.phase);
        let k = cx.k;
        let [mean, inv_std, kept @ ..] = &mut cx.saved[..] else { return Ok(()) };
        let (mean, var) = (mean.data_mut(), inv_std.data_mut());
        let [means, vars, factor] = &mut cx.state[..] else { return Ok(()) };
        if global {
            let f = factor.data[0];
            let f = if f == 0.0 { 0.0 } else { 1.0 / f };
            mean.iter_mut().zip(&*means.data).for_each(|(m, sum)| *m = sum * f);
            var.iter_mut().zip(&*vars.data).for_each(|(v, sum)| *v = sum * f);
        } else {
            let x = match &cx.bottoms[0] {
                Some(bottom) => bottom.data,
                None => &*cx.tops[0].data,
            };
            k.moments(outer, c, inner, x, mean, var);
            let m = (outer * inner) as f32;
            let unbiased = if m > 1.0 { m / (m - 1.0) } else { 1.0 };
            factor.data[0] = fraction * factor.data[0] + 1.0;
            for i in 0..c {
                means.data[i] = fraction * means.data[i] + mean[i];
                vars.data[i] = fraction * vars.data[i] + unbiased * var[i];
            }
        }
        for i in 0..c {
            var[i] = 1.0 / (var[i] + eps).sqrt();
            mean[i] *= -var[i];
        }
        let io = match &cx.bottoms[0] {
            Some(bottom) => SrcDst::Apart(bottom.data, cx.tops[0].data),
            None => SrcDst::InPlace(cx.tops[0].data),
        };
        k.affine_channels(outer, c, inner, io, var, Some(mean));
        if let [x_norm] = kept {
            x_norm.data_mut().copy_from_slice(cx.tops[0].data);
        }
        Ok(())
    }

    /// dx = (dy − mean(dy) − mean(dy · x̂) · x̂) / √(σ² + eps); with global statistics only the last.
    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let [outer, c, inner] = self.dims;
        let (k, global) = (cx.k, global(&self.param, cx.phase));
        let saved = std::mem::take(&mut cx.saved);
        let [_, inv_std, kept @ ..] = &*saved else { return Ok(()) };
        let Some((diff, write)) = cx.diff(0) else { return Ok(()) };
        match kept {
            [x_norm] if !global => {
                k.batch_norm_backward(outer, c, inner, x_norm.data(), inv_std.data(), diff, write);
            }
            _ => super::scale_channels(k, [outer, c, inner], inv_std.data(), diff, write),
        }
        Ok(())
    }
}
