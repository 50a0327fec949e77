//! ImageData: batches of pictures named in a text file.

use std::sync::Arc;

use cortado_layers::{Arity, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs};

use cortado_proto::caffe::ImageDataParameter;

use super::batches::{Batches, Plan};
use crate::data::db::{Lazy, Payload};
use crate::data::image::{check_size, decode, decode_resized, resize_nearest};
use crate::data::labels::Labels;
use crate::data::list::entries;
use crate::data::{Color, Folder, Item, Pixels, Record, Source, Transform};
use crate::files::{read_lines, read_patiently};

/// The type `ImageData`.
pub static KIND: LayerKind = LayerKind::new("ImageData", build, &DOC)
    .bottoms(Arity::exactly(0))
    .tops(Arity::exactly(2))
    .needs(|_| Needs::NOTHING)
    .grads(GradBottoms::None)
    .dynamic();

pub(super) const SOURCE: &str = "image_data_param.source";

static DOC: LayerDoc = LayerDoc {
    summary: "Batches of pictures and their labels from a text file of paths.",
    params: &["image_data_param", "transform_param"],
    bottoms: &[],
    tops: &["data: N x C x H x W, the pictures after `transform_param`", "label: N"],
    blobs: &[],
    forward: "top[n] = transform(picture at position + n); then position += N",
    backward: "",
    notes: "\
Each line of `source` is a path, a space and a whole number; the path may hold spaces. `root_folder` \
is put before the path as it stands (end it with a slash). Pictures come as blue, green, red, or with \
`is_color: false` gray; `new_height` and `new_width`, given together, resize them first as OpenCV's \
bilinear does. They come in the order of the file and start again after the last; with `shuffle: \
true` every pass over them has a new order, drawn from the seed. `rand_skip` starts after a number of \
pictures drawn from the seed. Pictures of different sizes need a size, a crop or batch_size 1: the \
shape of the tops follows the first picture of each batch. Batches are prepared ahead as those of \
`Data` are; `transform_param` is described there. JPEG and PNG are read.",
    example: r#"layer {
  name: "pictures"
  type: "ImageData"
  top: "data"
  top: "label"
  transform_param { mirror: true crop_size: 227 mean_value: 104 mean_value: 117 mean_value: 123 }
  image_data_param {
    source: "train.txt" root_folder: "pictures/" batch_size: 50 shuffle: true
    new_height: 256 new_width: 256
  }
}"#,
    source: "Caffe: image_data_layer.cpp",
};

/// Batches prepared ahead: the original's number, which has no field here.
pub(super) const AHEAD: u32 = 4;

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    of_pictures(def, |param, folder| {
        let path = folder.find(SOURCE, param.source())?;
        let text = read_lines(&path)
            .map_err(|e| format!("can't read `{}`: {e}", path.display()))
            .map_err(|why| LayerError::field(SOURCE, why))?;
        entries(&text, param.root_folder())
            .map_err(|why| LayerError::field(SOURCE, format!("`{}` {why}", path.display())))
    })
}

/// Paths of pictures and their classes.
pub(super) type Named = Vec<(String, i32)>;

/// A layer of the pictures that `list` names, with their classes.
pub(super) fn of_pictures(
    def: &LayerDef,
    list: fn(&ImageDataParameter, &Folder) -> Result<Named, LayerError>,
) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.image_data_param.clone().unwrap_or_default();
    let field =
        |name: &str, why: String| Err(LayerError::field(format!("image_data_param.{name}"), why));
    if param.batch_size() == 0 {
        return field("batch_size", "a batch holds at least one picture, found 0".to_owned());
    }
    let size = sides("image_data_param.new_height", param.new_height(), param.new_width())?;
    let folder = Folder::of(def);
    let color = if param.is_color() { Color::Bgr } else { Color::Gray };
    let look = Arc::new(Look { folder: folder.clone(), color, size, nearest: false });
    Ok(Box::new(Batches::new(Plan {
        param: "image_data_param",
        source: param.source().to_owned(),
        batch: param.batch_size(),
        repeats: true,
        prefetch: AHEAD,
        shuffle: param.shuffle(),
        rand_skip: param.rand_skip(),
        transform: Transform::new(&def.transform_param.clone().unwrap_or_default())?,
        labels: Labels::Classes,
        folder: folder.clone(),
        open: Box::new(move |_, _| {
            Ok(Box::new(List { lines: list(&param, &folder)?, look: look.clone() }))
        }),
    })))
}

/// A height and a width, given together or not at all; `field` names the height.
pub(super) fn sides(
    field: &str,
    height: u32,
    width: u32,
) -> Result<Option<[usize; 2]>, LayerError> {
    if (height == 0) != (width == 0) {
        let name = field.rsplit('.').next().unwrap_or(field);
        let other = name.replace("height", "width");
        let why = format!("{name} and {other} go together, found {height} and {width}");
        return Err(LayerError::field(field, why));
    }
    let size = [height as usize, width as usize];
    check_size(size[0], size[1]).map_err(|why| LayerError::field(field, why))?;
    Ok((height > 0).then_some(size))
}

/// How pictures are looked for and at.
#[derive(Debug)]
pub(super) struct Look {
    pub folder: Folder,
    pub color: Color,
    pub size: Option<[usize; 2]>,
    /// Resized by taking pixels as they are, not by blending.
    pub nearest: bool,
}

struct List {
    lines: Vec<(String, i32)>,
    look: Arc<Look>,
}

impl Source for List {
    fn records(&self) -> u64 {
        self.lines.len() as u64
    }

    fn read(&mut self, numbers: &[u64]) -> Result<Vec<Record>, LayerError> {
        let record = |&index: &u64| {
            let (path, label) = self.lines[index as usize].clone();
            let entry = Entry { path: path.clone(), label, look: self.look.clone() };
            Record { index, key: path.into_bytes(), payload: Payload::Lazy(Arc::new(entry)) }
        };
        Ok(numbers.iter().map(record).collect())
    }
}

/// A picture that is read on the thread that prepares its batch.
#[derive(Debug)]
pub(super) struct Entry {
    pub path: String,
    pub label: i32,
    pub look: Arc<Look>,
}

impl Lazy for Entry {
    fn item(&self, _: Color) -> Result<Item, String> {
        let path = self.look.folder.find(SOURCE, &self.path).map_err(|e| e.why)?;
        let bytes = read_patiently(&path).map_err(|e| format!("can't read the file: {e}"))?;
        let color = self.look.color;
        let picture = match self.look.size {
            None => decode(&bytes, color)?,
            Some([height, width]) if self.look.nearest => {
                resize_nearest(&decode(&bytes, color)?, height, width)
            }
            Some(size) => decode_resized(&bytes, color, size)?,
        };
        let pixels = Pixels::U8(picture.data);
        Ok(Item { shape: picture.shape, pixels, label: self.label })
    }
}
