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

`transform_param`: (pixel - mean) * `scale`, with `mean_value` once or once per channel, or a \
`mean_file` of the size before cropping; `crop_size` cuts at random in TRAIN and from the middle in \
TEST, `crop_h` and `crop_w`, given together, other parts than squares; `mirror` flips every other \
picture at random, in TEST as well, as the original does; `force_color` and `force_gray` decode encoded \
pictures to 3 or 1 channels. Ours are `pad`, zeros around the picture, after the mean was subtracted and \
before it is cropped, `std_value` or `std_file`, deviations to divide by, and `zca_file`, a matrix that \
whitens the whole picture; `compute-mean` makes both files. Colours come as blue, green, red.

The fields of the forks around SSD change the picture before that, drawn from the seed, always in this \
order. In each, `prob` or a field ending in `_prob` is how often it happens.

- `distort_param`: `brightness_prob`, a number between plus and minus `brightness_delta` is added; \
`contrast_prob`, values times a factor from `contrast_lower` to `contrast_upper`; `saturation_prob`, the \
same with `saturation_lower` and `saturation_upper`; `hue_prob`, up to `hue_delta` either way, where 180 \
is the whole circle; `random_order_prob`, the channels change places.
- `expand_param`: the picture somewhere on a canvas up to `max_expand_ratio` times as long and wide, \
filled with the mean.
- `resize_param`: to `height` and `width` by `resize_mode` WARP, FIT_SMALL_SIZE (proportions stay, the \
shorter side fits) or FIT_LARGE_SIZE_AND_PAD (the longer one fits, the rest is filled by `pad_mode` \
CONSTANT with `pad_value`, MIRRORED or REPEAT_NEAREST), with one of the `interp_mode`s given (LINEAR, \
AREA, NEAREST, CUBIC, LANCZOS4) at random. Of several blocks one is taken by their `prob`.
- `noise_param`, likewise one of several: `decolorize`, `gauss_blur`, `hist_eq`, `jpeg` (of that \
quality), `erode`, `posterize`, `inverse`, `saltpepper` (`saltpepper_param`: `fraction` of the pixels, \
or `type: absolute` so many, get `value`), then `convert_to_hsv` or `convert_to_lab`.
- `emit_constraint` (`emit_type`, `emit_overlap`) is about boxes: see `AnnotatedData`.

Refused by name, since they would change what comes out: `vertical_mirror`, `random_90_deg_rot`, \
`random_crop_on_test`, `vertical_stretch_lower`, `vertical_stretch_upper`, `horizontal_stretch_lower`, \
`horizontal_stretch_upper`, `img_rand_resize_lower`, `img_rand_resize_upper`, `rand_resize_ratio_lower`, \
`rand_resize_ratio_upper`, `random_resize_param`, `random_aspect_ratio_param`, `num_labels`, `flow`, \
`bgr2rgb`, `forward_packing: NHWC`; in the blocks `max_angle`, `center_object`, `height_scale`, \
`width_scale`, `clahe`. Without meaning here: `use_gpu_transform`, `random_seed` (the solver's counts), \
`display`, and `interpolation_algo_down`, `interpolation_algo_up`, `allow_upscale`, which belong to \
refused fields.

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
