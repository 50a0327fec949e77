//! Nets with mistakes: every one is told, with its place, and nothing panics.

use cortado::net::NetOptions;
use cortado_layers::Phase;

use crate::support::{none, try_net};

const INPUT: &str = r#"layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 6 dim: 5 dim: 5 } } }"#;

/// Layers below the input, and parts that the message must hold.
const CASES: &[(&str, &[&str])] = &[
    (
        r#"layer { name: "c" type: "Convolutoin" bottom: "x" top: "y" }"#,
        &["there is no layer type `Convolutoin`", "similar: `Convolution`", "net.prototxt:2:"],
    ),
    (
        r#"layer { name: "p" type: "Python" bottom: "x" top: "y" python_param { module: "pyloss" layer: "Loss" } }"#,
        &[
            "this layer is Python code, the class `Loss` of the module `pyloss`",
            "run in the Python module",
        ],
    ),
    (
        r#"layer { name: "r" type: "ReLU" bottom: "y" top: "z" }"#,
        &["bottom `y` is made by no layer above", "layer `r` (ReLU)", "net.prototxt:2:"],
    ),
    (
        // Each reads the other.
        r#"layer { name: "a" type: "ReLU" bottom: "b" top: "a" } layer { name: "b" type: "ReLU" bottom: "a" top: "b" }"#,
        &["bottom `b` is made by no layer above", "layer `a` (ReLU)"],
    ),
    (
        r#"layer { name: "r" type: "ReLU" bottom: "x" bottom: "x" top: "y" }"#,
        &["ReLU takes 1 bottom, found 2", "layer `r` (ReLU)"],
    ),
    (r#"layer { name: "r" type: "ReLU" bottom: "x" }"#, &["ReLU makes 1 top, found 0"]),
    (
        r#"layer { name: "a" type: "ReLU" bottom: "x" top: "y" } layer { name: "b" type: "TanH" bottom: "x" top: "y" }"#,
        &["top `y` is made by layer `a` already", "layer `b` (TanH)"],
    ),
    (
        r#"layer { name: "p" type: "Pooling" bottom: "x" top: "y" pooling_param { kernel_size: 2 stride: 2 } }
           layer { name: "e" type: "Eltwise" bottom: "x" bottom: "y" top: "z" }"#,
        &["2x6x5x5", "2x6x3x3", "layer `e` (Eltwise)"],
    ),
    (
        r#"layer { name: "c" type: "Convolution" bottom: "x" top: "y" convolution_param { num_output: 4 kernel_size: 9 } }"#,
        &["9", "5", "layer `c` (Convolution)"],
    ),
    (
        r#"layer { name: "c" type: "Convolution" bottom: "x" top: "y" convolution_param { num_output: 4 kernel_size: 3 group: 4 } }"#,
        &["group", "4", "6"],
    ),
    (
        r#"layer { name: "c" type: "Convolution" bottom: "x" top: "y" convolution_param { num_output: 4294967295 kernel_size: 5 } }"#,
        &["MiB", "layer `c` (Convolution)"],
    ),
    (
        r#"layer { name: "c" type: "Convolution" bottom: "x" top: "y" convolution_param { num_output: 4 kernel_size: 3 pad: 4294967295 } }"#,
        &["layer `c` (Convolution)"],
    ),
    (
        r#"layer { name: "s" type: "Softmax" bottom: "x" top: "y" softmax_param { axis: 7 } }"#,
        &["axis", "7", "softmax_param"],
    ),
    (
        r#"layer { name: "s" type: "Slice" bottom: "x" top: "a" top: "b" slice_param { slice_point: 9 } }"#,
        &["slice_point", "9", "6"],
    ),
    (
        r#"layer { name: "r" type: "ReLU" bottom: "x" top: "y" loss_weight: 1 loss_weight: 2 }"#,
        &["`loss_weight` is given once per top"],
    ),
    (
        r#"layer { name: "r" type: "ReLU" bottom: "x" top: "y" include { phase: TEST } exclude { phase: TRAIN } }"#,
        &["`include` rules or `exclude` rules, not both"],
    ),
    (
        r#"layer { name: "n" type: "Input" top: "n" input_param { shape { dim: -1 } } }"#,
        &["an axis can't have the length -1"],
    ),
    (
        r#"layer { name: "n" type: "Input" top: "n" input_param { shape { dim: 4000000000 dim: 4000000000 dim: 4000000000 } } }"#,
        &["4000000000x4000000000x4000000000 is too large"],
    ),
    (
        r#"layer { name: "f" type: "InnerProduct" bottom: "x" top: "f" param { lr_mult: 1 } param { lr_mult: 1 } param { lr_mult: 1 }
           inner_product_param { num_output: 2 } }"#,
        &["3 `param` blocks are given, the layer has 2 parameters"],
    ),
];

#[test]
fn each_mistake_is_told_with_its_place() {
    let options = NetOptions::new(Phase::Test);
    let mut failures = Vec::new();
    for (layers, wanted) in CASES {
        let told = match try_net(&format!("{INPUT}\n{layers}"), &options) {
            Ok(_) => "no error".to_owned(),
            Err(told) => told,
        };
        let missing: Vec<_> = wanted.iter().filter(|part| !told.contains(**part)).collect();
        if !missing.is_empty() {
            failures.push(format!("{layers}\nlacks {missing:?}:\n{told}"));
        }
    }
    none(failures);
}

#[test]
fn all_mistakes_of_a_net_are_told_at_once() {
    let layers = r#"layer { name: "a" type: "Convolutoin" bottom: "x" top: "a" }
        layer { name: "b" type: "ReLU" bottom: "q" top: "b" }
        layer { name: "c" type: "Softmax" bottom: "x" bottom: "x" top: "c" }"#;
    let told = try_net(&format!("{INPUT}\n{layers}"), &NetOptions::new(Phase::Test)).err();
    let told = told.unwrap_or_default();
    for part in ["`Convolutoin`", "bottom `q`", "Softmax takes 1 bottom"] {
        assert!(told.contains(part), "{part} is missing in\n{told}");
    }
    assert_eq!(told.matches("error: ").count(), 3, "{told}");
}

#[test]
fn a_label_out_of_range_is_told_in_the_middle_of_a_run() {
    let text = r#"
        layer { name: "in" type: "Input" top: "x" top: "label" input_param { shape { dim: 2 dim: 3 } shape { dim: 2 } } }
        layer { name: "loss" type: "SoftmaxWithLoss" bottom: "x" bottom: "label" top: "loss" }"#;
    let mut net =
        try_net(text, &NetOptions::new(Phase::Train)).unwrap_or_else(|why| panic!("{why}"));
    for (label, fine) in [(2.0, true), (3.0, false), (-1.0, false), (f32::NAN, false)] {
        let labels = net.input_mut("label").unwrap_or_else(|| panic!("no label"));
        labels.data.copy_from_slice(&[0.0, label]);
        let told = net.forward().map(drop).map_err(|e| e.to_string());
        assert_eq!(told.is_ok(), fine, "{label}: {told:?}");
        if let Err(told) = told {
            assert!(told.contains("layer `loss` (SoftmaxWithLoss)"), "{told}");
        }
    }
}
