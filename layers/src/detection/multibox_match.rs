//! Which prior of SSD stands for which true box, and which others are worth learning from.

use std::collections::BTreeSet;

use cortado_proto::caffe::MultiBoxLossParameter;
use cortado_proto::caffe::multi_box_loss_parameter::{MatchType, MiningType};

use super::boxes::{BBox, Code, Nms, best_first};

/// A true box.
#[derive(Clone, Copy, Debug)]
pub(super) struct Truth {
    pub label: usize,
    pub bbox: BBox,
}

/// What a prior stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// For nothing: background.
    Nothing,
    /// It crosses the border and does not count.
    Ignored,
    /// For the true box of this index.
    Truth(usize),
}

impl Match {
    /// The true box.
    pub fn truth(self) -> Option<usize> {
        if let Match::Truth(i) = self { Some(i) } else { None }
    }
}

/// What each prior of one item stands for; `overlaps` with the true box that it meets most.
#[derive(Clone, Debug)]
pub(super) struct Matches {
    pub of: Vec<Match>,
    overlaps: Vec<f32>,
}

/// Matches boxes with the true ones: first each true box with its best, then each box that is left with
/// one that it overlaps enough.
fn match_boxes(
    p: &MultiBoxLossParameter,
    truths: &[Truth],
    only: Option<usize>,
    boxes: &[BBox],
) -> Matches {
    let wanted = |truth: &Truth| only.is_none_or(|label| truth.label == label);
    let truth_of: Vec<usize> = (0..truths.len()).filter(|&i| wanted(&truths[i])).collect();
    let mut of = vec![Match::Nothing; boxes.len()];
    let mut overlaps = vec![0f32; boxes.len()];
    // (box, true box, overlap) in the order of boxes, then of true ones.
    let mut pairs = Vec::new();
    for (i, bbox) in boxes.iter().enumerate() {
        if truth_of.is_empty() {
            break;
        }
        if p.ignore_cross_boundary_bbox() && bbox.crosses_border() {
            of[i] = Match::Ignored;
            continue;
        }
        for &j in &truth_of {
            let overlap = bbox.overlap(&truths[j].bbox);
            if overlap > 1e-6 {
                overlaps[i] = overlaps[i].max(overlap);
                pairs.push((i, j, overlap));
            }
        }
    }
    let mut left: BTreeSet<usize> = truth_of.into_iter().collect();
    while !left.is_empty() {
        let mut best: Option<(usize, usize, f32)> = None;
        for &(i, j, overlap) in &pairs {
            let free = of[i] == Match::Nothing && left.contains(&j);
            if free && best.is_none_or(|(.., most)| overlap > most) {
                best = Some((i, j, overlap));
            }
        }
        let Some((i, j, overlap)) = best else { break };
        (of[i], overlaps[i]) = (Match::Truth(j), overlap);
        left.remove(&j);
    }
    if p.match_type() == MatchType::PerPrediction {
        let bipartite = of.clone();
        for &(i, j, overlap) in &pairs {
            let better = of[i] == Match::Nothing || overlap > overlaps[i];
            if bipartite[i] == Match::Nothing && overlap >= p.overlap_threshold() && better {
                (of[i], overlaps[i]) = (Match::Truth(j), overlap);
            }
        }
    }
    Matches { of, overlaps }
}

/// The matches of one item for each set of locations (one, or one per class), none without true boxes.
pub(super) fn find(
    p: &MultiBoxLossParameter,
    truths: &[Truth],
    priors: &[BBox],
    sets: usize,
    decoded: impl Fn(usize) -> Vec<BBox>,
) -> Vec<(usize, Matches)> {
    if truths.is_empty() {
        return Vec::new();
    }
    let shared = sets == 1 && p.share_location();
    let by_prior = p.use_prior_for_matching().then(|| match_boxes(p, truths, None, priors));
    let labels = (0..sets).filter(|&set| shared || set as u32 != p.background_label_id());
    labels
        .map(|set| {
            let matches = match &by_prior {
                None => match_boxes(p, truths, (!shared).then_some(set), &decoded(set)),
                Some(matches) if shared => matches.clone(),
                Some(matches) => {
                    let own = |of: &Match| match *of {
                        Match::Truth(i) if truths[i].label != set => Match::Nothing,
                        other => other,
                    };
                    let of = matches.of.iter().map(own).collect();
                    Matches { of, overlaps: matches.overlaps.clone() }
                }
            };
            (set, matches)
        })
        .collect()
}

/// Chooses what to learn from: takes matches away (HARD_EXAMPLE) and returns the negatives of the item.
pub(super) fn mine(
    p: &MultiBoxLossParameter,
    mining: MiningType,
    matches: &mut [(usize, Matches)],
    losses: &[f32],
    boxes: impl Fn(usize) -> Vec<BBox>,
) -> Vec<usize> {
    let (mut chosen, mut negatives) = (BTreeSet::new(), Vec::new());
    for (set, matches) in matches {
        let eligible = |m: usize| match mining {
            MiningType::MaxNegative => {
                matches.of[m] == Match::Nothing && matches.overlaps[m] < p.neg_overlap()
            }
            MiningType::HardExample => true,
            MiningType::None => false,
        };
        let mut scored: Vec<(f32, usize)> =
            (0..losses.len()).filter(|&m| eligible(m)).map(|m| (losses[m], m)).collect();
        let most = match mining {
            MiningType::MaxNegative => {
                let positives = matches.of.iter().filter(|of| of.truth().is_some()).count();
                (positives as f32 * p.neg_pos_ratio()) as usize
            }
            _ => usize::try_from(p.sample_size()).unwrap_or(0),
        };
        let nms = p.nms_param.filter(|nms| nms.nms_threshold() > 0.0);
        if let Some(nms) = nms {
            let boxes = boxes(*set);
            best_first(&mut scored);
            scored.truncate(usize::try_from(nms.top_k()).unwrap_or(usize::MAX));
            scored.retain(|&(_, m)| boxes[m].area() >= 1e-5);
            let nms = Nms { threshold: nms.nms_threshold(), eta: 1.0, top_k: None };
            chosen.extend(nms.choose(scored, |m| boxes[m]).into_iter().take(most));
        } else {
            best_first(&mut scored);
            chosen.extend(scored.into_iter().take(most).map(|(_, m)| m));
        }
        for (m, of) in matches.of.iter_mut().enumerate() {
            match *of {
                Match::Truth(_) if mining == MiningType::HardExample && !chosen.contains(&m) => {
                    *of = Match::Nothing;
                }
                Match::Nothing if chosen.contains(&m) => negatives.push(m),
                _ => {}
            }
        }
    }
    negatives
}

/// The boxes that an item's numbers say, for one set of locations.
pub(super) fn decode(
    code: Code,
    priors: &[BBox],
    variances: &[[f32; 4]],
    loc: &[f32],
    sets: usize,
    set: usize,
) -> Vec<BBox> {
    let one = |(i, prior): (usize, &BBox)| {
        code.decode(prior, variances[i], BBox::at(loc, i * sets + set))
    };
    priors.iter().enumerate().map(one).collect()
}
