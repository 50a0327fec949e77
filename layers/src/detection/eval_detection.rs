//! EvalDetection: which of YOLO v2's boxes are right.

use std::collections::BTreeMap;

use cortado_proto::caffe::eval_detection_parameter::ScoreType;

use super::boxes::BBox;
use super::yolo::{Detection, Grid, anchors_of, choose, count, expect_grid};
use crate::common::index;
use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("EvalDetection", build, &DOC)
    .bottoms(Arity::between(2, 3))
    .needs(needs)
    .grads(GradBottoms::None)
    .dialect("intel");

static DOC: LayerDoc = LayerDoc {
    params: &[MESSAGE],
    bottoms: &[
        "x: N x (num_object · (5 + num_class)) x side x side",
        "truth: 1 x 1 x M x 8: item, label, instance, xmin, ymin, xmax, ymax, difficult",
        "data (optional): not read",
    ],
    tops: &["rows: N x (num_class + side² · num_object · 4)"],
    forward: "boxes and classes as YoloDetectionOutput reads them; the score is that of the object (OBJ), of the \
              class (PROB) or their product (MULTIPLY). Per item: the number of true boxes of each class; then \
              per box kept, by class, falling by score: class, score, right, wrong; then 0",
    notes: "A box is right when the true box of its class that it overlaps most is overlapped by at least \
            `threshold` and no better box has it; wrong when another has it or the item has none of its class; \
            else neither, as in Intel's fork. Of boxes that overlap by `nms` or more, whatever their class, the \
            best is kept, if its score is 0.005 or more; with `nms` below 0 all are. Classes count from 0, \
            the truth's labels from 1. `sqrt` and `constriant` are of YOLO v1 and not read.",
    example: r#"layer { name: "eval" type: "EvalDetection" bottom: "conv_reg" bottom: "label" top: "eval"
  include { phase: TEST } eval_detection_param { side: 13 num_class: 20 num_object: 2 nms: 0.45
    biases: 1.08 biases: 1.19 biases: 3.42 biases: 4.41 } }"#,
    source: "eval_detection_layer.cpp of Intel's Caffe",
    ..LayerDoc::new("Tells which of YOLO v2's boxes are right.")
};

const MESSAGE: &str = "eval_detection_param";

/// Boxes kept by `nms` need this score.
const LEAST: f32 = 0.005;

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let p = def.eval_detection_param.clone().unwrap_or_default();
    let side = count(MESSAGE, "side", Some(p.side()))?;
    let classes = count(MESSAGE, "num_class", Some(p.num_class()))?;
    let boxes = count(MESSAGE, "num_object", Some(p.num_object()))?;
    let anchors = anchors_of(MESSAGE, &p.biases, boxes)?;
    let nms = Some(p.nms()).filter(|&overlap| overlap >= 0.0);
    let (threshold, score) = (p.threshold(), p.score_type());
    Ok(Box::new(EvalDetectionLayer { side, classes, anchors, threshold, score, nms }))
}

struct EvalDetectionLayer {
    side: usize,
    classes: usize,
    /// Width and height, in positions.
    anchors: Vec<[f32; 2]>,
    threshold: f32,
    score: ScoreType,
    nms: Option<f32>,
}

/// A true box; `found` once a detection has it.
struct Truth {
    bbox: BBox,
    found: bool,
}

impl EvalDetectionLayer {
    /// True boxes of each item, by class.
    fn truths(
        &self,
        rows: &[f32],
        items: usize,
    ) -> Result<Vec<BTreeMap<usize, Vec<Truth>>>, LayerError> {
        let mut truths: Vec<BTreeMap<usize, Vec<Truth>>> = Vec::new();
        truths.resize_with(items, BTreeMap::new);
        for row in rows.chunks_exact(8).filter(|row| row[0] != -1.0) {
            let Some(item) = index(row[0], items) else {
                let why = format!("the truth is of one of {items} items, found {}", row[0]);
                return Err(LayerError::bottom(1, why));
            };
            let Some(class) = index(row[1] - 1.0, self.classes) else {
                let why = format!("labels are 1 to {}, found {}", self.classes, row[1]);
                return Err(LayerError::bottom(1, why));
            };
            let truth = Truth { bbox: BBox::at(&row[3..], 0), found: false };
            truths[item].entry(class).or_default().push(truth);
        }
        Ok(truths)
    }

    /// The boxes kept, by class, each class falling by score.
    fn detections(&self, grid: Grid<'_>) -> BTreeMap<usize, Vec<(f32, BBox)>> {
        let mut found = Vec::new();
        for position in 0..grid.positions() {
            for (anchor, &size) in self.anchors.iter().enumerate() {
                let (class, part) = grid.best_class(anchor, position);
                let object = grid.object(anchor, position);
                let score = match self.score {
                    ScoreType::Obj => object,
                    ScoreType::Prob => part,
                    ScoreType::Multiply => object * part,
                };
                found.push((score, Detection { class, bbox: grid.bbox(anchor, position, size) }));
            }
        }
        let mut by_class: BTreeMap<usize, Vec<(f32, BBox)>> = BTreeMap::new();
        for (score, Detection { class, bbox }) in choose(found, self.nms) {
            if self.nms.is_none() || score >= LEAST {
                by_class.entry(class).or_default().push((score, bbox));
            }
        }
        by_class
    }

    /// Whether a detection is right, and whether it is wrong.
    fn judge(&self, bbox: &BBox, truths: &mut [Truth]) -> [f32; 2] {
        let mut best: Option<(f32, usize)> = None;
        for (i, truth) in truths.iter().enumerate() {
            let overlap = bbox.overlap(&truth.bbox);
            if best.is_none_or(|(most, _)| overlap > most) {
                best = Some((overlap, i));
            }
        }
        match best {
            None => [0.0, 1.0],
            Some((overlap, i)) if overlap >= self.threshold => {
                if std::mem::replace(&mut truths[i].found, true) { [0.0, 1.0] } else { [1.0, 0.0] }
            }
            Some(_) => [0.0, 0.0],
        }
    }
}

impl Layer for EvalDetectionLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let bottom = &cx.bottoms[0];
        let items = bottom.first().copied().unwrap_or(0);
        expect_grid(0, bottom, items, self.anchors.len(), self.classes)?;
        if bottom[2..] != [self.side, self.side] {
            let why = format!("`side` is that of the bottom, {bottom}; found {}", self.side);
            return Err(LayerError::field(format!("{MESSAGE}.side"), why));
        }
        let truth = &cx.bottoms[1];
        if truth.len() != 4 || truth[..2] != [1, 1] || truth[3] != 8 {
            let why = format!("the bottom is 1 x 1 x rows x 8, found {truth}");
            return Err(LayerError::bottom(1, why));
        }
        let boxes = self.side * self.side * self.anchors.len();
        cx.top(0, Shape::new(&[items, self.classes + 4 * boxes]));
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (x, truth) = (cx.bottom(0), cx.bottom(1));
        let mut truths = self.truths(truth.data, x.shape[0])?;
        let top = &mut cx.tops[0];
        let width = top.shape[1];
        top.data.fill(0.0);
        for (item, (out, truths)) in top.data.chunks_exact_mut(width).zip(&mut truths).enumerate() {
            let (counts, rows) = out.split_at_mut(self.classes);
            truths.iter().for_each(|(&class, list)| counts[class] = list.len() as f32);
            let mut rows = rows.chunks_exact_mut(4);
            for (class, list) in self.detections(Grid::of(x, item, self.classes)) {
                let truths = truths.get_mut(&class).map_or(&mut [][..], Vec::as_mut_slice);
                for (score, bbox) in list {
                    let [right, wrong] = self.judge(&bbox, truths);
                    if let Some(row) = rows.next() {
                        row.copy_from_slice(&[class as f32, score, right, wrong]);
                    }
                }
            }
        }
        Ok(())
    }

    fn backward(&mut self, _: &mut Backward<'_>) -> Result<(), LayerError> {
        Ok(())
    }
}
