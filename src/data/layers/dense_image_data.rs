//! DenseImageData: batches of pictures, each with a picture of its labels.

use cortado_layers::{Arity, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs};

use super::image_data::sides;
use super::picture_pairs::Setting;
use crate::data::labels::Maps;

/// The type `DenseImageData`.
pub static KIND: LayerKind = LayerKind::new("DenseImageData", build, &DOC)
    .bottoms(Arity::exactly(0))
    .tops(Arity::exactly(2))
    .needs(|_| Needs::NOTHING)
    .grads(GradBottoms::None)
    .dynamic()
    .dialect("segnet");

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
both at the same place, at random in TRAIN and from the middle in TEST; `mirror` turns both around, at \
random. Of `transform_param` mean and scale are followed; they change the picture only. Order, \
`shuffle` and `rand_skip` are as in ImageData.",
    example: r#"layer {
  name: "data" type: "DenseImageData" top: "data" top: "label"
  dense_image_data_param { source: "train.txt" batch_size: 4 shuffle: true }
}"#,
    source: "Badrinarayanan, Kendall, Cipolla 2015 (SegNet), its Caffe",
};

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let p = def.dense_image_data_param.clone().unwrap_or_default();
    let mut transform = def.transform_param.clone().unwrap_or_default();
    if transform.crop_size() > 0 || transform.crop_h() > 0 || transform.mirror() {
        let why = "picture and labels are cut and mirrored by `dense_image_data_param`";
        return Err(LayerError::field("transform_param", why));
    }
    transform.mean_file = transform.mean_file.or_else(|| p.mean_file.clone());
    let crop = sides("dense_image_data_param.crop_height", p.crop_height(), p.crop_width())?;
    let setting = Setting {
        param: "dense_image_data_param",
        source: p.source().to_owned(),
        root: p.root_folder().to_owned(),
        batch: p.batch_size(),
        shuffle: p.shuffle(),
        rand_skip: p.rand_skip(),
        color: p.is_color(),
        size: sides("dense_image_data_param.new_height", p.new_height(), p.new_width())?,
        maps: Maps { crop, mirror: p.mirror(), binary: false },
        transform,
    };
    setting.layer(def)
}
