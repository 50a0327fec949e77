//! Weight decay on γ and β.

use cortado_proto::LayerDef;

use crate::lint::subject::rate;
use crate::lint::{Found, Level, Rule, Subject};

/// The rule.
pub static RULE: Rule = Rule {
    name: "bn-weight-decay",
    why: "weight decay pulls γ and β towards 0, which makes the layers behind see less; it does not \
          regularise, as the weights before them are normalised anyway",
    cure: "`param { decay_mult: 0 } param { decay_mult: 0 }` in the Scale layers",
    check,
};

fn check(subject: &Subject, found: &mut Found<'_>) {
    if !subject.trains() {
        return;
    }
    let view = &subject.train;
    let mut layers: Vec<&LayerDef> = Vec::new();
    for (i, layer) in view.of_type("Scale") {
        let behind = view.maker(i).is_some_and(|m| view.layers[m].r#type() == "BatchNorm");
        let decays = layer.param.param.first().map_or(1.0, |p| p.decay_mult()) != 0.0;
        if behind && decays && layer.bottom.len() == 1 && rate(layer, 0) != 0.0 {
            layers.push(layer);
        }
    }
    let Some(first) = layers.first() else { return };
    let shifts = |layer: &&LayerDef| {
        layer.scale_param.as_ref().is_some_and(|p| p.bias_term())
            && layer.param.param.get(1).map_or(1.0, |p| p.decay_mult()) != 0.0
    };
    let what = if layers.iter().any(shifts) { "γ and β" } else { "γ" };
    let message = match layers.len() {
        1 => format!("weight decay moves {what} of `{}`", first.name()),
        n => format!("weight decay moves {what} of {n} Scale layers, `{}` first", first.name()),
    };
    found.add(Level::Hint, &first.place, None, message);
}
