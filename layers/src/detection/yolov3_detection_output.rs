//! Yolov3DetectionOutput: from YOLO v3's numbers to boxes with a class and a score.

use super::yolo::{DetectionsLayer, Scores, anchors, count};
use crate::{Arity, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("Yolov3DetectionOutput", build, &DOC)
    .bottoms(Arity::at_least(1))
    .needs(needs)
    .grads(GradBottoms::None)
    .dynamic()
    .dialect("yolo");

static DOC: LayerDoc = LayerDoc {
    params: &[MESSAGE],
    bottoms: &["x_1, x_2, …: N x (num_box · (5 + num_classes)) x H x W, one per scale"],
    tops: &["detections: 1 x 1 x K x 7: item, label, score, xmin, ymin, xmax, ymax"],
    forward: "with σ the logistic function, at each position (h, w) for each anchor (aw, ah):\n\
              centre ((w + σ(x_0)) / W, (h + σ(x_1)) / H), width e^x_2 · aw / (W · anchors_scale), height \
              alike; score of class c: σ(x_4) · σ(x_5+c); of the scores above `confidence_threshold` those \
              whose box no better one overlaps by `nms_threshold`",
    notes: "`biases` are the anchors' widths and heights in pixels, `mask` names those of each bottom in turn. \
            Rows fall by score; labels count from 1; a better box of any class takes its place alone. Where \
            nothing is found there is one row per item: its number, then −1. Items are told apart, which the \
            fork, made for one, does not.",
    example: r#"layer { name: "det" type: "Yolov3DetectionOutput" bottom: "conv19" top: "det"
  yolov3_detection_output_param { num_classes: 2 num_box: 1 confidence_threshold: 0.25
    nms_threshold: 0.45 biases: 10 biases: 14 anchors_scale: 32 mask: 0 } }"#,
    source: "Redmon, Farhadi 2018 (YOLOv3), section 2; yolov3_detection_output_layer.cpp of MobileNet-YOLO",
    ..LayerDoc::new("Turns YOLO v3's numbers into detections.")
};

const MESSAGE: &str = "yolov3_detection_output_param";

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

/// About a field of the message.
fn wrong(field: &str, why: String) -> LayerError {
    LayerError::field(format!("{MESSAGE}.{field}"), why)
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let p = def.yolov3_detection_output_param.clone().unwrap_or_default();
    let classes = count(MESSAGE, "num_classes", p.num_classes)?;
    let per_scale = count(MESSAGE, "num_box", Some(p.num_box()))?;
    let bottoms = def.bottom.len();
    if p.anchors_scale.len() != bottoms || p.anchors_scale.contains(&0) {
        let why = format!(
            "`anchors_scale` is given once per bottom, {bottoms}, and above 0; found {:?}",
            p.anchors_scale
        );
        return Err(wrong("anchors_scale", why));
    }
    if p.mask.len() != bottoms * per_scale {
        let why = format!(
            "`mask` names {per_scale} anchors per bottom, {}; found {}",
            bottoms * per_scale,
            p.mask.len()
        );
        return Err(wrong("mask", why));
    }
    let all = anchors(&p.biases);
    let mut of_bottoms = Vec::with_capacity(bottoms);
    for (mask, &scale) in p.mask.chunks(per_scale).zip(&p.anchors_scale) {
        let anchor = |&at: &u32| {
            let why = || format!("`mask` {at} has no pair of `biases`, there are {}", all.len());
            let pair = all.get(at as usize).ok_or_else(|| wrong("mask", why()))?;
            Ok(pair.map(|length| length / scale as f32))
        };
        of_bottoms.push(mask.iter().map(anchor).collect::<Result<Vec<_>, LayerError>>()?);
    }
    Ok(Box::new(DetectionsLayer {
        classes,
        scores: Scores::Each,
        confidence: p.confidence_threshold(),
        nms: p.nms_threshold(),
        anchors: of_bottoms,
        rows: Vec::new(),
    }))
}
