//! DenseImageData: batches of pictures, each with a picture of its labels.

use std::sync::Arc;

use cortado_layers::{Arity, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs};
use cortado_proto::caffe::TransformationParameter;

use super::batches::{Batches, Plan};
use super::image_data::{AHEAD, Entry, Look};
use crate::data::db::{Lazy, Payload};
use crate::data::making::{Making, Maps};
use crate::data::{Color, Folder, Record, Source, Transform};

/// The type `DenseImageData`.
pub static KIND: LayerKind = LayerKind::new("DenseImageData", build, &DOC)
    .bottoms(Arity::exactly(0))
    .tops(Arity::exactly(2))
    .needs(|_| Needs::NOTHING)
    .grads(GradBottoms::None)
    .dynamic()
    .dialect("segnet");

/// The type `ImageLabelmapData`.
pub static LABELMAP: LayerKind = LayerKind::new("ImageLabelmapData", labelmap, &LABELMAP_DOC)
    .bottoms(Arity::exactly(0))
    .tops(Arity::exactly(2))
    .needs(|_| Needs::NOTHING)
    .grads(GradBottoms::None)
    .dynamic()
    .dialect("hed");

static LABELMAP_DOC: LayerDoc = LayerDoc {
    summary: "Batches of pictures and maps of two labels, from a text file of paths.",
    params: &["image_data_param", "transform_param"],
    bottoms: &[],
    tops: &[
        "data: N x C x H x W, the pictures after `transform_param`",
        "label: N x 1 x H x W, 1 where the map is white, else 0",
    ],
    blobs: &[],
    forward: "top[n] = transform(picture at position + n); then position += N",
    backward: "",
    notes: "\
The fields are those of ImageData, the lines of `source` those of DenseImageData: a picture and its \
map, of the same size. Gray values from 128 on are 1, others 0: values divided by 255 and rounded. \
`crop_size` and `mirror` of `transform_param` cut and turn both alike, the crop at random in TRAIN \
and from the middle in TEST.",
    example: r#"layer {
  name: "data" type: "ImageLabelmapData" top: "data" top: "label"
  transform_param { mirror: true mean_value: 104 mean_value: 117 mean_value: 123 }
  image_data_param { source: "train.lst" root_folder: "data/" batch_size: 1 shuffle: true }
}"#,
    source: "Xie, Tu 2015 (Holistically-Nested Edge Detection), its Caffe",
};

static DOC: LayerDoc = LayerDoc {
    summary: "Batches of pictures and pictures of their labels, from a text file of paths.",
    params: &["dense_image_data_param", "transform_param"],
    bottoms: &[],
    tops: &[
        "data: N x C x H x W, the pictures after `transform_param`",
        "label: N x 1 x H x W, the gray values of the pictures of labels",
    ],
    blobs: &[],
    forward: "top[n] = transform(picture at position + n); then position += N",
    backward: "",
    notes: "\
Each line of `source` is the path of a picture, a space, and the path of the picture of its labels, \
of the same size; `root_folder` is put before both. `new_height` and `new_width`, given together, \
resize the picture and, by taking pixels as they are, the labels. `crop_height` and `crop_width` cut \
both at the same place, at random in TRAIN and from the middle in TEST; `mirror` turns both around. \
Of `transform_param` mean and scale are followed; they change the picture only. Order, `shuffle` and \
`rand_skip` are as in ImageData.",
    example: r#"layer {
  name: "data" type: "DenseImageData" top: "data" top: "label"
  dense_image_data_param { source: "train.txt" batch_size: 4 shuffle: true }
}"#,
    source: "Badrinarayanan, Kendall, Cipolla 2015 (SegNet), its Caffe",
};

/// What the two types read alike.
struct Setting {
    param: &'static str,
    source: String,
    root: String,
    batch: u32,
    shuffle: bool,
    rand_skip: u32,
    color: bool,
    size: Option<[usize; 2]>,
    maps: Maps,
    transform: TransformationParameter,
}

/// Height and width, given together or not at all.
fn pair(field: &str, height: u32, width: u32) -> Result<Option<[usize; 2]>, LayerError> {
    match (height, width) {
        (0, 0) => Ok(None),
        (h, w) if h > 0 && w > 0 => Ok(Some([h as usize, w as usize])),
        (h, w) => {
            let why = format!("height and width go together, found {h} and {w}");
            Err(LayerError::field(field, why))
        }
    }
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let p = def.dense_image_data_param.clone().unwrap_or_default();
    let mut transform = def.transform_param.clone().unwrap_or_default();
    if transform.crop_size() > 0 || transform.crop_h() > 0 || transform.mirror() {
        let why = "picture and labels are cut and mirrored by `dense_image_data_param`";
        return Err(LayerError::field("transform_param", why));
    }
    transform.mean_file = transform.mean_file.or_else(|| p.mean_file.clone());
    let crop = pair("dense_image_data_param.crop_height", p.crop_height(), p.crop_width())?;
    read(
        def,
        Setting {
            param: "dense_image_data_param",
            source: p.source().to_owned(),
            root: p.root_folder().to_owned(),
            batch: p.batch_size(),
            shuffle: p.shuffle(),
            rand_skip: p.rand_skip(),
            color: p.is_color(),
            size: pair("dense_image_data_param.new_height", p.new_height(), p.new_width())?,
            maps: Maps { crop, mirror: p.mirror(), binary: false },
            transform,
        },
    )
}

fn labelmap(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let p = def.image_data_param.clone().unwrap_or_default();
    let mut transform = def.transform_param.clone().unwrap_or_default();
    let crop = transform.crop_size.take().filter(|&size| size > 0).map(|size| [size as usize; 2]);
    let mirror = transform.mirror.take().unwrap_or(false);
    read(
        def,
        Setting {
            param: "image_data_param",
            source: p.source().to_owned(),
            root: p.root_folder().to_owned(),
            batch: p.batch_size(),
            shuffle: p.shuffle(),
            rand_skip: p.rand_skip(),
            color: p.is_color(),
            size: pair("image_data_param.new_height", p.new_height(), p.new_width())?,
            maps: Maps { crop, mirror, binary: true },
            transform,
        },
    )
}

fn read(def: &LayerDef, setting: Setting) -> Result<Box<dyn Layer>, LayerError> {
    let Setting { param, source, root, size, .. } = setting;
    if setting.batch == 0 {
        let why = "a batch holds at least one picture, found 0";
        return Err(LayerError::field(format!("{param}.batch_size"), why));
    }
    let folder = Folder::of(def);
    let color = if setting.color { Color::Bgr } else { Color::Gray };
    // What is black or white may be blended; other labels may not.
    let nearest = !setting.maps.binary;
    let look = |color, nearest| Arc::new(Look { folder: folder.clone(), color, size, nearest });
    let looks = [look(color, false), look(Color::Gray, nearest)];
    Ok(Box::new(Batches::new(Plan {
        param,
        source: source.clone(),
        batch: setting.batch,
        repeats: true,
        prefetch: AHEAD,
        shuffle: setting.shuffle,
        rand_skip: setting.rand_skip,
        transform: Transform::new(&setting.transform)?,
        making: Making::maps(setting.maps),
        folder: folder.clone(),
        open: Box::new(move |_, _| {
            let field = format!("{param}.source");
            let path = folder.find(&field, &source)?;
            let shown = path.display();
            let wrong = |why: String| LayerError::field(field.clone(), why);
            let text = std::fs::read_to_string(&path)
                .map_err(|e| wrong(format!("can't read `{shown}`: {e}")))?;
            let lines = entries(&text, &root).map_err(|why| wrong(format!("`{shown}` {why}")))?;
            Ok(Box::new(Pairs { lines, looks: looks.clone() }))
        }),
    })))
}

/// The two paths of each line.
fn entries(text: &str, root: &str) -> Result<Vec<[String; 2]>, String> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [] => {}
            [picture, labels] => found.push([picture, labels].map(|path| format!("{root}{path}"))),
            _ => {
                let number = number + 1;
                return Err(format!("has `{line}` on line {number}; two paths are wanted"));
            }
        }
    }
    if found.is_empty() { Err("names no pictures".to_owned()) } else { Ok(found) }
}

struct Pairs {
    lines: Vec<[String; 2]>,
    looks: [Arc<Look>; 2],
}

impl Source for Pairs {
    fn records(&self) -> u64 {
        self.lines.len() as u64
    }

    fn read(&mut self, numbers: &[u64]) -> Result<Vec<Record>, LayerError> {
        let record = |&index: &u64| {
            let [picture, labels] = &self.lines[index as usize];
            let entry = |path: &String, look: &Arc<Look>| -> Arc<dyn Lazy> {
                Arc::new(Entry { path: path.clone(), label: 0, look: look.clone() })
            };
            let pair = [entry(picture, &self.looks[0]), entry(labels, &self.looks[1])];
            Record { index, key: picture.clone(), payload: Payload::Pair(pair) }
        };
        Ok(numbers.iter().map(record).collect())
    }
}
