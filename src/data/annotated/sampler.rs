//! `batch_sampler`: parts of a picture drawn at random, kept when they meet a constraint with any of
//! the objects (W. Liu et al., "SSD: Single Shot MultiBox Detector", 2016, section 2.2).

use cortado_layers::{LayerError, Rng};
use cortado_proto::caffe::{BatchSampler, SampleConstraint, Sampler};

use super::boxes::{BBox, Object};
use crate::data::augment::between;

/// No sampler tries more often.
const MAX_TRIALS: u32 = 100_000;

/// Checks the ranges.
pub fn check(p: &BatchSampler) -> Result<(), LayerError> {
    let field = |name: &str, why: String| {
        Err(LayerError::field(format!("annotated_data_param.batch_sampler.{name}"), why))
    };
    if !p.use_original_image() {
        return field("use_original_image", "only true is known here".to_owned());
    }
    if p.max_trials() > MAX_TRIALS {
        let why = format!("up to {MAX_TRIALS} are wanted, found {}", p.max_trials());
        return field("max_trials", why);
    }
    let s = p.sampler.unwrap_or_default();
    let (low, high) = (s.min_scale(), s.max_scale());
    if !(low > 0.0 && low <= high && high <= 1.0) {
        let why = format!("0 < min_scale <= max_scale <= 1 is wanted, found {low} and {high}");
        return field("sampler.min_scale", why);
    }
    let (low, high) = (s.min_aspect_ratio(), s.max_aspect_ratio());
    if !(low > 0.0 && low <= high && high.is_finite()) {
        let why =
            format!("0 < min_aspect_ratio <= max_aspect_ratio is wanted, found {low} and {high}");
        return field("sampler.min_aspect_ratio", why);
    }
    Ok(())
}

/// The parts that meet the constraint: up to `max_sample` of `max_trials`.
pub fn draw(p: &BatchSampler, objects: &[Object], rng: &mut Rng) -> Vec<BBox> {
    let mut found = Vec::new();
    let sampler = p.sampler.unwrap_or_default();
    for _ in 0..p.max_trials() {
        if p.max_sample.is_some_and(|most| found.len() >= most as usize) {
            break;
        }
        let part = part(&sampler, rng);
        if p.sample_constraint.is_none_or(|constraint| meets(&part, objects, &constraint)) {
            found.push(part);
        }
    }
    found
}

/// A part of some scale (the root of its area) and some aspect (width over height), somewhere.
fn part(s: &Sampler, rng: &mut Rng) -> BBox {
    let scale = between(rng, s.min_scale(), s.max_scale());
    // Neither side is longer than the picture's.
    let low = s.min_aspect_ratio().max(scale * scale);
    let high = s.max_aspect_ratio().min(1.0 / (scale * scale));
    let root = between(rng, low, high).max(f32::MIN_POSITIVE).sqrt();
    let size = [(scale * root).min(1.0), (scale / root).min(1.0)];
    let min = size.map(|size| between(rng, 0.0, 1.0 - size));
    BBox { min, max: [min[0] + size[0], min[1] + size[1]] }
}

/// Of several kinds the first alone decides, as in the original: an object that meets it is enough,
/// whatever the others say.
fn meets(part: &BBox, objects: &[Object], c: &SampleConstraint) -> bool {
    let overlap: fn(&BBox, &BBox) -> f32 = |part, object| part.overlap(object);
    let kinds = [
        (overlap, c.min_jaccard_overlap, c.max_jaccard_overlap),
        (|part, object| part.covered_by(object), c.min_sample_coverage, c.max_sample_coverage),
        (|part, object| object.covered_by(part), c.min_object_coverage, c.max_object_coverage),
    ];
    let given = kinds.into_iter().find(|(_, min, max)| min.is_some() || max.is_some());
    given.is_none_or(|(value, min, max)| {
        objects.iter().any(|object| {
            let value = value(part, &object.bbox);
            min.is_none_or(|min| value >= min) && max.is_none_or(|max| value <= max)
        })
    })
}
