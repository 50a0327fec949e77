//! Weights whose statistics were never gathered.

use cortado_proto::Place;

use crate::lint::{Found, Level, Rule, Subject};

/// The rule.
pub static RULE: Rule = Rule {
    name: "bn-factor-zero",
    why: "mean and variance are sums divided by the third blob; where that is 0 nothing was ever \
          gathered, both count as 0, and TEST divides by √eps",
    cure: "train with the batch's statistics, or gather them with `cortado bn-recalibrate`",
    check,
};

fn check(subject: &Subject, found: &mut Found<'_>) {
    let Some(model) = &subject.weights else { return };
    for layer in model.layers.iter().filter(|l| l.type_name == "BatchNorm" && l.blobs.len() >= 3) {
        let factor = model.blob(layer, 2).and_then(|blob| blob.to_vec().ok());
        if factor.as_deref() != Some(&[0.0]) {
            continue;
        }
        let defined = subject.test.layers.iter().find(|l| l.name() == layer.name);
        let place = defined.map_or_else(Place::code, |l| l.place.clone());
        let message = format!("`{}` has gathered no statistics: its factor is 0", layer.name);
        found.add(Level::Error, &place, None, message);
    }
}
