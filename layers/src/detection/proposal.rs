//! Proposal: from a region proposal network's numbers to regions of interest.

use cortado_proto::caffe::ProposalParameter;

use super::anchors::anchors;
use super::boxes::best_first;
use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind,
    Measure, Needs, Phase, Reshape, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("Proposal", build, &DOC)
    .bottoms(Arity::exactly(3))
    .tops(Arity::between(1, 2))
    .needs(needs)
    .grads(GradBottoms::None)
    .ends_gradients()
    .dynamic()
    .dialect("faster-rcnn, pvanet");

static DOC: LayerDoc = LayerDoc {
    params: &["proposal_param"],
    bottoms: &[
        "scores: 1 x 2A x H x W, A anchors: those of background, then those of object",
        "deltas: 1 x 4A x H x W",
        "im_info: 1 x 3: height and width of the picture, how much it was scaled",
    ],
    tops: &["regions: R x 5: 0, x1, y1, x2, y2 in pixels", "scores (optional): R x 1"],
    forward: "anchors moved by the deltas and cut to the picture; without those smaller than min_size · \
              scale; the best `pre_nms_topn`; without those that overlap a better one more than \
              `nms_thresh`; the best `post_nms_topn`",
    notes: "Without `ratio` and `scale` there are the paper's nine anchors (0.5, 1, 2 and 8, 16, 32). The \
            `Python` layer `rpn.proposal_layer` of py-faster-rcnn's files is this one; it keeps 2000 of \
            12000 in TRAIN. The number of regions differs from pass to pass.",
    example: r#"layer { name: "proposal" type: "Proposal" bottom: "rpn_cls_prob" bottom: "rpn_bbox_pred"
  bottom: "im_info" top: "rois" proposal_param { feat_stride: 16 } }"#,
    source: "Ren, He, Girshick, Sun 2015 (Faster R-CNN), section 3.1; proposal_layer.py of py-faster-rcnn",
    ..LayerDoc::new("Proposes regions of interest.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let mut p = def.proposal_param.clone().unwrap_or_default();
    if p.ratio.is_empty() {
        p.ratio = vec![0.5, 1.0, 2.0];
    }
    if p.scale.is_empty() {
        p.scale = vec![8.0, 16.0, 32.0];
    }
    let not_above_0 = |list: &[f32]| list.iter().copied().find(|&v| !(v > 0.0 && v.is_finite()));
    for (field, wrong) in [("ratio", not_above_0(&p.ratio)), ("scale", not_above_0(&p.scale))] {
        if let Some(found) = wrong {
            let why = format!("`{field}` must be above 0, found {found}");
            return Err(LayerError::field(format!("proposal_param.{field}"), why));
        }
    }
    Ok(Box::new(ProposalLayer::new(p, None)))
}

/// The layer that py-faster-rcnn's files call `Python`, of a `param_str` such as `'feat_stride': 16`.
pub(crate) fn from_python(param_str: &str) -> Result<Box<dyn Layer>, LayerError> {
    let numbers = |key: &str| -> Vec<f32> {
        let Some((_, rest)) = param_str.split_once(key) else { return Vec::new() };
        let rest = rest.trim_start_matches(['\'', '"', ':', ' ']);
        let list = match rest.find(['[', '(']) {
            Some(at) if !rest.starts_with(|c: char| c.is_ascii_digit()) => &rest[at + 1..],
            _ => rest.split([',', '}', '\n']).next().unwrap_or(rest),
        };
        let list = list.split([']', ')']).next().unwrap_or(list);
        list.split(',').filter_map(|number| number.trim().parse().ok()).collect()
    };
    let Some(&stride) = numbers("feat_stride").first().filter(|&&stride| stride >= 1.0) else {
        let why = format!("`feat_stride`, above 0, must be given, found `{param_str}`");
        return Err(LayerError::field("python_param.param_str", why));
    };
    let scale = match numbers("scales") {
        scales if scales.is_empty() => vec![8.0, 16.0, 32.0],
        scales => scales,
    };
    let ratio = vec![0.5, 1.0, 2.0];
    let p =
        ProposalParameter { feat_stride: Some(stride as u32), ratio, scale, ..Default::default() };
    Ok(Box::new(ProposalLayer::new(p, Some([12000, 2000]))))
}

struct ProposalLayer {
    p: ProposalParameter,
    /// How many are looked at and kept in TRAIN, where that differs.
    train: Option<[usize; 2]>,
    anchors: Vec<[f32; 4]>,
    /// As measured before the last forward: score and corners.
    found: Vec<(f32, [f32; 4])>,
}

/// Intersection over union of boxes whose corners are pixels of theirs.
fn overlap(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let area = |b: &[f32; 4]| (b[2] - b[0] + 1.0) * (b[3] - b[1] + 1.0);
    let width = (a[2].min(b[2]) - a[0].max(b[0]) + 1.0).max(0.0);
    let height = (a[3].min(b[3]) - a[1].max(b[1]) + 1.0).max(0.0);
    let both = width * height;
    both / (area(a) + area(b) - both)
}

impl ProposalLayer {
    fn new(p: ProposalParameter, train: Option<[usize; 2]>) -> ProposalLayer {
        let anchors = anchors(p.base_size(), &p.ratio, &p.scale);
        ProposalLayer { p, train, anchors, found: Vec::new() }
    }

    /// An anchor at a position, moved by its four deltas and cut to the picture.
    fn moved(
        &self,
        anchor: usize,
        [y, x]: [usize; 2],
        delta: [f32; 4],
        size: [f32; 2],
    ) -> [f32; 4] {
        let stride = self.p.feat_stride() as f32;
        let [x1, y1, x2, y2] = self.anchors[anchor];
        let (left, top) = (x1 + x as f32 * stride, y1 + y as f32 * stride);
        let (width, height) = (x2 - x1 + 1.0, y2 - y1 + 1.0);
        let cx = delta[0] * width + left + 0.5 * width;
        let cy = delta[1] * height + top + 0.5 * height;
        let (w, h) = (delta[2].exp() * width, delta[3].exp() * height);
        let [last_y, last_x] = size.map(|length| (length - 1.0).max(0.0));
        [
            (cx - 0.5 * w).clamp(0.0, last_x),
            (cy - 0.5 * h).clamp(0.0, last_y),
            (cx + 0.5 * w).clamp(0.0, last_x),
            (cy + 0.5 * h).clamp(0.0, last_y),
        ]
    }

    fn propose(&self, cx: &Measure<'_>) -> Vec<(f32, [f32; 4])> {
        let [scores, deltas, info] = cx.bottoms else { return Vec::new() };
        let (h, w) = (scores.shape[2], scores.shape[3]);
        let (plane, count) = (h * w, self.anchors.len());
        let size = [info.data[0], info.data[1]];
        let least = self.p.min_size() as f32 * info.data[2];
        let mut found = Vec::new();
        for position in 0..plane {
            for anchor in 0..count {
                let delta =
                    std::array::from_fn(|i| deltas.data[(4 * anchor + i) * plane + position]);
                let region = self.moved(anchor, [position / w, position % w], delta, size);
                let [x1, y1, x2, y2] = region;
                if x2 - x1 + 1.0 >= least && y2 - y1 + 1.0 >= least {
                    found.push((scores.data[(count + anchor) * plane + position], region));
                }
            }
        }
        let [before, after] = match (cx.phase, self.train) {
            (Phase::Train, Some(train)) => train,
            _ => [self.p.pre_nms_topn() as usize, self.p.post_nms_topn() as usize],
        };
        best_first(&mut found);
        // As in the original, 0 is no limit.
        found.truncate(if before == 0 { usize::MAX } else { before });
        let mut kept: Vec<(f32, [f32; 4])> = Vec::new();
        for (score, region) in found {
            if after != 0 && kept.len() == after {
                break;
            }
            if kept.iter().all(|(_, other)| overlap(&region, other) <= self.p.nms_thresh()) {
                kept.push((score, region));
            }
        }
        kept
    }
}

impl Layer for ProposalLayer {
    /// As if nothing were proposed; `measure` knows better.
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let [scores, deltas, info] = cx.bottoms else {
            let why = format!(
                "scores, deltas and im_info are wanted, found {} bottoms",
                cx.bottoms.len()
            );
            return Err(LayerError::layer(why));
        };
        let count = self.anchors.len();
        if scores.len() != 4 || scores[..2] != [1, 2 * count] {
            let why = format!(
                "the scores are 1 x {} x H x W for {count} anchors, found {scores}",
                2 * count
            );
            return Err(LayerError::bottom(0, why));
        }
        if deltas.len() != 4 || deltas[..2] != [1, 4 * count] || deltas[2..] != scores[2..] {
            let why = format!(
                "the deltas are 1 x {} x {} x {}, found {deltas}",
                4 * count,
                scores[2],
                scores[3]
            );
            return Err(LayerError::bottom(1, why));
        }
        if info.count() < 3 {
            let why = format!("im_info holds height, width and scale, found {info}");
            return Err(LayerError::bottom(2, why));
        }
        for (i, top) in cx.tops.iter_mut().enumerate() {
            *top = Shape::new(&[0, if i == 0 { 5 } else { 1 }]);
        }
        Ok(())
    }

    fn measure(&mut self, cx: &mut Measure<'_>) -> Result<Vec<Shape>, LayerError> {
        self.found = self.propose(cx);
        let count = self.found.len();
        Ok(vec![Shape::new(&[count, 5]), Shape::new(&[count, 1])])
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        for ((_, region), row) in self.found.iter().zip(cx.tops[0].data.chunks_exact_mut(5)) {
            row[0] = 0.0;
            row[1..].copy_from_slice(region);
        }
        if let Some(top) = cx.tops.get_mut(1) {
            top.data.iter_mut().zip(&self.found).for_each(|(to, (score, _))| *to = *score);
        }
        Ok(())
    }

    fn backward(&mut self, _: &mut Backward<'_>) -> Result<(), LayerError> {
        Ok(())
    }
}
