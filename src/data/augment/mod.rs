//! Pictures changed at random before they are cut and mirrored, as the forks around SSD do it: other
//! colours, a larger canvas, another size, noise. Always in this order:
//!
//! ```text
//! distort_param → expand_param → resize_param → noise_param
//! ```
//!
//! Everything is drawn from the stream of the item, so it depends on seed and position alone.

mod colors;
mod distort;
mod noise;
pub mod resample;
mod resize;

use cortado_layers::{LayerError, Rng};
use cortado_proto::caffe::{DistortionParameter, TransformationParameter};
use cortado_proto::caffe::{ExpansionParameter, NoiseParameter, ResizeParameter};
use rand::Rng as _;

use super::annotated::Map;
use super::image::{Picture, check_size};
use super::order::below;
use super::{Item, Pixels};

/// What a `transform_param` asks for beside the original's fields.
#[derive(Clone, Debug, Default)]
pub struct Augment {
    distort: Option<DistortionParameter>,
    expand: Option<ExpansionParameter>,
    resize: Vec<ResizeParameter>,
    noise: Vec<NoiseParameter>,
}

impl Augment {
    /// Reads and checks the fields; `None` where there are none.
    ///
    /// # Errors
    /// A field makes no sense, or asks for what is not known here.
    pub fn new(param: &TransformationParameter) -> Result<Option<Augment>, LayerError> {
        let augment = Augment {
            distort: param.distort_param,
            expand: param.expand_param,
            resize: param.resize_param.clone(),
            noise: param.noise_param.clone(),
        };
        augment.resize.iter().try_for_each(resize::check)?;
        augment.noise.iter().try_for_each(noise::check)?;
        if let Some(distort) = &augment.distort {
            distort::check(distort)?;
        }
        if let Some(expand) = &augment.expand
            && !(1.0..=64.0).contains(&expand.max_expand_ratio())
        {
            let why =
                format!("a ratio from 1 to 64 is wanted, found {}", expand.max_expand_ratio());
            return Err(field("expand_param.max_expand_ratio", why));
        }
        let any = augment.distort.is_some()
            || augment.expand.is_some()
            || !augment.resize.is_empty()
            || !augment.noise.is_empty();
        Ok(any.then_some(augment))
    }

    /// Changes an item; `mean` is what a larger canvas is filled with, a value per channel.
    ///
    /// # Errors
    /// The item holds floats, or channels that a change is not defined for; it would become too large.
    pub fn apply(&self, item: Item, mean: &[f32], rng: &mut Rng) -> Result<Item, LayerError> {
        let (item, _) = self.before(item, mean, rng)?;
        Ok(self.after(item, rng)?.0)
    }

    /// What happens before a part is sampled (colours and a larger canvas), and where it puts things.
    ///
    /// # Errors
    /// As [`Augment::apply`].
    pub fn before(
        &self,
        item: Item,
        mean: &[f32],
        rng: &mut Rng,
    ) -> Result<(Item, Map), LayerError> {
        let (mut picture, label) = picture_of(item)?;
        if let Some(distort) = &self.distort {
            distort::apply(&mut picture, distort, rng);
        }
        let (Picture { shape, data }, map) = match &self.expand {
            Some(expand) => expanded(picture, expand, mean, rng)?,
            None => (picture, Map::STAY),
        };
        Ok((Item { shape, pixels: Pixels::U8(data), label }, map))
    }

    /// What happens after that (another size and noise), and where it puts things.
    ///
    /// # Errors
    /// As [`Augment::apply`].
    pub fn after(&self, item: Item, rng: &mut Rng) -> Result<(Item, Map), LayerError> {
        let (mut picture, label) = picture_of(item)?;
        let mut map = Map::STAY;
        if let Some(param) = chosen(&self.resize, ResizeParameter::prob, rng) {
            (picture, map) = resize::apply(&picture, param, rng)?;
        }
        let shape = picture.shape;
        let pixels = match chosen(&self.noise, NoiseParameter::prob, rng) {
            Some(param) => noise::apply(picture, param, rng)?,
            None => Pixels::U8(picture.data),
        };
        Ok((Item { shape, pixels, label }, map))
    }
}

fn picture_of(item: Item) -> Result<(Picture, i32), LayerError> {
    match item.pixels {
        Pixels::U8(data) => Ok((Picture { shape: item.shape, data }, item.label)),
        Pixels::F32(_) => {
            let why = "pictures of bytes can be augmented, the item holds floats";
            Err(LayerError::field("transform_param", why))
        }
    }
}

/// One way with its probability; of several, one by their weights.
fn chosen<'a, P>(ways: &'a [P], prob: fn(&P) -> f32, rng: &mut Rng) -> Option<&'a P> {
    match ways {
        [] => None,
        [way] => (prob(way) >= 1.0 || unit(rng) < prob(way)).then_some(way),
        _ => {
            let mut left = unit(rng) * ways.iter().map(|way| prob(way).max(0.0)).sum::<f32>();
            let hit = ways.iter().find(|way| {
                left -= prob(way).max(0.0);
                left < 0.0
            });
            hit.or(ways.last())
        }
    }
}

/// A larger canvas with the picture somewhere on it.
fn expanded(
    picture: Picture,
    p: &ExpansionParameter,
    mean: &[f32],
    rng: &mut Rng,
) -> Result<(Picture, Map), LayerError> {
    if !(unit(rng) < p.prob()) {
        return Ok((picture, Map::STAY));
    }
    let ratio = 1.0 + unit(rng) * (p.max_expand_ratio() - 1.0);
    let [c, h, w] = picture.shape;
    let [new_h, new_w] = [h, w].map(|length| ((length as f32 * ratio) as usize).max(length));
    check_size(new_h, new_w).map_err(|why| field("expand_param.max_expand_ratio", why))?;
    let top = below(rng, (new_h - h) as u64 + 1) as usize;
    let left = below(rng, (new_w - w) as u64 + 1) as usize;
    let mut data = Vec::with_capacity(c * new_h * new_w);
    for channel in 0..c {
        let fill = mean.get(channel).or(mean.first()).copied().unwrap_or(0.0);
        let start = data.len();
        data.resize(start + new_h * new_w, fill.round().clamp(0.0, 255.0) as u8);
        for y in 0..h {
            let from = &picture.data[(channel * h + y) * w..][..w];
            data[start + (top + y) * new_w + left..][..w].copy_from_slice(from);
        }
    }
    let map = Map::onto_canvas([h, w], [new_h, new_w], top, left);
    Ok((Picture { shape: [c, new_h, new_w], data }, map))
}

/// A number from 0 up to 1.
fn unit(rng: &mut Rng) -> f32 {
    (rng.next_u64() >> 40) as f32 / (1u64 << 24) as f32
}

/// A number between two.
pub(super) fn between(rng: &mut Rng, low: f32, high: f32) -> f32 {
    low + unit(rng) * (high - low)
}

fn field(name: &str, why: impl Into<String>) -> LayerError {
    LayerError::field(format!("transform_param.{name}"), why)
}

fn to_byte(value: f32) -> u8 {
    value.round_ties_even().clamp(0.0, 255.0) as u8
}
