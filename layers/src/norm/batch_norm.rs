//! BatchNorm: each channel shifted and scaled to mean 0 and variance 1.

use cortado_kernels::{SrcDst, Write};
use cortado_proto::caffe::BatchNormParameter;
use cortado_proto::defaults::filler_or;

use crate::filler::or_zero;
use crate::{
    Affine, Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, LowerCx, Needs,
    Phase, Prim, Reshape, SetUp, Shape, Tensor,
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
        "scale: C, only in the forks' form",
        "bias: C, only in the forks' form (Intel's: unless `bias_term` is false)",
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
            mean takes it out again.\n\n\
            **The forks' form.** NVIDIA's Caffe (`scale_bias: true`, or a `scale_filler` or `bias_filler`) \
            and Intel's (`use_weight_bias: true`) keep the Scale in the same layer: y is then multiplied \
            with blob 3 and blob 4 is added; Intel's `relu: true` lets through what is above 0. NVIDIA's \
            keeps averages in place of sums, of biased variances: kept = f · kept + (1 − f) · batch, and \
            blob 2 stays 1; in TEST they count whatever `use_global_stats` says.",
    example: r#"layer { name: "bn1" type: "BatchNorm" bottom: "conv1" top: "conv1" }"#,
    source: "Ioffe, Szegedy 2015; Caffe's batch_norm_layer.cpp",
    ..LayerDoc::new("Normalises each channel to mean 0 and variance 1.")
};

/// Backward reads only what forward kept; a ReLU in the layer tells itself by y.
fn needs(def: &LayerDef) -> Needs {
    let relu = def.batch_norm_param.as_ref().is_some_and(|p| p.relu());
    if relu { Needs::TOP } else { Needs::NOTHING }
}

/// With global statistics an affine map, the forks' scale and bias included.
fn lower(cx: &LowerCx<'_>) -> Option<Prim> {
    let p = cx.def.batch_norm_param.clone().unwrap_or_default();
    let own = cx.param(3).is_none() && !p.relu();
    if cx.bottoms[0].len() < 2 || p.relu() {
        return None;
    }
    if !global(&p, cx.phase) {
        let (fraction, eps) = (p.moving_average_fraction(), p.eps());
        return own.then_some(Prim::Normalize { fraction, eps });
    }
    let factor = cx.param(2)?.data[0];
    let factor = if factor == 0.0 { 0.0 } else { 1.0 / factor };
    let inv_std = |var: &f32| 1.0 / (var * factor + p.eps()).sqrt();
    let mut scale: Vec<f32> = cx.param(1)?.data.iter().map(inv_std).collect();
    if let Some(own) = cx.param(3) {
        scale.iter_mut().zip(own.data).for_each(|(scale, own)| *scale *= own);
    }
    let mean = cx.param(0)?.data.iter().map(|mean| mean * factor);
    let mut shift: Vec<f32> = mean.zip(&scale).map(|(mean, scale)| -mean * scale).collect();
    if let Some(bias) = cx.param(4) {
        shift.iter_mut().zip(bias.data).for_each(|(shift, bias)| *shift += bias);
    }
    Some(Prim::Affine(Affine { scale, shift }))
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.batch_norm_param.clone().unwrap_or_default();
    let nvidia = param.scale_bias() || param.scale_filler.is_some() || param.bias_filler.is_some();
    let intel = param.use_weight_bias == Some(true);
    let scaled = nvidia || intel;
    let biased = nvidia || (intel && param.bias_term());
    let averages = keeps_averages(&param);
    Ok(Box::new(BatchNormLayer { param, scaled, biased, averages, channels: 0, dims: [0; 3] }))
}

/// Whether the layer is NVIDIA's, whose state is averages, not sums.
pub fn keeps_averages(p: &BatchNormParameter) -> bool {
    let scaled = p.scale_bias() || p.scale_filler.is_some() || p.bias_filler.is_some();
    scaled && p.use_weight_bias != Some(true) && !p.relu()
}

/// NVIDIA's state follows a batch: averages; the first batch alone where there were none.
fn follow_averages(
    [means, vars, factor]: [&mut [f32]; 3],
    mean: &[f32],
    var: &[f32],
    fraction: f32,
) {
    let (old, new) = match factor[0] {
        0.0 => (0.0, 1.0),
        factor => (fraction / factor, 1.0 - fraction),
    };
    factor[0] = 1.0;
    for (kept, batch) in [(means, mean), (vars, var)] {
        kept.iter_mut().zip(batch).for_each(|(kept, batch)| *kept = old * *kept + new * batch);
    }
}

/// The state (sums of means, of variances, of weights) follows a batch of `count` elements per channel.
pub fn follow(
    [means, vars, factor]: [&mut [f32]; 3],
    mean: &[f32],
    var: &[f32],
    count: usize,
    fraction: f32,
) {
    let m = count as f32;
    let unbiased = if m > 1.0 { m / (m - 1.0) } else { 1.0 };
    factor[0] = fraction * factor[0] + 1.0;
    for (sum, mean) in means.iter_mut().zip(mean) {
        *sum = fraction * *sum + mean;
    }
    for (sum, var) in vars.iter_mut().zip(var) {
        *sum = fraction * *sum + unbiased * var;
    }
}

struct BatchNormLayer {
    param: BatchNormParameter,
    /// Whether a scale, and a bias, follow.
    scaled: bool,
    biased: bool,
    /// Whether the state is NVIDIA's.
    averages: bool,
    channels: usize,
    /// The bottom as [outer, channels, inner].
    dims: [usize; 3],
}

fn channels(bottom: &Shape) -> usize {
    if bottom.len() < 2 { 1 } else { bottom[1] }
}

/// Whether the statistics are those kept, not the batch's; in NVIDIA's TEST always.
fn global(param: &BatchNormParameter, phase: Phase) -> bool {
    if keeps_averages(param) && phase == Phase::Test {
        return true;
    }
    param.use_global_stats.unwrap_or(phase == Phase::Test)
}

/// The forks' form.
impl BatchNormLayer {
    /// As `backward`, dy first passed back through ReLU and scale.
    fn backward_scaled(
        &self,
        cx: &mut Backward<'_>,
        inv_std: &[f32],
        kept: &[Tensor],
    ) -> Result<(), LayerError> {
        let [outer, c, inner] = self.dims;
        let (k, global) = (cx.k, global(&self.param, cx.phase));
        let scratch = std::mem::take(&mut cx.scratch);
        let dy = &mut scratch[..outer * c * inner];
        dy.copy_from_slice(cx.dy(0));
        if self.param.relu() {
            k.relu_backward(SrcDst::InPlace(dy), cx.tops[0].data, 0.0, Write::Set);
        }
        let mut factor = inv_std.to_vec();
        if let [scale, ..] = cx.weights {
            factor.iter_mut().zip(scale.data).for_each(|(factor, scale)| *factor *= scale);
        }
        if let ([Some(dscale), ..], [x_norm]) = (&mut *cx.weight_diffs, kept) {
            k.dot_channels(outer, c, inner, dy, x_norm.data(), dscale.data);
        }
        if let [_, Some(dbias)] = &mut *cx.weight_diffs {
            k.sum_channels(outer, c, inner, dy, dbias.data);
        }
        let Some(diff) = &mut cx.bottom_diffs[0] else { return Ok(()) };
        let write = if cx.top_diffs[0].is_some() { diff.write } else { Write::Set };
        let io = SrcDst::Apart(dy, &mut *diff.data);
        match kept {
            [x_norm] if !global => {
                k.batch_norm_backward(outer, c, inner, x_norm.data(), &factor, io, write);
            }
            _ => super::scale_channels(k, self.dims, &factor, io, write),
        }
        Ok(())
    }
}

impl Layer for BatchNormLayer {
    fn setup(&mut self, cx: &mut SetUp<'_>) -> Result<(), LayerError> {
        self.channels = channels(&cx.bottoms[0]);
        cx.state([self.channels]);
        cx.state([self.channels]);
        cx.state([1]);
        if self.scaled {
            let filler = self.param.scale_filler.as_ref().or(self.param.filler.as_ref());
            let filler = filler_or(filler, 1.0);
            cx.weight_of("batch_norm_param.scale_filler", [self.channels], filler);
        }
        if self.biased {
            let filler = or_zero(&self.param.bias_filler);
            cx.weight_of("batch_norm_param.bias_filler", [self.channels], filler);
        }
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
        if cx.backward && (self.scaled || !global(&self.param, cx.phase)) {
            cx.save(bottom.clone());
        }
        if cx.backward && (self.scaled || self.param.relu()) {
            cx.scratch = bottom.count();
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
            let state = [&mut *means.data, &mut *vars.data, &mut *factor.data];
            match self.averages {
                true => follow_averages(state, mean, var, fraction),
                false => follow(state, mean, var, outer * inner, fraction),
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
        let y = &mut *cx.tops[0].data;
        if let [scale, bias @ ..] = cx.weights {
            let bias = bias.first().map(|bias| bias.data);
            k.affine_channels(outer, c, inner, SrcDst::InPlace(y), scale.data, bias);
        }
        if self.param.relu() {
            k.relu_forward(SrcDst::InPlace(&mut *cx.tops[0].data), 0.0);
        }
        Ok(())
    }

    /// dx = (dy − mean(dy) − mean(dy · x̂) · x̂) / √(σ² + eps); with global statistics only the last.
    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let [outer, c, inner] = self.dims;
        let (k, global) = (cx.k, global(&self.param, cx.phase));
        let saved = std::mem::take(&mut cx.saved);
        let [_, inv_std, kept @ ..] = &*saved else { return Ok(()) };
        if self.scaled || self.param.relu() {
            return self.backward_scaled(cx, inv_std.data(), kept);
        }
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
