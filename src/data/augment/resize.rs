//! `resize_param`: another size, stretched or with its own proportions.

use cortado_layers::{LayerError, Rng};
use cortado_proto::caffe::ResizeParameter;
use cortado_proto::caffe::resize_parameter::{InterpMode, PadMode, ResizeMode};

use super::resample::resample;
use super::{field, to_byte};
use crate::data::annotated::Map;
use crate::data::image::Picture;
use crate::data::order::below;

/// No side of a picture is made longer.
const MAX_SIDE: u32 = 1 << 15;

/// Checks the sizes, and that nothing is asked for that is not known here.
pub fn check(p: &ResizeParameter) -> Result<(), LayerError> {
    for (name, side) in [("height", p.height()), ("width", p.width())] {
        if side == 0 || side > MAX_SIDE {
            let why = format!("a number from 1 to {MAX_SIDE} is wanted, found {side}");
            return Err(field(&format!("resize_param.{name}"), why));
        }
    }
    let foreign = [
        ("center_object", p.center_object()),
        ("max_angle", p.max_angle() != 0.0),
        ("height_scale", p.height_scale() != 0),
        ("width_scale", p.width_scale() != 0),
    ];
    if let Some((name, _)) = foreign.iter().find(|(_, given)| *given) {
        let why = format!("`{name}` is not known here; leave it out");
        return Err(field(&format!("resize_param.{name}"), why));
    }
    if !matches!(p.pad_value.len(), 0 | 1 | 3) {
        let why = format!("1 or 3 values are wanted, found {}", p.pad_value.len());
        return Err(field("resize_param.pad_value", why));
    }
    Ok(())
}

/// Gives a picture its new size; and where that puts things.
///
/// # Errors
/// It has no pixels.
pub fn apply(
    picture: &Picture,
    p: &ResizeParameter,
    rng: &mut Rng,
) -> Result<(Picture, Map), LayerError> {
    let [_, h, w] = picture.shape;
    let (height, width) = (p.height() as usize, p.width() as usize);
    if h == 0 || w == 0 {
        return Err(field("resize_param", "the item has no pixels"));
    }
    let modes: Vec<InterpMode> = p.interp_mode().collect();
    let mode = match modes[..] {
        [] => InterpMode::Linear,
        [mode] => mode,
        _ => modes[below(rng, modes.len() as u64) as usize],
    };
    // Height over width against that of the new size, in whole numbers.
    let (flatter, by_width) = (w * height > h * width, [h * width / w, width]);
    let by_height = [height, w * height / h];
    let [fit_h, fit_w] = match (p.resize_mode(), flatter) {
        (ResizeMode::Warp, _) => [height, width],
        (ResizeMode::FitSmallSize, true) | (ResizeMode::FitLargeSizeAndPad, false) => by_height,
        (ResizeMode::FitSmallSize, false) | (ResizeMode::FitLargeSizeAndPad, true) => by_width,
    };
    let [fit_h, fit_w] = [fit_h.max(1), fit_w.max(1)];
    if fit_h > MAX_SIDE as usize || fit_w > MAX_SIDE as usize {
        return Err(field(
            "resize_param",
            format!("a picture of {h}x{w} would become {fit_h}x{fit_w}"),
        ));
    }
    let fit = resample(picture, fit_h, fit_w, mode);
    Ok(match p.resize_mode() {
        ResizeMode::FitLargeSizeAndPad => {
            let side = |inner: usize, whole: usize| (inner as f32 / whole as f32).min(1.0);
            // Boxes go by the size before it is rounded.
            let scale = match flatter {
                true => [1.0, side(h * width, w * height)],
                false => [side(w * height, h * width), 1.0],
            };
            let map = Map { scale, shift: scale.map(|scale| (1.0 - scale) / 2.0) };
            (padded(&fit, height, width, p), map)
        }
        _ => (fit, Map::STAY),
    })
}

/// The picture in the middle, what is missing around it filled up; odd rests go behind it.
fn padded(picture: &Picture, height: usize, width: usize, p: &ResizeParameter) -> Picture {
    let [c, h, w] = picture.shape;
    let (top, left) = ((height - h) / 2, (width - w) / 2);
    let inside = |at: usize, before: usize, length: usize| -> Option<usize> {
        let at = at as i64 - before as i64;
        let length = length as i64;
        let there = (0..length).contains(&at);
        match p.pad_mode() {
            _ if there => Some(at as usize),
            PadMode::Constant => None,
            PadMode::RepeatNearest => Some(at.clamp(0, length - 1) as usize),
            PadMode::Mirrored => {
                // … 2 1 | 0 1 2 … n-1 | n-2 …
                let period = (2 * (length - 1)).max(1);
                let at = at.rem_euclid(period);
                Some(at.min(period - at).min(length - 1) as usize)
            }
        }
    };
    let mut data = Vec::with_capacity(c * height * width);
    for channel in 0..c {
        let fill = p.pad_value.get(channel).or(p.pad_value.first()).copied().unwrap_or(0.0);
        for y in 0..height {
            for x in 0..width {
                let from = inside(y, top, h).zip(inside(x, left, w));
                data.push(match from {
                    Some((y, x)) => picture.data[(channel * h + y) * w + x],
                    None => to_byte(fill),
                });
            }
        }
    }
    Picture { shape: [c, height, width], data }
}
