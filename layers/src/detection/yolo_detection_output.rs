//! YoloDetectionOutput: from YOLO v2's numbers to boxes with a class and a score.

use super::yolo::{DetectionsLayer, Scores, anchors_of, count};
use crate::{Arity, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("YoloDetectionOutput", build, &DOC)
    .bottoms(Arity::at_least(1))
    .needs(needs)
    .grads(GradBottoms::None)
    .dynamic()
    .dialect("yolo");

static DOC: LayerDoc = LayerDoc {
    params: &[MESSAGE],
    bottoms: &["x_1, x_2, …: N x (num_box · (5 + num_classes)) x H x W"],
    tops: &["detections: 1 x 1 x K x 7: item, label, score, xmin, ymin, xmax, ymax"],
    forward: "with σ the logistic function, at each position (h, w) for each anchor (aw, ah):\n\
              centre ((w + σ(x_0)) / W, (h + σ(x_1)) / H), width e^x_2 · aw / W, height e^x_3 · ah / H; the \
              class is that of the largest part p of the softmax of x_5, x_6, …, the score σ(x_4) · p; of the \
              scores of at least `confidence_threshold` those whose box no better one overlaps by \
              `nms_threshold`",
    notes: "`biases` are the anchors' widths and heights in positions of the grid, the same for all bottoms. \
            The grid is as large as the bottom: `side` says nothing more, nor does `label_map_file`. Rows fall \
            by score; labels count from 1; a better box of any class takes its place alone. Where nothing is \
            found there is one row per item: its number, then −1. Items are told apart, which the fork, made \
            for one, does not.",
    example: r#"layer { name: "det" type: "YoloDetectionOutput" bottom: "conv_reg" top: "det"
  yolo_detection_output_param { num_classes: 20 num_box: 2 biases: 1.08 biases: 1.19 biases: 3.42
    biases: 4.41 } }"#,
    source: "Redmon, Farhadi 2016 (YOLO9000), section 2; yolo_detection_output_layer.cpp of MobileNet-YOLO",
    ..LayerDoc::new("Turns YOLO v2's numbers into detections.")
};

const MESSAGE: &str = "yolo_detection_output_param";

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let p = def.yolo_detection_output_param.clone().unwrap_or_default();
    let classes = count(MESSAGE, "num_classes", p.num_classes)?;
    let boxes = count(MESSAGE, "num_box", Some(p.num_box()))?;
    if p.coords() != 4 {
        let why = format!("a box has 4 `coords`, found {}", p.coords());
        return Err(LayerError::field(format!("{MESSAGE}.coords"), why));
    }
    let anchors = anchors_of(MESSAGE, &p.biases, boxes)?;
    Ok(Box::new(DetectionsLayer {
        classes,
        scores: Scores::Best,
        confidence: p.confidence_threshold(),
        nms: p.nms_threshold(),
        anchors: vec![anchors; def.bottom.len()],
        rows: Vec::new(),
    }))
}
