//! AnnotatedData: batches of pictures with boxes from a database.

use cortado_layers::{Arity, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs};

use super::batches::{Batches, Plan};
use crate::data::augment::Augment;
use crate::data::making::Making;
use crate::data::{Color, Folder, Transform, db};

/// The type `AnnotatedData`.
pub static KIND: LayerKind = LayerKind::new("AnnotatedData", build, &DOC)
    .bottoms(Arity::exactly(0))
    .tops(Arity::between(1, 2))
    .needs(|_| Needs::NOTHING)
    .grads(GradBottoms::None)
    .dynamic()
    .dialect("ssd");

static DOC: LayerDoc = LayerDoc {
    summary: "Batches of pictures and the boxes on them, from a database of AnnotatedDatum.",
    params: &["annotated_data_param", "data_param", "transform_param"],
    bottoms: &[],
    tops: &[
        "data: N x C x H x W, the pictures after all that is done to them",
        "label (may be left out): 1 x 1 x M x 8: item, class, instance, xmin, ymin, xmax, ymax, difficult",
    ],
    blobs: &[],
    forward: "top[n] = transform(resize(sample(zoom out(distort(picture at position + n)))))",
    backward: "",
    notes: "\
`data_param` and `transform_param` are those of `Data`; each record is an `AnnotatedDatum` message. \
In TRAIN `distort_param` shifts brightness, contrast, saturation and hue, `expand_param` puts the \
picture on a larger ground of the mean colour. Then one of the parts that the `batch_sampler`s \
propose is cut out: each tries `max_trials` times, keeps `max_sample` parts, and only those whose \
overlap with one object is as its `sample_constraint` asks. `resize_param` gives the size (WARP, \
FIT_SMALL_SIZE or FIT_LARGE_SIZE_AND_PAD), `mirror` turns picture and boxes around. Boxes go with \
all of it, cut off at the edge; `emit_constraint` drops those whose middle is outside, or that lie \
inside too little. A batch without boxes has one row of −1.

Every `interp_mode` is LINEAR here; `noise_param` and crops are not followed. What is drawn depends \
only on the seed, the layer's name and the number of items handed out before.",
    example: r#"layer {
  name: "data" type: "AnnotatedData" top: "data" top: "label"
  transform_param { mirror: true mean_value: 104 mean_value: 117 mean_value: 123
    resize_param { prob: 1 resize_mode: WARP height: 300 width: 300 } }
  data_param { source: "trainval_lmdb" batch_size: 32 backend: LMDB }
  annotated_data_param { batch_sampler { max_sample: 1 max_trials: 1 }
    batch_sampler { sampler { min_scale: 0.3 max_scale: 1 min_aspect_ratio: 0.5 max_aspect_ratio: 2 }
      sample_constraint { min_jaccard_overlap: 0.5 } max_sample: 1 max_trials: 50 } }
}"#,
    source: "Liu et al. 2016 (SSD), section 2.2; annotated_data_layer.cpp of Caffe's SSD branch",
};

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.data_param.clone().unwrap_or_default();
    if param.batch_size() == 0 {
        let why = "a batch holds at least one item, found batch_size 0 or none";
        return Err(LayerError::field("data_param.batch_size", why));
    }
    if param.source().is_empty() {
        return Err(LayerError::field("data_param.source", "the database must be named"));
    }
    let mut rest = def.transform_param.clone().unwrap_or_default();
    let annotated = def.annotated_data_param.clone().unwrap_or_default();
    let augment = Augment::new(&mut rest, &annotated)?;
    let folder = Folder::of(def);
    Ok(Box::new(Batches::new(Plan {
        param: "data_param",
        source: param.source().to_owned(),
        batch: param.batch_size(),
        repeats: false,
        prefetch: param.prefetch(),
        shuffle: param.shuffle(),
        rand_skip: param.rand_skip(),
        transform: Transform::new(&rest)?.with_color(Color::Bgr),
        making: Making::boxes(augment),
        folder: folder.clone(),
        open: Box::new(move |_, _| db::open(&param, &folder)),
    })))
}
