//! Fields of forks that are read nowhere, and those that a whole net is needed for.

use cortado::net::NetOptions;
use cortado_layers::Phase;
use cortado_proto::{Diagnostic, SolverDef, Source};

use crate::support::{net, none, try_net};

const INPUT: &str = r#"layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 4 dim: 6 dim: 6 } } }
layer { name: "labels" type: "Input" top: "t" input_param { shape { dim: 2 } } }
"#;

/// A layer's type, its bottoms and fields; what the net must be refused for, with the place and the cure.
const REFUSED: &[(&str, &str, &str, &[&str])] = &[
    (
        "SoftmaxWithLoss",
        r#"bottom: "x" bottom: "t""#,
        "loss_param { label_smoothing: 0.1 }",
        &["`label_smoothing` spreads labels", "as they are", "net.prototxt:3:", "layer `l`"],
    ),
    (
        "Convolution",
        r#"bottom: "x""#,
        "convolution_param { num_output: 4 kernel_size: 3 fusion_type: SUM_FUSION }",
        &["`fusion_type` adds a second bottom", "an Eltwise layer"],
    ),
    (
        "Deconvolution",
        r#"bottom: "x""#,
        "convolution_param { num_output: 4 kernel_size: 3 relu: true }",
        &["`relu` is not built here", "a ReLU layer"],
    ),
    ("ELU", r#"bottom: "x""#, "elu_param { symmetric_mode: true }", &["`symmetric_mode` asks for"]),
    ("ELU", r#"bottom: "x""#, "elu_param { lambda: 2 }", &["`lambda` asks for"]),
    (
        "Reshape",
        r#"bottom: "x""#,
        "reshape_param { shape { dim: 2 dim: 1 dim: 12 dim: 12 } pixelshuffler: 2 }",
        &["`pixelshuffler` moves elements"],
    ),
    (
        "BatchNorm",
        r#"bottom: "x""#,
        "batch_norm_param { stats_batch_size: 1 }",
        &["`stats_batch_size` takes statistics over parts", "iter_size"],
    ),
    (
        "Pooling",
        r#"bottom: "x""#,
        "pooling_param { kernel_size_3d: 2 stride_3d: 2 pad_3d: 0 }",
        &["`kernel_size_3d` gives", "`stride_3d` gives", "`pad_3d` gives", "PoolingND"],
    ),
    (
        "Reshape",
        r#"bottom: "x""#,
        "reshape_param { shape { dim: 1 } axis: 0 num_axes: 0 } REPEATED",
        &["a blob has at most 32 axes, a top here 36"],
    ),
];

#[test]
fn what_changes_results_is_refused() {
    let mut failures = Vec::new();
    for (type_name, bottoms, fields, wanted) in REFUSED {
        let fields = match fields.strip_suffix("REPEATED") {
            Some(fields) => fields.replace("dim: 1", &"dim: 1 ".repeat(32)),
            None => (*fields).to_owned(),
        };
        let layer =
            format!(r#"layer {{ name: "l" type: "{type_name}" {bottoms} top: "y" {fields} }}"#);
        match try_net(&format!("{INPUT}{layer}"), &NetOptions::new(Phase::Train)) {
            Ok(_) => failures.push(format!("{layer}: builds")),
            Err(told) => {
                let lacks = wanted.iter().filter(|part| !told.contains(**part));
                failures.extend(lacks.map(|part| format!("{layer}: lacks {part:?} in\n{told}")));
            }
        }
    }
    none(failures);
}

/// Fields of the net, fields of a ReLU, and the one warning.
const WARNED: &[(&str, &str, &str)] = &[
    ("", "", ""),
    ("default_forward_type: FLOAT global_grad_scale: 1", "forward_type: FLOAT", ""),
    ("default_forward_type: FLOAT16", "", "`default_forward_type` has no effect: everything"),
    ("global_grad_scale: 8", "", "`global_grad_scale` has no effect"),
    ("bn_stats_batch_size: 32", "", "`bn_stats_batch_size` has no effect"),
    ("compile_net_state { bn_scale_merge: true }", "", "`bn_scale_merge` has no effect"),
    ("", "forward_type: FLOAT16", "`forward_type` has no effect: everything"),
    ("", "quantization_param { bw_layer_in: 8 }", "`quantization_param` has no effect"),
];

#[test]
fn what_changes_nothing_is_warned_of() {
    let mut failures = Vec::new();
    for (of_net, of_layer, wanted) in WARNED {
        let text = format!(
            "{of_net}\n{INPUT} layer {{ name: \"l\" type: \"ReLU\" bottom: \"x\" top: \"y\" {of_layer} }}"
        );
        let built = net(&text, Phase::Test);
        let told: Vec<String> = built.notes().iter().map(Diagnostic::to_string).collect();
        let right = match wanted.is_empty() {
            true => told.is_empty(),
            false => {
                told.len() == 1 && told[0].contains(wanted) && told[0].contains("net.prototxt")
            }
        };
        if !right {
            failures.push(format!("{of_net} {of_layer}: wanted {wanted:?}, found {told:?}"));
        }
    }
    none(failures);
}

#[test]
fn weights_of_classes_alone_are_warned_of() {
    let text = format!(
        "{INPUT} layer {{ name: \"l\" type: \"SoftmaxWithLoss\" bottom: \"x\" bottom: \"t\" top: \"y\"
           softmax_param {{ axis: 1 }} loss_param {{ class_weighting: 1 }} }}"
    )
    .replace("dim: 6 dim: 6", "");
    let told: Vec<String> =
        net(&text, Phase::Train).notes().iter().map(ToString::to_string).collect();
    assert!(
        told.len() == 1 && told[0].contains("without `weight_by_label_freqs: true`"),
        "{told:?}"
    );
}

#[test]
fn fields_of_other_solvers_are_warned_of() {
    let text = "net: \"none.prototxt\" base_lr: 0.1 lr_policy: \"fixed\" max_iter: 1\n\
                larc: true momentum_policy: \"poly\" solver_data_type: FLOAT test_offset: 3";
    let source = Source::new("solver.prototxt", text);
    let mut def = SolverDef::from_text(&source).expect("it is a solver");
    cortado::solver::examine(&mut def).expect("it makes sense");
    let told: Vec<String> = def.notes.iter().map(Diagnostic::to_string).collect();
    let wanted =
        ["`larc` has no effect", "`momentum_policy` has no effect", "`test_offset` has no effect"];
    assert_eq!(told.len(), wanted.len(), "{told:?}");
    for (told, wanted) in told.iter().zip(wanted) {
        assert!(told.contains(wanted) && told.contains("solver.prototxt:2"), "{told}");
    }
}

/// What a net makes of ones in blob `y`, planned or layer by layer.
fn of_ones(layers: &str, phase: Phase, plan: bool) -> Vec<f32> {
    let options = NetOptions { plan, gradients: false, ..NetOptions::new(phase) };
    let mut net = try_net(&format!("{INPUT}{layers}"), &options).unwrap_or_else(|e| panic!("{e}"));
    net.input_mut("x").expect("it is an input").data.fill(1.0);
    net.forward().unwrap_or_else(|e| panic!("{e}"));
    net.blob("y").expect("it is an output").data.to_vec()
}

/// Layers, the phase of the net, and all values that `y` has.
const VALUES: &[(&str, Phase, &[f32])] = &[
    (DROPOUT, Phase::Test, &[1.0]),
    (DROPOUT, Phase::Train, &[0.0, 4.0]),
    (IN_TEST, Phase::Test, &[1.0]),
    (IN_TEST, Phase::Train, &[1.0]),
    (IN_TRAIN, Phase::Test, &[0.0, 4.0]),
    (IN_TRAIN, Phase::Train, &[0.0, 4.0]),
    (SAMPLED, Phase::Test, &[0.0, 4.0]),
    (SCALED_LATE, Phase::Test, &[0.25]),
    (SCALED_BEHIND_A_PRODUCT, Phase::Test, &[3.0]),
    // −12 and 12: no place has another sign.
    (RELU_INSIDE, Phase::Test, &[-6.0, 12.0]),
    (RELU_INSIDE, Phase::Train, &[-6.0, 12.0]),
];

const DROPOUT: &str = r#"layer { name: "l" type: "Dropout" bottom: "x" top: "y"
  dropout_param { dropout_ratio: 0.75 } }"#;
const IN_TEST: &str = r#"layer { name: "l" type: "Dropout" bottom: "x" top: "y" phase: TEST
  dropout_param { dropout_ratio: 0.75 } }"#;
const IN_TRAIN: &str = r#"layer { name: "l" type: "Dropout" bottom: "x" top: "y" phase: TRAIN
  dropout_param { dropout_ratio: 0.75 } }"#;
const SAMPLED: &str = r#"layer { name: "l" type: "Dropout" bottom: "x" top: "y"
  dropout_param { dropout_ratio: 0.75 sample_weights_test: true } }"#;
const SCALED_LATE: &str = r#"layer { name: "l" type: "Dropout" bottom: "x" top: "y"
  dropout_param { dropout_ratio: 0.75 scale_train: false } }"#;
const SCALED_BEHIND_A_PRODUCT: &str = r#"
layer { name: "c" type: "Convolution" bottom: "x" top: "y"
  convolution_param { num_output: 16 kernel_size: 1 weight_filler { value: 3 } } }
layer { name: "l" type: "Dropout" bottom: "y" top: "y"
  dropout_param { dropout_ratio: 0.75 scale_train: false } }"#;
const RELU_INSIDE: &str = r#"
layer { name: "n" type: "Power" bottom: "x" top: "n" power_param { scale: -1 } }
layer { name: "b" type: "Concat" bottom: "x" bottom: "n" top: "b" concat_param { axis: 0 } }
layer { name: "c" type: "Convolution" bottom: "b" top: "y"
  convolution_param { num_output: 16 kernel_size: 1 weight_filler { value: 3 }
    relu: true negative_slope: 0.5 } }"#;

#[test]
fn fields_of_forks_and_phases_of_layers_count_in_nets() {
    let mut failures = Vec::new();
    for (layers, phase, wanted) in VALUES {
        for plan in [false, true] {
            let mut found = of_ones(layers, *phase, plan);
            found.sort_by(f32::total_cmp);
            found.dedup();
            if found != *wanted {
                failures.push(format!("{layers} in {phase:?}: wanted {wanted:?}, found {found:?}"));
            }
        }
    }
    none(failures);
}

#[test]
fn weights_of_another_bn_tell_what_to_write() {
    let layer = |param: &str| {
        format!(
            r#"{INPUT}layer {{ name: "l" type: "BN" bottom: "x" top: "y" bn_param {{ {param} }} }}"#
        )
    };
    let folder = tempfile::tempdir().expect("a folder for the test");
    let file = folder.path().join("four.caffemodel");
    net(&layer("decay: 0.5"), Phase::Test).save(&file).expect("it can be written");
    let two = net(&layer("scale_filler { value: 1 }"), Phase::Test).copy_from(&file);
    let told = two.expect_err("four are not two").to_string();
    assert!(told.contains("`bn_param { moving_average: true }`"), "{told}");
    assert!(net(&layer("moving_average: true"), Phase::Test).copy_from(&file).is_ok());
}
