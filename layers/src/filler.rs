//! How weights start: Caffe's fillers (include/caffe/filler.hpp), and two of the papers.
//!
//! | type | fills with | fields |
//! |---|---|---|
//! | `constant` | one value; also without a type | `value` (0) |
//! | `uniform` | numbers between two bounds | `min` (0), `max` (1) |
//! | `gaussian` | normal numbers, with `sparse` most of them 0 | `mean` (0), `std` (1), `sparse` |
//! | `positive_unitball` | positive numbers, each row's sum 1 | |
//! | `xavier` | uniform of variance 1 / n | `variance_norm`: n is FAN_IN, FAN_OUT or their AVERAGE |
//! | `msra` | normal of variance 2 / n | `variance_norm` |
//! | `bilinear` | upsampling by Deconvolution, 4 axes, the last two equal | |
//! | `orthonormal` | rows at right angles (ours) | |
//! | `lsuv` | rows at right angles; in its first training pass the net scales them until the layer's \
//!   output has variance 1 (ours; Mishkin, Matas 2016) | |

mod orthonormal;

use cortado_proto::caffe::FillerParameter;
use cortado_proto::caffe::filler_parameter::VarianceNorm;
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal, Uniform};

use crate::{LayerError, Rng, Shape};

/// The filler types, for messages and pages.
pub const TYPES: &[&str] = &[
    "bilinear",
    "constant",
    "gaussian",
    "lsuv",
    "msra",
    "orthonormal",
    "positive_unitball",
    "uniform",
    "xavier",
];

/// The filler `constant` with a value.
pub fn constant(value: f32) -> FillerParameter {
    FillerParameter { value: Some(value), ..FillerParameter::default() }
}

/// The filler a layer's file asks for, or Caffe's default: constant 0.
pub fn or_zero(filler: &Option<FillerParameter>) -> FillerParameter {
    filler.clone().unwrap_or_default()
}

/// Fills a parameter of this shape. An unknown type, or a shape that the type can't fill, is an
/// error that names the field `type`.
pub fn fill(
    filler: &FillerParameter,
    shape: &Shape,
    data: &mut [f32],
    rng: &mut Rng,
) -> Result<(), LayerError> {
    let kind = match filler.r#type() {
        "" => "constant",
        other => other,
    };
    if !TYPES.contains(&kind) {
        return Err(LayerError::field("type", format!("there is no filler `{kind}`"))
            .help(format!("the fillers are {}", TYPES.join(", "))));
    }
    if filler.sparse() != -1 && kind != "gaussian" {
        return Err(LayerError::field("sparse", format!("filler `{kind}` can't be sparse")));
    }
    match kind {
        "constant" => data.fill(filler.value()),
        "uniform" => uniform(filler.min(), filler.max(), data, rng)?,
        "gaussian" => gaussian(filler, shape, data, rng)?,
        "positive_unitball" => positive_unitball(shape, data, rng)?,
        "xavier" => {
            let limit = (3.0 / fan(filler, shape)).sqrt();
            uniform(-limit, limit, data, rng)?;
        }
        "msra" => normal(0.0, (2.0 / fan(filler, shape)).sqrt(), data, rng),
        "bilinear" => bilinear(shape, data)?,
        _ => orthonormal::orthonormal(kind, shape, data, rng)?,
    }
    Ok(())
}

fn uniform(min: f32, max: f32, data: &mut [f32], rng: &mut Rng) -> Result<(), LayerError> {
    let range = Uniform::new_inclusive(min, max).map_err(|_| {
        LayerError::field("min", format!("uniform wants min <= max, found {min} and {max}"))
    })?;
    data.iter_mut().for_each(|v| *v = range.sample(rng));
    Ok(())
}

fn normal(mean: f32, std: f32, data: &mut [f32], rng: &mut Rng) {
    data.iter_mut().for_each(|v| *v = mean + std * rng.sample::<f32, _>(StandardNormal));
}

/// With `sparse`, each weight stays with probability sparse / number of outputs.
fn gaussian(
    filler: &FillerParameter,
    shape: &Shape,
    data: &mut [f32],
    rng: &mut Rng,
) -> Result<(), LayerError> {
    if !(filler.std() >= 0.0) {
        let why = format!("a standard deviation is not negative, found {}", filler.std());
        return Err(LayerError::field("std", why));
    }
    normal(filler.mean(), filler.std(), data, rng);
    let sparse = filler.sparse();
    if sparse == -1 {
        return Ok(());
    }
    let outputs = shape.first().copied().unwrap_or(1);
    if sparse < 0 || sparse as usize > outputs {
        let why =
            format!("sparse is between 0 and the number of outputs, {outputs}; found {sparse}");
        return Err(LayerError::field("sparse", why));
    }
    let keep = f64::from(sparse) / outputs as f64;
    data.iter_mut().filter(|_| !rng.random_bool(keep)).for_each(|v| *v = 0.0);
    Ok(())
}

/// Uniform, then each row (one per index of the first axis) divided by its sum.
fn positive_unitball(shape: &Shape, data: &mut [f32], rng: &mut Rng) -> Result<(), LayerError> {
    uniform(0.0, 1.0, data, rng)?;
    let rows = shape.first().copied().unwrap_or(1).max(1);
    for row in data.chunks_mut((shape.count() / rows).max(1)) {
        let sum: f32 = row.iter().sum();
        row.iter_mut().for_each(|v| *v /= sum);
    }
    Ok(())
}

/// Number of inputs, of outputs, or their mean, per weight; at least 1. Glorot and Bengio 2010; He
/// et al. 2015.
fn fan(filler: &FillerParameter, shape: &Shape) -> f32 {
    let per = |axis: usize| shape.count() / shape.get(axis).copied().unwrap_or(1).max(1);
    let (fan_in, fan_out) = (per(0) as f32, per(1) as f32);
    let fan = match filler.variance_norm() {
        VarianceNorm::FanIn => fan_in,
        VarianceNorm::FanOut => fan_out,
        VarianceNorm::Average => (fan_in + fan_out) / 2.0,
    };
    fan.max(1.0)
}

/// The kernel of bilinear upsampling, the same in every channel.
fn bilinear(shape: &Shape, data: &mut [f32]) -> Result<(), LayerError> {
    let [_, _, height, width] = shape[..] else {
        return Err(LayerError::field("type", format!("bilinear fills 4 axes, found {shape}")));
    };
    if height != width {
        return Err(LayerError::field("type", format!("bilinear fills squares, found {shape}")));
    }
    let half = width.div_ceil(2) as f32;
    let centre = (width as f32 - 1.0) / (2.0 * half);
    for (i, v) in data.iter_mut().enumerate() {
        let (x, y) = ((i % width) as f32, ((i / width) % height) as f32);
        let weight = |at: f32| 1.0 - (at / half - centre).abs();
        *v = weight(x) * weight(y);
    }
    Ok(())
}
