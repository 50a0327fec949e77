//! Mirrored pictures in TEST.

use cortado_layers::Phase;

use crate::lint::{Fix, Found, Level, Rule, Subject};

/// The rule.
pub static RULE: Rule = Rule {
    name: "test-mirror",
    why: "`mirror: true` mirrors at random in TEST as well: scores then differ from run to run",
    cure: "`mirror: false` in the data layer of phase TEST",
    check,
};

fn check(subject: &Subject, found: &mut Found<'_>) {
    for layer in &subject.test.layers {
        let field = "transform_param.mirror";
        let mirrors = layer.transform_param.as_ref().is_some_and(|p| p.mirror());
        // A lone data layer without rules serves training; that it is used in TEST is not said.
        if !mirrors || subject.runs_in(layer, Phase::Train) {
            continue;
        }
        let message = format!("`{}` mirrors at random in TEST", layer.name());
        let fix = vec![Fix::Set(layer.place.clone(), field, "false".to_owned())];
        found.fixable(Level::Warning, &layer.place, Some(field), message, fix);
    }
}
