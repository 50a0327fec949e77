//! The batch's statistics in TEST.

use cortado_proto::LayerDef;

use crate::lint::{Fix, Found, Level, Rule, Subject};

/// The rule.
pub static RULE: Rule = Rule {
    name: "bn-batch-stats-in-test",
    why: "with `use_global_stats: false` the result for a picture depends on its batch, and a batch of \
          one is normalised to nothing; TEST wants the statistics that training has gathered",
    cure: "remove `use_global_stats`: without it TRAIN takes the batch's and TEST the gathered ones",
    check,
};

const FIELD: &str = "batch_norm_param.use_global_stats";

fn check(subject: &Subject, found: &mut Found<'_>) {
    let by_batch = |layer: &LayerDef| {
        layer.batch_norm_param.as_ref().and_then(|p| p.use_global_stats) == Some(false)
    };
    let layers = subject.test.of_type("BatchNorm").map(|(_, layer)| layer);
    let layers: Vec<&LayerDef> = layers.filter(|layer| by_batch(layer)).collect();
    let Some(first) = layers.first() else { return };
    let message = match layers.len() {
        1 => format!("`{}` normalises by the batch in TEST", first.name()),
        n => format!("{n} layers normalise by the batch in TEST, `{}` first", first.name()),
    };
    let fixes = layers.iter().map(|layer| Fix::Remove(layer.place.clone(), FIELD)).collect();
    found.fixable(Level::Warning, &first.place, Some(FIELD), message, fixes);
}
