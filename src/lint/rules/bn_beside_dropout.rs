//! Strong dropout beside BatchNorm.

use crate::lint::{Found, Level, Rule, Subject};

/// The rule.
pub static RULE: Rule = Rule {
    name: "bn-beside-dropout",
    why: "BatchNorm regularises by itself: the paper removed dropout or made it weak (5 to 10 %), and \
          the shift of variance between TRAIN and TEST that dropout makes disturbs the statistics",
    cure: "try a smaller `dropout_ratio`, 0.2 or less",
    check,
};

fn check(subject: &Subject, found: &mut Found<'_>) {
    let view = &subject.train;
    let normalised = view.normalises();
    if !subject.trains() || !normalised {
        return;
    }
    for (_, layer) in view.of_type("Dropout") {
        let ratio = layer.dropout_param.unwrap_or_default().dropout_ratio();
        if ratio >= 0.5 {
            let message = format!("`{}` drops {ratio} in a net with BatchNorm", layer.name());
            let field = Some("dropout_param.dropout_ratio");
            found.add(Level::Hint, &layer.place, field, message);
            return;
        }
    }
}
