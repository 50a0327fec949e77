//! Boxes: their overlap, the codes that say where one lies from another, and the choice of the best.

use cortado_proto::caffe::NonMaximumSuppressionParameter;
use cortado_proto::caffe::prior_box_parameter::CodeType;

use crate::{LayerError, Shape};

/// xmin, ymin, xmax, ymax.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct BBox(pub [f32; 4]);

impl BBox {
    /// The box at `i` in a list of four numbers each.
    pub fn at(list: &[f32], i: usize) -> BBox {
        BBox([list[4 * i], list[4 * i + 1], list[4 * i + 2], list[4 * i + 3]])
    }

    /// Area; 0 of a box that is none.
    pub fn area(&self) -> f32 {
        let BBox([xmin, ymin, xmax, ymax]) = *self;
        if xmax < xmin || ymax < ymin { 0.0 } else { (xmax - xmin) * (ymax - ymin) }
    }

    /// Intersection over union.
    pub fn overlap(&self, other: &BBox) -> f32 {
        let (BBox(a), BBox(b)) = (self, other);
        if b[0] > a[2] || b[2] < a[0] || b[1] > a[3] || b[3] < a[1] {
            return 0.0;
        }
        let width = a[2].min(b[2]) - a[0].max(b[0]);
        let height = a[3].min(b[3]) - a[1].max(b[1]);
        if !(width > 0.0 && height > 0.0) {
            return 0.0;
        }
        let both = width * height;
        both / (self.area() + other.area() - both)
    }

    /// Whether a corner lies outside of the picture, [0, 1]².
    pub fn crosses_border(&self) -> bool {
        self.0.iter().any(|&v| !(0.0..=1.0).contains(&v))
    }

    fn center_size(&self) -> [f32; 4] {
        let BBox([xmin, ymin, xmax, ymax]) = *self;
        [(xmin + xmax) / 2.0, (ymin + ymax) / 2.0, xmax - xmin, ymax - ymin]
    }
}

/// How four numbers say where a box lies from a prior one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Code {
    pub kind: CodeType,
    /// Whether the numbers hold the variances already.
    pub with_variance: bool,
}

impl Code {
    fn scale(&self, variance: [f32; 4]) -> [f32; 4] {
        if self.with_variance { [1.0; 4] } else { variance }
    }

    /// The box that the numbers say.
    pub fn decode(&self, prior: &BBox, variance: [f32; 4], code: BBox) -> BBox {
        let v = self.scale(variance);
        let code: [f32; 4] = std::array::from_fn(|i| v[i] * code.0[i]);
        let [xmin, ymin, xmax, ymax] = prior.0;
        let [cx, cy, w, h] = prior.center_size();
        match self.kind {
            CodeType::Corner => BBox(std::array::from_fn(|i| prior.0[i] + code[i])),
            CodeType::CenterSize => {
                let (x, y) = (code[0] * w + cx, code[1] * h + cy);
                let (width, height) = (code[2].exp() * w, code[3].exp() * h);
                BBox([x - width / 2.0, y - height / 2.0, x + width / 2.0, y + height / 2.0])
            }
            CodeType::CornerSize => BBox([
                xmin + code[0] * w,
                ymin + code[1] * h,
                xmax + code[2] * w,
                ymax + code[3] * h,
            ]),
        }
    }

    /// The numbers for a box.
    pub fn encode(&self, prior: &BBox, variance: [f32; 4], target: &BBox) -> [f32; 4] {
        let v = self.scale(variance);
        let [cx, cy, w, h] = prior.center_size();
        let code = match self.kind {
            CodeType::Corner => std::array::from_fn(|i| target.0[i] - prior.0[i]),
            CodeType::CenterSize => {
                let [x, y, width, height] = target.center_size();
                [(x - cx) / w, (y - cy) / h, (width / w).ln(), (height / h).ln()]
            }
            CodeType::CornerSize => {
                let by = [w, h, w, h];
                std::array::from_fn(|i| (target.0[i] - prior.0[i]) / by[i])
            }
        };
        std::array::from_fn(|i| code[i] / v[i])
    }
}

/// Priors and their variances, from a blob 1 x 2 x 4P.
pub(crate) fn priors(blob: &[f32]) -> (Vec<BBox>, Vec<[f32; 4]>) {
    let count = blob.len() / 8;
    let (boxes, variances) = blob.split_at(4 * count);
    let list = |values: &[f32]| (0..count).map(|i| BBox::at(values, i)).collect::<Vec<_>>();
    (list(boxes), list(variances).into_iter().map(|BBox(v)| v).collect())
}

/// Of boxes that overlap more than a threshold, only the best.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nms {
    pub threshold: f32,
    /// How much the threshold falls with each box kept.
    pub eta: f32,
    /// How many of the best are looked at; all if none.
    pub top_k: Option<usize>,
}

impl Nms {
    /// As the file has it.
    pub fn new(p: &NonMaximumSuppressionParameter, message: &str) -> Result<Nms, LayerError> {
        let (threshold, eta) = (p.nms_threshold(), p.eta());
        if !(threshold >= 0.0) {
            let why = format!("`nms_threshold` is not negative, found {threshold}");
            return Err(LayerError::field(format!("{message}.nms_threshold"), why));
        }
        if !(eta > 0.0 && eta <= 1.0) {
            let why = format!("`eta` is above 0 and at most 1, found {eta}");
            return Err(LayerError::field(format!("{message}.eta"), why));
        }
        Ok(Nms { threshold, eta, top_k: p.top_k.and_then(|k| usize::try_from(k).ok()) })
    }

    /// Indices of the boxes kept, best first; of equal scores the earlier one is better.
    pub fn choose(
        &self,
        mut scored: Vec<(f32, usize)>,
        box_of: impl Fn(usize) -> BBox,
    ) -> Vec<usize> {
        best_first(&mut scored);
        scored.truncate(self.top_k.unwrap_or(usize::MAX));
        let mut kept: Vec<usize> = Vec::new();
        let mut threshold = self.threshold;
        for (_, i) in scored {
            let own = box_of(i);
            if kept.iter().any(|&other| !(own.overlap(&box_of(other)) <= threshold)) {
                continue;
            }
            kept.push(i);
            if self.eta < 1.0 && threshold > 0.5 {
                threshold *= self.eta;
            }
        }
        kept
    }
}

/// Falling scores, NaN at the end; equal ones keep their order.
pub(crate) fn best_first<T>(scored: &mut [(f32, T)]) {
    scored.sort_by(|(a, _), (b, _)| b.partial_cmp(a).unwrap_or(a.is_nan().cmp(&b.is_nan())));
}

/// The items of a batch and the priors of each, of bottoms `loc`, `conf` and priors that fit: `sets`
/// boxes and `classes` scores per prior.
pub(crate) fn items_and_priors(
    bottoms: &[Shape],
    sets: usize,
    classes: usize,
) -> Result<[usize; 2], LayerError> {
    let [loc, conf, prior, ..] = bottoms else { return Ok([0, 0]) };
    let items = loc.first().copied().unwrap_or(0);
    if !prior.count().is_multiple_of(8) || (prior.len() > 2 && prior[..2] != [1, 2]) {
        let why = format!("the priors are 1 x 2 x (P · 4), found {prior}");
        return Err(LayerError::bottom(2, why));
    }
    let priors = prior.count() / 8;
    for (i, bottom, per_prior) in [(0, loc, 4 * sets), (1, conf, classes)] {
        let wanted = priors.checked_mul(per_prior).and_then(|n| n.checked_mul(items));
        if bottom.first() != Some(&items) || wanted != Some(bottom.count()) {
            let why = format!(
                "{items} items of {priors} priors with {per_prior} numbers each are wanted, found {bottom}"
            );
            return Err(LayerError::bottom(i, why));
        }
    }
    Ok([items, priors])
}
