//! Statistics of very few pictures.

use cortado_proto::LayerDef;

use crate::lint::{Found, Level, Rule, Subject};

/// The rule.
pub static RULE: Rule = Rule {
    name: "bn-tiny-batch",
    why: "mean and variance of a few pictures are noisy, and those of one picture leave nothing of a \
          layer without space; `iter_size` does not help: each part is normalised by itself",
    cure: "a larger `batch_size`, or frozen statistics (`use_global_stats: true`)",
    check,
};

const FEW: usize = 8;

/// Where the batch stands.
const FIELDS: [&str; 8] = [
    "data_param.batch_size",
    "image_data_param.batch_size",
    "hdf5_data_param.batch_size",
    "memory_data_param.batch_size",
    "window_data_param.batch_size",
    "dense_image_data_param.batch_size",
    "dummy_data_param.shape",
    "input_param.shape",
];

fn tells_batch(layer: &LayerDef) -> bool {
    let sizes = [
        layer.data_param.as_ref().and_then(|p| p.batch_size),
        layer.image_data_param.as_ref().and_then(|p| p.batch_size),
        layer.hdf5_data_param.as_ref().and_then(|p| p.batch_size),
        layer.memory_data_param.as_ref().and_then(|p| p.batch_size),
        layer.window_data_param.as_ref().and_then(|p| p.batch_size),
        layer.dense_image_data_param.as_ref().and_then(|p| p.batch_size),
    ];
    let made = layer.dummy_data_param.as_ref();
    sizes.iter().any(Option::is_some)
        || made.is_some_and(|p| !p.shape.is_empty() || !p.num.is_empty())
        || layer.input_param.as_ref().is_some_and(|p| !p.shape.is_empty())
}

fn check(subject: &Subject, found: &mut Found<'_>) {
    if !subject.trains() {
        return;
    }
    let view = &subject.train;
    let told = view.layers.iter().find(|l| tells_batch(l));
    // Without a number in the file the batch is anybody's guess.
    let Some(data) = told else { return };
    for (i, layer) in view.of_type("BatchNorm") {
        if layer.batch_norm_param.as_ref().is_some_and(|p| p.use_global_stats()) {
            continue;
        }
        let Some(value) = view.wiring.bottoms[i].first().copied().flatten() else { continue };
        let Some(shape) = view.shape(&view.wiring.values[value]) else { continue };
        let (Some(&pictures), Some(&channels)) = (shape.first(), shape.get(1)) else { continue };
        if pictures >= FEW {
            continue;
        }
        let numbers = shape.count() / channels.max(1);
        let level = if numbers < FEW { Level::Warning } else { Level::Hint };
        let s = if pictures == 1 { "" } else { "s" };
        let message = format!(
            "`{}` and the others normalise by {pictures} picture{s} ({numbers} numbers per channel)",
            layer.name()
        );
        let field = FIELDS.into_iter().find(|f| data.place.field(f).is_some());
        found.add(level, &data.place, field, message);
        return;
    }
}
