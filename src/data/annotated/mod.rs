//! Pictures with the boxes of the objects on them, as SSD trains on: the boxes follow their picture
//! through augmentation, sampling, cropping and mirroring.

mod boxes;
mod sampler;

use cortado_layers::{LayerError, Rng};
use cortado_proto::caffe::emit_constraint::EmitType;
use cortado_proto::caffe::{
    AnnotatedDataParameter, AnnotatedDatum, BatchSampler, EmitConstraint, TransformationParameter,
};
use prost::Message;

pub use boxes::{BBox, Map, Object};

use super::db::{Payload, datum};
use super::image::Color;
use super::order::below;
use super::{Item, Pixels, Record};

/// Values of an object among the labels: item, class, instance, left, top, right, bottom, difficult.
pub const VALUES: usize = 8;

/// What an `annotated_data_param` asks for.
#[derive(Clone, Debug)]
pub struct Annotated {
    samplers: Vec<BatchSampler>,
    emit: Option<EmitConstraint>,
}

impl Annotated {
    /// Reads and checks the fields.
    ///
    /// # Errors
    /// A sampler makes no sense.
    pub fn new(
        param: &AnnotatedDataParameter,
        transform: &TransformationParameter,
    ) -> Result<Annotated, LayerError> {
        param.batch_sampler.iter().try_for_each(sampler::check)?;
        Ok(Annotated { samplers: param.batch_sampler.clone(), emit: transform.emit_constraint })
    }

    /// The picture and the objects of a record.
    ///
    /// # Errors
    /// It holds no `AnnotatedDatum`, or a damaged one: names the record.
    pub fn decode(&self, record: Record, color: Color) -> Result<(Item, Vec<Object>), String> {
        let name = record.to_string();
        let Payload::Datum(bytes) = record.payload else {
            return Err(format!("{name}: it has no boxes"));
        };
        let annotated = AnnotatedDatum::decode(&bytes[..])
            .map_err(|e| format!("{name}: it is no AnnotatedDatum message: {e}"))?;
        let datum = annotated.datum.ok_or_else(|| format!("{name}: it holds no picture"))?;
        let item = datum::item(datum, color).map_err(|why| format!("{name}: {why}"))?;
        let mut objects = Vec::new();
        for group in &annotated.annotation_group {
            for annotation in &group.annotation {
                let b = annotation.bbox.unwrap_or_default();
                let bbox = BBox { min: [b.xmin(), b.ymin()], max: [b.xmax(), b.ymax()] };
                if !bbox.min.iter().chain(&bbox.max).all(|side| side.is_finite()) {
                    return Err(format!(
                        "{name}: a box of class {} is no box",
                        group.group_label()
                    ));
                }
                let (class, instance) = (group.group_label(), annotation.instance_id());
                objects.push(Object { class, instance, bbox, difficult: b.difficult() });
            }
        }
        Ok((item, objects))
    }

    /// Cuts out what one of the samplers has drawn, if one has.
    ///
    /// # Errors
    /// The item does not hold what its shape says.
    pub fn sample(
        &self,
        item: Item,
        objects: Vec<Object>,
        rng: &mut Rng,
    ) -> Result<(Item, Vec<Object>), LayerError> {
        let samples: Vec<BBox> =
            self.samplers.iter().flat_map(|s| sampler::draw(s, &objects, rng)).collect();
        if samples.is_empty() {
            return Ok((item, objects));
        }
        let bbox = samples[below(rng, samples.len() as u64) as usize].clipped();
        let objects = self.within(objects, &bbox);
        Ok((cut(item, &bbox)?, objects))
    }

    /// The objects as they lie in a part of the picture; those that are not emitted go.
    pub fn within(&self, objects: Vec<Object>, part: &BBox) -> Vec<Object> {
        let map = Map::into_part(part);
        let project = |object: Object| {
            let bbox = map.of(&object.bbox).clipped();
            (self.is_emitted(&object.bbox, part) && bbox.area() > 0.0)
                .then_some(Object { bbox, ..object })
        };
        objects.into_iter().filter_map(project).collect()
    }

    fn is_emitted(&self, bbox: &BBox, part: &BBox) -> bool {
        let Some(emit) = &self.emit else { return true };
        match emit.emit_type() {
            EmitType::Center => (0..2).all(|axis| {
                let center = (bbox.min[axis] + bbox.max[axis]) / 2.0;
                (part.min[axis]..=part.max[axis]).contains(&center)
            }),
            EmitType::MinOverlap => bbox.covered_by(part) > emit.emit_overlap(),
        }
    }
}

/// A part of a picture of bytes.
fn cut(item: Item, bbox: &BBox) -> Result<Item, LayerError> {
    let [c, h, w] = item.shape;
    let Pixels::U8(data) = &item.pixels else {
        let why = "parts of pictures of bytes can be sampled, the item holds floats";
        return Err(LayerError::field("annotated_data_param.batch_sampler", why));
    };
    let span = |axis: usize, length: usize| {
        let start = (bbox.min[axis] * length as f32) as usize;
        let size = ((bbox.max[axis] - bbox.min[axis]) * length as f32) as usize;
        let start = start.min(length.saturating_sub(1));
        (start, size.clamp(1, (length - start).max(1)))
    };
    if data.is_empty() || data.len() != c * h * w {
        return Ok(item);
    }
    let ((left, width), (top, height)) = (span(0, w), span(1, h));
    let mut pixels = Vec::with_capacity(c * height * width);
    for channel in 0..c {
        for y in top..top + height {
            pixels.extend(&data[(channel * h + y) * w + left..][..width]);
        }
    }
    Ok(Item { shape: [c, height, width], pixels: Pixels::U8(pixels), label: item.label })
}

/// The labels of a batch: all objects, item after item; one row of -1 where there are none.
pub fn labels(items: &[Vec<Object>], labels: &mut Vec<f32>) {
    labels.clear();
    for (n, objects) in items.iter().enumerate() {
        for Object { class, instance, bbox, difficult } in objects {
            let ([left, top], [right, bottom]) = (bbox.min, bbox.max);
            let (class, instance) = (*class as f32, *instance as f32);
            let difficult = f32::from(u8::from(*difficult));
            labels.extend([n as f32, class, instance, left, top, right, bottom, difficult]);
        }
    }
    if labels.is_empty() {
        labels.extend([-1.0; VALUES]);
    }
}
