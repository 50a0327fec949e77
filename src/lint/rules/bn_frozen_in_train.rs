//! Statistics that do not move in TRAIN.

use crate::lint::subject::rate;
use crate::lint::{Found, Level, Rule, Subject, View};

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
        if given == Some(true) && !on_purpose(view, i) {
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

/// Whether what scales is frozen too; without a scale, whether the layer's own rates say so.
fn on_purpose(view: &View, norm: usize) -> bool {
    let scale = view.readers(norm).find(|&r| view.layers[r].r#type() == "Scale");
    let layer = &view.layers[scale.unwrap_or(norm)];
    match scale {
        Some(_) => rate(layer, 0) == 0.0,
        None => {
            !layer.param.param.is_empty() && layer.param.param.iter().all(|p| p.lr_mult() == 0.0)
        }
    }
}
