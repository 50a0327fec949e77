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
    let decays = |layer: &LayerDef, index: usize| {
        let decay = layer.param.param.get(index).map_or(1.0, |p| p.decay_mult());
        decay != 0.0 && rate(layer, index) != 0.0
    };
    let scales = |layer: &LayerDef| decays(layer, 0);
    let shifts = |layer: &LayerDef| {
        layer.scale_param.as_ref().is_some_and(|p| p.bias_term()) && decays(layer, 1)
    };
    let mut layers: Vec<&LayerDef> = Vec::new();
    for (i, layer) in view.of_type("Scale") {
        let behind = view.maker(i).is_some_and(|m| view.layers[m].r#type() == "BatchNorm");
        if behind && layer.bottom.len() == 1 && (scales(layer) || shifts(layer)) {
            layers.push(layer);
        }
    }
    let Some(first) = layers.first() else { return };
    let any = |which: &dyn Fn(&LayerDef) -> bool| layers.iter().any(|layer| which(layer));
    let what = match (any(&scales), any(&shifts)) {
        (true, true) => "γ and β",
        (true, false) => "γ",
        _ => "β",
    };
    let message = match layers.len() {
        1 => format!("weight decay moves {what} of `{}`", first.name()),
        n => format!("weight decay moves {what} of {n} Scale layers, `{}` first", first.name()),
    };
    found.add(Level::Hint, &first.place, None, message);
}
