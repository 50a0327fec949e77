//! Fields of a solver that are left out or make no sense.

use crate::lint::{Found, Level, Rule, Subject};

/// The rule.
pub static RULE: Rule = Rule {
    name: "solver-fields",
    why: "what a solver file leaves out is 0: no rate, no iterations, a rate of 0 after the first step; \
          below 0 a rate climbs the loss, and a momentum of 1 or more never slows down",
    cure: "give the field, or a value that makes sense",
    check,
};

fn check(subject: &Subject, found: &mut Found<'_>) {
    let Some(solver) = &subject.solver else { return };
    let p = &solver.param;
    let mut doubt = |field: Option<&str>, message: String| {
        found.add(Level::Warning, &solver.place, field, message);
    };
    if p.base_lr.is_none() {
        doubt(
            Some("lr_policy"),
            "there is no `base_lr`: the rate is 0, and nothing is learned".to_owned(),
        );
    }
    if p.max_iter.is_none() {
        doubt(
            Some("lr_policy"),
            "there is no `max_iter`: training ends before it begins".to_owned(),
        );
    }
    let policy = p.lr_policy();
    let multiplies = matches!(policy, "step" | "exp" | "multistep" | "plateau");
    if multiplies && p.gamma.is_none() {
        let message = format!("lr_policy `{policy}` without `gamma`: the rate falls to 0 at once");
        doubt(Some("lr_policy"), message);
    }
    if policy == "multistep" && !p.stepvalue.is_sorted_by(|a, b| a < b) {
        let message = "`stepvalue`s do not rise: a step waits for those before it".to_owned();
        doubt(Some("stepvalue"), message);
    }
    if p.base_lr() < 0.0 {
        doubt(Some("base_lr"), format!("`base_lr` is {}: training climbs the loss", p.base_lr()));
    }
    if !(0.0..1.0).contains(&p.momentum()) {
        let message = format!("`momentum` is {}, not from 0 to below 1", p.momentum());
        doubt(Some("momentum"), message);
    }
}
