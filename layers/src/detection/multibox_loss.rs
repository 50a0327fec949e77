//! MultiBoxLoss: SSD's loss, of where the priors that stand for true boxes say that these lie, and of the
//! classes of those and of some others.

use cortado_kernels::Write;
use cortado_proto::caffe::loss_parameter::NormalizationMode;
use cortado_proto::caffe::multi_box_loss_parameter::{ConfLossType, LocLossType, MiningType};
use cortado_proto::caffe::{LossParameter, MultiBoxLossParameter};

use super::boxes::{BBox, Code, items_and_priors, priors};
use super::multibox_match::{Matches, Truth, decode, find, mine};
use crate::loss::normalize::{self, at_least, divisor};
use crate::loss::smooth_l1_loss::smooth_l1;
use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("MultiBoxLoss", build, &DOC)
    .bottoms(Arity::exactly(4))
    .needs(needs)
    .grads(GradBottoms::Only(&[0, 1]))
    .loss()
    .dialect("ssd, intel, nvcaffe");

static DOC: LayerDoc = LayerDoc {
    params: &["multibox_loss_param", "loss_param"],
    bottoms: &[
        "loc: N x (P · 4), per prior and, without share_location, per class",
        "conf: N x (P · num_classes), scores",
        "priors: 1 x 2 x (P · 4), of PriorBox",
        "truth: 1 x 1 x M x 8: item, label, instance, xmin, ymin, xmax, ymax, difficult",
    ],
    tops: &["loss: scalar"],
    forward: "loss = (loc_weight · Σ f(loc − code of the true box) over the priors that stand for one + \
              Σ class loss over those and the negatives) / normaliser",
    backward: "dloc, dconf of these terms · weight / normaliser; 0 for the other priors",
    notes: "**Matching.** Each true box gets the prior that overlaps it most; with PER_PREDICTION every other \
            prior that overlaps one by `overlap_threshold` stands for it as well.\n\n\
            **Mining.** MAX_NEGATIVE adds, per item, the `neg_pos_ratio` times as many priors of largest class \
            loss among those that overlap nothing by `neg_overlap`; HARD_EXAMPLE takes the `sample_size` of \
            largest loss from all; NONE counts all priors. With an `nms_param` those that overlap a worse one are \
            left out first, among its `top_k` (0 where not given: then nothing is chosen). An item without \
            true boxes has no negatives.\n\n\
            **Normaliser.** VALID (default) the number of matches, FULL N · P, BATCH_SIZE N, NONE 1; at least 1. \
            With `propagate_down: false` a bottom's part is left out of the loss.",
    example: r#"layer { name: "loss" type: "MultiBoxLoss" bottom: "loc" bottom: "conf" bottom: "prior"
  bottom: "label" top: "loss" multibox_loss_param { num_classes: 21 code_type: CENTER_SIZE } }"#,
    source: "Liu et al. 2015 (SSD), section 2.2; multibox_loss_layer.cpp of Caffe's SSD branch",
    ..LayerDoc::new("SSD's loss of boxes and classes.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let wrong = |field: &str, why: String| {
        Err(LayerError::field(format!("multibox_loss_param.{field}"), why))
    };
    let p = def.multibox_loss_param.unwrap_or_default();
    let norm = def.loss_param.clone().unwrap_or_default();
    normalize::check(&norm)?;
    let Some(classes @ 1..) = p.num_classes else {
        let found = p.num_classes.map_or("none".to_owned(), |n| n.to_string());
        return wrong(
            "num_classes",
            format!("`num_classes` must be given and above 0, found {found}"),
        );
    };
    let mining = match p.do_neg_mining {
        Some(false) if p.mining_type.is_none() => MiningType::None,
        _ => p.mining_type(),
    };
    if !p.share_location() && mining != MiningType::None {
        let why = format!("without `share_location` it is NONE, found {}", mining.as_str_name());
        return wrong("mining_type", why);
    }
    if p.map_object_to_agnostic() && classes != 2 {
        let why = format!("`map_object_to_agnostic` goes with 2 classes, found {classes}");
        return wrong("num_classes", why);
    }
    if p.background_label_id() >= classes {
        let why =
            format!("`background_label_id` is below {classes}, found {}", p.background_label_id());
        return wrong("background_label_id", why);
    }
    if !(p.overlap_threshold() > 0.0) {
        let why = format!("`overlap_threshold` must be above 0, found {}", p.overlap_threshold());
        return wrong("overlap_threshold", why);
    }
    let code = Code { kind: p.code_type(), with_variance: p.encode_variance_in_target() };
    let counts = [0, 1].map(|i| def.propagate_down.get(i).copied().unwrap_or(true));
    let classes = classes as usize;
    Ok(Box::new(MultiBoxLossLayer {
        p,
        norm,
        mining,
        code,
        classes,
        counts,
        dims: [0; 2],
        divisor: 1.0,
    }))
}

struct MultiBoxLossLayer {
    p: MultiBoxLossParameter,
    norm: LossParameter,
    mining: MiningType,
    code: Code,
    classes: usize,
    /// Whether loc and conf are part of the loss.
    counts: [bool; 2],
    /// Items and priors.
    dims: [usize; 2],
    /// Of the last forward.
    divisor: f32,
}

impl MultiBoxLossLayer {
    fn sets(&self) -> usize {
        if self.p.share_location() { 1 } else { self.classes }
    }

    fn background(&self) -> usize {
        self.p.background_label_id() as usize
    }

    /// The true boxes of each item.
    fn truths(&self, rows: &[f32]) -> Result<Vec<Vec<Truth>>, LayerError> {
        let mut truths = vec![Vec::new(); self.dims[0]];
        for (i, row) in rows.chunks_exact(8).enumerate().filter(|(_, row)| row[0] != -1.0) {
            let Some(item) = crate::common::index(row[0], self.dims[0]) else {
                let why = format!("row {i} is of item {}, there are {}", row[0], self.dims[0]);
                return Err(LayerError::bottom(3, why));
            };
            let limit = if self.p.map_object_to_agnostic() { usize::MAX } else { self.classes };
            let label = crate::common::index(row[1], limit);
            let Some(label) = label.filter(|&label| label != self.background()) else {
                let why = format!(
                    "label {} of row {i} is out of range: with {} classes labels are below, and not {}, the \
                     background",
                    row[1],
                    self.classes,
                    self.background()
                );
                return Err(LayerError::bottom(3, why));
            };
            if row[7] == 0.0 || self.p.use_difficult_gt() {
                let label =
                    if self.p.map_object_to_agnostic() { 1 - self.background() } else { label };
                truths[item].push(Truth { label, bbox: BBox::at(&row[3..], 0) });
            }
        }
        Ok(truths)
    }

    /// The class loss of a prior's scores; its derivatives into `slopes`. No label: no class at all.
    fn conf_loss(&self, scores: &[f32], label: Option<usize>, slopes: &mut [f32]) -> f32 {
        let is = |class: usize| f32::from(u8::from(label == Some(class)));
        match self.p.conf_loss_type() {
            ConfLossType::Softmax => {
                let most = scores.iter().fold(f32::NEG_INFINITY, |most, &v| most.max(v));
                let sum: f32 = scores.iter().map(|v| (v - most).exp()).sum();
                let prob = |class: usize| (scores[class] - most).exp() / sum;
                slopes.iter_mut().enumerate().for_each(|(class, s)| *s = prob(class) - is(class));
                -at_least(f32::MIN_POSITIVE, prob(label.unwrap_or(self.background()))).ln()
            }
            ConfLossType::Logistic => {
                let mut loss = 0.0;
                for (class, (&x, slope)) in scores.iter().zip(slopes).enumerate() {
                    loss += x.max(0.0) - x * is(class) + (-x.abs()).exp().ln_1p();
                    *slope = 1.0 / (1.0 + (-x).exp()) - is(class);
                }
                loss
            }
        }
    }

    /// The location loss of a prior that stands for a true box; its derivatives into `slopes`.
    fn loc_loss(
        &self,
        loc: BBox,
        prior: &BBox,
        variance: [f32; 4],
        truth: &BBox,
        slopes: &mut [f32],
    ) -> f32 {
        let target = self.code.encode(prior, variance, truth);
        let own = match self.p.use_prior_for_matching() {
            true => *prior,
            false => self.code.decode(prior, variance, loc),
        };
        let mut loss = 0.0;
        for i in 0..4 {
            let outside = !(0.0..=1.0).contains(&own.0[i]);
            let by = if self.code.with_variance { variance[i] } else { 1.0 };
            let distance = (loc.0[i] - target[i]) / by;
            let distance = if self.p.bp_inside() && outside { 0.0 } else { distance };
            let (value, slope) = match self.p.loc_loss_type() {
                LocLossType::L2 => (0.5 * distance * distance, distance),
                LocLossType::SmoothL1 => smooth_l1(distance, 1.0),
            };
            loss += value;
            slopes[i] = slope;
        }
        loss
    }

    /// Matches of one item, after mining, and its negatives.
    fn choose(
        &self,
        (loc, conf): (&[f32], &[f32]),
        (priors, variances): &(Vec<BBox>, Vec<[f32; 4]>),
        truths: &[Truth],
    ) -> (Vec<(usize, Matches)>, Vec<usize>) {
        let (p, sets) = (&self.p, self.sets());
        let decoded = |set| decode(self.code, priors, variances, loc, sets, set);
        let mut matches = find(p, truths, priors, sets, decoded);
        if self.mining == MiningType::None {
            return (matches, Vec::new());
        }
        let mut slopes = vec![0.0; self.classes];
        let losses: Vec<f32> = (0..priors.len())
            .map(|m| {
                let truth = matches.first().and_then(|(_, matches)| matches.of[m].truth());
                let label = truth.map_or(self.background(), |i| truths[i].label);
                let scores = &conf[m * self.classes..][..self.classes];
                let mut loss = self.conf_loss(scores, Some(label), &mut slopes);
                if let Some(i) = truth.filter(|_| self.mining == MiningType::HardExample) {
                    let (loc, truth) = (BBox::at(loc, m), &truths[i].bbox);
                    loss += self.loc_loss(loc, &priors[m], variances[m], truth, &mut [0.0; 4]);
                }
                loss
            })
            .collect();
        let boxes = |set| if p.use_prior_for_nms() { priors.clone() } else { decoded(set) };
        let negatives = mine(p, self.mining, &mut matches, &losses, boxes);
        (matches, negatives)
    }
}

impl Layer for MultiBoxLossLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        self.dims = items_and_priors(cx.bottoms, self.sets(), self.classes)?;
        // The gradients, but for the factor that all have.
        cx.save(cx.bottoms[0].clone());
        cx.save(cx.bottoms[1].clone());
        cx.top(0, Shape::scalar());
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let ([items, count], sets, classes) = (self.dims, self.sets(), self.classes);
        let truth = cx.shape(3);
        if truth.last() != Some(&8) {
            let why = format!("the true boxes are 1 x 1 x M x 8, found {truth}");
            return Err(LayerError::bottom(3, why));
        }
        let (loc, conf) = (cx.bottom(0).data, cx.bottom(1).data);
        let priors = priors(cx.bottom(2).data);
        let truths = self.truths(cx.bottom(3).data)?;
        let [dloc, dconf] = &mut *cx.saved else { return Ok(()) };
        let (dloc, dconf) = (dloc.data_mut(), dconf.data_mut());
        dloc.fill(0.0);
        dconf.fill(0.0);
        let (mut loc_loss, mut conf_loss, mut positives) = (0f64, 0f64, 0);
        for item in 0..items {
            let loc = &loc[item * count * sets * 4..][..count * sets * 4];
            let conf = &conf[item * count * classes..][..count * classes];
            let (matches, negatives) = self.choose((loc, conf), &priors, &truths[item]);
            let mut labels = vec![None; count];
            for (set, matches) in &matches {
                let matched =
                    matches.of.iter().enumerate().filter_map(|(m, of)| Some((m, of.truth()?)));
                for (m, i) in matched {
                    let (truth, at) = (&truths[item][i], m * sets + set);
                    let slopes = &mut dloc[(item * count * sets + at) * 4..][..4];
                    let (prior, variance) = (&priors.0[m], priors.1[m]);
                    let part =
                        self.loc_loss(BBox::at(loc, at), prior, variance, &truth.bbox, slopes);
                    slopes.iter_mut().for_each(|slope| *slope *= self.p.loc_weight());
                    loc_loss += f64::from(part);
                    labels[m] = Some(truth.label);
                    positives += 1;
                }
            }
            let all = self.mining == MiningType::None;
            let mut counted: Vec<usize> =
                (0..count).filter(|&m| all || labels[m].is_some()).collect();
            counted.extend(&negatives);
            for m in counted {
                // Without mining, the logistic loss of a prior that stands for nothing wants no class.
                let none = all && self.p.conf_loss_type() == ConfLossType::Logistic;
                let label = labels[m].or((!none).then_some(self.background()));
                let slopes = &mut dconf[(item * count + m) * classes..][..classes];
                conf_loss +=
                    f64::from(self.conf_loss(&conf[m * classes..][..classes], label, slopes));
            }
        }
        self.divisor = divisor(&self.norm, NormalizationMode::Valid, items, count, positives);
        let parts = [f64::from(self.p.loc_weight()) * loc_loss, conf_loss];
        let sum: f64 =
            parts.iter().zip(self.counts).filter(|(_, counts)| *counts).map(|(v, _)| v).sum();
        cx.tops[0].data[0] = (sum / f64::from(self.divisor)) as f32;
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let factor = cx.loss_weight() / self.divisor;
        for i in 0..2 {
            let Some(diff) = &mut cx.bottom_diffs[i] else { continue };
            if diff.write == Write::Set {
                diff.data.fill(0.0);
            }
            cx.k.axpy(factor, cx.saved[i].data(), diff.data);
        }
        Ok(())
    }
}
