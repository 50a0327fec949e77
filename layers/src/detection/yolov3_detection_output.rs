//! Yolov3DetectionOutput: from YOLO v3's numbers to boxes with a class and a score.

use super::boxes::{BBox, best_first};
use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind,
    Measure, Needs, Reshape, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("Yolov3DetectionOutput", build, &DOC)
    .bottoms(Arity::at_least(1))
    .needs(needs)
    .grads(GradBottoms::None)
    .dynamic()
    .extensions(&[MESSAGE])
    .dialect("yolo");

static DOC: LayerDoc = LayerDoc {
    bottoms: &["x_1, x_2, …: N x (num_box · (5 + num_classes)) x H x W, one per scale"],
    tops: &["detections: 1 x 1 x K x 7: item, label, score, xmin, ymin, xmax, ymax"],
    forward: "with σ the logistic function, at each position (h, w) for each anchor (aw, ah):\n\
              centre ((w + σ(x_0)) / W, (h + σ(x_1)) / H), width e^x_2 · aw / (W · anchors_scale), height \
              alike; score of class c: σ(x_4) · σ(x_5+c); of the scores above `confidence_threshold` those \
              whose box no better one overlaps by `nms_threshold`",
    notes: "`yolov3_detection_output_param { num_classes: 20 num_box: 3 confidence_threshold: 0.25 \
            nms_threshold: 0.45 biases: 10 biases: 14 … anchors_scale: 32 anchors_scale: 16 mask: 3 mask: 4 \
            mask: 5 mask: 0 … }`: biases are the anchors' widths and heights in pixels, mask names those of \
            each bottom in turn. Rows fall by score; labels count from 1; a better box of any class takes its \
            place alone. Where nothing is found there is one row per item: its number, then −1. Items are told \
            apart, which the fork, made for one, does not.",
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
    let Some(extension) = def.extension(MESSAGE) else {
        return Err(LayerError::layer(format!("`{MESSAGE} {{ … }}` must be given")));
    };
    let block = extension.block();
    let count = |field: &str, absent: i64| -> Result<usize, LayerError> {
        let found = block.get_i64(field)?.unwrap_or(absent);
        let count = usize::try_from(found).ok().filter(|count| (1..=1 << 20).contains(count));
        count.ok_or_else(|| {
            wrong(field, format!("`{field}` must be given and above 0, found {found}"))
        })
    };
    let threshold = |field: &str| -> Result<f32, LayerError> {
        let found = block.get_f32(field)?;
        found.ok_or_else(|| wrong(field, format!("`{field}` must be given")))
    };
    let (classes, per_scale) = (count("num_classes", 0)?, count("num_box", 3)?);
    let (confidence, nms) = (threshold("confidence_threshold")?, threshold("nms_threshold")?);
    let biases = block.repeated_f32("biases")?;
    let scales = block.repeated_f32("anchors_scale")?;
    let bottoms = def.bottom.len();
    if scales.len() != bottoms {
        let why =
            format!("`anchors_scale` is given once per bottom, {bottoms}; found {}", scales.len());
        return Err(wrong("anchors_scale", why));
    }
    let mask = block.repeated_i64("mask")?;
    if mask.len() != bottoms * per_scale {
        let why = format!(
            "`mask` names {per_scale} anchors per bottom, {}; found {}",
            bottoms * per_scale,
            mask.len()
        );
        return Err(wrong("mask", why));
    }
    let anchor = |&at: &i64| {
        let pair = usize::try_from(at).ok().and_then(|at| biases.chunks_exact(2).nth(at));
        let why = || format!("`mask` {at} has no pair of `biases`, there are {}", biases.len() / 2);
        pair.map(|pair| [pair[0], pair[1]]).ok_or_else(|| wrong("mask", why()))
    };
    let anchors: Vec<[f32; 2]> = mask.iter().map(anchor).collect::<Result<_, _>>()?;
    let anchors = anchors.chunks(per_scale).map(<[_]>::to_vec).collect();
    Ok(Box::new(YoloLayer { classes, confidence, nms, anchors, scales, rows: Vec::new() }))
}

struct YoloLayer {
    classes: usize,
    confidence: f32,
    nms: f32,
    /// Width and height of those of each bottom.
    anchors: Vec<Vec<[f32; 2]>>,
    scales: Vec<f32>,
    /// As measured before the last forward.
    rows: Vec<[f32; 7]>,
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

impl YoloLayer {
    /// Adds what one item of a bottom says: scores with label and box.
    fn read(
        &self,
        scale: usize,
        x: &[f32],
        [h, w]: [usize; 2],
        found: &mut Vec<(f32, (usize, BBox))>,
    ) {
        let (plane, numbers) = (h * w, 5 + self.classes);
        let size = self.scales[scale];
        for (a, [width, height]) in self.anchors[scale].iter().enumerate() {
            for position in 0..plane {
                let at = |i: usize| x[(a * numbers + i) * plane + position];
                let object = sigmoid(at(4));
                let scores = (0..self.classes).map(|class| object * sigmoid(at(5 + class)));
                let scores = scores.enumerate().filter(|&(_, score)| score > self.confidence);
                let cx = ((position % w) as f32 + sigmoid(at(0))) / w as f32;
                let cy = ((position / w) as f32 + sigmoid(at(1))) / h as f32;
                let half_w = at(2).exp() * width / (w as f32 * size) / 2.0;
                let half_h = at(3).exp() * height / (h as f32 * size) / 2.0;
                let bbox = BBox([cx - half_w, cy - half_h, cx + half_w, cy + half_h]);
                found.extend(scores.map(|(class, score)| (score, (class + 1, bbox))));
            }
        }
    }
}

impl Layer for YoloLayer {
    /// As if nothing were found; `measure` knows better.
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let items = cx.bottoms[0].first().copied().unwrap_or(0);
        for (i, bottom) in cx.bottoms.iter().enumerate() {
            let channels = self.anchors[i].len() * (5 + self.classes);
            if bottom.len() != 4 || bottom[..2] != [items, channels] {
                let why = format!("the bottom is {items} x {channels} x H x W, found {bottom}");
                return Err(LayerError::bottom(i, why));
            }
        }
        cx.top(0, [1, 1, items, 7]);
        Ok(())
    }

    fn measure(&mut self, cx: &mut Measure<'_>) -> Result<Vec<Shape>, LayerError> {
        let items = cx.bottoms[0].shape[0];
        let mut rows = Vec::new();
        for item in 0..items {
            let mut found = Vec::new();
            for (scale, bottom) in cx.bottoms.iter().enumerate() {
                let size = bottom.shape.count_from(1);
                let x = &bottom.data[item * size..][..size];
                self.read(scale, x, [bottom.shape[2], bottom.shape[3]], &mut found);
            }
            best_first(&mut found);
            let mut kept: Vec<BBox> = Vec::new();
            for (score, (label, bbox)) in found {
                if kept.iter().any(|other| bbox.overlap(other) >= self.nms) {
                    continue;
                }
                kept.push(bbox);
                let BBox([xmin, ymin, xmax, ymax]) = bbox;
                rows.push([item as f32, label as f32, score, xmin, ymin, xmax, ymax]);
            }
        }
        if rows.is_empty() {
            rows.extend((0..items).map(|item| [item as f32, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0]));
        }
        self.rows = rows;
        Ok(vec![Shape::new(&[1, 1, self.rows.len(), 7])])
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        cx.tops[0].data.copy_from_slice(self.rows.as_flattened());
        Ok(())
    }

    fn backward(&mut self, _: &mut Backward<'_>) -> Result<(), LayerError> {
        Ok(())
    }
}
