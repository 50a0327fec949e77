//! Tools around batch normalisation.

use std::collections::BTreeMap;
use std::path::Path;

use cortado::batch_norm::{
    Conversion, Folded, Given, OutputError, Trained, compare, convert, fold,
};
use cortado::net::{Net, NetOptions};
use cortado_layers::Phase;
use cortado_proto::NetDef;
use cortado_proto::caffe::LayerParameter;
use cortado_proto::span::Source;
use cortado_proto::text;
use cortado_proto::wire::{self, BlobOut, LayerOut, Model};

use crate::support::{ROOT, cortado, cortado_in, none, stderr, stdout};

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
    let error = |relative, off, off_in_channel, chosen| {
        let (blob, absolute) = ("y".to_owned(), relative);
        OutputError { blob, absolute, relative, off, off_in_channel, chosen }.is_within(1e-4)
    };
    assert!(error(1e-5, 0.0, 0.0, false) && error(0.5, 0.005, 0.04, true));
    assert!(!error(0.5, 0.005, 0.005, false) && !error(0.5, 0.02, 0.02, true));
    assert!(!error(0.5, 0.005, 0.5, true) && !error(f64::NAN, 1.0, 1.0, true));
}

/// How the outputs of a net change with a channel of the convolution `c`.
fn changed(text: &str, channel: usize, by: f32) -> Vec<OutputError> {
    let (net, mut first) = trained(text);
    let mut blobs = net.blobs();
    let weights = blobs.get_mut("c").unwrap_or_else(|| panic!("no `c` in {text}"));
    let row = weights[0].data.len() / weights[0].shape[0];
    weights[0].data[channel * row..][..row].iter_mut().for_each(|w| *w *= by);
    let (_, mut second) =
        net.rebuilt(text.to_owned(), &blobs, &Given::nothing()).unwrap_or_else(|e| panic!("{e}"));
    compare(&mut first, &mut second).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn only_what_lies_behind_a_choice_may_be_off_and_no_channel_of_it_wholly() {
    let text = format!(
        r#"{}
        layer {{ name: "c" type: "Convolution" bottom: "x" top: "c" convolution_param {{ num_output: 128 kernel_size: 1 }} }}
        layer {{ name: "p" type: "Pooling" bottom: "c" top: "p" top: "m" pooling_param {{ kernel_size: 2 stride: 2 }} }}
        layer {{ name: "u" type: "Upsample" bottom: "p" bottom: "m" top: "u" upsample_param {{ scale: 2 }} }}
        layer {{ name: "r" type: "ReLU" bottom: "p" top: "r" }}"#,
        input("1x3x8x8")
    );
    let errors = changed(&text, 5, 0.5);
    let of =
        |blob: &str| errors.iter().find(|e| e.blob == blob).unwrap_or_else(|| panic!("{blob}"));
    assert!(of("u").chosen && !of("r").chosen, "{errors:?}");
    assert!(of("u").off < 0.01 && !of("u").is_within(LIMIT), "{errors:?}");
}

#[test]
fn what_outputs_hide_is_compared_too() {
    let detection = r#"
        layer { name: "loc" type: "Convolution" bottom: "c" top: "loc" convolution_param { num_output: 4 kernel_size: 1 } }
        layer { name: "locf" type: "Flatten" bottom: "loc" top: "locf" }
        layer { name: "confp" type: "Permute" bottom: "c" top: "confp" permute_param { order: 0 order: 2 order: 3 order: 1 } }
        layer { name: "confr" type: "Reshape" bottom: "confp" top: "confr" reshape_param { shape { dim: 0 dim: -1 dim: 2 } } }
        layer { name: "confs" type: "Softmax" bottom: "confr" top: "confs" softmax_param { axis: 2 } }
        layer { name: "conff" type: "Flatten" bottom: "confs" top: "conff" }
        layer { name: "prior" type: "PriorBox" bottom: "c" bottom: "x" top: "prior" prior_box_param { min_size: 4 variance: 0.1 } }
        layer { name: "det" type: "DetectionOutput" bottom: "locf" bottom: "conff" bottom: "prior" top: "det"
          detection_output_param { num_classes: 2 nms_param { nms_threshold: 0.45 } confidence_threshold: 1.5 } }"#;
    let label = r#"layer { name: "l" type: "Input" top: "label" input_param { shape { dim: 2 dim: 1 dim: 4 dim: 4 } } }"#;
    let accuracy = format!(
        r#"{label} layer {{ name: "y" type: "Accuracy" bottom: "c" bottom: "label" top: "y" }}"#
    );
    let table = [
        detection,
        r#"layer { name: "y" type: "ArgMax" bottom: "c" top: "y" argmax_param { axis: 1 } }"#,
        &accuracy,
        r#"layer { name: "y" type: "Threshold" bottom: "c" top: "y" threshold_param { threshold: 99 } }"#,
        // In place, in other forms behind it, and nowhere at all.
        r#"layer { name: "s" type: "Power" bottom: "c" top: "c" power_param { scale: 1e6 } }
           layer { name: "y" type: "Softmax" bottom: "c" top: "c" }"#,
        r#"layer { name: "s" type: "Power" bottom: "c" top: "c" power_param { scale: 1e6 } }
           layer { name: "y" type: "Sigmoid" bottom: "c" top: "y" }
           layer { name: "f" type: "Flatten" bottom: "y" top: "f" }"#,
        r#"layer { name: "y" type: "Silence" bottom: "c" }"#,
    ];
    let mut failures = Vec::new();
    for tail in table {
        let text = format!(
            r#"{} layer {{ name: "c" type: "Convolution" bottom: "x" top: "c"
              convolution_param {{ num_output: 2 kernel_size: 1 }} }} {tail}"#,
            input("2x3x4x4")
        );
        let errors = changed(&text, 1, 1.001);
        if errors.iter().all(|e| e.is_within(LIMIT)) {
            failures.push(format!("{tail}: {errors:?}"));
        }
        let same = changed(&text, 1, 1.0);
        if same.iter().any(|e| e.relative != 0.0) {
            failures.push(format!("{tail}: unchanged, but {same:?}"));
        }
    }
    none(failures);
}

#[test]
fn a_scale_takes_the_shift_it_gained_along() {
    let conv = r#"layer { name: "c" type: "Convolution" bottom: "b" top: "c"
        convolution_param { num_output: 3 kernel_size: 1 } }"#;
    let relu = r#"layer { name: "c" type: "ReLU" bottom: "b" top: "c" }"#;
    let table = [
        ("", conv, &["x", "c"][..]),
        ("", relu, &["x", "sc", "c"]),
        ("scale_param { bias_term: false }", relu, &["x", "sc", "c"]),
    ];
    let mut failures = Vec::new();
    for (param, behind, wanted) in table {
        let text = format!(
            r#"{} layer {{ name: "bn" type: "BatchNorm" bottom: "x" top: "b" }}
            layer {{ name: "sc" type: "Scale" bottom: "b" top: "b" {param} }} {behind}"#,
            input("2x4x7x7")
        );
        let (folded, after, worst) = folded(&text);
        let left: Vec<&str> = after.layers.iter().map(|l| l.def.name()).collect();
        let told = !wanted.contains(&"sc") || folded.text.contains("bias_term: true");
        if left != wanted || !(worst < LIMIT) || !told {
            failures.push(format!("{behind}: {left:?} {worst:e}\n{}", folded.text));
        }
    }
    none(failures);
}

#[test]
fn reasons_name_layers_that_are_there_and_what_they_do() {
    let bn = r#"layer { name: "bn" type: "BatchNorm" bottom: "x" top: "b" }"#;
    let x = input("2x4x6x6");
    let table = [
        // A layer that went into this one.
        (
            format!(r#"{x} {bn} layer {{ name: "sc" type: "Scale" bottom: "b" top: "b" }}"#),
            "`x` (Input) has no weights to fold into; its top is an output of the net",
        ),
        // Two tops, no bottom.
        (
            format!(
                r#"layer {{ name: "d" type: "DummyData" top: "x" top: "l" dummy_data_param {{
                shape {{ dim: 2 dim: 4 dim: 6 dim: 6 }} shape {{ dim: 2 }} }} }} {bn}"#
            ),
            "`d` (DummyData) has no weights to fold into; its top is an output of the net",
        ),
        (
            format!(
                r#"{x} {bn} layer {{ name: "c" type: "Deconvolution" bottom: "b" top: "c"
                convolution_param {{ num_output: 4 kernel_size: 2 stride: 2 }} }}"#
            ),
            "`x` (Input) has no weights to fold into; `c` (Deconvolution) would spread a shift unevenly: by \
             place, other weights count",
        ),
    ];
    let mut failures = Vec::new();
    for (text, wanted) in table {
        let (folded, ..) = folded(&text);
        let whys: Vec<&str> = folded.kept.iter().map(|kept| kept.why.as_str()).collect();
        if whys != [wanted] {
            failures.push(format!("wanted {wanted}: {whys:?}"));
        }
    }
    none(failures);
}

/// A layer of a file: name, type, and its blobs, each a vector.
type Saved<'a> = (&'a str, &'a str, &'a [&'a [f32]]);

fn save(path: &Path, layers: &[Saved<'_>]) {
    let param = |(name, type_name, _): &Saved<'_>| LayerParameter {
        name: Some((*name).to_owned()),
        r#type: Some((*type_name).to_owned()),
        ..LayerParameter::default()
    };
    let params: Vec<LayerParameter> = layers.iter().map(param).collect();
    let shapes: Vec<Vec<[usize; 1]>> =
        layers.iter().map(|(.., blobs)| blobs.iter().map(|b| [b.len()]).collect()).collect();
    let out = params.iter().zip(layers).zip(&shapes).map(|((param, (.., blobs)), shapes)| {
        let blobs = blobs.iter().zip(shapes);
        let blobs = blobs.map(|(data, shape)| BlobOut { shape, data, diff: None }).collect();
        LayerOut { param, blobs }
    });
    wire::save_model(path, "net", &out.collect::<Vec<_>>()).unwrap_or_else(|e| panic!("{e}"));
}

/// The blobs of a file by layer, those of layers without any left out.
fn saved(path: &Path) -> BTreeMap<String, Vec<Vec<f32>>> {
    let model = Model::open(path).unwrap_or_else(|e| panic!("{e}"));
    let layers = model.layers.iter().filter(|layer| !layer.blobs.is_empty());
    let values = |layer| model.blobs(layer).map(|b| b.to_vec().unwrap_or_default()).collect();
    layers.map(|layer| (layer.name.clone(), values(layer))).collect()
}

/// A fork's normalisation behind a scale.
const NET: &str = r#"layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 1 dim: 2 dim: 2 } } }
layer { name: "s" type: "Scale" bottom: "x" top: "s" }
layer { name: "n" type: "BN" bottom: "s" top: "n" bn_param { momentum: 0.75 } }
"#;
const S: Saved<'_> = ("s", "Scale", &[&[3.0]]);
const N: Saved<'_> = ("n", "BN", &[&[2.0], &[0.5], &[1.0], &[3.75]]);

#[test]
fn weights_of_another_net_are_refused() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let at = |name: &str| folder.path().join(name);
    let of_train = r#"layer { name: "x" type: "Input" top: "x" include { phase: TRAIN } }"#;
    for (name, text) in [("net", NET), ("empty", ""), ("train", of_train)] {
        std::fs::write(at(&format!("{name}.prototxt")), text).unwrap_or_else(|e| panic!("{e}"));
    }
    save(&at("whole.caffemodel"), &[S, N]);
    save(&at("more.caffemodel"), &[S, N, ("other", "Scale", &[&[1.0]])]);
    save(&at("half.caffemodel"), &[S]);
    save(&at("another.caffemodel"), &[("ip", "InnerProduct", &[&[1.0]])]);
    let table = [
        ("net", "whole", 0, ""),
        ("net", "more", 0, "`other` is left out"),
        ("net", "half", 1, "no weights for these layers of `net.prototxt`: n\n"),
        ("net", "another", 1, "no weights for these layers of `net.prototxt`: s, n\n"),
        ("empty", "whole", 1, "no layers"),
        ("train", "whole", 1, "`train.prototxt`: it has no layers in phase TEST"),
    ];
    let mut failures = Vec::new();
    for (net, weights, code, wanted) in table {
        let (net, weights) = (format!("{net}.prototxt"), format!("{weights}.caffemodel"));
        let convert = ["convert-bn", &net, "b.prototxt", "--weights", &weights, "b.caffemodel"];
        for arguments in [["fold", &net, &weights, "-o", "a.prototxt", "a.caffemodel"], convert] {
            let result = at(arguments[arguments.len() - 1]);
            // Of the row before.
            let _ = std::fs::remove_file(&result);
            let output = cortado_in(folder.path(), &arguments);
            let told = stderr(&output);
            // What fold leaves out, convert-bn keeps.
            let told_so = told.contains(wanted) || (code == 0 && arguments[0] == "convert-bn");
            if output.status.code() != Some(code) || !told_so || result.exists() != (code == 0) {
                failures.push(format!("{arguments:?}: {told}"));
            }
        }
    }
    none(failures);
}

#[test]
fn two_results_are_written_or_neither() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let at = |name: &str| folder.path().join(name);
    let long = "n".repeat(250);
    let table = [
        ("nowhere/a", "b", "there is no folder `nowhere`"),
        ("a", "nowhere/b", "there is no folder `nowhere`"),
        ("same", "same", "each result wants a file of its own"),
        ("same", "./same", "each result wants a file of its own"),
        ("folder", "b", "it is a folder"),
        ("a", "folder", "it is a folder"),
        ("a", "b/", "it is a folder"),
        ("net.prototxt", "b", "it is read by this command"),
        ("a", "folder/../net.caffemodel", "it is read by this command"),
        // Nothing is wrong with these before one is written.
        ("old", &long, "cannot write"),
        (&long, "old", "cannot write"),
    ];
    let mut failures = Vec::new();
    for (net, weights, wanted) in table {
        let fold = ["fold", "net.prototxt", "net.caffemodel", "-o", net, weights];
        let convert = ["convert-bn", "net.prototxt", net, "--weights", "net.caffemodel", weights];
        for arguments in [fold, convert] {
            let _ = std::fs::remove_dir_all(at("folder"));
            std::fs::create_dir(at("folder")).unwrap_or_else(|e| panic!("{e}"));
            std::fs::write(at("net.prototxt"), NET).unwrap_or_else(|e| panic!("{e}"));
            std::fs::write(at("old"), "old").unwrap_or_else(|e| panic!("{e}"));
            save(&at("net.caffemodel"), &[S, N]);
            let output = cortado_in(folder.path(), &arguments);
            let told = stderr(&output);
            let entries = std::fs::read_dir(folder.path()).unwrap_or_else(|e| panic!("{e}"));
            let mut left: Vec<String> = entries
                .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
                .collect();
            left.sort();
            let text = |name: &str| std::fs::read_to_string(at(name)).unwrap_or_default();
            let kept = text("old") == "old" && text("net.prototxt") == NET;
            let whole = left == ["folder", "net.caffemodel", "net.prototxt", "old"];
            let kept = kept && whole && saved(&at("net.caffemodel")).len() == 2;
            if output.status.code() != Some(1) || !told.contains(wanted) || !kept {
                failures.push(format!("{arguments:?}: {told}{left:?}"));
            }
        }
    }
    none(failures);
}

#[test]
fn converting_keeps_the_layers_that_do_not_run() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let at = |name: &str| folder.path().join(name);
    let train = r#"layer { name: "aux" type: "BN" bottom: "s" top: "aux" bn_param { momentum: 0.75 }
          include { phase: TRAIN } }
        layer { name: "h" type: "Scale" bottom: "aux" top: "h" include { phase: TRAIN } }
        layer { name: "new" type: "BN" bottom: "s" top: "new" bn_param { momentum: 0.75 }
          include { phase: TRAIN } }"#;
    std::fs::write(at("net.prototxt"), format!("{NET}{train}")).unwrap_or_else(|e| panic!("{e}"));
    let aux: Saved<'_> = ("aux", "BN", &[&[5.0], &[6.0], &[7.0], &[8.0]]);
    let others = [("h", "Scale", &[&[9.0][..]][..]), ("else", "PReLU", &[&[0.25][..]][..])];
    save(&at("net.caffemodel"), &[S, N, aux, others[0], others[1]]);
    let mut arguments = vec!["convert-bn", "net.prototxt", "new.prototxt"];
    arguments.extend(["--weights", "net.caffemodel", "new.caffemodel"]);
    let output = cortado_in(folder.path(), &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let wanted: [(&str, &[f32]); 7] = [
        ("aux", &[28.0, 32.0, 4.0]),
        ("aux_scale", &[5.0, 6.0]),
        ("else", &[0.25]),
        ("h", &[9.0]),
        ("n", &[4.0, 15.0, 4.0]),
        ("n_scale", &[2.0, 0.5]),
        ("s", &[3.0]),
    ];
    let wanted = wanted.map(|(name, values)| (name.to_owned(), values.to_vec()));
    let found = saved(&at("new.caffemodel")).into_iter();
    let found: Vec<(String, Vec<f32>)> =
        found.map(|(name, blobs)| (name, blobs.concat())).collect();
    assert_eq!(found, wanted);
    let mut net = Net::from_file(at("new.prototxt"), &NetOptions::new(Phase::Train))
        .unwrap_or_else(|e| panic!("{e}"));
    let report = net.copy_from(at("new.caffemodel")).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(
        (report.fresh.join(" "), report.skipped.join(" ")),
        ("new new_scale".to_owned(), "else".to_owned())
    );
}
