//! Weights whose statistics are none.

use crate::lint::{Found, Level, Rule, Subject};

/// The rule.
pub static RULE: Rule = Rule {
    name: "bn-factor-zero",
    why: "mean and variance are sums divided by the third blob; where that is 0 nothing was ever \
          gathered, both count as 0, and TEST divides by √eps; of numbers that are none, or of negative \
          variances, TEST makes none either",
    cure: "train with the batch's statistics, or gather them with `cortado bn-recalibrate`",
    check,
};

fn check(subject: &Subject, found: &mut Found<'_>) {
    let Some(weights) = &subject.weights else { return };
    for (_, layer) in subject.test.of_type("BatchNorm") {
        if layer.batch_norm_param.as_ref().and_then(|p| p.use_global_stats) == Some(false) {
            continue;
        }
        let blob = |index| weights.blob(layer.name(), index);
        let (Some(mean), Some(variance), Some(factor)) = (blob(0), blob(1), blob(2)) else {
            continue;
        };
        let Some(&factor) = factor.first() else { continue };
        let negative = variance.iter().filter(|&&v| v / factor < 0.0).count();
        let name = layer.name();
        let message = match () {
            () if factor == 0.0 => format!("`{name}` has gathered no statistics: its factor is 0"),
            () if !factor.is_finite() => format!("the factor of `{name}` is {factor}"),
            () if mean.iter().chain(&variance).any(|v| !v.is_finite()) => {
                format!("`{name}` has statistics that are not finite")
            }
            () if negative > 0 => {
                format!("{negative} of {} variances of `{name}` are negative", variance.len())
            }
            () => continue,
        };
        found.add(Level::Error, &layer.place, None, message);
    }
}
