//! Labels that do not fit what they are held against.

use crate::lint::{Found, Level, Rule, Subject, View};

/// The rule.
pub static RULE: Rule = Rule {
    name: "label-shape",
    why: "SoftmaxWithLoss and Accuracy want one label per prediction: N labels for N x C, N x H x W \
          labels for N x C x H x W",
    cure: "labels of the wanted shape, or an InnerProduct or global Pooling before the loss",
    check,
};

fn check(subject: &Subject, found: &mut Found<'_>) {
    let phases = [&subject.train, &subject.test];
    let mut seen = Vec::new();
    for view in phases {
        for (i, layer) in view.layers.iter().enumerate() {
            if !matches!(layer.r#type(), "SoftmaxWithLoss" | "Accuracy") || layer.bottom.len() != 2
            {
                continue;
            }
            let Some((predictions, labels)) = counts(view, i) else { continue };
            let at = layer.place.span_of(None).map(|place| place.span);
            if predictions == labels || seen.contains(&at) {
                continue;
            }
            seen.push(at);
            let message =
                format!("`{}` has {predictions} predictions and {labels} labels", layer.name());
            found.add(Level::Error, &layer.place, Some("bottom[1]"), message);
        }
    }
}

/// Number of predictions and of labels, where both are certain: labels right from a layer whose second
/// top is one number per picture, or whose shapes stand in the file.
fn counts(view: &View, loss: usize) -> Option<(usize, usize)> {
    let [Some(prediction), Some(label)] = view.wiring.bottoms[loss][..] else { return None };
    let label = &view.wiring.values[label];
    let maker = &view.layers[label.maker];
    let certain = match maker.r#type() {
        "Data" | "ImageData" => label.top == 1,
        "Input" | "DummyData" => true,
        _ => false,
    };
    let shape = view.shape(&view.wiring.values[prediction])?;
    let layer = &view.layers[loss];
    let axis = match layer.r#type() {
        "Accuracy" => layer.accuracy_param.as_ref().map_or(1, |p| p.axis()),
        _ => layer.softmax_param.as_ref().map_or(1, |p| p.axis()),
    };
    let axis = shape.axis(axis, "axis").ok().filter(|_| certain)?;
    Some((shape.count() / shape[axis].max(1), view.shape(label)?.count()))
}
