//! Mirrored pictures in TEST.

use cortado_layers::Phase;

use crate::lint::{Fix, Found, Level, Rule, Subject};

/// The rule.
pub static RULE: Rule = Rule {
    name: "test-mirror",
    why: "`mirror: true` mirrors at random in TEST as well: scores then differ from run to run",
    cure: "`mirror: false` in the data layer of phase TEST; one that serves both phases becomes two, each \
           with `include { phase: … }`",
    check,
};

fn check(subject: &Subject, found: &mut Found<'_>) {
    for layer in &subject.test.layers {
        let field = "transform_param.mirror";
        let mirrors = layer.transform_param.as_ref().is_some_and(|p| p.mirror());
        if !mirrors {
            continue;
        }
        // A lone data layer serves training; that TEST uses it too is not said.
        if subject.runs_in(layer, Phase::Train) {
            let message = format!("`{}` mirrors at random in TRAIN, and in TEST too", layer.name());
            found.add(Level::Hint, &layer.place, Some(field), message);
            continue;
        }
        let message = format!("`{}` mirrors at random in TEST", layer.name());
        let fix = vec![Fix::Set(layer.place.clone(), field, "false".to_owned())];
        found.fixable(Level::Warning, &layer.place, Some(field), message, fix);
    }
}
