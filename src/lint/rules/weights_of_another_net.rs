//! Weights that do not belong to the net: what the other rules say of them says nothing.

use cortado_layers::{LayerDef, Shape};

use crate::lint::{Found, Level, Rule, Subject, View, WeightLayer, Weights};

/// The rule.
pub static RULE: Rule = Rule {
    name: "weights-of-another-net",
    why: "weights are found by the names of layers and must have their shapes; those of another net are \
          not loaded, and nothing can be said of them",
    cure: "the net with which they were trained, or its layers' names and sizes",
    check,
};

fn check(subject: &Subject, found: &mut Found<'_>) {
    let Some(weights) = &subject.weights else { return };
    let mut learned: Vec<(&View, &LayerDef)> = Vec::new();
    for view in [&subject.test, &subject.train] {
        for layer in view.layers.iter().filter(|layer| !view.params(layer).is_empty()) {
            if !learned.iter().any(|(_, other)| other.name() == layer.name()) {
                learned.push((view, layer));
            }
        }
    }
    let Some((_, first)) = learned.first() else { return };
    let there = match weights.layers() {
        Ok(layers) => layers,
        Err(why) => return found.add(Level::Warning, &first.place, None, why),
    };
    let trained: Vec<&WeightLayer> = there.iter().filter(|layer| !layer.blobs.is_empty()).collect();
    let pairs: Vec<(&View, &LayerDef, &WeightLayer)> = learned
        .iter()
        .filter_map(|&(view, layer)| {
            let other = trained.iter().find(|other| other.name == layer.name())?;
            Some((view, layer, *other))
        })
        .collect();
    if pairs.is_empty() {
        let names: Vec<&str> = trained.iter().take(3).map(|layer| layer.name.as_str()).collect();
        let message = format!(
            "of {} layers with weights 0 are in the file of weights, which has {} others ({}{})",
            learned.len(),
            trained.len(),
            names.join(", "),
            if trained.len() > 3 { ", …" } else { "" }
        );
        return found.add(Level::Warning, &first.place, Some("name"), message);
    }
    let binary = matches!(weights, Weights::Model(_));
    let differing: Vec<_> = pairs
        .iter()
        .filter_map(|&(view, layer, other)| Some((layer, difference(view, layer, other, binary)?)))
        .collect();
    if let Some((layer, what)) = differing.first() {
        let message = format!(
            "{} of {} layers have other shapes in the file of weights; `{}` first: {what}",
            differing.len(),
            pairs.len(),
            layer.name()
        );
        found.add(Level::Warning, &layer.place, None, message);
    }
}

/// In what a layer certainly differs from that of the file.
fn difference(view: &View, layer: &LayerDef, other: &WeightLayer, binary: bool) -> Option<String> {
    let own = view.params(layer);
    let (wanted, there) = (own.len(), other.blobs.len());
    if there > wanted || (binary && there < wanted) {
        return Some(format!("{wanted} blobs here, {there} there"));
    }
    other.blobs.iter().find_map(|(i, there)| {
        let wanted = own.get(*i)?;
        let fits = if view.assumes { rows_fit(layer, wanted, there) } else { fits(wanted, there) };
        (!fits).then(|| format!("blob {i} is {wanted} here, {there} there"))
    })
}

/// Without the leading ones of old files, which gave every blob four axes.
fn trimmed<'a>(there: &'a [usize], wanted: &[usize]) -> &'a [usize] {
    let spare = there.len().saturating_sub(wanted.len());
    if there[..spare].iter().all(|&n| n == 1) { &there[spare..] } else { there }
}

/// As weights are copied: InnerProduct's rows are Convolution's filters.
fn fits(wanted: &Shape, there: &Shape) -> bool {
    let matrix = |shape: &Shape| shape.len() == 2 || (shape.len() == 4 && shape[..2] == [1, 1]);
    trimmed(there, wanted) == &wanted[..]
        || (wanted.count() == there.count() && matrix(wanted) != matrix(there))
}

/// Where the size of the data is taken for granted, the number of outputs alone is certain.
fn rows_fit(layer: &LayerDef, wanted: &Shape, there: &Shape) -> bool {
    let turned = layer.inner_product_param.as_ref().is_some_and(|p| p.transpose());
    let certain = matches!(layer.r#type(), "Convolution" | "InnerProduct") && !turned;
    !certain || trimmed(there, wanted).first() == wanted.first() || fits(wanted, there)
}
