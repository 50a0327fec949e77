//! `noise_param`: a picture made worse, or given in another colour space. What is asked for happens
//! in the order of the functions here.

use cortado_layers::{LayerError, Rng};
use cortado_proto::caffe::NoiseParameter;
use cortado_proto::caffe::salt_pepper_parameter::SaltType;

use super::colors::{bytes_to_hsv, gray, to_lab};
use super::distort::each_pixel;
use super::{field, to_byte};
use crate::data::Pixels;
use crate::data::image::{self, Color, Picture};
use crate::data::order::below;

/// Checks the ranges, and that nothing is asked for that is not known here.
pub fn check(p: &NoiseParameter) -> Result<(), LayerError> {
    if p.clahe() {
        return Err(field("noise_param.clahe", "`clahe` is not known here; leave it out"));
    }
    if p.convert_to_hsv() && p.convert_to_lab() {
        let why = "convert_to_hsv and convert_to_lab exclude each other";
        return Err(field("noise_param.convert_to_lab", why));
    }
    if p.jpeg() > 100.0 {
        let why = format!("a quality up to 100 is wanted, found {}", p.jpeg());
        return Err(field("noise_param.jpeg", why));
    }
    let salt = p.saltpepper_param.clone().unwrap_or_default();
    let limit = if salt.r#type() == SaltType::Absolute { f32::MAX } else { 1.0 };
    if p.saltpepper() && !(0.0..=limit).contains(&salt.fraction()) {
        let why = format!("a number from 0 to 1 is wanted, found {}", salt.fraction());
        return Err(field("noise_param.saltpepper_param.fraction", why));
    }
    Ok(())
}

/// Changes a picture.
///
/// # Errors
/// A colour space is asked for and the picture has not three channels.
pub fn apply(
    mut picture: Picture,
    p: &NoiseParameter,
    rng: &mut Rng,
) -> Result<Pixels, LayerError> {
    if picture.data.is_empty() {
        return Ok(Pixels::U8(picture.data));
    }
    if p.decolorize() {
        each_pixel(&mut picture, |bgr| [gray(bgr); 3]);
    }
    if p.gauss_blur() {
        blur(&mut picture);
    }
    if p.hist_eq() {
        equalize(&mut picture);
    }
    if p.jpeg() > 0.0 {
        picture = through_jpeg(&picture, p.jpeg())?;
    }
    if p.erode() {
        erode(&mut picture);
    }
    if p.posterize() {
        picture.data.iter_mut().for_each(|value| *value = *value / 64 * 64 + 32);
    }
    if p.inverse() {
        picture.data.iter_mut().for_each(|value| *value = 255 - *value);
    }
    if p.saltpepper() {
        salt(&mut picture, p, rng);
    }
    if !(p.convert_to_hsv() || p.convert_to_lab()) {
        return Ok(Pixels::U8(picture.data));
    }
    let [channels, h, w] = picture.shape;
    if channels != 3 {
        let name = if p.convert_to_hsv() { "convert_to_hsv" } else { "convert_to_lab" };
        let why = format!("three channels are wanted, the item has {channels}");
        return Err(field(&format!("noise_param.{name}"), why));
    }
    if p.convert_to_hsv() {
        each_pixel(&mut picture, bytes_to_hsv);
        return Ok(Pixels::U8(picture.data));
    }
    let plane = h * w;
    let mut lab = vec![0f32; 3 * plane];
    for at in 0..plane {
        let pixel = [0, 1, 2].map(|c| f32::from(picture.data[c * plane + at]) / 255.0);
        for (c, value) in to_lab(pixel).into_iter().enumerate() {
            lab[c * plane + at] = value;
        }
    }
    Ok(Pixels::F32(lab))
}

/// Where OpenCV takes the pixel at `at` from, outside: mirrored, the border once.
fn mirrored(at: i64, length: usize) -> usize {
    let period = (2 * (length as i64 - 1)).max(1);
    let at = at.rem_euclid(period);
    at.min(period - at).min(length as i64 - 1) as usize
}

/// A Gaussian of 7x7 and deviation 1.5.
fn blur(picture: &mut Picture) {
    let weight = |d: i64| (-(d * d) as f32 / (2.0 * 1.5 * 1.5)).exp();
    let sum: f32 = (-3..=3).map(weight).sum();
    let weights: Vec<(i64, f32)> = (-3..=3).map(|d| (d, weight(d) / sum)).collect();
    let [_, h, w] = picture.shape;
    for plane in picture.data.chunks_exact_mut((h * w).max(1)) {
        let mut across = vec![0f32; h * w];
        for (i, out) in across.iter_mut().enumerate() {
            let (y, x) = (i / w, (i % w) as i64);
            let tap =
                |&(d, weight): &(i64, f32)| weight * f32::from(plane[y * w + mirrored(x + d, w)]);
            *out = weights.iter().map(tap).sum();
        }
        for (i, out) in plane.iter_mut().enumerate() {
            let (y, x) = ((i / w) as i64, i % w);
            let tap = |&(d, weight): &(i64, f32)| weight * across[mirrored(y + d, h) * w + x];
            *out = to_byte(weights.iter().map(tap).sum());
        }
    }
}

/// Spreads the brightness evenly over 0 to 255; colours keep their difference to it.
fn equalize(picture: &mut Picture) {
    let [channels, h, w] = picture.shape;
    let plane = h * w;
    let light: Vec<u8> = match channels {
        3 => (0..plane).map(|i| gray([0, 1, 2].map(|c| picture.data[c * plane + i]))).collect(),
        _ => picture.data[..plane].to_vec(),
    };
    let mut counts = [0usize; 256];
    light.iter().for_each(|&value| counts[usize::from(value)] += 1);
    let Some(darkest) = counts.iter().position(|&count| count > 0) else { return };
    let rest = plane - counts[darkest];
    if rest == 0 {
        return;
    }
    let mut table = [0u8; 256];
    let mut sum = 0;
    for value in darkest + 1..256 {
        sum += counts[value];
        table[value] = to_byte(255.0 * sum as f32 / rest as f32);
    }
    for channel in picture.data.chunks_exact_mut(plane) {
        for (value, &light) in channel.iter_mut().zip(&light) {
            let shift = i32::from(table[usize::from(light)]) - i32::from(light);
            *value = (i32::from(*value) + shift).clamp(0, 255) as u8;
        }
    }
}

fn through_jpeg(picture: &Picture, quality: f32) -> Result<Picture, LayerError> {
    let color = if picture.shape[0] == 1 { Color::Gray } else { Color::Bgr };
    let there = image::encode_jpeg(picture, quality.max(1.0) as u8);
    there
        .and_then(|bytes| image::decode(&bytes, color))
        .map_err(|why| field("noise_param.jpeg", why))
}

/// The smallest of a pixel and its four neighbours.
fn erode(picture: &mut Picture) {
    let [_, h, w] = picture.shape;
    for plane in picture.data.chunks_exact_mut((h * w).max(1)) {
        let before = plane.to_vec();
        for (i, out) in plane.iter_mut().enumerate() {
            let (y, x) = (i / w, i % w);
            let above = if y > 0 { before[i - w] } else { 255 };
            let below = if y + 1 < h { before[i + w] } else { 255 };
            let left = if x > 0 { before[i - 1] } else { 255 };
            let right = if x + 1 < w { before[i + 1] } else { 255 };
            *out = above.min(below).min(left).min(right).min(before[i]);
        }
    }
}

/// Gives a number of pixels, drawn at random, fixed values.
fn salt(picture: &mut Picture, p: &NoiseParameter, rng: &mut Rng) {
    let [channels, h, w] = picture.shape;
    let plane = h * w;
    let salt = p.saltpepper_param.clone().unwrap_or_default();
    let count = match salt.r#type() {
        SaltType::Absolute => salt.fraction() as usize,
        SaltType::Relative => (salt.fraction() * plane as f32) as usize,
    };
    for _ in 0..count.min(plane) {
        let at = below(rng, plane as u64) as usize;
        for channel in 0..channels {
            let value = salt.value.get(channel).or(salt.value.first()).copied().unwrap_or(0.0);
            picture.data[channel * plane + at] = to_byte(value);
        }
    }
}
