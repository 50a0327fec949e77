//! What SSD does to a picture and its boxes: colours shifted, zoomed out, a part cut out, resized.

use cortado_layers::{LayerError, Phase, Rng};
use cortado_proto::caffe::resize_parameter::{PadMode, ResizeMode};
use cortado_proto::caffe::{
    AnnotatedDataParameter, BatchSampler, DistortionParameter, EmitConstraint, ExpansionParameter,
    ResizeParameter, TransformationParameter,
};
use rand::RngExt;

use super::boxes::{Rect, Scene, between, samples, shown};
use super::distort::distort;
use super::image::{Picture, resize};
use super::order::below;
use super::{Item, Pixels};

/// How a scene is changed before mean and scale; what stays is left to [`super::Transform`].
#[derive(Clone, Debug, Default)]
pub struct Augment {
    samplers: Vec<BatchSampler>,
    resize: Option<ResizeParameter>,
    distort: Option<DistortionParameter>,
    expand: Option<ExpansionParameter>,
    emit: Option<EmitConstraint>,
    mirror: bool,
    mean: Vec<f32>,
}

impl Augment {
    /// Takes its fields out of a `transform_param`.
    ///
    /// # Errors
    /// Fields that contradict each other or are not followed.
    pub fn new(
        param: &mut TransformationParameter,
        annotated: &AnnotatedDataParameter,
    ) -> Result<Augment, LayerError> {
        let wrong = |field: &str, why: &str| {
            Err(LayerError::field(format!("transform_param.{field}"), why))
        };
        if param.crop_size() > 0 || param.crop_h() > 0 {
            return wrong(
                "crop_size",
                "pictures with boxes are cut by `batch_sampler`, not by a crop",
            );
        }
        let resize = match &param.resize_param[..] {
            [] => None,
            [one] => Some(one.clone()),
            _ => return wrong("resize_param", "`resize_param` is given once"),
        };
        if resize.as_ref().is_some_and(|r| r.height() == 0 || r.width() == 0) {
            return wrong("resize_param", "`height` and `width` of `resize_param` must be above 0");
        }
        let augment = Augment {
            samplers: annotated.batch_sampler.clone(),
            resize,
            distort: param.distort_param.take(),
            expand: param.expand_param.take(),
            emit: param.emit_constraint.take(),
            mirror: std::mem::take(&mut param.mirror).unwrap_or(false),
            mean: param.mean_value.clone(),
        };
        param.resize_param.clear();
        Ok(augment)
    }

    /// The scene as the net gets it, but for mean and scale. Everything is drawn from `rng`.
    pub fn apply(&self, scene: Scene, phase: Phase, rng: &mut Rng) -> Result<Scene, String> {
        let label = scene.item.label;
        let mut picture = as_picture(scene.item)?;
        let mut objects = scene.objects;
        if phase == Phase::Train {
            if let Some(param) = &self.distort {
                distort(&mut picture, param, rng);
            }
            if let Some(param) = &self.expand {
                let frame = self.zoom_out(&mut picture, param, rng);
                objects = shown(&objects, frame, self.emit.as_ref());
            }
        }
        let proposed = samples(&self.samplers, &objects, rng);
        if !proposed.is_empty() {
            let frame = proposed[below(rng, proposed.len() as u64) as usize];
            picture = cut(&picture, frame);
            objects = shown(&objects, frame, self.emit.as_ref());
        }
        if let Some(param) = &self.resize
            && rng.random::<f32>() <= param.prob()
        {
            let frame = resized(&mut picture, param);
            objects = shown(&objects, frame, None);
        }
        if self.mirror && below(rng, 2) == 1 {
            let width = picture.shape[2].max(1);
            picture.data.chunks_exact_mut(width).for_each(<[u8]>::reverse);
            objects.iter_mut().for_each(|object| object.rect = object.rect.mirrored());
        }
        let item = Item { shape: picture.shape, pixels: Pixels::U8(picture.data), label };
        Ok(Scene { item, objects })
    }

    /// Puts the picture somewhere on a larger ground of the mean colour; the ground in its measures.
    fn zoom_out(&self, picture: &mut Picture, param: &ExpansionParameter, rng: &mut Rng) -> Rect {
        let whole = super::boxes::WHOLE;
        if rng.random::<f32>() > param.prob() || (param.max_expand_ratio() - 1.0).abs() < 1e-2 {
            return whole;
        }
        let ratio = between(rng, 1.0, param.max_expand_ratio());
        let [c, h, w] = picture.shape;
        let larger =
            |length: usize| ((length as f32 * ratio) as usize).clamp(length, length.max(1) << 4);
        let [height, width] = [larger(h), larger(w)];
        let top = between(rng, 0.0, (height - h) as f32) as usize;
        let left = between(rng, 0.0, (width - w) as f32) as usize;
        let mut data = Vec::with_capacity(c * height * width);
        for channel in 0..c {
            let mean = self.mean.get(channel).or(self.mean.first()).copied().unwrap_or(0.0);
            data.resize((channel + 1) * height * width, mean.round().clamp(0.0, 255.0) as u8);
        }
        paste(picture, &mut data, [height, width], [top, left]);
        *picture = Picture { shape: [c, height, width], data };
        let [h, w] = [h.max(1) as f32, w.max(1) as f32];
        let [top, left] = [top as f32, left as f32];
        Rect([-left / w, -top / h, (width as f32 - left) / w, (height as f32 - top) / h])
    }
}

/// Only bytes are pictures.
fn as_picture(item: Item) -> Result<Picture, String> {
    match item.pixels {
        Pixels::U8(data) => Ok(Picture { shape: item.shape, data }),
        Pixels::F32(_) => Err("a picture of bytes is wanted, it holds floats".to_owned()),
    }
}

/// Copies a picture onto a larger one.
fn paste(picture: &Picture, to: &mut [u8], [height, width]: [usize; 2], [top, left]: [usize; 2]) {
    let [c, h, w] = picture.shape;
    for channel in 0..c {
        for y in 0..h {
            let at = (channel * height + top + y) * width + left;
            to[at..at + w].copy_from_slice(&picture.data[(channel * h + y) * w..][..w]);
        }
    }
}

/// The part of a picture that a rectangle shows; at least one pixel.
fn cut(picture: &Picture, frame: Rect) -> Picture {
    let [c, h, w] = picture.shape;
    let range = |from: f32, to: f32, length: usize| {
        let last = length.saturating_sub(1);
        let start = ((from * length as f32) as usize).min(last);
        start..((to * length as f32) as usize).clamp((start + 1).min(length), length)
    };
    let [x1, y1, x2, y2] = frame.0;
    let (rows, columns) = (range(y1, y2, h), range(x1, x2, w));
    let mut data = Vec::with_capacity(c * rows.len() * columns.len());
    for channel in 0..c {
        for y in rows.clone() {
            data.extend(&picture.data[(channel * h + y) * w..][columns.clone()]);
        }
    }
    Picture { shape: [c, rows.len(), columns.len()], data }
}

/// Resizes as the mode says; what the result shows in the measures of the picture before.
fn resized(picture: &mut Picture, param: &ResizeParameter) -> Rect {
    let [c, h, w] = picture.shape;
    let [height, width] = [param.height() as usize, param.width() as usize];
    let aspect = w.max(1) as f32 / h.max(1) as f32;
    match param.resize_mode() {
        ResizeMode::Warp => {
            *picture = resize(picture, height, width);
            super::boxes::WHOLE
        }
        ResizeMode::FitSmallSize => {
            let [rows, columns] = match aspect < width as f32 / height as f32 {
                true => [(width as f32 / aspect) as usize, width],
                false => [height, (height as f32 * aspect) as usize],
            };
            *picture = resize(picture, rows.max(1), columns.max(1));
            super::boxes::WHOLE
        }
        ResizeMode::FitLargeSizeAndPad => {
            let [rows, columns] = match aspect > width as f32 / height as f32 {
                true => [((width as f32 / aspect) as usize).clamp(1, height), width],
                false => [height, ((height as f32 * aspect) as usize).clamp(1, width)],
            };
            let small = resize(picture, rows, columns);
            let [top, left] = [(height - rows) / 2, (width - columns) / 2];
            let mut data = vec![0u8; c * height * width];
            for (channel, plane) in data.chunks_exact_mut(height * width).enumerate() {
                let value = match param.pad_mode() {
                    PadMode::Constant => param.pad_value.get(channel).or(param.pad_value.first()),
                    _ => None,
                };
                plane.fill(value.map_or(0, |v| v.round().clamp(0.0, 255.0) as u8));
            }
            paste(&small, &mut data, [height, width], [top, left]);
            *picture = Picture { shape: [c, height, width], data };
            let [rows, columns] = [rows as f32, columns as f32];
            let [x, y] = [left as f32 / columns, top as f32 / rows];
            Rect([-x, -y, width as f32 / columns - x, height as f32 / rows - y])
        }
    }
}
