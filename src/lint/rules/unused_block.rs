//! Parameter blocks that the layer's type does not read.

use cortado_proto::{LayerDef, Located, NetDef};

use crate::lint::{Found, Level, Rule, Subject};

/// The rule.
pub static RULE: Rule = Rule {
    name: "unused-block",
    why: "a layer reads the block of its own type; another one has no effect, though it looks as if it had",
    cure: "remove the block, or give the layer the type that it belongs to",
    check,
};

/// The original's types and the blocks that each reads.
const READS: [(&str, &[&str]); 42] = [
    ("AbsVal", &[]),
    ("Accuracy", &["accuracy_param"]),
    ("ArgMax", &["argmax_param"]),
    ("BNLL", &[]),
    ("BatchNorm", &["batch_norm_param"]),
    ("Bias", &["bias_param"]),
    ("Concat", &["concat_param"]),
    ("ContrastiveLoss", &["contrastive_loss_param"]),
    ("Convolution", &["convolution_param"]),
    ("Crop", &["crop_param"]),
    ("Deconvolution", &["convolution_param"]),
    ("Dropout", &["dropout_param"]),
    ("ELU", &["elu_param"]),
    ("Eltwise", &["eltwise_param"]),
    ("Embed", &["embed_param"]),
    ("EuclideanLoss", &[]),
    ("Exp", &["exp_param"]),
    ("Flatten", &["flatten_param"]),
    ("HingeLoss", &["hinge_loss_param"]),
    ("InfogainLoss", &["infogain_loss_param", "softmax_param"]),
    ("InnerProduct", &["inner_product_param"]),
    ("Input", &["input_param"]),
    ("LRN", &["lrn_param"]),
    ("LSTM", &["recurrent_param"]),
    ("Log", &["log_param"]),
    ("MVN", &["mvn_param"]),
    ("PReLU", &["prelu_param"]),
    ("Pooling", &["pooling_param"]),
    ("Power", &["power_param"]),
    ("RNN", &["recurrent_param"]),
    ("ReLU", &["relu_param"]),
    ("Reduction", &["reduction_param"]),
    ("Reshape", &["reshape_param"]),
    ("Scale", &["scale_param"]),
    ("Sigmoid", &["sigmoid_param"]),
    ("SigmoidCrossEntropyLoss", &[]),
    ("Slice", &["slice_param"]),
    ("Softmax", &["softmax_param"]),
    ("SoftmaxWithLoss", &["softmax_param"]),
    ("TanH", &["tanh_param"]),
    ("Threshold", &["threshold_param"]),
    ("Tile", &["tile_param"]),
];

fn check(subject: &Subject, found: &mut Found<'_>) {
    for layer in subject.written.iter().flat_map(|net| &net.layers) {
        for (block, message) in unused(layer) {
            found.add(Level::Warning, &layer.place, Some(block), message);
        }
    }
}

/// All of a net, with their places.
pub fn unused_blocks(net: &NetDef) -> Vec<(String, Option<Located>)> {
    let of_layer = |layer: &LayerDef| {
        let place = layer.place.clone();
        unused(layer).into_iter().map(move |(block, message)| (message, place.span_of(Some(block))))
    };
    net.layers.iter().flat_map(of_layer).collect()
}

fn unused(layer: &LayerDef) -> Vec<(&'static str, String)> {
    let Some((name, own)) = READS.iter().find(|(name, _)| *name == layer.r#type()) else {
        return Vec::new();
    };
    let mut blocks: Vec<&'static str> =
        READS.iter().flat_map(|(_, blocks)| *blocks).copied().collect();
    blocks.sort_unstable();
    blocks.dedup();
    let there = |block: &&str| !own.contains(block) && layer.place.field(block).is_some();
    let told = |block| (block, format!("`{}` ({name}) does not read its `{block}`", layer.name()));
    blocks.into_iter().filter(there).map(told).collect()
}
