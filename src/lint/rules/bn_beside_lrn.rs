//! LRN beside BatchNorm.

use crate::lint::{Found, Level, Rule, Subject};

/// The rule.
pub static RULE: Rule = Rule {
    name: "bn-beside-lrn",
    why: "the paper removed local response normalisation from the nets with BatchNorm: it is not \
          needed beside it",
    cure: "try the net without its LRN layers",
    check,
};

fn check(subject: &Subject, found: &mut Found<'_>) {
    let view = &subject.train;
    let normalised = view.normalises();
    // One on the data evens out the pictures' contrast, which is another purpose.
    let lrn = view.of_type("LRN").filter(|&(i, _)| !view.reads_data(i));
    let lrn: Vec<_> = lrn.map(|(_, layer)| layer).collect();
    let (true, Some(first)) = (subject.trains() && normalised, lrn.first()) else { return };
    let s = if lrn.len() == 1 { "layer" } else { "layers" };
    let message = format!("{} LRN {s} in a net with BatchNorm", lrn.len());
    found.add(Level::Hint, &first.place, None, message);
}
