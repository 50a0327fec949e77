//! Mean average precision: how SSD's solver sums up what DetectionEvaluate tells of each batch
//! (`eval_type: "detection"`).

use std::collections::BTreeMap;

/// Numbers in a row of DetectionEvaluate: item, label, score, true positive, false positive; or -1, label,
/// number of true boxes.
pub(super) const ROW: usize = 5;

/// How an average precision is made of a curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ApVersion {
    /// The mean of the best precision at eleven recalls (VOC 2007).
    ElevenPoint,
    /// The area under the best precision at this recall or a higher one (VOC 2012).
    MaxIntegral,
    /// The area under the curve itself.
    Integral,
}

/// All of them, by the name that files give them.
pub(super) const AP_VERSIONS: [(&str, ApVersion); 3] = [
    ("Integral", ApVersion::Integral),
    ("11point", ApVersion::ElevenPoint),
    ("MaxIntegral", ApVersion::MaxIntegral),
];

/// The detections of one class.
#[derive(Clone, Debug, Default)]
struct Class {
    /// How many true boxes there are.
    boxes: f64,
    /// Score, and whether it is right.
    found: Vec<(f32, bool)>,
}

/// What an output has told so far, by label.
#[derive(Clone, Debug, Default)]
pub(super) struct Detections(BTreeMap<i64, Class>);

impl Detections {
    /// Takes the rows of a batch.
    pub fn add(&mut self, rows: &[f32]) {
        for row in rows.chunks_exact(ROW) {
            let &[item, label, score, right, wrong] = row else { continue };
            let class = self.0.entry(label as i64).or_default();
            if item == -1.0 {
                class.boxes += f64::from(score);
            } else if right != 0.0 || wrong != 0.0 {
                // Neither: it lies on a difficult box, which is not counted.
                class.found.push((score, right != 0.0));
            }
        }
    }

    /// The average precision of each label that has rows of its own.
    pub fn precisions(&self, version: ApVersion) -> Vec<(i64, f64)> {
        self.0.iter().map(|(&label, class)| (label, class.precision(version))).collect()
    }
}

impl Class {
    fn precision(&self, version: ApVersion) -> f64 {
        if self.boxes == 0.0 {
            return 0.0;
        }
        let mut found = self.found.clone();
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut right = 0.0;
        // Recall and precision, with the best detections alone, then with more and more.
        let curve: Vec<(f64, f64)> = (1..)
            .zip(found)
            .map(|(n, (_, is_right))| {
                right += f64::from(u8::from(is_right));
                (right / self.boxes, right / f64::from(n))
            })
            .collect();
        let best_from = |recall: f64| {
            let there = curve.iter().filter(|(at, _)| *at >= recall);
            there.map(|(_, precision)| *precision).fold(0.0, f64::max)
        };
        match version {
            ApVersion::ElevenPoint => {
                (0..=10).map(|tenths| best_from(f64::from(tenths) / 10.0)).sum::<f64>() / 11.0
            }
            ApVersion::Integral => area(&curve),
            ApVersion::MaxIntegral => {
                let mut best = 0.0;
                let mut hull: Vec<(f64, f64)> = curve
                    .iter()
                    .rev()
                    .map(|&(recall, precision)| {
                        best = f64::max(best, precision);
                        (recall, best)
                    })
                    .collect();
                hull.reverse();
                area(&hull)
            }
        }
    }
}

/// Under a curve of recall and precision.
fn area(curve: &[(f64, f64)]) -> f64 {
    let before = std::iter::once(0.0).chain(curve.iter().map(|(recall, _)| *recall));
    before.zip(curve).map(|(before, (recall, precision))| (recall - before) * precision).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three true boxes; of five detections, by score, the first, the third and the fifth are right.
    #[test]
    fn precisions_are_those_of_the_curve() {
        let rows: Vec<f32> = [
            [-1.0, 1.0, 2.0, -1.0, -1.0],
            [0.0, 1.0, 0.3, 0.0, 1.0],
            [0.0, 1.0, 0.9, 1.0, 0.0],
            [0.0, 1.0, 0.85, 0.0, 0.0],
            [0.0, 1.0, 0.7, 1.0, 0.0],
            [-1.0, 1.0, 1.0, -1.0, -1.0],
            [-1.0, 2.0, 0.0, -1.0, -1.0],
            [1.0, 1.0, 0.8, 0.0, 1.0],
            [1.0, 1.0, 0.2, 1.0, 0.0],
        ]
        .concat();
        let mut detections = Detections::default();
        for batch in rows.chunks(5 * ROW) {
            detections.add(batch);
        }
        // Recalls 1/3, 1/3, 2/3, 2/3, 1; precisions 1, 1/2, 2/3, 1/2, 3/5.
        let table = [
            (ApVersion::Integral, (1.0 + 2.0 / 3.0 + 0.6) / 3.0),
            (ApVersion::MaxIntegral, (1.0 + 2.0 / 3.0 + 0.6) / 3.0),
            (ApVersion::ElevenPoint, (4.0 + 3.0 * (2.0 / 3.0) + 4.0 * 0.6) / 11.0),
        ];
        for (version, wanted) in table {
            let found = detections.precisions(version);
            assert_eq!(found.len(), 2, "a label without boxes counts as well");
            assert!((found[0].1 - wanted).abs() < 1e-12, "{version:?}: {found:?}, {wanted}");
            assert_eq!(found[1], (2, 0.0));
        }
        // The first is wrong, the second right: the best precision holds for lower recalls too.
        let mut detections = Detections::default();
        detections
            .add(&[-1.0, 1.0, 1.0, -1.0, -1.0, 0.0, 1.0, 0.9, 0.0, 1.0, 0.0, 1.0, 0.8, 1.0, 0.0]);
        for (_, version) in AP_VERSIONS {
            assert!((detections.precisions(version)[0].1 - 0.5).abs() < 1e-12, "{version:?}");
        }
    }
}
