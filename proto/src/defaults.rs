//! What Caffe's code decides when fields are absent, where the schema's own defaults do not say it.
//! (The schema's defaults are the accessors prost generates, such as `p.bias_term()`.)

use crate::caffe::loss_parameter::NormalizationMode;
use crate::caffe::{
    ConcatParameter, ConvolutionParameter, FillerParameter, LossParameter, PoolingParameter,
    SliceParameter,
};
use crate::error::Error;

/// Kernel, stride, pad and dilation of a convolution, one entry per spatial axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvAxes {
    /// Window size, ≥ 1.
    pub kernel: Vec<usize>,
    /// Step, ≥ 1.
    pub stride: Vec<usize>,
    /// Zeros on either side.
    pub pad: Vec<usize>,
    /// Distance of the taps, ≥ 1.
    pub dilation: Vec<usize>,
}

/// The window of a convolution over `spatial` axes. `*_h`/`*_w` go with two axes only and exclude the
/// repeated form; a repeated field stands once for all axes or once per axis.
///
/// # Errors
/// Names the field (`convolution_param.kernel_size`) that is missing, doubled or of wrong length.
pub fn conv_axes(p: &ConvolutionParameter, spatial: usize) -> Result<ConvAxes, Error> {
    let axes = |name: &str, h: Option<u32>, w: Option<u32>, list: &[u32], absent: Option<u32>| {
        let field = format!("convolution_param.{name}");
        if h.is_some() || w.is_some() {
            let two = [("h", h), ("w", w)];
            let stem = name.trim_end_matches("_size");
            if spatial != 2 {
                let (axis, _) = if h.is_some() { two[0] } else { two[1] };
                let why = format!("goes with 2 spatial axes, found {spatial}; use `{name}`");
                return Err(Error::value(format!("convolution_param.{stem}_{axis}"), why));
            }
            if !list.is_empty() {
                return Err(Error::value(
                    field,
                    format!("and `{stem}_h`/`{stem}_w` exclude each other"),
                ));
            }
            // Only a pad may stand for one axis alone: the other is 0 then.
            let alone = absent.filter(|&value| value == 0);
            return match (h.or(alone), w.or(alone)) {
                (Some(h), Some(w)) => Ok(vec![h as usize, w as usize]),
                _ => {
                    let axis = if h.is_none() { "h" } else { "w" };
                    let other = if h.is_none() { "w" } else { "h" };
                    let why = format!("must be given, as `{stem}_{other}` is");
                    Err(Error::value(format!("convolution_param.{stem}_{axis}"), why))
                }
            };
        }
        match (list, absent) {
            ([], Some(value)) => Ok(vec![value as usize; spatial]),
            ([one], _) => Ok(vec![*one as usize; spatial]),
            (list, _) if list.len() == spatial && !list.is_empty() => {
                Ok(list.iter().map(|&v| v as usize).collect())
            }
            ([], None) if spatial == 0 => Ok(Vec::new()),
            ([], None) => Err(Error::value(field, "must be given")),
            (list, _) => {
                let n = list.len();
                let why =
                    format!("is given once or once per spatial axis, found {n} for {spatial} axes");
                Err(Error::value(field, why))
            }
        }
    };
    let kernel = axes("kernel_size", p.kernel_h, p.kernel_w, &p.kernel_size, None)?;
    let stride = axes("stride", p.stride_h, p.stride_w, &p.stride, Some(1))?;
    let pad = axes("pad", p.pad_h, p.pad_w, &p.pad, Some(0))?;
    let dilation = axes("dilation", None, None, &p.dilation, Some(1))?;
    for (name, values) in [("kernel_size", &kernel), ("stride", &stride), ("dilation", &dilation)] {
        if values.contains(&0) {
            return Err(Error::value(format!("convolution_param.{name}"), "must not be 0"));
        }
    }
    Ok(ConvAxes { kernel, stride, pad, dilation })
}

/// Kernel, stride and pad of a pooling: `[height, width]`. A kernel of `None` covers the whole plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolAxes {
    /// Window size, each ≥ 1; `None` for global pooling.
    pub kernel: Option<[usize; 2]>,
    /// Step, each ≥ 1.
    pub stride: [usize; 2],
    /// Padding on either side, smaller than the kernel.
    pub pad: [usize; 2],
}

/// The window of a pooling.
///
/// # Errors
/// Names the field (`pooling_param.kernel_size`) that is missing, doubled or out of range.
pub fn pool_axes(p: &PoolingParameter) -> Result<PoolAxes, Error> {
    let fail = |field: &str, why: &str| Err(Error::value(format!("pooling_param.{field}"), why));
    // One of a pair is given, the other not.
    let alone = |stem: &str, h: Option<u32>| {
        let (lacks, given) = if h.is_none() { ("h", "w") } else { ("w", "h") };
        fail(&format!("{stem}_{lacks}"), &format!("must be given, as `{stem}_{given}` is"))
    };
    let stride = match (p.stride_h, p.stride_w) {
        (None, None) => [p.stride(); 2],
        (Some(_), Some(_)) if p.stride.is_some() => {
            return fail("stride", "and `stride_h`/`stride_w` exclude each other");
        }
        (Some(h), Some(w)) => [h, w],
        (h, _) => {
            return alone("stride", h);
        }
    };
    let pad = match (p.pad_h, p.pad_w) {
        (None, None) => [p.pad(); 2],
        (Some(_), Some(_)) if p.pad.is_some() => {
            return fail("pad", "and `pad_h`/`pad_w` exclude each other");
        }
        (Some(h), Some(w)) => [h, w],
        (h, _) => return alone("pad", h),
    };
    if stride.contains(&0) {
        return fail("stride", "must not be 0");
    }
    let size = |v: [u32; 2]| v.map(|v| v as usize);
    if p.global_pooling() {
        if p.kernel_size.is_some() || p.kernel_h.is_some() || p.kernel_w.is_some() {
            return fail("kernel_size", "makes no sense with `global_pooling`");
        }
        if pad != [0, 0] {
            let why = format!("must be 0 with `global_pooling`, found {}", pad[0].max(pad[1]));
            return fail("pad", &why);
        }
        if stride != [1, 1] {
            let why =
                format!("must be 1 with `global_pooling`, found {}", stride[0].max(stride[1]));
            return fail("stride", &why);
        }
        return Ok(PoolAxes { kernel: None, stride: size(stride), pad: size(pad) });
    }
    let kernel = match (p.kernel_size, p.kernel_h, p.kernel_w) {
        (Some(k), None, None) => [k; 2],
        (None, Some(h), Some(w)) => [h, w],
        (Some(_), ..) => {
            return fail("kernel_size", "and `kernel_h`/`kernel_w` exclude each other");
        }
        (None, None, None) => return fail("kernel_size", "must be given"),
        (None, h, _) => {
            return alone("kernel", h);
        }
    };
    if kernel.contains(&0) {
        return fail("kernel_size", "must not be 0");
    }
    if let Some((pad, kernel)) = pad.iter().zip(kernel).find(|&(&pad, kernel)| pad >= kernel) {
        let why = format!("must be smaller than the kernel, found pad {pad} and kernel {kernel}");
        return fail("pad", &why);
    }
    Ok(PoolAxes { kernel: Some(size(kernel)), stride: size(stride), pad: size(pad) })
}

/// How a loss is divided. `normalization` wins; the old `normalize` means VALID or BATCH_SIZE; else
/// `absent`, which is VALID for SoftmaxWithLoss and InfogainLoss and BATCH_SIZE for
/// SigmoidCrossEntropyLoss.
pub fn loss_normalization(p: &LossParameter, absent: NormalizationMode) -> NormalizationMode {
    match (p.normalization, p.normalize) {
        (Some(_), _) => p.normalization(),
        (None, Some(true)) => NormalizationMode::Valid,
        (None, Some(false)) => NormalizationMode::BatchSize,
        (None, None) => absent,
    }
}

/// A filler, or the constant that stands where none is given. Given but without type it is the
/// constant 0, also where an absent one would be 1.
pub fn filler_or(filler: Option<&FillerParameter>, constant: f32) -> FillerParameter {
    filler.cloned().unwrap_or_else(|| FillerParameter {
        r#type: Some("constant".into()),
        value: Some(constant),
        ..FillerParameter::default()
    })
}

/// Concat's axis: `concat_dim` (old, counts from the front) or `axis` (negative counts from the back).
///
/// # Errors
/// Both are given.
pub fn concat_axis(p: &ConcatParameter) -> Result<i32, Error> {
    old_or_new("concat_param.concat_dim", p.concat_dim, p.axis, p.axis())
}

/// Slice's axis: `slice_dim` (old, counts from the front) or `axis` (negative counts from the back).
///
/// # Errors
/// Both are given.
pub fn slice_axis(p: &SliceParameter) -> Result<i32, Error> {
    old_or_new("slice_param.slice_dim", p.slice_dim, p.axis, p.axis())
}

fn old_or_new(field: &str, old: Option<u32>, new: Option<i32>, absent: i32) -> Result<i32, Error> {
    match (old, new) {
        (Some(_), Some(_)) => Err(Error::value(field, "and `axis` exclude each other")),
        (Some(old), None) => {
            i32::try_from(old).map_err(|_| Error::value(field, format!("is no axis: {old}")))
        }
        _ => Ok(absent),
    }
}
