//! Advice on nets and solvers, rule by rule.

use std::path::Path;

use cortado::lint::{Finding, RULES, Subject, fixed, lint};
use cortado::net::{Net, NetOptions};
use cortado_layers::Phase;
use cortado_proto::NetDef;
use cortado_proto::span::Source;
use cortado_proto::wire::Model;

use crate::support::{ROOT, cortado, cortado_in, none, stderr, stdout};

fn found(text: &str) -> Vec<Finding> {
    let source = Source::new("net.prototxt", text);
    lint(&Subject::of_text(&source).unwrap_or_else(|| panic!("does not load:\n{text}")))
}

/// `rule@line`, in the order of the file.
fn names(text: &str) -> Vec<String> {
    let name = |f: &Finding| match &f.place {
        Some(place) => format!("{}@{}", f.rule.name, place.position().line),
        None => f.rule.name.to_owned(),
    };
    found(text).iter().map(name).collect()
}

/// A net of one layer per line, that trains: data in line 1, `layers` from line 2 on, a loss.
fn training(layers: &str, last: &str) -> String {
    format!(
        r#"layer {{ name: "d" type: "Data" top: "data" top: "label" data_param {{ source: "s" batch_size: 32 }} transform_param {{ crop_size: 8 }} }}
{layers}
layer {{ name: "ip" type: "InnerProduct" bottom: "{last}" top: "ip" inner_product_param {{ num_output: 3 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }}
"#
    )
}

const CONV: &str = r#"layer { name: "c" type: "Convolution" bottom: "data" top: "c" convolution_param { num_output: 4 kernel_size: 3 bias_term: false weight_filler { type: "msra" } } }"#;
const SCALE: &str = r#"layer { name: "s" type: "Scale" bottom: "n" top: "n" param { decay_mult: 0 } param { decay_mult: 0 } scale_param { bias_term: true } }"#;
const NORM: &str = r#"layer { name: "n" type: "BatchNorm" bottom: "c" top: "n" }"#;

#[test]
fn every_rule_finds_what_it_is_for_and_nothing_else() {
    let with = |norm: &str| training(&format!("{CONV}\n{norm}\n{SCALE}"), "n");
    let norm = |more: &str| {
        with(&format!(r#"layer {{ name: "n" type: "BatchNorm" bottom: "c" top: "n" {more} }}"#))
    };
    let many: String = (0..2).map(|_| "param { lr_mult: 1 } ").collect();
    let table: Vec<(String, &[&str])> = vec![
        (with(NORM), &[]),
        (norm("batch_norm_param { use_global_stats: false }"), &["bn-batch-stats-in-test@3"]),
        (norm("batch_norm_param { use_global_stats: false } include { phase: TRAIN }").replace(
            SCALE,
            &format!(r#"layer {{ name: "n" type: "BatchNorm" bottom: "c" top: "n" include {{ phase: TEST }} }}{SCALE}"#),
        ), &[]),
        (norm("batch_norm_param { use_global_stats: true }"), &["bn-frozen-in-train@3"]),
        (
            norm("batch_norm_param { use_global_stats: true }")
                .replace("param { decay_mult: 0 }", "param { lr_mult: 0 decay_mult: 0 }"),
            &[],
        ),
        (norm(&many), &["bn-learning-rate@3"]),
        (norm("param { lr_mult: 0 } param { lr_mult: 0 } param { lr_mult: 0 }"), &[]),
        (
            training(
                &format!("{CONV}\n{NORM}\nlayer {{ name: \"r\" type: \"ReLU\" bottom: \"n\" top: \"n\" }}"),
                "n",
            ),
            &["bn-without-scale@3"],
        ),
        // The weights behind scale.
        (training(&format!("{CONV}\n{NORM}"), "n"), &[]),
        (with(NORM).replace("bias_term: false", "bias_term: true"), &["bn-redundant-bias@2"]),
        (with(NORM).replace("batch_size: 32", "batch_size: 2"), &["bn-tiny-batch@1"]),
        (with(NORM).replace("param { decay_mult: 0 }", ""), &["bn-weight-decay@4"]),
        (
            training(
                &format!("{CONV}\n{NORM}\n{SCALE}\nlayer {{ name: \"l\" type: \"LRN\" bottom: \"n\" top: \"l\" }}"),
                "l",
            ),
            &["bn-beside-lrn@5"],
        ),
        (
            training(
                &format!("{CONV}\n{NORM}\n{SCALE}\nlayer {{ name: \"o\" type: \"Dropout\" bottom: \"n\" top: \"n\" }}"),
                "n",
            ),
            &["bn-beside-dropout@5"],
        ),
        (
            training(
                &format!("{CONV}\n{NORM}\n{SCALE}\nlayer {{ name: \"o\" type: \"Dropout\" bottom: \"n\" top: \"n\" dropout_param {{ dropout_ratio: 0.1 }} }}"),
                "n",
            ),
            &[],
        ),
        // Statistics by another name in TEST.
        (
            with(
                r#"layer { name: "n" type: "BatchNorm" bottom: "c" top: "n" include { phase: TRAIN } } layer { name: "m" type: "BatchNorm" bottom: "c" top: "n" include { phase: TEST } }"#,
            ),
            &["bn-shared@3"],
        ),
        (
            format!(
                r#"layer {{ name: "t" type: "Data" top: "data" top: "label" include {{ phase: TEST }} transform_param {{ mirror: true crop_size: 8 }} data_param {{ source: "s" batch_size: 9 }} }}
{}"#,
                with(NORM).replace("batch_size: 32 }", "batch_size: 32 } include { phase: TRAIN }")
            ),
            &["test-mirror@1"],
        ),
        // A layer behind a ReLU starts at 0.
        (
            training(
                &format!(
                    "{}\nlayer {{ name: \"r\" type: \"ReLU\" bottom: \"c\" top: \"c\" }}",
                    CONV.replace(r#"weight_filler { type: "msra" }"#, "")
                ),
                "c",
            ),
            &["zero-weights@2"],
        ),
        // Several that say nothing of their weights get them from a file.
        (
            training(
                &format!(
                    "{}\nlayer {{ name: \"r\" type: \"ReLU\" bottom: \"c\" top: \"c\" }}\n{}\nlayer {{ name: \"r2\" type: \"ReLU\" bottom: \"c2\" top: \"c2\" }}",
                    CONV.replace(r#"weight_filler { type: "msra" }"#, ""),
                    r#"layer { name: "c2" type: "Convolution" bottom: "c" top: "c2" convolution_param { num_output: 4 kernel_size: 3 } }"#,
                ),
                "c2",
            ),
            &[],
        ),
        // An LRN on the data is not beside BatchNorm.
        (
            with(NORM).replace(
                CONV,
                &format!(
                    "layer {{ name: \"l\" type: \"LRN\" bottom: \"data\" top: \"l\" }}\n{}",
                    CONV.replace(r#"bottom: "data""#, r#"bottom: "l""#)
                ),
            ),
            &[],
        ),
        // A last layer may.
        (with(NORM).replace(r#"weight_filler { type: "xavier" }"#, ""), &[]),
        // Predictions with space, one label per picture.
        (with(NORM).replace(r#"bottom: "ip" bottom"#, r#"bottom: "c" bottom"#), &["label-shape@6"]),
        ("net: \"n\" base_lr: 1\nlr_policy: \"step\"\nmax_iter: 9".to_owned(), &["step-without-size@2"]),
        ("net: \"n\" base_lr: 1\nlr_policy: \"multistep\"".to_owned(), &["step-without-size@2"]),
        ("net: \"n\" base_lr: 1\nlr_policy: \"step\" stepsize: 5".to_owned(), &[]),
    ];
    let mut failures = Vec::new();
    for (text, wanted) in table {
        let got = names(&text);
        if got != wanted {
            failures.push(format!("wanted {wanted:?}, found {got:?} in\n{text}"));
        }
    }
    none(failures);
}

#[test]
fn statistics_never_gathered_are_found_in_the_weights() {
    let text = r#"
        layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 } } }
        layer { name: "n" type: "BatchNorm" bottom: "x" top: "n" }
        layer { name: "s" type: "Scale" bottom: "n" top: "n" }"#;
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let file = folder.path().join("net.caffemodel");
    let source = Source::new("net.prototxt", text);
    let def = NetDef::from_text(&source).unwrap_or_else(|e| panic!("{e}"));
    let mut net = Net::build(def, &NetOptions::new(Phase::Test)).unwrap_or_else(|e| panic!("{e}"));
    for (factor, wanted) in [(0.0, 1), (2.0, 0)] {
        let id = net.store.of_layer("n", 2).unwrap_or_default();
        net.store.data_mut(id)[0] = factor;
        net.save(&file).unwrap_or_else(|e| panic!("{e}"));
        let subject = Subject::of_text(&source).unwrap_or_default();
        let subject = subject.with_weights(Model::open(&file).unwrap_or_else(|e| panic!("{e}")));
        let found = lint(&subject);
        let hits = found.iter().filter(|f| f.rule.name == "bn-factor-zero").count();
        assert_eq!(hits, wanted, "factor {factor}");
    }
}

#[test]
fn fixes_leave_the_rest_as_it_is_written() {
    let text = r#"# my net
layer { name: "d" type: "Input" top: "x"   # in
  input_param { shape { dim: 1 dim: 2 } } }

layer {
  name: "n"
  type: "BatchNorm"   # normalises
  bottom: "x"  top: "n"
  param { lr_mult: 1 }  # oh
  param { decay_mult: 0 }
  batch_norm_param {
    use_global_stats: false
    eps: 0.001  # small
  }
}
layer { name: "s" type: "Scale" bottom: "n" top: "n" }
"#;
    let source = Source::new("net.prototxt", text);
    let subject = Subject::of_text(&source).unwrap_or_default();
    let new = fixed(&source, &lint(&subject)).unwrap_or_default();
    let wanted = text
        .replace("    use_global_stats: false\n", "")
        .replace("lr_mult: 1", "lr_mult: 0")
        .replace("{ decay_mult: 0 }", "{ decay_mult: 0 lr_mult: 0 }");
    assert_eq!(new, wanted);
    assert_eq!(names(&new), Vec::<String>::new());
}

#[test]
fn a_missing_filler_is_put_where_it_belongs() {
    let text = training(
        "layer {\n  name: \"c\"\n  type: \"Convolution\"\n  bottom: \"data\"\n  top: \"c\"\n  convolution_param {\n    num_output: 4\n    kernel_size: 3\n  }\n}\nlayer { name: \"r\" type: \"ReLU\" bottom: \"c\" top: \"c\" }",
        "c",
    );
    let source = Source::new("net.prototxt", text.clone());
    let subject = Subject::of_text(&source).unwrap_or_default();
    let new = fixed(&source, &lint(&subject)).unwrap_or_default();
    let wanted = text
        .replace("kernel_size: 3\n", "kernel_size: 3\n    weight_filler { type: \"xavier\" }\n");
    assert_eq!(new, wanted);
    assert_eq!(names(&new), Vec::<String>::new());
}

#[test]
fn our_own_deploy_nets_are_clean() {
    for net in ["lenet", "mnist_mlp_bn", "resnet20_cifar", "resnet50", "resnet101", "resnet152"] {
        let file = Path::new(ROOT).join("models").join(net).join("deploy.prototxt");
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{net}: {e}"));
        assert_eq!(names(&text), Vec::<String>::new(), "{net}");
    }
}

#[test]
fn rules_are_told_with_reason_and_cure() {
    let output = stdout(&cortado(&["lint", "--rules"]));
    for rule in RULES {
        assert!(output.contains(rule.name) && output.contains(rule.why), "{output}");
        assert!(!rule.cure.is_empty() && !rule.why.ends_with('.'), "{}", rule.name);
    }
}

#[test]
fn the_exit_code_counts_warnings_and_files_are_fixed() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let file = folder.path().join("net.prototxt");
    let text = r#"layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 } } }
layer { name: "n" type: "BatchNorm" bottom: "x" top: "x" batch_norm_param { use_global_stats: false } }
layer { name: "s" type: "Scale" bottom: "x" top: "x" }
"#;
    std::fs::write(&file, text).unwrap_or_else(|e| panic!("{e}"));
    let path = file.to_string_lossy();
    let output = cortado(&["lint", &path]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let told = stdout(&output);
    assert!(
        told.contains("net.prototxt:2:77: warning: `n` normalises by the batch in TEST"),
        "{told}"
    );
    let output = cortado(&["lint", &path, "--fix", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    assert_eq!(told[0]["fixed"], true, "{told}");
    let now = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(now, text.replace(" use_global_stats: false ", "  "));
    assert_eq!(cortado(&["lint", &path]).status.code(), Some(0));
    assert_eq!(cortado(&["lint", "models/nothing.prototxt"]).status.code(), Some(1));
}

#[test]
fn a_file_that_does_not_load_keeps_no_finding_of_the_others_back() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let files =
        [("a.prototxt", "layer {"), ("b.prototxt", "base_lr: 1 lr_policy: \"step\" net: \"n\"")];
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap_or_else(|e| panic!("{e}"));
    }
    let output = cortado_in(folder.path(), &["lint", "a.prototxt", "none.prototxt", "b.prototxt"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("[step-without-size]"), "{}", stdout(&output));
    let told = stderr(&output);
    assert!(told.contains("a.prototxt") && told.contains("none.prototxt"), "{told}");
}
