//! `distort_param`: other brightness, contrast, saturation and hue, each with its probability, and at
//! times the channels in another order.

use cortado_layers::{LayerError, Rng};
use cortado_proto::caffe::DistortionParameter;

use super::colors::{bytes_from_hsv, bytes_to_hsv};
use super::{between, field, to_byte, unit};
use crate::data::image::Picture;
use crate::data::order::below;

/// Checks the ranges.
pub fn check(p: &DistortionParameter) -> Result<(), LayerError> {
    let ranges = [
        ("contrast", p.contrast_prob(), p.contrast_lower(), p.contrast_upper()),
        ("saturation", p.saturation_prob(), p.saturation_lower(), p.saturation_upper()),
    ];
    for (name, prob, lower, upper) in ranges {
        if prob > 0.0 && !(lower >= 0.0 && lower <= upper) {
            let why =
                format!("0 <= {name}_lower <= {name}_upper is wanted, found {lower} and {upper}");
            return Err(field(&format!("distort_param.{name}_lower"), why));
        }
    }
    for (name, delta) in [("brightness", p.brightness_delta()), ("hue", p.hue_delta())] {
        if !(0.0..=255.0).contains(&delta) {
            let why = format!("a number from 0 to 255 is wanted, found {delta}");
            return Err(field(&format!("distort_param.{name}_delta"), why));
        }
    }
    Ok(())
}

/// Changes the colours of a picture; one without three channels has no hue and no saturation.
pub fn apply(picture: &mut Picture, p: &DistortionParameter, rng: &mut Rng) {
    // Contrast comes before or after the colours.
    let early = unit(rng) > 0.5;
    brightness(picture, p, rng);
    if early {
        contrast(picture, p, rng);
    }
    saturation(picture, p, rng);
    hue(picture, p, rng);
    if !early {
        contrast(picture, p, rng);
    }
    if unit(rng) < p.random_order_prob() {
        shuffle_channels(picture, rng);
    }
}

fn brightness(picture: &mut Picture, p: &DistortionParameter, rng: &mut Rng) {
    if unit(rng) < p.brightness_prob() {
        let delta = between(rng, -p.brightness_delta(), p.brightness_delta());
        picture.data.iter_mut().for_each(|value| *value = to_byte(f32::from(*value) + delta));
    }
}

fn contrast(picture: &mut Picture, p: &DistortionParameter, rng: &mut Rng) {
    if unit(rng) < p.contrast_prob() {
        let factor = between(rng, p.contrast_lower(), p.contrast_upper());
        picture.data.iter_mut().for_each(|value| *value = to_byte(f32::from(*value) * factor));
    }
}

fn saturation(picture: &mut Picture, p: &DistortionParameter, rng: &mut Rng) {
    if unit(rng) < p.saturation_prob() {
        let factor = between(rng, p.saturation_lower(), p.saturation_upper());
        in_hsv(picture, |[h, s, v]| [h, to_byte(f32::from(s) * factor), v]);
    }
}

/// `hue_delta` counts in bytes' hue: halves of a degree's double, 0 to 179 for the whole circle.
fn hue(picture: &mut Picture, p: &DistortionParameter, rng: &mut Rng) {
    if unit(rng) < p.hue_prob() {
        let delta = between(rng, -p.hue_delta(), p.hue_delta());
        in_hsv(picture, |[h, s, v]| [to_byte(f32::from(h) + delta), s, v]);
    }
}

fn in_hsv(picture: &mut Picture, change: impl Fn([u8; 3]) -> [u8; 3]) {
    each_pixel(picture, |bgr| bytes_from_hsv(change(bytes_to_hsv(bgr))));
}

/// Changes every pixel of a picture of three channels.
pub fn each_pixel(picture: &mut Picture, change: impl Fn([u8; 3]) -> [u8; 3]) {
    let [channels, h, w] = picture.shape;
    if channels != 3 {
        return;
    }
    let (blue, rest) = picture.data.split_at_mut(h * w);
    let (green, red) = rest.split_at_mut(h * w);
    for ((b, g), r) in blue.iter_mut().zip(green).zip(red) {
        [*b, *g, *r] = change([*b, *g, *r]);
    }
}

fn shuffle_channels(picture: &mut Picture, rng: &mut Rng) {
    let [channels, h, w] = picture.shape;
    let plane = h * w;
    for i in (1..channels).rev() {
        let j = below(rng, i as u64 + 1) as usize;
        for at in 0..plane {
            picture.data.swap(i * plane + at, j * plane + at);
        }
    }
}
