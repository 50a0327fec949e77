//! BN: the three layers that forks call by this name. The fields of `bn_param` tell which is meant.

use cortado_kernels::{Kernels, SrcDst};
use cortado_proto::caffe::bn_parameter::BnMode;
use cortado_proto::caffe::{BnParameter, FillerParameter};
use cortado_proto::defaults::filler_or;

use crate::{
    Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs, Phase, Reshape,
    SetUp,
};

/// The layer type.
pub static KIND: LayerKind =
    LayerKind::new("BN", build, &DOC).needs(needs).dialect("segnet, pspnet, ducha-aiki");

static DOC: LayerDoc = LayerDoc {
    params: &["bn_param"],
    bottoms: &["x: N x C x …"],
    tops: &["y: the shape of x"],
    blobs: &[
        "scale (slope): 1 x C x 1 x 1",
        "shift (bias): 1 x C x 1 x 1",
        "mean (pspnet, ducha-aiki): 1 x C x 1 x 1",
        "variance (pspnet, ducha-aiki): 1 x C x 1 x 1",
    ],
    forward: "y = scale · (x − mean) / √(variance + eps) + shift; segnet INFERENCE: y = scale · x + shift",
    backward: "as BatchNorm's followed by Scale's; with kept statistics dx = scale · dy / √(variance + eps)",
    notes: "Three forks have a layer of this name.\n\n\
            * **segnet** (`bn_mode`; also when nothing tells): two blobs. LEARN normalises by the batch, \
            in TEST as well; INFERENCE only scales and shifts, by statistics that a script has folded in. \
            eps is 1e-9.\n\
            * **pspnet** (`slope_filler`, `bias_filler`, `momentum`, `eps` or `frozen`): four blobs. TRAIN \
            normalises by the batch and keeps kept = momentum · kept + (1 − momentum) · batch; TEST and \
            `frozen` use what is kept, and `frozen` learns nothing.\n\
            * **ducha-aiki** (`moving_average`, `decay` or `var_eps`; else four `param` blocks or blobs): \
            four blobs. TRAIN normalises by the batch and keeps kept = decay · batch + (1 − decay) · kept; \
            TEST uses what is kept, or the batch with `moving_average: false`.\n\n\
            Variances are biased. New files use BatchNorm and Scale.",
    example: r#"layer { name: "conv1_bn" type: "BN" bottom: "conv1" top: "conv1_bn"
  bn_param { slope_filler { value: 1 } bias_filler { value: 0 } frozen: true momentum: 0.95 } }"#,
    source: "Ioffe, Szegedy 2015; bn_layer.cpp of caffe-segnet, of PSPNet and of ducha-aiki's caffe",
    ..LayerDoc::new("Batch normalisation with scale and shift, as three forks have it.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

/// Whose layer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Two blobs, the batch's statistics or none.
    Segnet,
    /// Four blobs, `momentum`.
    Pspnet,
    /// Four blobs, `decay`.
    DuchaAiki,
}

/// Tells whose layer it is by its fields.
pub fn dialect(def: &LayerDef) -> Dialect {
    let p = &def.bn_param.clone().unwrap_or_default();
    let pspnet = p.slope_filler.is_some()
        || p.bias_filler.is_some()
        || p.momentum.is_some()
        || p.eps.is_some()
        || p.frozen.is_some();
    let ducha_aiki = p.moving_average.is_some() || p.decay.is_some() || p.var_eps.is_some();
    let four = def.blobs.len() == 4 || def.param.param.len() == 4;
    match p.bn_mode {
        _ if pspnet => Dialect::Pspnet,
        _ if ducha_aiki => Dialect::DuchaAiki,
        None if four => Dialect::DuchaAiki,
        _ => Dialect::Segnet,
    }
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.bn_param.clone().unwrap_or_default();
    let dialect = dialect(def);
    Ok(Box::new(BnLayer { param, dialect, dims: [0; 3], channels: 0 }))
}

struct BnLayer {
    param: BnParameter,
    dialect: Dialect,
    /// The bottom as [N, C, inner].
    dims: [usize; 3],
    channels: usize,
}

/// Where the mean and the variance come from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Statistics {
    /// Folded into scale and shift.
    None,
    Batch,
    Kept,
}

impl BnLayer {
    fn statistics(&self, phase: Phase) -> Statistics {
        let train = phase == Phase::Train;
        match self.dialect {
            Dialect::Segnet if self.param.bn_mode() == BnMode::Inference => Statistics::None,
            Dialect::Segnet => Statistics::Batch,
            Dialect::Pspnet if train && !self.param.frozen() => Statistics::Batch,
            Dialect::DuchaAiki if train || !self.param.moving_average() => Statistics::Batch,
            Dialect::Pspnet | Dialect::DuchaAiki => Statistics::Kept,
        }
    }

    fn eps(&self) -> f32 {
        match self.dialect {
            Dialect::Segnet => 1e-9,
            Dialect::Pspnet => self.param.eps(),
            Dialect::DuchaAiki => self.param.var_eps(),
        }
    }

    /// How much of the new and of the old statistics is kept.
    fn fractions(&self) -> (f32, f32) {
        match self.dialect {
            Dialect::DuchaAiki => (self.param.decay(), 1.0 - self.param.decay()),
            _ => (1.0 - self.param.momentum(), self.param.momentum()),
        }
    }

    /// x̂ = (x − mean) / √(variance + eps), and 1/√(variance + eps) per channel.
    fn normalise(&self, k: &Kernels, x: &[f32], mean: &[f32], var: &mut [f32], x_norm: &mut [f32]) {
        let [outer, c, inner] = self.dims;
        let eps = self.eps();
        var.iter_mut().for_each(|v| *v = 1.0 / (*v + eps).sqrt());
        let shift: Vec<f32> = mean.iter().zip(&*var).map(|(mean, inv)| -mean * inv).collect();
        k.affine_channels(outer, c, inner, SrcDst::Apart(x, x_norm), var, Some(&shift));
    }
}

impl Layer for BnLayer {
    fn setup(&mut self, cx: &mut SetUp<'_>) -> Result<(), LayerError> {
        let bottom = &cx.bottoms[0];
        self.channels = bottom[bottom.axis(1, "bottom")?];
        let shape = [1, self.channels, 1, 1];
        let p = &self.param;
        let (scale, shift): ((&str, &Option<FillerParameter>), _) = match self.dialect {
            Dialect::Pspnet => (
                ("bn_param.slope_filler", &p.slope_filler),
                ("bn_param.bias_filler", &p.bias_filler),
            ),
            _ => (
                ("bn_param.scale_filler", &p.scale_filler),
                ("bn_param.shift_filler", &p.shift_filler),
            ),
        };
        cx.weight_of(scale.0, shape, filler_or(scale.1.as_ref(), 1.0));
        cx.weight_of(shift.0, shape, filler_or(shift.1.as_ref(), 0.0));
        if self.dialect != Dialect::Segnet {
            cx.state(shape);
            cx.state(shape);
        }
        Ok(())
    }

    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let bottom = cx.bottoms[0].clone();
        self.dims = bottom.around(bottom.axis(1, "bottom")?).into();
        if self.dims[1] != self.channels {
            let why =
                format!("the blobs are for {} channels, the bottom is {bottom}", self.channels);
            return Err(LayerError::bottom(0, why));
        }
        // mean, 1/√(variance + eps), x̂
        cx.save([self.channels]);
        cx.save([self.channels]);
        cx.save(bottom.clone());
        cx.top(0, bottom);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let [outer, c, inner] = self.dims;
        let (x, k) = (cx.bottom(0).data, cx.k);
        let [mean, var, x_norm] = &mut *cx.saved else { return Ok(()) };
        let (mean, var, x_norm) = (mean.data_mut(), var.data_mut(), x_norm.data_mut());
        match self.statistics(cx.phase) {
            Statistics::None => x_norm.copy_from_slice(x),
            Statistics::Batch => {
                k.moments(outer, c, inner, x, mean, var);
                if let ([means, vars], Phase::Train) = (&mut *cx.state, cx.phase) {
                    let (new, old) = self.fractions();
                    k.axpby(new, mean, old, means.data);
                    k.axpby(new, var, old, vars.data);
                }
                self.normalise(k, x, mean, var, x_norm);
            }
            Statistics::Kept => {
                let [means, vars] = &*cx.state else { return Ok(()) };
                var.copy_from_slice(vars.data);
                self.normalise(k, x, means.data, var, x_norm);
            }
        }
        let io = SrcDst::Apart(x_norm, &mut *cx.tops[0].data);
        k.affine_channels(outer, c, inner, io, cx.weights[0].data, Some(cx.weights[1].data));
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let [outer, c, inner] = self.dims;
        let Some(dy) = cx.top_diffs[0] else { return Ok(()) };
        let (k, scale) = (cx.k, cx.weights[0].data);
        let (inv_std, x_norm) = (cx.saved[1].data(), cx.saved[2].data());
        let frozen = self.dialect == Dialect::Pspnet && self.param.frozen();
        if let [dscale, dshift] = &mut *cx.weight_diffs
            && !frozen
        {
            if let Some(dscale) = dscale {
                k.dot_channels(outer, c, inner, dy.data, x_norm, dscale.data);
            }
            if let Some(dshift) = dshift {
                k.sum_channels(outer, c, inner, dy.data, dshift.data);
            }
        }
        let Some(diff) = &mut cx.bottom_diffs[0] else { return Ok(()) };
        let statistics = self.statistics(cx.phase);
        // scale / √(variance + eps), which both formulas multiply with.
        let factor: Vec<f32> = match statistics {
            Statistics::None => scale.to_vec(),
            _ => scale.iter().zip(inv_std).map(|(scale, inv)| scale * inv).collect(),
        };
        let io = SrcDst::Apart(dy.data, diff.data);
        match statistics {
            Statistics::Batch => {
                k.batch_norm_backward(outer, c, inner, x_norm, &factor, io, diff.write)
            }
            _ => super::scale_channels(k, self.dims, &factor, io, diff.write),
        }
        Ok(())
    }
}
