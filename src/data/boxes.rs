//! Boxes on pictures: what an `AnnotatedDatum` holds, and what is left of it on a part of the picture.

use cortado_layers::Rng;
use cortado_proto::caffe::emit_constraint::EmitType;
use cortado_proto::caffe::{
    AnnotatedDatum, BatchSampler, EmitConstraint, SampleConstraint, Sampler,
};
use prost::Message;
use rand::RngExt;

use super::image::Color;
use super::{Item, db};

/// A rectangle: x1, y1, x2, y2, in parts of the picture's width and height.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rect(pub [f32; 4]);

/// The picture itself.
pub const WHOLE: Rect = Rect([0.0, 0.0, 1.0, 1.0]);

impl Rect {
    fn size(self) -> [f32; 2] {
        let [x1, y1, x2, y2] = self.0;
        [x2 - x1, y2 - y1]
    }

    fn area(self) -> f32 {
        let [w, h] = self.size();
        if w < 0.0 || h < 0.0 { 0.0 } else { w * h }
    }

    fn common(self, other: Rect) -> f32 {
        let [a, b] = [self.0, other.0];
        Rect([a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])]).area()
    }

    /// Intersection over union.
    pub fn overlap(self, other: Rect) -> f32 {
        let common = self.common(other);
        if common <= 0.0 { 0.0 } else { common / (self.area() + other.area() - common) }
    }

    /// What part of this one the other covers.
    pub fn coverage(self, other: Rect) -> f32 {
        if self.area() <= 0.0 { 0.0 } else { self.common(other) / self.area() }
    }

    /// This one as seen from inside `frame`, cut off at its edge; `None` where nothing is left.
    pub fn seen_from(self, frame: Rect) -> Option<Rect> {
        let [w, h] = frame.size();
        let [left, top, ..] = frame.0;
        let x = |v: f32| ((v - left) / w).clamp(0.0, 1.0);
        let y = |v: f32| ((v - top) / h).clamp(0.0, 1.0);
        let [x1, y1, x2, y2] = self.0;
        let seen = Rect([x(x1), y(y1), x(x2), y(y2)]);
        (seen.area() > 0.0).then_some(seen)
    }

    /// As in a mirror.
    pub fn mirrored(self) -> Rect {
        let [x1, y1, x2, y2] = self.0;
        Rect([1.0 - x2, y1, 1.0 - x1, y2])
    }
}

/// A box with what it is around.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Object {
    /// Class.
    pub label: i32,
    /// Number among those of its class.
    pub instance: i32,
    /// Where.
    pub rect: Rect,
    /// Hard to see: not counted by some measures.
    pub difficult: bool,
}

/// A picture with its boxes.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The picture.
    pub item: Item,
    /// The boxes.
    pub objects: Vec<Object>,
}

/// Picture and boxes of an `AnnotatedDatum`.
///
/// # Errors
/// The bytes are none, or hold no picture.
pub fn decode(bytes: &[u8], color: Color) -> Result<Scene, String> {
    let datum = AnnotatedDatum::decode(bytes)
        .map_err(|e| format!("it is no AnnotatedDatum message: {e}"))?;
    let inner = datum.datum.ok_or("it is an AnnotatedDatum without a Datum")?;
    let item = db::item_of(inner, color)?;
    let mut objects = Vec::new();
    for group in &datum.annotation_group {
        for annotation in &group.annotation {
            let bbox = annotation.bbox.unwrap_or_default();
            objects.push(Object {
                label: group.group_label(),
                instance: annotation.instance_id(),
                rect: Rect([bbox.xmin(), bbox.ymin(), bbox.xmax(), bbox.ymax()]),
                difficult: bbox.difficult(),
            });
        }
    }
    Ok(Scene { item, objects })
}

/// The objects that `frame` shows, in its measures.
pub fn shown(objects: &[Object], frame: Rect, emit: Option<&EmitConstraint>) -> Vec<Object> {
    let wanted = |rect: Rect| match emit {
        None => true,
        Some(emit) => match emit.emit_type() {
            EmitType::Center => {
                let [x1, y1, x2, y2] = rect.0;
                let ([x, y], [l, t, r, b]) = ([(x1 + x2) / 2.0, (y1 + y2) / 2.0], frame.0);
                (l..=r).contains(&x) && (t..=b).contains(&y)
            }
            EmitType::MinOverlap => rect.coverage(frame) > emit.emit_overlap(),
        },
    };
    let seen = |object: &Object| {
        let rect = object.rect.seen_from(frame)?;
        Some(Object { rect, ..*object })
    };
    objects.iter().filter(|object| wanted(object.rect)).filter_map(seen).collect()
}

/// A number between two bounds; the lower one where they are equal.
pub fn between(rng: &mut Rng, low: f32, high: f32) -> f32 {
    low + (high - low).max(0.0) * rng.random::<f32>()
}

/// The parts of the picture that the samplers propose.
pub fn samples(samplers: &[BatchSampler], objects: &[Object], rng: &mut Rng) -> Vec<Rect> {
    let mut found = Vec::new();
    for sampler in samplers.iter().filter(|sampler| sampler.use_original_image()) {
        let limit = sampler.max_sample.map_or(usize::MAX, |max| max as usize);
        let (shape, constraint) = (sampler.sampler.unwrap_or_default(), &sampler.sample_constraint);
        let before = found.len();
        for _ in 0..sampler.max_trials() {
            if found.len() - before >= limit {
                break;
            }
            let rect = propose(&shape, rng);
            if constraint.as_ref().is_none_or(|constraint| fits(rect, objects, constraint)) {
                found.push(rect);
            }
        }
    }
    found
}

fn propose(sampler: &Sampler, rng: &mut Rng) -> Rect {
    let scale = between(rng, sampler.min_scale(), sampler.max_scale());
    // No side may be longer than the picture's.
    let low = sampler.min_aspect_ratio().max(scale * scale);
    let high = sampler.max_aspect_ratio().min(1.0 / (scale * scale));
    let ratio = between(rng, low, high);
    let [w, h] = [scale * ratio.sqrt(), scale / ratio.sqrt()];
    let [x, y] = [between(rng, 0.0, 1.0 - w), between(rng, 0.0, 1.0 - h)];
    Rect([x, y, x + w, y + h])
}

/// Whether one object lies as the constraint asks; without a bound every part of the picture does.
fn fits(rect: Rect, objects: &[Object], c: &SampleConstraint) -> bool {
    type Bounds = (Option<f32>, Option<f32>);
    let inside = |value: f32, (min, max): Bounds| {
        min.is_none_or(|min| value >= min) && max.is_none_or(|max| value <= max)
    };
    let given = |(min, max): Bounds| min.is_some() || max.is_some();
    let overlap = (c.min_jaccard_overlap, c.max_jaccard_overlap);
    let sample = (c.min_sample_coverage, c.max_sample_coverage);
    let object = (c.min_object_coverage, c.max_object_coverage);
    if ![overlap, sample, object].into_iter().any(given) {
        return true;
    }
    objects.iter().any(|o| {
        (given(overlap) && inside(rect.overlap(o.rect), overlap))
            || (given(sample) && inside(rect.coverage(o.rect), sample))
            || (given(object) && inside(o.rect.coverage(rect), object))
    })
}
