//! DetectionOutput: from SSD's numbers to boxes with a class and a score.

use cortado_proto::caffe::DetectionOutputParameter;

use super::boxes::{BBox, Code, Nms, best_first, items_and_priors, priors};
use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind,
    Measure, Needs, Reshape, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("DetectionOutput", build, &DOC)
    .bottoms(Arity::between(3, 4))
    .needs(needs)
    .grads(GradBottoms::None)
    .dynamic()
    .dialect("ssd, intel, nvcaffe");

static DOC: LayerDoc = LayerDoc {
    params: &["detection_output_param"],
    bottoms: &[
        "loc: N x (P · 4), per prior and, without share_location, per class",
        "conf: N x (P · num_classes), scores",
        "priors: 1 x 2 x (P · 4), of PriorBox",
        "data (optional): not looked at",
    ],
    tops: &["detections: 1 x 1 x K x 7: item, label, score, xmin, ymin, xmax, ymax"],
    forward: "per item and class but the background: the boxes that score above `confidence_threshold`, \
              the best `top_k` of them without those that overlap a better one more than \
              `nms_threshold`; of all classes the best `keep_top_k`",
    notes: "Rows are in the order of items, then of classes, then of falling scores. Where nothing is found \
            at all there is one row per item: its number, then −1; an item without detections among others \
            has no row. The number of rows differs from pass to pass. `save_output_param`, `visualize` and \
            `save_file` are accepted and do nothing: the program that reads the top writes files.",
    example: r#"layer { name: "det" type: "DetectionOutput" bottom: "loc" bottom: "conf" bottom: "prior" top: "det"
  detection_output_param { num_classes: 21 code_type: CENTER_SIZE keep_top_k: 200
    confidence_threshold: 0.01 nms_param { nms_threshold: 0.45 top_k: 400 } } }"#,
    source: "Liu et al. 2015 (SSD); detection_output_layer.cpp of Caffe's SSD branch",
    ..LayerDoc::new("Turns SSD's numbers into detections.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let p = def.detection_output_param.clone().unwrap_or_default();
    let classes = match p.num_classes {
        Some(classes @ 1..) => classes as usize,
        found => {
            let found = found.map_or("none".to_owned(), |n| n.to_string());
            let why = format!("`num_classes` must be given and above 0, found {found}");
            return Err(LayerError::field("detection_output_param.num_classes", why));
        }
    };
    let nms = p.nms_param.unwrap_or_default();
    let nms = Nms::new(&nms, "detection_output_param.nms_param")?;
    let code = Code { kind: p.code_type(), with_variance: p.variance_encoded_in_target() };
    Ok(Box::new(DetectionOutputLayer { p, classes, nms, code, rows: Vec::new() }))
}

struct DetectionOutputLayer {
    p: DetectionOutputParameter,
    classes: usize,
    nms: Nms,
    code: Code,
    /// As measured before the last forward.
    rows: Vec<[f32; 7]>,
}

impl DetectionOutputLayer {
    /// How many boxes each prior has.
    fn sets(&self) -> usize {
        if self.p.share_location() { 1 } else { self.classes }
    }

    /// The detections of one item, as (label, score, box).
    fn item(
        &self,
        loc: &[f32],
        conf: &[f32],
        (priors, variances): &(Vec<BBox>, Vec<[f32; 4]>),
    ) -> Vec<(usize, f32, BBox)> {
        let (classes, sets) = (self.classes, self.sets());
        let above = self.p.confidence_threshold.unwrap_or(f32::MIN);
        let box_of = |label: usize, prior: usize| {
            let code = BBox::at(loc, prior * sets + if sets == 1 { 0 } else { label });
            self.code.decode(&priors[prior], variances[prior], code)
        };
        let mut found = Vec::new();
        for label in 0..classes {
            if label as i64 == i64::from(self.p.background_label_id()) {
                continue;
            }
            let scores = (0..priors.len()).map(|prior| (conf[prior * classes + label], prior));
            let scored: Vec<(f32, usize)> = scores.filter(|&(score, _)| score > above).collect();
            // Decoded once: each is compared with many.
            let mut decoded = vec![BBox::default(); priors.len()];
            scored.iter().for_each(|&(_, prior)| decoded[prior] = box_of(label, prior));
            for prior in self.nms.choose(scored, |prior| decoded[prior]) {
                found.push((conf[prior * classes + label], (label, decoded[prior])));
            }
        }
        if let Ok(keep) = usize::try_from(self.p.keep_top_k())
            && found.len() > keep
        {
            best_first(&mut found);
            found.truncate(keep);
            found.sort_by_key(|&(_, (label, _))| label);
        }
        found.into_iter().map(|(score, (label, bbox))| (label, score, bbox)).collect()
    }
}

impl Layer for DetectionOutputLayer {
    /// One row, as the original; `measure` knows better.
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        items_and_priors(cx.bottoms, self.sets(), self.classes)?;
        cx.top(0, [1, 1, 1, 7]);
        Ok(())
    }

    fn measure(&mut self, cx: &mut Measure<'_>) -> Result<Vec<Shape>, LayerError> {
        let [loc, conf, prior, ..] = cx.bottoms else { return Ok(Vec::new()) };
        let priors = priors(prior.data);
        let items = loc.shape.first().copied().unwrap_or(0);
        self.rows.clear();
        for item in 0..items {
            let loc = &loc.data[loc.data.len() / items * item..];
            let conf = &conf.data[conf.data.len() / items * item..];
            for (label, score, BBox([xmin, ymin, xmax, ymax])) in self.item(loc, conf, &priors) {
                self.rows.push([item as f32, label as f32, score, xmin, ymin, xmax, ymax]);
            }
        }
        if self.rows.is_empty() {
            self.rows
                .extend((0..items).map(|item| [item as f32, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0]));
        }
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
