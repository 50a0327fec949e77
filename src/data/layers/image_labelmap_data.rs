//! ImageLabelmapData: batches of pictures, each with a map in black and white.

use cortado_layers::{Arity, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs};

use super::image_data::sides;
use super::picture_pairs::Setting;
use crate::data::labels::Maps;

/// The type `ImageLabelmapData`.
pub static KIND: LayerKind = LayerKind::new("ImageLabelmapData", build, &DOC)
    .bottoms(Arity::exactly(0))
    .tops(Arity::exactly(2))
    .needs(|_| Needs::NOTHING)
    .grads(GradBottoms::None)
    .dynamic()
    .dialect("hed");

static DOC: LayerDoc = LayerDoc {
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

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let p = def.image_data_param.clone().unwrap_or_default();
    let setting = Setting {
        param: "image_data_param",
        source: p.source().to_owned(),
        root: p.root_folder().to_owned(),
        batch: p.batch_size(),
        shuffle: p.shuffle(),
        rand_skip: p.rand_skip(),
        color: p.is_color(),
        size: sides("image_data_param.new_height", p.new_height(), p.new_width())?,
        maps: Maps { binary: true, ..Maps::default() },
        transform: def.transform_param.clone().unwrap_or_default(),
    };
    setting.layer(def)
}
