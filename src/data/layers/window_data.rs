//! WindowData: parts of pictures, foreground and background, for R-CNN.

use std::sync::Arc;

use cortado_layers::{
    Arity, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs, RngKey,
};
use cortado_proto::caffe::WindowDataParameter;

use super::batches::{Batches, Plan};
use super::image_data::AHEAD;
use crate::data::db::Payload;
use crate::data::image::check_size;
use crate::data::labels::Labels;
use crate::data::order::below;
use crate::data::windows::{Cut, Window, WindowFile, Windowed};
use crate::data::{Folder, MeanPicture, Record, Source, Transform};

/// The type `WindowData`.
pub static KIND: LayerKind = LayerKind::new("WindowData", build, &DOC)
    .bottoms(Arity::exactly(0))
    .tops(Arity::exactly(2))
    .needs(|_| Needs::NOTHING)
    .grads(GradBottoms::None)
    .dynamic();

static DOC: LayerDoc = LayerDoc {
    summary: "Batches of windows of pictures, drawn from those on objects and those on background.",
    params: &["window_data_param", "transform_param"],
    bottoms: &[],
    tops: &["data: N x 3 x crop_size x crop_size", "label: N, 0 for background"],
    blobs: &[],
    forward: "top[n] = (the window warped to the crop - mean) scale, 0 beyond the picture",
    backward: "",
    notes: "\
`source` is a text file with, for each picture, `# number`, its path, its channels, height and width, \
the number of its windows, and a line `class overlap x1 y1 x2 y2` for each. Windows that overlap an \
object by `fg_threshold` or more are foreground; those below `bg_threshold` are background, of class \
0; others are left out. The first (1 - `fg_fraction`) of a batch are background, the others \
foreground, each drawn from the seed and its position.

`crop_mode: \"warp\"` stretches a window to `crop_size`, `\"square\"` takes the square around it. \
`context_pad` is as many pixels of surroundings on each side after warping; what lies beyond the \
picture is 0. `crop_size`, `mirror`, `mean_file` (its middle is used), `mean_value` and `scale` stand \
in `transform_param` (the older places in `window_data_param` are moved there); the original leaves \
`scale` out. `cache_images: true` keeps the files in memory.",
    example: r#"layer {
  name: "windows"
  type: "WindowData"
  top: "data"
  top: "label"
  transform_param { mirror: true crop_size: 227 mean_value: 104 mean_value: 117 mean_value: 123 }
  window_data_param { source: "windows.txt" batch_size: 128 context_pad: 16 }
}"#,
    source: "Caffe: window_data_layer.cpp; Girshick et al. 2014",
};

const SOURCE: &str = "window_data_param.source";

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.window_data_param.clone().unwrap_or_default();
    let transform = def.transform_param.clone().unwrap_or_default();
    let field =
        |name: &str, why: String| LayerError::field(format!("window_data_param.{name}"), why);
    if param.batch_size() == 0 {
        let why = "a batch holds at least one window, found batch_size 0 or none";
        return Err(field("batch_size", why.to_owned()));
    }
    let (crop, pad) = (transform.crop_size() as usize, param.context_pad() as usize);
    if crop == 0 {
        let why = "crop_size must be given and above 0: windows are warped to it";
        return Err(LayerError::field("transform_param.crop_size", why));
    }
    check_size(crop, crop).map_err(|why| LayerError::field("transform_param.crop_size", why))?;
    if pad.checked_mul(2).is_none_or(|both| both >= crop) {
        let why = format!("context_pad {pad} on both sides leaves nothing of crop_size {crop}");
        return Err(field("context_pad", why));
    }
    let square = match param.crop_mode() {
        "warp" => false,
        "square" => true,
        other => {
            let why = format!("crop_mode is `{other}`; `warp` or `square` is wanted");
            return Err(field("crop_mode", why));
        }
    };
    if !(0.0..=1.0).contains(&param.fg_fraction()) {
        let why = format!("fg_fraction is {}; 0 to 1 is wanted", param.fg_fraction());
        return Err(field("fg_fraction", why));
    }
    // Checks the fields; mean, scale and mirror are applied to the window itself, below.
    let checked = Transform::new(&transform)?;
    if transform.pad() > 0 {
        let why =
            "windows are not padded; `context_pad` of `window_data_param` gives them surroundings";
        return Err(LayerError::field("transform_param.pad", why));
    }
    if checked.augments() || checked.normalises() {
        let why = "windows can't be distorted, expanded, resized, given noise, divided by deviations \
                   or whitened; leave those fields out";
        return Err(LayerError::field("transform_param", why));
    }
    let folder = Folder::of(def);
    let of_plan = folder.clone();
    let open = move |name: &str, seed: u64| -> Result<Box<dyn Source>, LayerError> {
        let mean = match &transform.mean_file {
            Some(given) => {
                let field = "transform_param.mean_file";
                let path = folder.find(field, given)?;
                let mean = MeanPicture::read(&path).map_err(|why| LayerError::field(field, why))?;
                let [c, h, w] = mean.shape;
                if c != 3 || h < crop || w < crop {
                    let why = format!(
                        "the mean is {c}x{h}x{w}; 3 channels and {crop}x{crop} or more are wanted"
                    );
                    return Err(LayerError::field(field, why));
                }
                Some(mean)
            }
            None => None,
        };
        if !matches!(transform.mean_value.len(), 0 | 1 | 3) {
            let why =
                format!("{} mean values are given; 1 or 3 are wanted", transform.mean_value.len());
            return Err(LayerError::field("transform_param.mean_value", why));
        }
        let values = transform.mean_value.clone();
        let scale = transform.scale();
        let cut = Arc::new(Cut { crop, pad, square, mean, values, scale });
        let path = folder.find(SOURCE, param.source())?;
        let file = WindowFile::read(&path, &param, &folder);
        let file = file.map_err(|why| LayerError::field(SOURCE, why))?;
        let foreground = foreground(&param);
        for (wanted, windows, what) in [
            (foreground, &file.foreground, "on objects"),
            (param.batch_size() - foreground, &file.background, "on background"),
        ] {
            if wanted > 0 && windows.is_empty() {
                let why =
                    format!("`{}` has no window {what}, a batch takes {wanted}", path.display());
                return Err(LayerError::field(SOURCE, why));
            }
        }
        let (name, mirror) = (format!("{name}/window"), transform.mirror());
        let batch = param.batch_size();
        Ok(Box::new(Drawn { file, cut, name, seed, mirror, batch, foreground }))
    };
    let param = def.window_data_param.clone().unwrap_or_default();
    Ok(Box::new(Batches::new(Plan {
        param: "window_data_param",
        source: param.source().to_owned(),
        batch: param.batch_size(),
        repeats: true,
        prefetch: AHEAD,
        shuffle: false,
        rand_skip: 0,
        transform: Transform::default(),
        labels: Labels::Classes,
        folder: of_plan,
        open: Box::new(open),
    })))
}

/// How many of a batch are foreground.
fn foreground(param: &WindowDataParameter) -> u32 {
    (param.batch_size() as f32 * param.fg_fraction()) as u32
}

/// Windows drawn for every position.
struct Drawn {
    file: WindowFile,
    cut: Arc<Cut>,
    name: String,
    seed: u64,
    mirror: bool,
    batch: u32,
    foreground: u32,
}

impl Source for Drawn {
    /// There is no end: a number is a position.
    fn records(&self) -> u64 {
        u64::MAX
    }

    fn read(&mut self, numbers: &[u64]) -> Result<Vec<Record>, LayerError> {
        let record = |&index: &u64| {
            let key = RngKey { seed: self.seed, pass: index, replica: 0 };
            let mut rng = key.stream(&self.name);
            let place = index % u64::from(self.batch);
            let windows = match place < u64::from(self.batch - self.foreground) {
                true => &self.file.background,
                false => &self.file.foreground,
            };
            let window: Window = windows[below(&mut rng, windows.len() as u64) as usize];
            let mirror = self.mirror && below(&mut rng, 2) == 1;
            let picture = self.file.pictures[window.picture].clone();
            let key = format!("window {window} of {}", picture.path);
            let cut = self.cut.clone();
            let item = Windowed { picture, window, mirror, cut };
            Record { index, key: key.into_bytes(), payload: Payload::Lazy(Arc::new(item)) }
        };
        Ok(numbers.iter().map(record).collect())
    }
}
