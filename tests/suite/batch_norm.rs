//! Tools around batch normalisation.

use std::path::Path;

use cortado::batch_norm::{
    Conversion, Folded, Given, OutputError, Trained, compare, convert, fold,
};
use cortado::net::{Net, NetOptions};
use cortado_layers::Phase;
use cortado_proto::NetDef;
use cortado_proto::span::Source;
use cortado_proto::text;

use crate::support::{ROOT, cortado, none, stderr, stdout};

const LIMIT: f64 = 1e-4;

fn trained(text: &str) -> (Trained, Net) {
    let source = Source::new("net.prototxt", text);
    Trained::from_text(source, &Given::nothing()).unwrap_or_else(|e| panic!("{e}"))
}

/// Folds a net with weights of noise; the result, its number of layers, the largest error.
fn folded(text: &str) -> (Folded, Trained, f64) {
    let (before, mut first) = trained(text);
    let folded = fold(&before);
    let again = before.rebuilt(folded.text.clone(), &folded.blobs, &Given::nothing());
    let (after, mut second) = again.unwrap_or_else(|e| panic!("{e}\n{}", folded.text));
    let errors = compare(&mut first, &mut second).unwrap_or_else(|e| panic!("{e}"));
    assert!(!errors.is_empty());
    let worst = errors.iter().map(|e| e.relative).fold(0.0, f64::max);
    (folded, after, worst)
}

fn input(dims: &str) -> String {
    let dims: Vec<String> = dims.split('x').map(|d| format!("dim: {d}")).collect();
    format!(
        r#"layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ {} }} }} }}"#,
        dims.join(" ")
    )
}

#[test]
fn everything_that_normalises_goes_into_the_product_before_it() {
    let products = [
        r#"type: "Convolution" convolution_param { num_output: 6 kernel_size: 3 pad: 1 }"#,
        r#"type: "Convolution" convolution_param { num_output: 6 kernel_size: 3 bias_term: false group: 2 }"#,
        r#"type: "Deconvolution" convolution_param { num_output: 6 kernel_size: 2 stride: 2 }"#,
        r#"type: "Deconvolution" convolution_param { num_output: 6 kernel_size: 3 pad: 1 bias_term: false group: 2 }"#,
        r#"type: "InnerProduct" inner_product_param { num_output: 6 }"#,
        r#"type: "InnerProduct" inner_product_param { num_output: 6 transpose: true bias_term: false }"#,
        r#"type: "DepthwiseConvolution" convolution_param { num_output: 4 kernel_size: 3 group: 4 bias_term: false }"#,
    ];
    let mut failures = Vec::new();
    for product in products {
        let text = format!(
            r#"{}
            layer {{ name: "p" bottom: "x" top: "p" {product} }}
            layer {{ name: "bn" type: "BatchNorm" bottom: "p" top: "p" batch_norm_param {{ eps: 0.01 }} }}
            layer {{ name: "s" type: "Scale" bottom: "p" top: "q" scale_param {{ bias_term: true }} }}
            layer {{ name: "b" type: "Bias" bottom: "q" top: "q" }}
            layer {{ name: "relu" type: "ReLU" bottom: "q" top: "y" }}"#,
            input("2x4x5x5")
        );
        let (folded, after, worst) = folded(&text);
        let left: Vec<&str> = after.layers.iter().map(|l| l.def.name()).collect();
        if !(worst < LIMIT) || left != ["x", "p", "relu"] || !folded.kept.is_empty() {
            failures.push(format!("{product}: {worst:e}, {left:?}, {:?}", folded.kept));
        }
    }
    none(failures);
}

#[test]
fn what_normalises_goes_into_the_product_behind_it() {
    let products = [
        r#"type: "Convolution" convolution_param { num_output: 6 kernel_size: 3 }"#,
        r#"type: "Convolution" convolution_param { num_output: 6 kernel_size: 1 bias_term: false group: 2 }"#,
        r#"type: "InnerProduct" inner_product_param { num_output: 5 }"#,
        r#"type: "InnerProduct" inner_product_param { num_output: 5 transpose: true bias_term: false }"#,
    ];
    let mut failures = Vec::new();
    for product in products {
        let text = format!(
            r#"{}
            layer {{ name: "pool" type: "Pooling" bottom: "x" top: "pool" pooling_param {{ kernel_size: 2 }} }}
            layer {{ name: "bn" type: "BatchNorm" bottom: "pool" top: "n" }}
            layer {{ name: "s" type: "Scale" bottom: "n" top: "n" scale_param {{ bias_term: true }} }}
            layer {{ name: "p" bottom: "n" top: "p" {product} }}"#,
            input("2x4x5x5")
        );
        let (_, after, worst) = folded(&text);
        let left: Vec<&str> = after.layers.iter().map(|l| l.def.name()).collect();
        if !(worst < LIMIT) || left != ["x", "pool", "p"] {
            failures.push(format!("{product}: {worst:e}, {left:?}"));
        }
    }
    none(failures);
}

#[test]
fn what_would_change_results_stays_and_says_why() {
    let bn = r#"layer { name: "bn" type: "BatchNorm" bottom: "p" top: "p" }"#;
    let conv = r#"layer { name: "p" type: "Convolution" bottom: "x" top: "p"
        convolution_param { num_output: 4 kernel_size: 1 } }"#;
    let pool = r#"layer { name: "p" type: "Pooling" bottom: "x" top: "p" pooling_param { kernel_size: 2 } }"#;
    let table = [
        // Padding behind.
        (
            format!(
                r#"{pool}{bn}layer {{ name: "c" type: "Convolution" bottom: "p" top: "c"
                convolution_param {{ num_output: 4 kernel_size: 3 pad: 1 }} }}"#
            ),
            "`c` pads with zeros",
        ),
        // A second reader before.
        (
            format!(
                r#"{conv}layer {{ name: "bn" type: "BatchNorm" bottom: "p" top: "n" }}
                layer {{ name: "sum" type: "Eltwise" bottom: "p" bottom: "n" top: "y" }}"#
            ),
            "its bottom `p` is read by `sum` too",
        ),
        // The batch's statistics.
        (
            format!(
                r#"{conv}layer {{ name: "bn" type: "BatchNorm" bottom: "p" top: "p"
                batch_norm_param {{ use_global_stats: false }} }}"#
            ),
            "normalises by the batch in TEST too",
        ),
        // Shared weights.
        (
            format!(
                r#"layer {{ name: "p" type: "Convolution" bottom: "x" top: "p" param {{ name: "w" }} param {{ name: "b" }}
                convolution_param {{ num_output: 4 kernel_size: 1 }} }}{bn}
                layer {{ name: "q" type: "Convolution" bottom: "x" top: "q" param {{ name: "w" }} param {{ name: "b" }}
                convolution_param {{ num_output: 4 kernel_size: 1 }} }}"#
            ),
            "`p` shares its weights with `q`",
        ),
        // A ReLU in between.
        (
            format!(r#"{conv}layer {{ name: "r" type: "ReLU" bottom: "p" top: "p" }}{bn}"#),
            "`r` (ReLU) has no weights",
        ),
    ];
    let mut failures = Vec::new();
    for (text, wanted) in table {
        let (folded, after, worst) = folded(&format!("{}{text}", input("2x4x6x6")));
        let why = folded.kept.iter().map(|k| k.why.as_str()).collect::<Vec<_>>().join("\n");
        let stays = after.layers.iter().any(|l| l.def.name() == "bn");
        if !why.contains(wanted) || !stays || worst != 0.0 {
            failures.push(format!("wanted {wanted}: {why} ({worst:e})"));
        }
    }
    none(failures);
}

#[test]
fn a_factor_of_zero_is_refused() {
    let text = format!(
        r#"{}layer {{ name: "p" type: "Convolution" bottom: "x" top: "p"
        convolution_param {{ num_output: 4 kernel_size: 1 }} }}
        layer {{ name: "bn" type: "BatchNorm" bottom: "p" top: "p" }}"#,
        input("1x2x3x3")
    );
    let (mut net, _) = trained(&text);
    net.layers[2].blobs[2].data[0] = 0.0;
    let folded = fold(&net);
    assert!(folded.folds.is_empty());
    assert!(folded.kept[0].why.contains("factor is 0"), "{:?}", folded.kept);
}

#[test]
fn the_text_that_stays_is_as_it_was() {
    let text = r#"# A net.
name: "small"   # its name

layer {
  name: "x" type: "Input" top: "x"
  input_param { shape { dim: 1 dim: 2 dim: 4 dim: 4 } }
}
layer {
  # the first
  name: "conv"
  type: "Convolution"
  bottom: "x"  top: "conv"
  convolution_param {
    num_output: 3
    bias_term: false  # BatchNorm has one
    kernel_size: 1
  }
}
layer {
  name: "bn"
  type: "BatchNorm"
  bottom: "conv"  top: "bn"
}

# the end
layer { name: "relu" type: "ReLU" bottom: "bn" top: "bn" }
"#;
    let (folded, ..) = folded(text);
    let wanted = text
        .replace("bias_term: false", "bias_term: true")
        .replace(r#"top: "conv""#, r#"top: "bn""#)
        .replace(
            "layer {\n  name: \"bn\"\n  type: \"BatchNorm\"\n  bottom: \"conv\"  top: \"bn\"\n}\n",
            "",
        );
    assert_eq!(folded.text, wanted);
}

#[test]
fn our_own_residual_nets_fold_whole() {
    for file in ["models/resnet50/deploy.prototxt", "models/resnet20_cifar/deploy.prototxt"] {
        let text = std::fs::read_to_string(Path::new(ROOT).join(file)).unwrap_or_default();
        let (before, _) = trained(&text);
        let (folded, after, worst) = folded(&text);
        assert!(worst < LIMIT, "{file}: {worst:e}");
        assert!(folded.kept.is_empty(), "{file}: {:?}", folded.kept);
        let norms =
            before.layers.iter().filter(|l| matches!(l.def.r#type(), "BatchNorm" | "Scale"));
        assert_eq!(after.layers.len() + norms.count(), before.layers.len(), "{file}");
    }
}

#[test]
fn every_dialect_becomes_two_layers_with_the_same_outputs() {
    let table = [
        (r#"type: "BN" bn_param { bn_mode: INFERENCE }"#, "Scale"),
        (r#"type: "BN" bn_param { bn_mode: LEARN }"#, "BatchNorm Scale"),
        (
            r#"type: "BN" bn_param { slope_filler { value: 1 } momentum: 0.9 eps: 0.001 }"#,
            "BatchNorm Scale",
        ),
        (r#"type: "BN" bn_param { frozen: true }"#, "BatchNorm Scale"),
        (r#"type: "BN" bn_param { decay: 0.1 var_eps: 1e-4 }"#, "BatchNorm Scale"),
        (r#"type: "BN" bn_param { moving_average: false }"#, "BatchNorm Scale"),
        (r#"type: "BatchNorm" batch_norm_param { scale_bias: true }"#, "BatchNorm Scale"),
        (
            r#"type: "BatchNorm" batch_norm_param { use_weight_bias: true relu: true eps: 0.01 }"#,
            "BatchNorm Scale ReLU",
        ),
        (
            r#"type: "BatchNorm" batch_norm_param { use_weight_bias: true bias_term: false }"#,
            "BatchNorm Scale",
        ),
        (r#"type: "BatchNorm" batch_norm_param { engine: CAFFE }"#, "BatchNorm"),
    ];
    let mut failures = Vec::new();
    for (layer, wanted) in table {
        let text = format!(
            r#"{} layer {{ # kept
              name: "n" bottom: "x" top: "y" {layer} }}"#,
            input("2x3x4x4")
        );
        let (net, mut first) = trained(&text);
        let Conversion { text, blobs, layers: done } =
            convert(&net).unwrap_or_else(|e| panic!("{e}"));
        let again = net.rebuilt(text.clone(), &blobs, &Given::nothing());
        let (after, mut second) = again.unwrap_or_else(|e| panic!("{layer}: {e}\n{text}"));
        let errors = compare(&mut first, &mut second).unwrap_or_else(|e| panic!("{e}"));
        let types: Vec<&str> = after.layers[1..].iter().map(|l| l.def.r#type()).collect();
        let same = errors.len() == 1 && errors[0].relative < 1e-5;
        if types.join(" ") != wanted || !same || done.len() != 1 || !text.contains("# kept") {
            failures.push(format!("{layer}: {types:?} {errors:?}\n{text}"));
        }
        // Only what the original knows.
        let source = Source::new("new.prototxt", text);
        let net = NetDef::from_text(&source).unwrap_or_else(|e| panic!("{e}"));
        let printed = text::print(&net.to_message());
        for word in ["bn_param {", "scale_bias", "use_weight_bias", "relu:", "engine"] {
            let own = printed.replace("batch_norm_param {", "");
            if own.contains(word) {
                failures.push(format!("{layer}: {word} is still there"));
            }
        }
    }
    none(failures);
}

#[test]
fn the_commands_write_what_they_say() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let net = "models/mnist_mlp_bn/deploy.prototxt";
    let (trained, _) = Trained::read(&Path::new(ROOT).join(net), &[], &Given::nothing())
        .unwrap_or_else(|e| panic!("{e}"));
    trained.save(Path::new(&at("a.caffemodel"))).unwrap_or_else(|e| panic!("{e}"));
    let output = cortado(&[
        "fold",
        net,
        &at("a.caffemodel"),
        "-o",
        &at("b.prototxt"),
        &at("b.caffemodel"),
        "--json",
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    assert!(told["outputs"][0]["relative"].as_f64().is_some_and(|e| e < LIMIT), "{told}");
    assert!(told["folded"].as_array().is_some_and(|f| !f.is_empty()), "{told}");
    // What was written loads: nothing in the file that the net does not have, nothing missing.
    let mut again = Net::from_file(at("b.prototxt"), &NetOptions::new(Phase::Test))
        .unwrap_or_else(|e| panic!("{e}"));
    let report = again.copy_from(at("b.caffemodel")).unwrap_or_else(|e| panic!("{e}"));
    assert!(report.skipped.is_empty() && report.fresh.is_empty(), "{report}");
    let output = cortado(&[
        "convert-bn",
        net,
        &at("c.prototxt"),
        "--weights",
        &at("a.caffemodel"),
        &at("c.caffemodel"),
    ]);
    assert!(stdout(&output).contains("nothing to convert"), "{}", stderr(&output));
    assert!(Path::new(&at("c.caffemodel")).exists());
}

#[test]
fn what_rounding_chose_otherwise_is_no_difference_of_a_net_that_chooses() {
    let error = |relative, off, chosen| {
        OutputError { blob: "y".to_owned(), absolute: relative, relative, off, chosen }
            .is_within(1e-4)
    };
    assert!(error(1e-5, 0.0, false) && error(0.5, 0.005, true));
    assert!(!error(0.5, 0.005, false) && !error(0.5, 0.02, true) && !error(f64::NAN, 1.0, true));
}
