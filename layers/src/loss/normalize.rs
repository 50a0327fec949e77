//! What a loss is divided by.

use cortado_proto::caffe::LossParameter;
use cortado_proto::caffe::loss_parameter::NormalizationMode;
use cortado_proto::defaults::loss_normalization;

use crate::LayerError;

/// Whether a loss can be divided by what the file fixes.
pub(crate) fn check(param: &LossParameter) -> Result<(), LayerError> {
    let fixed = param.pre_fixed_normalizer();
    if fixed > 0.0 {
        return Ok(());
    }
    let why = format!("`pre_fixed_normalizer` must be above 0, found {fixed}");
    Err(LayerError::field("loss_param.pre_fixed_normalizer", why))
}

/// A probability whose logarithm is taken: not below `least`, but NaN where it is NaN, so that a net that
/// has diverged shows it.
pub(crate) fn at_least(least: f32, prob: f32) -> f32 {
    if prob < least { least } else { prob }
}

/// The divisor of a loss over `outer` items of `inner` positions, `valid` of them not ignored; never
/// below 1 (but for R-FCN's PRE_FIXED, which says it itself). `absent` is the type's own mode.
pub(crate) fn divisor(
    param: &LossParameter,
    absent: NormalizationMode,
    outer: usize,
    inner: usize,
    valid: usize,
) -> f32 {
    let divisor = match loss_normalization(param, absent) {
        NormalizationMode::PreFixed => return param.pre_fixed_normalizer(),
        NormalizationMode::Full => outer * inner,
        NormalizationMode::Valid => valid,
        NormalizationMode::BatchSize => outer,
        NormalizationMode::None => 1,
    };
    divisor.max(1) as f32
}
