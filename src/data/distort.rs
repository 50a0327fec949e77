//! Colours shifted at random: brightness, contrast, hue, saturation.

use cortado_layers::Rng;
use cortado_proto::caffe::DistortionParameter;
use rand::RngExt;

use super::boxes::between;
use super::image::Picture;

/// Shifts the colours of a picture; hue and saturation where it has three channels.
pub fn distort(picture: &mut Picture, p: &DistortionParameter, rng: &mut Rng) {
    let late_contrast = rng.random::<f32>() <= 0.5;
    brightness(picture, p, rng);
    if !late_contrast {
        contrast(picture, p, rng);
    }
    hue_and_saturation(picture, p, rng);
    if late_contrast {
        contrast(picture, p, rng);
    }
    if rng.random::<f32>() < p.random_order_prob() {
        reorder(picture, rng);
    }
}

/// Each byte through a line, held between 0 and 255.
fn line(picture: &mut Picture, factor: f32, shift: f32) {
    let byte = |v: u8| (f32::from(v) * factor + shift).round_ties_even().clamp(0.0, 255.0) as u8;
    picture.data.iter_mut().for_each(|v| *v = byte(*v));
}

fn brightness(picture: &mut Picture, p: &DistortionParameter, rng: &mut Rng) {
    if rng.random::<f32>() < p.brightness_prob() {
        line(picture, 1.0, between(rng, -p.brightness_delta(), p.brightness_delta()));
    }
}

fn contrast(picture: &mut Picture, p: &DistortionParameter, rng: &mut Rng) {
    if rng.random::<f32>() < p.contrast_prob() {
        line(picture, between(rng, p.contrast_lower(), p.contrast_upper()), 0.0);
    }
}

fn hue_and_saturation(picture: &mut Picture, p: &DistortionParameter, rng: &mut Rng) {
    let factor = match rng.random::<f32>() < p.saturation_prob() {
        true => between(rng, p.saturation_lower(), p.saturation_upper()),
        false => 1.0,
    };
    let turn = match rng.random::<f32>() < p.hue_prob() {
        // Degrees of half a circle, as OpenCV counts them in bytes.
        true => 2.0 * between(rng, -p.hue_delta(), p.hue_delta()),
        false => 0.0,
    };
    let [channels, h, w] = picture.shape;
    if channels != 3 || (factor == 1.0 && turn == 0.0) {
        return;
    }
    let plane = h * w;
    for i in 0..plane {
        let at = [i, plane + i, 2 * plane + i];
        let [b, g, r] = at.map(|at| f32::from(picture.data[at]) / 255.0);
        let (hue, chroma, value) = hsv(b, g, r);
        let turned = bgr((hue + turn).rem_euclid(360.0), (chroma * factor).clamp(0.0, 1.0), value);
        for (at, v) in at.into_iter().zip(turned) {
            picture.data[at] = (v * 255.0).round_ties_even().clamp(0.0, 255.0) as u8;
        }
    }
}

/// Hue in degrees, saturation and value in 0 to 1.
fn hsv(b: f32, g: f32, r: f32) -> (f32, f32, f32) {
    let (max, min) = (b.max(g).max(r), b.min(g).min(r));
    let range = max - min;
    let hue = match range {
        0.0 => 0.0,
        _ if max == r => 60.0 * (g - b) / range,
        _ if max == g => 120.0 + 60.0 * (b - r) / range,
        _ => 240.0 + 60.0 * (r - g) / range,
    };
    (hue.rem_euclid(360.0), if max == 0.0 { 0.0 } else { range / max }, max)
}

fn bgr(hue: f32, saturation: f32, value: f32) -> [f32; 3] {
    let of = |n: f32| {
        let k = (n + hue / 60.0).rem_euclid(6.0);
        value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0)
    };
    [of(1.0), of(3.0), of(5.0)]
}

fn reorder(picture: &mut Picture, rng: &mut Rng) {
    let [channels, h, w] = picture.shape;
    let mut order: Vec<usize> = (0..channels).collect();
    for i in (1..channels).rev() {
        order.swap(i, super::order::below(rng, i as u64 + 1) as usize);
    }
    let old = std::mem::take(&mut picture.data);
    picture.data = order.iter().flat_map(|&c| old[c * h * w..][..h * w].to_vec()).collect();
}

#[cfg(test)]
mod tests {
    use super::{bgr, hsv};

    #[test]
    fn colours_come_back_from_hue_and_saturation() {
        for i in 0..1000u32 {
            let of = |n: u32| (i * n % 97) as f32 / 96.0;
            let [b, g, r] = [of(7), of(31), of(53)];
            let (hue, saturation, value) = hsv(b, g, r);
            let back = bgr(hue, saturation, value);
            assert!([b, g, r].iter().zip(back).all(|(a, b)| (a - b).abs() < 1e-5));
        }
        assert_eq!(hsv(0.0, 0.0, 1.0), (0.0, 1.0, 1.0));
        assert_eq!(bgr(120.0, 1.0, 1.0), [0.0, 1.0, 0.0]);
    }
}
