//! Weights that start at zero.

use cortado_proto::caffe::FillerParameter;

use crate::lint::subject::{View, rate};
use crate::lint::{Fix, Found, Level, Rule, Subject};

/// The rule.
pub static RULE: Rule = Rule {
    name: "zero-weights",
    why: "without a `weight_filler` weights start at 0; behind a ReLU such a layer gets no gradient and \
          stays so, unless its weights are loaded",
    cure: "`weight_filler { type: \"msra\" }` (or `xavier`), unless the layer's weights come from a file",
    check,
};

fn check(subject: &Subject, found: &mut Found<'_>) {
    if !subject.trains() {
        return;
    }
    let view = &subject.train;
    let (mut zero, mut silent, mut filled) = (Vec::new(), 0, 0);
    for (i, layer) in view.layers.iter().enumerate() {
        let (path, weight, bias) = match (&layer.convolution_param, &layer.inner_product_param) {
            (Some(p), _) if layer.r#type() == "Convolution" => {
                ("convolution_param.weight_filler", &p.weight_filler, &p.bias_filler)
            }
            (_, Some(p)) if layer.r#type() == "InnerProduct" => {
                ("inner_product_param.weight_filler", &p.weight_filler, &p.bias_filler)
            }
            _ => continue,
        };
        match weight {
            Some(_) => filled += 1,
            None => silent += 1,
        }
        let shared = layer.param.param.first().is_some_and(|p| !p.name().is_empty());
        let frozen = rate(layer, 0) == 0.0;
        // A last layer may start at 0: its gradient is that of the loss.
        let dead = starts_at_zero(weight.as_ref())
            && starts_at_zero(bias.as_ref())
            && reaches_relu(view, i);
        if dead && !shared && !frozen && layer.blobs.is_empty() {
            zero.push((layer, path, weight.is_none()));
        }
    }
    // Where many say nothing of their weights, these come from a file.
    let several = zero.iter().filter(|(.., absent)| *absent).count() > 1;
    if several && silent * 4 > filled {
        zero.retain(|(.., absent)| !absent);
    }
    let Some(&(first, path, absent)) = zero.first() else { return };
    if zero.len() > 1 {
        let message = format!("{} layers start at 0, `{}` first", zero.len(), first.name());
        found.add(Level::Warning, &first.place, Some(path), message);
        return;
    }
    let message = format!("the weights of `{}` start at 0", first.name());
    let fixes = match absent {
        true => vec![Fix::Set(first.place.clone(), path, "{ type: \"xavier\" }".to_owned())],
        false => Vec::new(),
    };
    found.fixable(Level::Warning, &first.place, Some(path), message, fixes);
}

/// Whether a ReLU follows, at once or behind layers that leave 0 as it is: at 0 it lets no gradient
/// through.
fn reaches_relu(view: &View, layer: usize) -> bool {
    view.readers(layer).any(|reader| {
        let next = &view.layers[reader];
        match next.r#type() {
            "ReLU" => next.relu_param.as_ref().is_none_or(|p| p.negative_slope() == 0.0),
            "Scale" => {
                let bias = next.scale_param.as_ref().and_then(|p| p.bias_filler.as_ref());
                starts_at_zero(bias) && reaches_relu(view, reader)
            }
            "Dropout" | "Pooling" | "LRN" => reaches_relu(view, reader),
            _ => false,
        }
    })
}

fn starts_at_zero(filler: Option<&FillerParameter>) -> bool {
    filler.is_none_or(|f| f.r#type() == "constant" && f.value() == 0.0)
}
