//! Other sizes by other ways than [`resize`](crate::data::image::resize), with the sampling points of
//! OpenCV's `resize`: pixel centres, border pixels repeated.

use cortado_proto::caffe::resize_parameter::InterpMode;

use super::to_byte;
use crate::data::image::{Picture, resize};

/// Where an output row or column comes from: places and their weights.
type Taps = Vec<(usize, f32)>;

/// Resizes a picture.
pub fn resample(picture: &Picture, height: usize, width: usize, mode: InterpMode) -> Picture {
    let [c, h, w] = picture.shape;
    let enlarges = height > h || width > w;
    if mode == InterpMode::Linear
        || (mode == InterpMode::Area && enlarges)
        || picture.data.is_empty()
    {
        return resize(picture, height, width);
    }
    let taps = |from: usize, to: usize| -> Vec<Taps> {
        (0..to).map(|i| taps(i, from, to, mode)).collect()
    };
    let (rows, columns) = (taps(h, height), taps(w, width));
    let mut data = Vec::with_capacity(c * height * width);
    let mut line = vec![0f32; w];
    for plane in picture.data.chunks_exact(h * w) {
        for row in &rows {
            line.fill(0.0);
            for &(y, weight) in row {
                let source = &plane[y * w..(y + 1) * w];
                line.iter_mut().zip(source).for_each(|(sum, &v)| *sum += weight * f32::from(v));
            }
            data.extend(columns.iter().map(|column| {
                to_byte(column.iter().map(|&(x, weight)| weight * line[x]).sum::<f32>())
            }));
        }
    }
    Picture { shape: [c, height, width], data }
}

fn taps(i: usize, from: usize, to: usize, mode: InterpMode) -> Taps {
    let scale = from as f64 / to as f64;
    let last = from as i64 - 1;
    if mode == InterpMode::Nearest {
        return vec![(((i as f64 * scale) as i64).min(last) as usize, 1.0)];
    }
    if mode == InterpMode::Area {
        // The part of each source pixel that lies under the output pixel.
        let (start, end) = (i as f64 * scale, (i + 1) as f64 * scale);
        let first = start.floor() as usize;
        return (first..(end.ceil() as usize).min(from))
            .map(|at| {
                let part = end.min((at + 1) as f64) - start.max(at as f64);
                (at, (part / scale) as f32)
            })
            .filter(|(_, weight)| *weight > 1e-6)
            .collect();
    }
    let centre = ((i as f64 + 0.5) * scale - 0.5) as f32;
    let (at, part) = (centre.floor() as i64, centre - centre.floor());
    let (radius, weight): (i64, fn(f32) -> f32) = match mode {
        InterpMode::Lanczos4 => (4, lanczos),
        _ => (2, cubic),
    };
    let mut taps: Taps = (1 - radius..=radius)
        .map(|offset| ((at + offset).clamp(0, last) as usize, weight((offset as f32 - part).abs())))
        .collect();
    let sum: f32 = taps.iter().map(|(_, weight)| weight).sum();
    taps.iter_mut().for_each(|(_, weight)| *weight /= sum);
    taps
}

/// The cubic of R. G. Keys, "Cubic convolution interpolation", 1981, with a = -0.75.
fn cubic(x: f32) -> f32 {
    const A: f32 = -0.75;
    match x {
        x if x <= 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        x if x < 2.0 => ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A,
        _ => 0.0,
    }
}

/// sinc(x) sinc(x / 4) within four pixels.
fn lanczos(x: f32) -> f32 {
    let sinc = |x: f32| {
        let angle = std::f32::consts::PI * x;
        if x.abs() < 1e-6 { 1.0 } else { angle.sin() / angle }
    };
    if x < 4.0 { sinc(x) * sinc(x / 4.0) } else { 0.0 }
}
