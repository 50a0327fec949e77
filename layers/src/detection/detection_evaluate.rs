//! DetectionEvaluate: which detections are right, for a mean average precision.

use std::collections::BTreeMap;

use cortado_proto::caffe::DetectionEvaluateParameter;
use cortado_proto::caffe::resize_parameter::ResizeMode;

use super::boxes::{BBox, best_first};
use crate::paths::Folder;
use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind,
    Measure, Needs, Reshape, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("DetectionEvaluate", build, &DOC)
    .bottoms(Arity::exactly(2))
    .needs(needs)
    .grads(GradBottoms::None)
    .dynamic()
    .dialect("ssd, intel, nvcaffe");

static DOC: LayerDoc = LayerDoc {
    params: &["detection_evaluate_param"],
    bottoms: &[
        "detections: 1 x 1 x K x 7, of DetectionOutput",
        "truth: 1 x 1 x M x 8: item, label, instance, xmin, ymin, xmax, ymax, difficult",
    ],
    tops: &["rows: 1 x 1 x R x 5, first per class, then per detection"],
    forward: "per class but the background: −1, label, number of true boxes, −1, −1; per detection: item, \
              label, score, right, wrong",
    notes: "A detection is right when the true box of its class that it overlaps most is overlapped by at \
            least `overlap_threshold` and no better detection has it. One that meets a difficult box is \
            neither with `evaluate_difficult_gt: false`. Boxes are from 0 to 1; with a \
            `name_size_file` (a name, a height and a width per picture, in the order of the pictures) they \
            are compared in pixels, the last pixel counted in.",
    example: r#"layer { name: "eval" type: "DetectionEvaluate" bottom: "det" bottom: "label" top: "eval"
  detection_evaluate_param { num_classes: 21 } }"#,
    source: "detection_evaluate_layer.cpp of Caffe's SSD branch",
    ..LayerDoc::new("Tells which detections are right.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let p = def.detection_evaluate_param.clone().unwrap_or_default();
    let Some(classes @ 1..) = p.num_classes else {
        let found = p.num_classes.map_or("none".to_owned(), |n| n.to_string());
        let why = format!("`num_classes` must be given and above 0, found {found}");
        return Err(LayerError::field("detection_evaluate_param.num_classes", why));
    };
    if !p.overlap_threshold().is_finite() || p.overlap_threshold() <= 0.0 {
        let why = format!("`overlap_threshold` must be above 0, found {}", p.overlap_threshold());
        return Err(LayerError::field("detection_evaluate_param.overlap_threshold", why));
    }
    let resize = p.resize_param.as_ref().map_or(ResizeMode::Warp, |r| r.resize_mode());
    if !p.name_size_file().is_empty() && resize != ResizeMode::Warp {
        let why = format!("sizes are followed for pictures that were warped, found {resize:?}");
        return Err(LayerError::field("detection_evaluate_param.resize_param", why));
    }
    let (folder, classes) = (Folder::of(def), classes as usize);
    Ok(Box::new(DetectionEvaluateLayer {
        p,
        classes,
        folder,
        sizes: None,
        seen: 0,
        rows: Vec::new(),
    }))
}

/// The line of each picture: a name, its height, its width.
fn sizes(text: &str) -> Result<Vec<[f32; 2]>, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let size = |row: &[&str]| -> Option<[f32; 2]> {
        let number = |word: &&str| word.parse::<u32>().ok().map(|n| n as f32);
        Some([number(row.get(2)?)?, number(row.get(1)?)?])
    };
    let rows: Vec<&[&str]> = words.chunks(3).collect();
    if rows.is_empty() {
        return Err("names no pictures".to_owned());
    }
    let wrong =
        |row: &[&str]| format!("has `{}`; a name, a height and a width are wanted", row.join(" "));
    rows.into_iter().map(|row| size(row).ok_or_else(|| wrong(row))).collect()
}

struct DetectionEvaluateLayer {
    p: DetectionEvaluateParameter,
    classes: usize,
    folder: Folder,
    /// Width and height of every picture, once they are read.
    sizes: Option<Vec<[f32; 2]>>,
    /// Pictures judged so far.
    seen: usize,
    /// As measured before the last forward.
    rows: Vec<[f32; 5]>,
}

/// A true box; `found` once a detection has it.
struct Truth {
    bbox: BBox,
    difficult: bool,
    found: bool,
}

/// Intersection over union of boxes whose last pixel belongs to them.
fn overlap_of_pixels(a: &BBox, b: &BBox) -> f32 {
    let area = |[x1, y1, x2, y2]: [f32; 4]| match x2 < x1 || y2 < y1 {
        true => 0.0,
        false => (x2 - x1 + 1.0) * (y2 - y1 + 1.0),
    };
    let [p, q] = [a.0, b.0];
    let common = [p[0].max(q[0]), p[1].max(q[1]), p[2].min(q[2]), p[3].min(q[3])];
    // Boxes that do not meet have nothing in common, not even an edge's pixel.
    let meets = common[0] <= common[2] && common[1] <= common[3];
    let common = if meets { area(common) } else { 0.0 };
    if common <= 0.0 { 0.0 } else { common / (area(p) + area(q) - common) }
}

/// By item and label.
type ByLabel<T> = BTreeMap<(i64, i64), Vec<T>>;

impl DetectionEvaluateLayer {
    /// Reads the sizes, where a file of them is named.
    fn read_sizes(&mut self) -> Result<(), LayerError> {
        const FIELD: &str = "detection_evaluate_param.name_size_file";
        let named = self.p.name_size_file();
        if named.is_empty() || self.sizes.is_some() {
            return Ok(());
        }
        let path = self.folder.find(FIELD, named)?;
        let wrong = |why: String| LayerError::field(FIELD, format!("`{}` {why}", path.display()));
        let text =
            std::fs::read_to_string(&path).map_err(|e| wrong(format!("can't be read: {e}")))?;
        self.sizes = Some(sizes(&text).map_err(wrong)?);
        Ok(())
    }

    /// In pixels of the picture, the last one counted in, where its size is known.
    fn overlap(&self, item: i64, a: &BBox, b: &BBox) -> f32 {
        let Some(sizes) = &self.sizes else { return a.overlap(b) };
        let at = (self.seen + usize::try_from(item).unwrap_or(0)) % sizes.len();
        let [w, h] = sizes[at];
        let pixels = |bbox: &BBox| {
            let [x1, y1, x2, y2] = bbox.0.map(|v| v.clamp(0.0, 1.0));
            BBox([x1 * w, y1 * h, x2 * w, y2 * h])
        };
        overlap_of_pixels(&pixels(a), &pixels(b))
    }

    /// A label of bottom `i` as a class that is not the background.
    fn label(&self, i: usize, label: f32) -> Result<i64, LayerError> {
        let background = i64::from(self.p.background_label_id());
        let class = crate::common::index(label, self.classes).map(|label| label as i64);
        class.filter(|&label| label != background).ok_or_else(|| {
            let why = format!(
                "labels are below {} and not the background's, {background}; found {label}",
                self.classes
            );
            LayerError::bottom(i, why)
        })
    }

    /// Whether a detection is right, and whether it is wrong.
    fn judge(&self, item: i64, bbox: &BBox, truths: &mut [Truth]) -> [f32; 2] {
        let mut best: Option<(f32, usize)> = None;
        for (i, truth) in truths.iter().enumerate() {
            let overlap = self.overlap(item, bbox, &truth.bbox);
            if best.is_none_or(|(most, _)| overlap > most) {
                best = Some((overlap, i));
            }
        }
        match best {
            Some((overlap, i)) if overlap >= self.p.overlap_threshold() => {
                if truths[i].difficult && !self.p.evaluate_difficult_gt() {
                    return [0.0, 0.0];
                }
                if std::mem::replace(&mut truths[i].found, true) { [0.0, 1.0] } else { [1.0, 0.0] }
            }
            _ => [0.0, 1.0],
        }
    }

    fn evaluate(&self, detections: &[f32], truth: &[f32]) -> Result<Vec<[f32; 5]>, LayerError> {
        let mut truths: ByLabel<Truth> = BTreeMap::new();
        let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
        for row in truth.chunks_exact(8).take_while(|row| row[0] != -1.0) {
            let label = self.label(1, row[1])?;
            let difficult = row[7] != 0.0;
            let bbox = BBox::at(&row[3..], 0);
            let list = truths.entry((row[0] as i64, label)).or_default();
            list.push(Truth { bbox, difficult, found: false });
            let counts_too = self.p.evaluate_difficult_gt() || !difficult;
            *counts.entry(label).or_default() += usize::from(counts_too);
        }
        let mut detected: ByLabel<(f32, BBox)> = BTreeMap::new();
        for row in detections.chunks_exact(7).filter(|row| row[0] != -1.0 && row[1] != -1.0) {
            let key = (row[0] as i64, self.label(0, row[1])?);
            detected.entry(key).or_default().push((row[2], BBox::at(&row[3..], 0)));
        }
        let mut rows = Vec::new();
        for label in
            (0..self.classes as i64).filter(|&l| l != i64::from(self.p.background_label_id()))
        {
            let count = counts.get(&label).map_or(-1.0, |&count| count as f32);
            rows.push([-1.0, label as f32, count, -1.0, -1.0]);
        }
        for (key @ (item, label), mut list) in detected {
            let mut truths = truths.get_mut(&key);
            // Where all are wrong their order is that of the bottom.
            if truths.is_some() {
                best_first(&mut list);
            }
            for (score, bbox) in list {
                let judge = |truths: &mut Vec<Truth>| self.judge(item, &bbox, truths);
                let [right, wrong] = truths.as_deref_mut().map_or([0.0, 1.0], judge);
                rows.push([item as f32, label as f32, score, right, wrong]);
            }
        }
        Ok(rows)
    }
}

impl Layer for DetectionEvaluateLayer {
    /// As if there were no detections; `measure` knows better.
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        for (i, width) in [(0, 7), (1, 8)] {
            let bottom = &cx.bottoms[i];
            if bottom.len() != 4 || bottom[..2] != [1, 1] || bottom[3] != width {
                let why = format!("the bottom is 1 x 1 x rows x {width}, found {bottom}");
                return Err(LayerError::bottom(i, why));
            }
        }
        cx.top(0, [1, 1, self.classes, 5]);
        Ok(())
    }

    fn measure(&mut self, cx: &mut Measure<'_>) -> Result<Vec<Shape>, LayerError> {
        self.read_sizes()?;
        let (detections, truth) = (cx.bottoms[0].data, cx.bottoms[1].data);
        self.rows = self.evaluate(detections, truth)?;
        let items = detections.chunks_exact(7).map(|row| row[0]);
        let last = items.chain(truth.chunks_exact(8).map(|row| row[0])).fold(-1.0, f32::max);
        self.seen += (last + 1.0) as usize;
        Ok(vec![Shape::new(&[1, 1, self.rows.len(), 5])])
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        cx.tops[0].data.copy_from_slice(self.rows.as_flattened());
        Ok(())
    }

    fn backward(&mut self, _: &mut Backward<'_>) -> Result<(), LayerError> {
        Ok(())
    }
}
