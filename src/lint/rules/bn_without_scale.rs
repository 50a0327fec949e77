//! BatchNorm that nothing scales.

use cortado_proto::LayerDef;

use crate::lint::subject::{View, has_own_scale};
use crate::lint::{Found, Level, Rule, Subject};

/// The rule.
pub static RULE: Rule = Rule {
    name: "bn-without-scale",
    why: "Caffe's BatchNorm only normalises: without a Scale behind it every channel keeps mean 0 and \
          variance 1, and a ReLU always passes half",
    cure: "add `layer { type: \"Scale\" scale_param { bias_term: true } }` in place behind it (in a \
           file of Intel's fork, whose layer scales by itself, `use_weight_bias: true`)",
    check,
};

fn check(subject: &Subject, found: &mut Found<'_>) {
    let view = if subject.trains() { &subject.train } else { &subject.test };
    let mut layers = Vec::new();
    for (i, layer) in view.of_type("BatchNorm") {
        let scaled = view.readers(i).any(|r| scales(&view.layers[r]));
        if !scaled && !has_own_scale(layer) && !view.reads_data(i) && !feeds_products(view, i) {
            layers.push(layer);
        }
    }
    let Some(first) = layers.first() else { return };
    let message = match layers.len() {
        1 => format!("no Scale reads `{}`", first.name()),
        n => format!("{n} BatchNorm layers have no Scale, `{}` first", first.name()),
    };
    found.add(Level::Hint, &first.place, None, message);
}

fn scales(layer: &LayerDef) -> bool {
    matches!(layer.r#type(), "Scale" | "EltwiseAffine")
}

/// Whether all that reads it multiplies with weights of its own, which do the scaling.
fn feeds_products(view: &View, layer: usize) -> bool {
    let mut readers = view.readers(layer).peekable();
    readers.peek().is_some()
        && readers.all(|r| match view.layers[r].r#type() {
            "Convolution" | "InnerProduct" => true,
            "Pooling" | "Dropout" => feeds_products(view, r),
            _ => false,
        })
}
