//! Deploy nets of training nets, and back: what is written loads, or is not written.

use std::path::Path;

use crate::support::{cortado_in, none, stderr, stdout};

const NET: &str = r#"
    layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 2 } }
    layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }"#;

fn data(rule: &str) -> String {
    format!(
        r#"layer {{ name: "data" type: "Data" top: "data" top: "label" {rule}
             data_param {{ source: "x" batch_size: 4 backend: LMDB }}
             transform_param {{ crop_size: 8 }} }}"#
    )
}

/// What `deploy` makes of a net: its exit code, what it says, what it writes.
fn deployed(folder: &Path, net: &str, more: &[&str]) -> (Option<i32>, String, String) {
    std::fs::write(folder.join("net.prototxt"), net).unwrap_or_else(|e| panic!("{e}"));
    let output = cortado_in(folder, &[&["deploy", "net.prototxt"], more].concat());
    (output.status.code(), stderr(&output), stdout(&output))
}

#[test]
fn every_deploy_net_loads() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let prob = r#"layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }"#;
    let staged = format!(
        "{} {}",
        data(r#"include { phase: TEST stage: "a" }"#),
        data(r#"include { phase: TEST stage: "b" }"#)
    );
    let made_up = r#"layer { name: "data" type: "DummyData" top: "data" top: "label" include { phase: TRAIN }
        dummy_data_param { shape { dim: 2 dim: 3 dim: 8 dim: 8 } shape { dim: 2 } } }"#;
    let train = NET.replace("bottom: \"data\"", "include { phase: TRAIN } bottom: \"data\"");
    let reshaped = NET.replace("bottom: \"data\"", "bottom: \"r\"");
    let batched = format!(
        r#"{} layer {{ name: "r" type: "Reshape" bottom: "data" top: "r"
             reshape_param {{ shape {{ dim: 4 dim: 192 }} }} }} {reshaped}"#,
        data("")
    );
    let own_phase = NET.replace("name: \"ip\"", "name: \"ip\" phase: TRAIN");
    let table: [(&str, String, &[&str], &str); 8] = [
        ("a Softmax that is there", format!("{}{NET}{prob}", data("")), &[], "dropped: "),
        ("a stage", format!("{staged}{NET}"), &["--stage", "b"], "dropped: data, loss"),
        ("data of two stages", format!("{staged}{NET}").replace("stage", "not_stage"), &[], ""),
        ("made-up data", format!("{made_up}{NET}"), &[], "dropped: data, loss"),
        ("layers that train", format!("{}{train}", data("include { phase: TRAIN }")), &[], "TRAIN"),
        ("a batch in a reshape", batched, &[], "dropped: data, loss"),
        ("a layer's own phase", format!("{}{own_phase}", data("")), &[], "dropped: data, loss"),
        ("a deploy net", deploy_net(), &[], "nothing was dropped"),
    ];
    let mut failures = Vec::new();
    for (what, net, more, wanted) in table {
        let (code, told, text) = deployed(folder.path(), &net, more);
        std::fs::write(folder.path().join("made.prototxt"), &text)
            .unwrap_or_else(|e| panic!("{e}"));
        let loads = cortado_in(folder.path(), &["summary", "made.prototxt"]);
        let (inputs, heads) =
            (text.matches("\"Input\"").count(), text.matches("\"Softmax\"").count());
        if code != Some(0)
            || !loads.status.success()
            || !told.contains(wanted)
            || (inputs, heads) != (1, 1)
            || text.contains("phase")
        {
            failures.push(format!("{what}: {told}\n{text}\n{}", stderr(&loads)));
        }
    }
    none(failures);
}

fn deploy_net() -> String {
    r#"layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }
       layer { name: "c" type: "Convolution" bottom: "data" top: "c" convolution_param { num_output: 2 kernel_size: 3 } }
       layer { name: "prob" type: "Softmax" bottom: "c" top: "prob" }"#
        .to_owned()
}

#[test]
fn a_deploy_net_that_would_not_load_is_not_written() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let staged = format!("{}{NET}", data(r#"include { stage: "a" }"#));
    let (code, told, _) = deployed(folder.path(), &staged, &["-o", "made.prototxt"]);
    assert_eq!(code, Some(1), "{told}");
    for part in ["bottom `data` is made by no layer", "nothing is written", "`--stage a`"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!folder.path().join("made.prototxt").exists());
    let (code, told, _) =
        deployed(folder.path(), &format!("{}{NET}", data("")), &["-o", "no/made"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("there is no folder `no`"), "{told}");
    let wrong = ["--assume-shape", "foo=1x3x8x8"];
    let (code, told, _) = deployed(folder.path(), &format!("{}{NET}", data("")), &wrong);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("there is no such blob") && told.contains("data, label"), "{told}");
}

#[test]
fn what_the_data_layer_does_to_values_is_told_with_the_flags_of_classify() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let table = [
        ("scale: 0.5", "`cortado classify --scale 0.5`"),
        ("mean_value: 104 mean_value: 117", "`cortado classify --mean 104,117`"),
        (
            "mean_file: \"m.binaryproto\" scale: 2",
            "`cortado classify --mean m.binaryproto --scale 2`",
        ),
    ];
    for (transform, wanted) in table {
        let net = format!("{}{NET}", data(""))
            .replace("crop_size: 8", &format!("crop_size: 8 {transform}"));
        let (code, told, _) = deployed(folder.path(), &net, &[]);
        assert!(code == Some(0) && told.contains(wanted), "{wanted}: {told}");
    }
}

/// Nets, what is told of what is made of them, and the shapes with which it is checked.
#[test]
fn every_training_net_that_comes_back_builds() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let two_inputs = r#"
        layer { name: "in" type: "Input" top: "data" top: "more" input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } shape { dim: 64 dim: 2 } } }
        layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 2 } }
        layer { name: "c" type: "InnerProduct" bottom: "more" top: "c" inner_product_param { num_output: 2 } }
        layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }"#;
    let grey = r#"
        layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 1 dim: 6 dim: 8 } } }
        layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 2 } }
        layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }"#;
    let table: [(&str, String, &[&str], &[&str]); 4] = [
        (
            "scores of pixels",
            deploy_net(),
            &["data=64x3x8x8", "label=64x1x6x6"],
            &["train_label_lmdb"],
        ),
        ("two inputs", two_inputs.to_owned(), &[], &["`more` stays an Input"]),
        ("not square", grey.to_owned(), &["data=64x1x6x8"], &["`data` 1x6x8"]),
        (
            "many answers",
            grey.replace("Softmax", "Sigmoid"),
            &["data=64x1x6x8", "label=64x2"],
            &["`label` 2", "SigmoidCrossEntropyLoss"],
        ),
    ];
    let mut failures = Vec::new();
    for (what, net, shapes, wanted) in table {
        let (code, mut told, _) = deployed(folder.path(), &net, &["--reverse", "-o", "t.prototxt"]);
        let text = std::fs::read_to_string(folder.path().join("t.prototxt")).unwrap_or_default();
        let mut check = vec!["check", "--phase", "TRAIN", "t.prototxt"];
        shapes.iter().for_each(|shape| check.extend(["--assume-shape", shape]));
        let checked = cortado_in(folder.path(), &check);
        told += &text;
        let mirrored = text.contains("mirror: true") != (what == "two inputs");
        if code != Some(0)
            || !checked.status.success()
            || mirrored
            || !wanted.iter().all(|part| told.contains(part))
        {
            failures.push(format!("{what}: {told}\n{}", stdout(&checked)));
        }
    }
    none(failures);
}

#[test]
fn a_net_is_not_overwritten_with_what_is_made_of_it() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    std::os::unix::fs::symlink("net.prototxt", folder.path().join("link.prototxt"))
        .unwrap_or_else(|e| panic!("{e}"));
    let train = format!("{}{NET}", data(""));
    let mut failures = Vec::new();
    for to in ["net.prototxt", "./net.prototxt", "link.prototxt"] {
        for (net, way) in [(train.clone(), &[][..]), (deploy_net(), &["--reverse"][..])] {
            let (code, told, _) = deployed(folder.path(), &net, &[way, &["-o", to]].concat());
            let kept = std::fs::read_to_string(folder.path().join("net.prototxt"));
            let is_refused = told.contains("it is read by this command; name another file");
            if code != Some(1) || !is_refused || kept.unwrap_or_default() != net {
                failures.push(format!("{to} {way:?}: {told}"));
            }
        }
    }
    none(failures);
}

#[test]
fn blocks_of_forks_stay_with_the_layers_that_are_replaced() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let own = "cpm_transform_param { stride: 8 }";
    let net =
        format!("{}{}", data(own), NET.replace("top: \"loss\"", &format!("top: \"l\" {own}")));
    let (code, told, text) = deployed(folder.path(), &net, &[]);
    assert!(code == Some(0) && !text.contains("cpm_"), "{told}\n{text}");
}

#[test]
fn what_the_schema_does_not_know_stays_in_layers_that_are_kept() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let fork = r#"layer { name: "w" type: "Warp" bottom: "data" top: "w" include { phase: TEST }
        warp_param { angle: 3 } pooling_param { own_pad: 2 } }"#;
    let net = format!("{}{fork}{}", data(""), NET.replace("bottom: \"data\"", "bottom: \"w\""));
    let (code, told, text) = deployed(folder.path(), &net, &["--assume-shape", "1x3x8x8"]);
    assert_eq!(code, Some(0), "{told}");
    let wanted = "  pooling_param {\n    own_pad: 2\n  }\n  warp_param { angle: 3 }\n}\n";
    assert!(text.contains(wanted), "{told}\n{text}");
}

#[test]
fn a_net_that_goes_into_no_file_is_a_field_of_the_json() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let train = format!("{}{NET}", data(""));
    for (net, way) in [(train, &[][..]), (deploy_net(), &["--reverse"][..])] {
        let (_, _, text) = deployed(folder.path(), &net, way);
        let (code, told, json) = deployed(folder.path(), &net, &[way, &["--json"]].concat());
        let json: serde_json::Value = serde_json::from_str(&json).unwrap_or_default();
        assert!(code == Some(0) && json["path"].is_null(), "{told}{json}");
        assert_eq!(json["net"].as_str().map(str::trim_end), Some(text.trim_end()));
        let more = [way, &["--json", "-o", "made.prototxt"]].concat();
        let json: serde_json::Value =
            serde_json::from_str(&deployed(folder.path(), &net, &more).2).unwrap_or_default();
        assert!(json["path"] == "made.prototxt" && json.get("net").is_none(), "{json}");
    }
}
