//! What happens to a picture before the first layer: augmentation, mean, scale, crop, mirror, pad.

use cortado_layers::{LayerError, Phase, Rng};
use cortado_proto::caffe::{Packing, TransformationParameter};

use super::annotated::{Annotated, BBox, Map, Object};
use super::augment::Augment;
use super::image::Color;
use super::mean::MeanPicture;
use super::order::below;
use super::paths::Folder;
use super::whitening::Whitening;
use super::{Item, Pixels};

/// A `transform_param`:
///
/// ```text
/// out = (pixel - mean) · scale / std, zeros around it (pad), cut to crop, mirrored
/// ```
///
/// or, with a whitening matrix, matrix · (picture - mean picture) · scale first.
///
/// Where it cuts and whether it mirrors is drawn from the stream given for the item. Cutting is
/// drawn in TRAIN only (in TEST the middle is taken, rounded down); mirroring in both phases, as
/// the original does.
#[derive(Clone, Debug)]
pub struct Transform {
    scale: f32,
    mean: Values,
    mean_file: Option<String>,
    /// Standard deviations.
    std: Values,
    std_file: Option<String>,
    zca: Option<Whitening>,
    zca_file: Option<String>,
    mirror: bool,
    crop: Option<[usize; 2]>,
    pad: usize,
    color: Color,
    augment: Option<Augment>,
}

#[derive(Clone, Debug)]
enum Values {
    None,
    /// One for all channels, or one per channel.
    Each(Vec<f32>),
    Picture(MeanPicture),
}

/// Where the values that came out lie on the item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placed {
    /// Row and column of the padded item where they begin.
    pub at: [usize; 2],
    /// The part that was cut out; beyond the item where there is padding.
    pub part: BBox,
    /// Whether left and right changed places.
    pub mirrored: bool,
}

/// What belongs to a part of a row.
enum Row<'a> {
    Value(f32),
    Each(&'a [f32]),
}

impl Values {
    fn row(&self, channel: usize, part: std::ops::Range<usize>, otherwise: f32) -> Row<'_> {
        match self {
            Values::None => Row::Value(otherwise),
            Values::Each(values) => Row::Value(values[channel.min(values.len() - 1)]),
            Values::Picture(picture) => Row::Each(&picture.data[part]),
        }
    }

    /// Whether they are for items of a shape.
    fn fit(&self, shape: [usize; 3], name: &str, what: &str) -> Result<(), LayerError> {
        let [c, h, w] = shape;
        match self {
            Values::Each(values) if values.len() != 1 && values.len() != c => {
                let why =
                    format!("{} {name} values are given, the item has {c} channels", values.len());
                Err(LayerError::field(format!("transform_param.{name}_value"), why)
                    .help("give one value, or one per channel"))
            }
            Values::Picture(picture) if picture.shape != shape => {
                let [mc, mh, mw] = picture.shape;
                let why = format!("the {what} is {mc}x{mh}x{mw}, the item {c}x{h}x{w}");
                Err(LayerError::field(format!("transform_param.{name}_file"), why).help(format!(
                    "the {name} has the size of the items before `transform_param` crops them"
                )))
            }
            _ => Ok(()),
        }
    }
}

impl Default for Transform {
    fn default() -> Transform {
        Transform {
            scale: 1.0,
            mean: Values::None,
            mean_file: None,
            std: Values::None,
            std_file: None,
            zca: None,
            zca_file: None,
            mirror: false,
            crop: None,
            pad: 0,
            color: Color::Native,
            augment: None,
        }
    }
}

impl Transform {
    /// Reads and checks a `transform_param`. A mean file is read later, by [`Transform::load`].
    ///
    /// # Errors
    /// Fields that exclude each other; fields of other dialects that would change the result.
    pub fn new(param: &TransformationParameter) -> Result<Transform, LayerError> {
        let field =
            |name: &str, why: &str| LayerError::field(format!("transform_param.{name}"), why);
        if let Some(name) = foreign(param) {
            return Err(field(name, &format!("the transform `{name}` is not known here")).help(
                "known are scale, mean_file, mean_value, mirror, crop_size, crop_h, crop_w, pad, \
                 std_value, std_file, zca_file, \
                 distort_param, expand_param, resize_param, noise_param",
            ));
        }
        let mean_file = param.mean_file.clone();
        if mean_file.is_some() && !param.mean_value.is_empty() {
            return Err(field("mean_value", "mean_file and mean_value exclude each other"));
        }
        let (std_file, zca_file) = (param.std_file.clone(), param.zca_file.clone());
        if std_file.is_some() && !param.std_value.is_empty() {
            return Err(field("std_value", "std_file and std_value exclude each other"));
        }
        for (name, values) in [("scale", &[param.scale()][..]), ("mean_value", &param.mean_value)] {
            if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                return Err(field(name, &format!("a finite number is wanted, found {value}")));
            }
        }
        if let Some(value) = param.std_value.iter().find(|&&std| !(std > 0.0 && std.is_finite())) {
            let why = format!("a deviation is {value}; more than 0 is wanted");
            return Err(field("std_value", &why));
        }
        if zca_file.is_some() {
            if mean_file.is_none() {
                return Err(field("zca_file", "the mean_file of the same pictures is wanted too"));
            }
            if std_file.is_some() || !param.std_value.is_empty() {
                return Err(field("zca_file", "whitening and deviations exclude each other"));
            }
        }
        let values = |given: &[f32]| match given.is_empty() {
            true => Values::None,
            false => Values::Each(given.to_vec()),
        };
        let (mean, std) = (values(&param.mean_value), values(&param.std_value));
        let crop = match (param.crop_size(), param.crop_h(), param.crop_w()) {
            (0, 0, 0) => None,
            (size, 0, 0) => Some([size as usize; 2]),
            (0, h, w) if h > 0 && w > 0 => Some([h as usize, w as usize]),
            (0, ..) => return Err(field("crop_h", "crop_h and crop_w must be given together")),
            _ => return Err(field("crop_size", "crop_size and crop_h, crop_w exclude each other")),
        };
        let color = match (param.force_color(), param.force_gray()) {
            (true, true) => {
                return Err(field("force_gray", "force_color and force_gray exclude each other"));
            }
            (true, false) => Color::Bgr,
            (false, true) => Color::Gray,
            (false, false) => Color::Native,
        };
        let (scale, mirror, pad) = (param.scale(), param.mirror(), param.pad() as usize);
        let augment = Augment::new(param)?;
        Ok(Transform {
            scale,
            mean,
            mean_file,
            std,
            std_file,
            zca: None,
            zca_file,
            mirror,
            crop,
            pad,
            color,
            augment,
        })
    }

    /// Reads the files that are named: mean, deviations, whitening.
    ///
    /// # Errors
    /// One is not there, or holds something else.
    pub fn load(&mut self, folder: &Folder) -> Result<(), LayerError> {
        let picture = |field: &str, given: &str| -> Result<MeanPicture, LayerError> {
            let path = folder.find(field, given)?;
            MeanPicture::read(&path).map_err(|why| LayerError::field(field, why))
        };
        if let Some(given) = &self.mean_file {
            self.mean = Values::Picture(picture("transform_param.mean_file", given)?);
        }
        if let Some(given) = &self.std_file {
            const FIELD: &str = "transform_param.std_file";
            let mut std = picture(FIELD, given)?;
            if let Some(value) = std.data.iter().find(|&&std| !(std >= 0.0 && std.is_finite())) {
                let why = format!("a deviation is {value}; 0 or more is wanted");
                return Err(LayerError::field(FIELD, why));
            }
            // What never varied is only centred.
            std.data.iter_mut().filter(|std| **std == 0.0).for_each(|std| *std = 1.0);
            self.std = Values::Picture(std);
        }
        if let Some(given) = &self.zca_file {
            const FIELD: &str = "transform_param.zca_file";
            let path = folder.find(FIELD, given)?;
            let zca = Whitening::read(&path).map_err(|why| LayerError::field(FIELD, why))?;
            self.zca = Some(zca);
        }
        Ok(())
    }

    /// Whether it divides by deviations or whitens.
    pub fn normalises(&self) -> bool {
        !matches!(self.std, Values::None) || self.std_file.is_some() || self.zca_file.is_some()
    }

    /// Whether it changes items before they are cut and mirrored.
    pub fn augments(&self) -> bool {
        self.augment.is_some()
    }

    /// Which channels encoded pictures are decoded to.
    pub fn color(&self) -> Color {
        self.color
    }

    /// The same, decoding encoded pictures to these channels unless the file says otherwise.
    pub fn with_color(mut self, color: Color) -> Transform {
        if self.color == Color::Native {
            self.color = color;
        }
        self
    }

    /// The shape that comes out for an item of shape (C, H, W).
    ///
    /// # Errors
    /// The item does not fit the mean, or is smaller than the crop.
    pub fn output(&self, shape: [usize; 3]) -> Result<[usize; 3], LayerError> {
        let [c, h, w] = shape;
        self.mean.fit(shape, "mean", "mean picture")?;
        self.std.fit(shape, "std", "picture of deviations")?;
        if let Some(zca) = self.zca.as_ref().filter(|zca| zca.side != c * h * w) {
            let why = format!("the matrix is for {} values, the item {c}x{h}x{w}", zca.side);
            return Err(LayerError::field("transform_param.zca_file", why));
        }
        let too_large =
            || LayerError::field("transform_param.pad", "so much padding does not fit memory");
        let padded = |length: usize| {
            self.pad.checked_mul(2).and_then(|pad| pad.checked_add(length)).ok_or_else(too_large)
        };
        let (ph, pw) = (padded(h)?, padded(w)?);
        match self.crop {
            None => Ok([c, ph, pw]),
            Some([ch, cw]) if ch <= ph && cw <= pw => Ok([c, ch, cw]),
            Some([ch, cw]) => {
                let with_pad = if self.pad > 0 { " with its padding" } else { "" };
                let why = format!("the crop is {ch}x{cw}, the item only {ph}x{pw}{with_pad}");
                Err(LayerError::field("transform_param.crop_size", why))
            }
        }
    }

    /// The item as it goes into [`Transform::output`] and [`Transform::apply`]: as it is, or with
    /// the augmentation that is asked for. `rng` is the stream of this item.
    ///
    /// # Errors
    /// The item is none that can be augmented.
    pub fn augmented(&self, item: Item, rng: &mut Rng) -> Result<Item, LayerError> {
        match &self.augment {
            Some(augment) => augment.apply(item, &self.channel_means(), rng),
            None => Ok(item),
        }
    }

    fn channel_means(&self) -> Vec<f32> {
        match &self.mean {
            Values::None => Vec::new(),
            Values::Each(values) => values.clone(),
            Values::Picture(picture) => picture.channels(),
        }
    }

    /// The same for an item with objects on it, of which a part is sampled in between.
    ///
    /// # Errors
    /// The item is none that can be augmented.
    pub fn augmented_with(
        &self,
        annotated: &Annotated,
        item: Item,
        objects: Vec<Object>,
        rng: &mut Rng,
    ) -> Result<(Item, Vec<Object>), LayerError> {
        let moved = |objects: Vec<Object>, map: Map| -> Vec<Object> {
            let place = |object: Object| Object { bbox: map.of(&object.bbox), ..object };
            objects.into_iter().map(place).collect()
        };
        let Some(augment) = &self.augment else { return annotated.sample(item, objects, rng) };
        let (item, map) = augment.before(item, &self.channel_means(), rng)?;
        let (item, objects) = annotated.sample(item, moved(objects, map), rng)?;
        let (item, map) = augment.after(item, rng)?;
        Ok((item, moved(objects, map)))
    }

    /// Transforms an item into `out`, which has room for exactly what [`Transform::output`] says.
    /// `rng` is the stream of this item.
    ///
    /// # Errors
    /// Those of [`Transform::output`]; an item or `out` of the wrong size.
    pub fn apply(
        &self,
        item: &Item,
        phase: Phase,
        rng: &mut Rng,
        out: &mut [f32],
    ) -> Result<Placed, LayerError> {
        let [c, oh, ow] = self.output(item.shape)?;
        let [_, h, w] = item.shape;
        let found = match &item.pixels {
            Pixels::U8(data) => data.len(),
            Pixels::F32(data) => data.len(),
        };
        if found != c * h * w || out.len() != c * oh * ow {
            let why = format!(
                "an item of {c}x{h}x{w} holds {found} values and goes to {} of {c}x{oh}x{ow}",
                out.len()
            );
            return Err(LayerError::layer(why));
        }
        let whitened = self.zca.as_ref().and_then(|zca| match &self.mean {
            Values::Picture(mean) => Some(zca.apply(item, &mean.data)),
            _ => None,
        });
        let (item, mean) = match &whitened {
            Some(item) => (item, &Values::None),
            None => (item, &self.mean),
        };
        let mirror = self.mirror && below(rng, 2) == 1;
        let mut offset = |room: usize| match phase {
            Phase::Train => below(rng, room as u64 + 1) as usize,
            Phase::Test => room / 2,
        };
        let (top, left) = match self.crop {
            Some(_) => (offset(h + 2 * self.pad - oh), offset(w + 2 * self.pad - ow)),
            None => (0, 0),
        };
        let part = self.part([h, w], [oh, ow], [top, left]);
        let placed = Placed { at: [top, left], part, mirrored: mirror };
        if out.is_empty() {
            return Ok(placed);
        }
        // Output columns that lie on the picture itself, and the picture's column of the first.
        let inside =
            self.pad.saturating_sub(left).min(ow)..(w + self.pad).saturating_sub(left).min(ow);
        let first = (left + inside.start).saturating_sub(self.pad);
        for (i, row) in out.chunks_exact_mut(ow).enumerate() {
            let (channel, y) = (i / oh, top + i % oh);
            if y < self.pad || y >= h + self.pad || inside.is_empty() {
                row.fill(0.0);
                continue;
            }
            let start = (channel * h + y - self.pad) * w + first;
            let source = start..start + inside.len();
            let mean = mean.row(channel, source.clone(), 0.0);
            row[..inside.start].fill(0.0);
            row[inside.end..].fill(0.0);
            let to = &mut row[inside.clone()];
            match &item.pixels {
                Pixels::U8(data) => self.row(&data[source.clone()], &mean, to),
                Pixels::F32(data) => self.row(&data[source.clone()], &mean, to),
            }
            match self.std.row(channel, source, 1.0) {
                Row::Value(1.0) => {}
                Row::Value(std) => to.iter_mut().for_each(|out| *out /= std),
                Row::Each(stds) => to.iter_mut().zip(stds).for_each(|(out, std)| *out /= std),
            }
            if mirror {
                row.reverse();
            }
        }
        Ok(placed)
    }

    /// What comes out of an item of a size, cut at a place of the padded item, as a part of the item.
    fn part(&self, size: [usize; 2], out: [usize; 2], at: [usize; 2]) -> BBox {
        let side =
            |axis: usize, place: usize| (place as f32 - self.pad as f32) / size[axis].max(1) as f32;
        BBox {
            min: [side(1, at[1]), side(0, at[0])],
            max: [side(1, at[1] + out[1]), side(0, at[0] + out[0])],
        }
    }

    fn row<T: Copy + Into<f32>>(&self, source: &[T], mean: &Row<'_>, to: &mut [f32]) {
        let scale = self.scale;
        match mean {
            Row::Value(mean) => to
                .iter_mut()
                .zip(source)
                .for_each(|(out, &pixel)| *out = (pixel.into() - mean) * scale),
            Row::Each(means) => to
                .iter_mut()
                .zip(source.iter().zip(*means))
                .for_each(|(out, (&pixel, mean))| *out = (pixel.into() - mean) * scale),
        }
    }
}

/// The first field given that belongs to another dialect and changes what comes out.
fn foreign(p: &TransformationParameter) -> Option<&'static str> {
    let fields = [
        ("vertical_stretch_lower", p.vertical_stretch_lower() != 1.0),
        ("vertical_stretch_upper", p.vertical_stretch_upper() != 1.0),
        ("horizontal_stretch_lower", p.horizontal_stretch_lower() != 1.0),
        ("horizontal_stretch_upper", p.horizontal_stretch_upper() != 1.0),
        ("num_labels", p.num_labels() != 0),
        ("vertical_mirror", p.vertical_mirror()),
        ("random_90_deg_rot", p.random_90_deg_rot()),
        ("random_crop_on_test", p.random_crop_on_test()),
        ("img_rand_resize_lower", p.img_rand_resize_lower() != 0),
        ("img_rand_resize_upper", p.img_rand_resize_upper() != 0),
        ("rand_resize_ratio_lower", p.rand_resize_ratio_lower() != 0.0),
        ("rand_resize_ratio_upper", p.rand_resize_ratio_upper() != 0.0),
        ("random_resize_param", p.random_resize_param.is_some()),
        ("random_aspect_ratio_param", p.random_aspect_ratio_param.is_some()),
        ("flow", p.flow()),
        ("bgr2rgb", p.bgr2rgb()),
        ("forward_packing", p.forward_packing() == Packing::Nhwc),
    ];
    fields.iter().find(|(_, given)| *given).map(|(name, _)| *name)
}
