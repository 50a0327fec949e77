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

const SOURCE: &str = "dense_image_data_param.source";

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

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.dense_image_data_param.clone().unwrap_or_default();
    let field = |name: &str, why: String| {
        Err(LayerError::field(format!("dense_image_data_param.{name}"), why))
    };
    if param.batch_size() == 0 {
        return field("batch_size", "a batch holds at least one picture, found 0".to_owned());
    }
    let pair = |name: &str, height: u32, width: u32| match (height, width) {
        (0, 0) => Ok(None),
        (h, w) if h > 0 && w > 0 => Ok(Some([h as usize, w as usize])),
        (h, w) => {
            let why = format!("height and width go together, found {h} and {w}");
            Err(LayerError::field(format!("dense_image_data_param.{name}"), why))
        }
    };
    let size = pair("new_height", param.new_height(), param.new_width())?;
    let crop = pair("crop_height", param.crop_height(), param.crop_width())?;
    let transform = def.transform_param.clone().unwrap_or_default();
    if transform.crop_size() > 0 || transform.crop_h() > 0 || transform.mirror() {
        let why = "picture and labels are cut and mirrored by `dense_image_data_param`";
        return Err(LayerError::field("transform_param", why));
    }
    let transform = TransformationParameter {
        mean_file: transform.mean_file.or_else(|| param.mean_file.clone()),
        ..def.transform_param.clone().unwrap_or_default()
    };
    let folder = Folder::of(def);
    let color = if param.is_color() { Color::Bgr } else { Color::Gray };
    let look = |color, nearest| Arc::new(Look { folder: folder.clone(), color, size, nearest });
    let looks = [look(color, false), look(Color::Gray, true)];
    Ok(Box::new(Batches::new(Plan {
        param: "dense_image_data_param",
        source: param.source().to_owned(),
        batch: param.batch_size(),
        repeats: true,
        prefetch: AHEAD,
        shuffle: param.shuffle(),
        rand_skip: param.rand_skip(),
        transform: Transform::new(&transform)?,
        making: Making::maps(Maps { crop, mirror: param.mirror() }),
        folder: folder.clone(),
        open: Box::new(move |_, _| {
            let path = folder.find(SOURCE, param.source())?;
            let shown = path.display();
            let wrong = |why: String| LayerError::field(SOURCE, why);
            let text = std::fs::read_to_string(&path)
                .map_err(|e| wrong(format!("can't read `{shown}`: {e}")))?;
            let lines = entries(&text, param.root_folder())
                .map_err(|why| wrong(format!("`{shown}` {why}")))?;
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
