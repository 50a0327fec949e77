//! Data: batches of items from a database.

use cortado_layers::{Arity, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs};

use super::batches::{Batches, Plan};
use crate::data::labels::Labels;
use crate::data::{Color, Folder, Transform, db};

/// The type `Data`.
pub static KIND: LayerKind = LayerKind::new("Data", build, &DOC)
    .bottoms(Arity::exactly(0))
    .tops(Arity::between(1, 2))
    .needs(|_| Needs::NOTHING)
    .grads(GradBottoms::None)
    .dynamic();

static DOC: LayerDoc = LayerDoc {
    summary: "Batches of items and their labels from an LMDB database or a pair of IDX files.",
    params: &["data_param", "transform_param"],
    bottoms: &[],
    tops: &["data: N x C x H x W, the items after `transform_param`", "label (may be left out): N"],
    blobs: &[],
    forward: "top[n] = transform(item at position + n); then position += N",
    backward: "",
    notes: "\
The items come in the order of the database's keys and start again after the last; a batch may run \
past the end. With `shuffle: true` (ours) every pass over the data has a new order, drawn from the \
seed. `rand_skip` starts after a number of items drawn from the seed. What a batch holds depends only \
on the seed, the layer's name and the number of items handed out before: not on threads, not on \
`prefetch`. A snapshot keeps that number, so that training goes on with the item that was due.

`backend: LMDB` names a folder that holds data.mdb with `Datum` messages, raw or encoded (JPEG, \
PNG). `backend: IDX` (ours) names MNIST's file of images, plain or gzipped; the labels lie beside it, \
or where `label_source` says. `backend: LEVELDB`, the original's default, names a folder of LevelDB; \
it is read in order as the original does, its items are counted only for `shuffle`. A relative `source` is looked for from the working directory, as the original does, then beside the prototxt.

`transform_param`: (pixel - mean) * scale, with `mean_value` once or once per channel, or a \
`mean_file` of the size before cropping; `crop_size` cuts at random in TRAIN and from the middle in \
TEST; `mirror` flips every other picture at random, in TEST as well, as the original does; \
`force_color` and `force_gray` decode encoded pictures to 3 or 1 channels; `pad` (ours) puts zeros \
around the picture, after the mean was subtracted and before it is cropped. Colours come as blue, \
green, red.

The fields of the forks around SSD change the picture before that, drawn from the seed, always in this \
order: `distort_param` (brightness, contrast, saturation, hue, each with its probability; hue counts 180 \
for the circle), `expand_param` (a larger canvas filled with the mean), `resize_param` (WARP, \
FIT_SMALL_SIZE or FIT_LARGE_SIZE_AND_PAD, with one of the given `interp_mode`s; of several blocks one by \
their `prob`), `noise_param` (decolorize, gauss_blur, hist_eq, jpeg, erode, posterize, inverse, \
saltpepper, convert_to_hsv or convert_to_lab).

The shape of the tops follows the first item of each batch; the items of one batch must come out \
alike, so that databases of mixed sizes need `batch_size: 1` or a crop. `batch_size` must not \
exceed the number of items (the original repeats items silently). `prefetch` batches (4) are \
prepared ahead on threads of their own; 0 prepares each when it is due.",
    example: r#"layer {
  name: "mnist"
  type: "Data"
  top: "data"
  top: "label"
  include { phase: TRAIN }
  transform_param { scale: 0.00390625 }
  data_param { source: "mnist_train_lmdb" batch_size: 64 backend: LMDB }
}"#,
    source: "Caffe: data_layer.cpp, data_transformer.cpp",
};

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    of_records(def, Labels::Classes)
}

/// A layer of the records of a database.
pub(super) fn of_records(def: &LayerDef, labels: Labels) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.data_param.clone().unwrap_or_default();
    if param.batch_size() == 0 {
        let why = "a batch holds at least one item, found batch_size 0 or none";
        return Err(LayerError::field("data_param.batch_size", why));
    }
    if param.source().is_empty() {
        return Err(LayerError::field("data_param.source", "the database must be named"));
    }
    let mut transform = Transform::new(&def.transform_param.clone().unwrap_or_default())?;
    if param.force_encoded_color() {
        transform = transform.with_color(Color::Bgr);
    }
    let folder = Folder::of(def);
    Ok(Box::new(Batches::new(Plan {
        param: "data_param",
        source: param.source().to_owned(),
        batch: param.batch_size(),
        repeats: false,
        prefetch: param.prefetch(),
        shuffle: param.shuffle(),
        rand_skip: param.rand_skip(),
        transform,
        labels,
        folder: folder.clone(),
        open: Box::new(move |_, _| db::open(&param, &folder)),
    })))
}
