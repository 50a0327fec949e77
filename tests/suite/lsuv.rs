//! The filler `lsuv`: outputs of variance 1 after the first training pass.

use cortado::net::Net;
use cortado_layers::Phase;

use crate::support::net;

/// Three layers whose outputs would be far from variance 1; the inputs have variance about 100.
const TEXT: &str = r#"
    layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 8 dim: 3 dim: 6 dim: 6 } } }
    layer { name: "c" type: "Convolution" bottom: "x" top: "c"
            convolution_param { num_output: 5 kernel_size: 3 weight_filler { type: "lsuv" }
                                bias_filler { type: "constant" value: 0.5 } } }
    layer { name: "r" type: "ReLU" bottom: "c" top: "r" }
    layer { name: "f" type: "InnerProduct" bottom: "r" top: "f"
            inner_product_param { num_output: 20 weight_filler { type: "lsuv" } } }
    layer { name: "g" type: "InnerProduct" bottom: "f" top: "g"
            inner_product_param { num_output: 4 weight_filler { type: "orthonormal" } } }"#;

fn fill(net: &mut Net, factor: f32) {
    let input = net.input_mut("x").unwrap_or_else(|| panic!("no input"));
    let wave = |i: usize| (i as f32 * 12.9898).sin() * 14.0 * factor;
    input.data.iter_mut().enumerate().for_each(|(i, v)| *v = wave(i));
}

fn forward(net: &mut Net) {
    net.forward().unwrap_or_else(|e| panic!("{e}"));
}

fn variance(net: &Net, blob: &str) -> f64 {
    let values = net.blob(blob).map(|b| b.data.to_vec()).unwrap_or_default();
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64;
    values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / values.len() as f64
}

fn weights(net: &Net, layer: &str) -> Vec<f32> {
    net.store.of_layer(layer, 0).map(|id| net.store.data(id).to_vec()).unwrap_or_default()
}

#[test]
fn outputs_have_variance_one_after_the_first_training_pass() {
    let mut net = net(TEXT, Phase::Train);
    net.hold(&["c", "f"]).unwrap_or_else(|e| panic!("{e}"));
    let (c, g) = (weights(&net, "c"), weights(&net, "g"));
    fill(&mut net, 1.0);
    forward(&mut net);
    for blob in ["c", "f"] {
        let variance = variance(&net, blob);
        assert!((variance - 1.0).abs() <= 0.1, "{blob}: {variance}");
    }
    // Only the length of the rows has changed, and only where the filler asks for it.
    let ratio = weights(&net, "c")[0] / c[0];
    assert!(ratio < 0.2, "{ratio}");
    let scaled = weights(&net, "c");
    assert!(scaled.iter().zip(&c).all(|(new, old)| (new - ratio * old).abs() < 1e-6));
    assert_eq!(weights(&net, "g"), g);
}

#[test]
fn later_passes_and_test_nets_leave_the_weights_alone() {
    let mut train = net(TEXT, Phase::Train);
    fill(&mut train, 1.0);
    forward(&mut train);
    let after = weights(&train, "c");
    fill(&mut train, 5.0);
    forward(&mut train);
    assert_eq!(weights(&train, "c"), after);

    let mut test = net(TEXT, Phase::Test);
    let before = weights(&test, "c");
    fill(&mut test, 1.0);
    forward(&mut test);
    assert_eq!(weights(&test, "c"), before);
}

#[test]
fn weights_from_a_file_are_not_scaled() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let file = folder.path().join("start.caffemodel");
    net(TEXT, Phase::Test).save(&file).unwrap_or_else(|e| panic!("{e}"));
    let mut net = net(TEXT, Phase::Train);
    net.copy_from(&file).unwrap_or_else(|e| panic!("{e}"));
    let before = weights(&net, "c");
    fill(&mut net, 1.0);
    forward(&mut net);
    assert_eq!(weights(&net, "c"), before);
}

#[test]
fn an_output_without_variance_leaves_the_weights_alone() {
    let mut net = net(TEXT, Phase::Train);
    let before = weights(&net, "c");
    fill(&mut net, 0.0);
    forward(&mut net);
    assert_eq!(weights(&net, "c"), before);
}
