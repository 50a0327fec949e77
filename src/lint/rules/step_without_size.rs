//! A step that never comes.

use crate::lint::{Found, Level, Rule, Subject};

/// The rule.
pub static RULE: Rule = Rule {
    name: "step-without-size",
    why: "the policy `step` divides by `stepsize`, and `multistep` only changes the rate at its \
          `stepvalue`s",
    cure: "give `stepsize` (step) or one `stepvalue` per change (multistep)",
    check,
};

fn check(subject: &Subject, found: &mut Found<'_>) {
    let Some(solver) = &subject.solver else { return };
    let p = &solver.param;
    let field = Some("lr_policy");
    match p.lr_policy() {
        "step" if p.stepsize() <= 0 => {
            let message = "lr_policy `step` without a `stepsize`".to_owned();
            found.add(Level::Error, &solver.place, field, message);
        }
        "multistep" if p.stepvalue.is_empty() => {
            let message = "lr_policy `multistep` without a `stepvalue`: the rate never changes";
            found.add(Level::Warning, &solver.place, field, message.to_owned());
        }
        _ => {}
    }
}
