//! Statistics that do not move in TRAIN.

use crate::lint::subject::rate;
use crate::lint::{Found, Level, Rule, Subject};

/// The rule.
pub static RULE: Rule = Rule {
    name: "bn-frozen-in-train",
    why: "with `use_global_stats: true` training neither normalises by the batch nor gathers \
          statistics: from scratch the net divides by √eps and gives nonsense",
    cure: "remove `use_global_stats`; to fine-tune with frozen statistics set the `lr_mult` of the \
           Scale to 0 as well",
    check,
};

fn check(subject: &Subject, found: &mut Found<'_>) {
    if !subject.trains() {
        return;
    }
    let view = &subject.train;
    let mut layers = Vec::new();
    for (i, layer) in view.of_type("BatchNorm") {
        let given = layer.batch_norm_param.as_ref().and_then(|p| p.use_global_stats);
        // Frozen on purpose: what scales is frozen too, or nothing scales.
        let scale = view.readers(i).find(|&r| view.layers[r].r#type() == "Scale");
        let frozen = scale.is_none_or(|s| rate(&view.layers[s], 0) == 0.0);
        if given == Some(true) && !frozen {
            layers.push(layer);
        }
    }
    let Some(first) = layers.first() else { return };
    let message = match layers.len() {
        1 => format!("`{}` uses gathered statistics in TRAIN", first.name()),
        n => format!(
            "{n} BatchNorm layers use gathered statistics in TRAIN, `{}` first",
            first.name()
        ),
    };
    let field = Some("batch_norm_param.use_global_stats");
    found.add(Level::Warning, &first.place, field, message);
}
