//! A bias that BatchNorm takes out again.

use crate::lint::{Found, Level, Rule, Subject};

/// The rule.
pub static RULE: Rule = Rule {
    name: "bn-redundant-bias",
    why: "the mean takes out again whatever a bias adds; it costs memory and weight decay moves it",
    cure: "`bias_term: false` before training (weights trained with the bias no longer fit then)",
    check,
};

fn check(subject: &Subject, found: &mut Found<'_>) {
    if !subject.trains() {
        return;
    }
    let view = &subject.train;
    let mut layers = Vec::new();
    for (i, layer) in view.of_type("BatchNorm") {
        if layer.batch_norm_param.as_ref().is_some_and(|p| p.use_global_stats()) {
            continue;
        }
        let Some(maker) = view.maker(i) else { continue };
        let product = &view.layers[maker];
        let biased = match product.r#type() {
            "Convolution" | "Deconvolution" => {
                product.convolution_param.as_ref().is_none_or(|p| p.bias_term())
            }
            "InnerProduct" => product.inner_product_param.as_ref().is_none_or(|p| p.bias_term()),
            _ => false,
        };
        if biased && view.readers(maker).all(|reader| reader == i) {
            layers.push(product);
        }
    }
    let Some(first) = layers.first() else { return };
    let message = match layers.len() {
        1 => format!("the bias of `{}` has no effect: BatchNorm follows", first.name()),
        n => format!("{n} biases have no effect, `{}` first: BatchNorm follows", first.name()),
    };
    found.add(Level::Hint, &first.place, None, message);
}
