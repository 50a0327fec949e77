//! Statistics that two layers share, or that TEST never gets.

use std::collections::HashMap;

use cortado_layers::Phase;

use crate::lint::{Found, Level, Rule, Subject};

/// The rule.
pub static RULE: Rule = Rule {
    name: "bn-shared",
    why: "a test net gets its statistics by layer name (or `param` name) from the training net; and \
          layers that share statistics mix those of different inputs",
    cure: "one name in both phases; statistics of their own for layers with different inputs",
    check,
};

fn check(subject: &Subject, found: &mut Found<'_>) {
    let mut owners: HashMap<&str, &str> = HashMap::new();
    for (_, layer) in subject.train.of_type("BatchNorm") {
        for (i, name) in layer.param.param.iter().take(3).map(|p| p.name()).enumerate() {
            if name.is_empty() {
                continue;
            }
            match owners.get(name) {
                Some(&other) if other != layer.name() => {
                    let message =
                        format!("`{}` shares the statistics `{name}` with `{other}`", layer.name());
                    let field = format!("param[{i}]");
                    found.add(Level::Hint, &layer.place, Some(&field), message);
                    break;
                }
                _ => _ = owners.insert(name, layer.name()),
            }
        }
    }
    // What a log printed of a test net alone has its training net elsewhere.
    if !subject.trains() || subject.train.of_type("BatchNorm").next().is_none() {
        return;
    }
    let trained = |name: &str| subject.train.layers.iter().any(|l| l.name() == name);
    for (_, layer) in subject.test.of_type("BatchNorm") {
        let named = layer.param.param.iter().take(3).any(|p| owners.contains_key(p.name()));
        let fed = !layer.include.is_empty() || !layer.exclude.is_empty();
        if fed && !subject.runs_in(layer, Phase::Train) && !trained(layer.name()) && !named {
            let message = format!(
                "`{}` runs in TEST only: no layer of TRAIN has this name, so it gets no statistics",
                layer.name()
            );
            found.add(Level::Warning, &layer.place, Some("name"), message);
        }
    }
}
