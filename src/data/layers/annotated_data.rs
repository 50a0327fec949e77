//! AnnotatedData: batches of pictures with the boxes of the objects on them, from a database.

use cortado_layers::{Arity, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs};

use super::data::of_records;
use crate::data::annotated::Annotated;
use crate::data::labels::Labels;

/// The type `AnnotatedData`.
pub static KIND: LayerKind = LayerKind::new("AnnotatedData", build, &DOC)
    .bottoms(Arity::exactly(0))
    .tops(Arity::between(1, 2))
    .needs(|_| Needs::NOTHING)
    .grads(GradBottoms::None)
    .dynamic();

static DOC: LayerDoc = LayerDoc {
    summary: "Batches of pictures and of the boxes on them from a database, as SSD trains on.",
    params: &["data_param", "annotated_data_param", "transform_param"],
    bottoms: &[],
    tops: &[
        "data: N x C x H x W, the pictures after `transform_param`",
        "label (may be left out): 1 x 1 x objects x 8",
    ],
    blobs: &[],
    forward: "top[n] = transform(sample(expand(distort(picture at position + n)))); then position += N",
    backward: "",
    notes: "\
The database holds `AnnotatedDatum` messages: a `Datum` and groups of boxes, whose sides are parts of the \
picture's width and height. A row of the label is item, class, instance, left, top, right, bottom, \
difficult; a batch without objects has one row of -1.

Each `batch_sampler` draws parts of the picture, `max_trials` (100) times or until it has `max_sample`: \
by `sampler` their scale (the root of the area) lies between `min_scale` and `max_scale`, their aspect \
between `min_aspect_ratio` and `max_aspect_ratio`; they count when they meet `sample_constraint` with any \
object: overlap (`min_jaccard_overlap`, `max_jaccard_overlap`), the part of the sample that the object covers \
(`min_sample_coverage`, `max_sample_coverage`), the part of the object that the sample covers \
(`min_object_coverage`, `max_object_coverage`). `use_original_image: false` is refused. One of all parts is cut out at random, where there is one. That happens \
after `distort_param` and `expand_param` and before `resize_param`, see `Data`. The boxes follow; those \
that `emit_constraint` leaves out go (CENTER: whose centre lies outside; MIN_OVERLAP: of which too little \
is left), as do those of which nothing is left. `label_map_file` is not read.",
    example: r#"layer {
  name: "data"
  type: "AnnotatedData"
  top: "data"
  top: "label"
  include { phase: TRAIN }
  transform_param {
    mirror: true mean_value: 104 mean_value: 117 mean_value: 123
    resize_param { prob: 1 resize_mode: WARP height: 300 width: 300 }
    emit_constraint { emit_type: CENTER }
  }
  data_param { source: "trainval_lmdb" batch_size: 32 backend: LMDB }
  annotated_data_param {
    batch_sampler { max_sample: 1 max_trials: 1 }
    batch_sampler {
      sampler { min_scale: 0.3 max_scale: 1 min_aspect_ratio: 0.5 max_aspect_ratio: 2 }
      sample_constraint { min_jaccard_overlap: 0.5 }
      max_sample: 1 max_trials: 50
    }
  }
}"#,
    source: "SSD: annotated_data_layer.cpp, sampler.cpp",
};

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.annotated_data_param.clone().unwrap_or_default();
    let transform = def.transform_param.clone().unwrap_or_default();
    of_records(def, Labels::Boxes(Annotated::new(&param, &transform)?))
}
