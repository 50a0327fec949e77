//! `cortado check` of what is no text, and what it says once.

use cortado_layers::Phase;

use crate::support::{cortado_in, folder_of, net, none, stderr, stdout, told};

const NET: &str = r#"
    layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
    layer { name: "in/fc" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 4 } }"#;

const READS: &str = r#"
    layer { name: "d" type: "Data" top: "x" data_param { source: "nowhere" batch_size: 2 } }
    layer { name: "fc" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 4 } }"#;

#[cfg(feature = "hdf5")]
#[test]
fn hdf5_files_are_told_as_binary_ones_are() {
    let solver = "net: 'net.prototxt' base_lr: 0.1 lr_policy: 'fixed' max_iter: 2 type: 'SGD' momentum: 0.9 \
                  snapshot_prefix: 'run' snapshot_after_train: true snapshot_format: HDF5";
    let loss =
        r#"layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "loss" }"#;
    let made_up = "DummyData\" top: \"t\" top: \"x\" dummy_data_param { shape { dim: 2 dim: 4 }";
    let text = NET.replace("Input\" top: \"x\" input_param {", made_up) + loss;
    let folder =
        folder_of(&[("net.prototxt", text.as_bytes()), ("solver.prototxt", solver.as_bytes())]);
    let trained = told(folder.path(), &["train", "--solver", "solver.prototxt"]);
    assert!(trained.starts_with("Some(0)"), "{trained}");
    let weights = "run_iter_2.caffemodel.h5";
    let json = cortado_in(folder.path(), &["check", "--json", weights]);
    let parsed: serde_json::Value =
        serde_json::from_slice(&json.stdout).unwrap_or_else(|e| panic!("{e}: {}", stderr(&json)));
    assert_eq!((&parsed[0]["kind"], &parsed[0]["verdict"]), (&"weights".into(), &"ok".into()));
    let layers = parsed[0]["phases"]["WEIGHTS"].as_array().cloned().unwrap_or_default();
    let layer = layers.iter().find(|layer| layer["name"] == "in/fc").cloned().unwrap_or_default();
    assert_eq!(layer["params"], serde_json::json!([[4, 3], [4]]), "{parsed}");
    let state = told(folder.path(), &["check", "run_iter_2.solverstate.h5"]);
    let wanted = "iteration 2; its weights are in `run_iter_2.caffemodel.h5`";
    assert!(state.starts_with("Some(0) ok") && state.contains(wanted), "{state}");

    let half = std::fs::read(folder.path().join(weights)).unwrap_or_default();
    std::fs::write(folder.path().join("half.h5"), &half[..half.len() / 2])
        .unwrap_or_else(|e| panic!("{e}"));
    let cut = told(folder.path(), &["check", "half.h5"]);
    assert!(cut.starts_with("Some(1)") && cut.contains("is cut off"), "{cut}");
    let data = cortado::hdf5::Content::Numbers(vec![1, 2]);
    cortado::hdf5::write(&folder.path().join("data.h5"), &[("label".to_owned(), data)])
        .unwrap_or_else(|e| panic!("{e}"));
    let other = told(folder.path(), &["check", "data.h5"]);
    assert!(other.contains("neither weights nor the state of a training"), "{other}");
}

#[test]
fn mean_files_are_told_with_their_shape() {
    // Shape 1x2x1x1 and two values.
    let mean = [0x3a, 6, 0x0a, 4, 1, 2, 1, 1, 0x2a, 8, 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40];
    let folder = folder_of(&[("mean.binaryproto", &mean), ("half.binaryproto", &mean[..12])]);
    let whole = told(folder.path(), &["check", "mean.binaryproto"]);
    assert!(whole.starts_with("Some(0) ok        mean.binaryproto"), "{whole}");
    assert!(whole.contains("its shape is 1x2x1x1"), "{whole}");
    let half = told(folder.path(), &["check", "half.binaryproto"]);
    assert!(half.starts_with("Some(1) refused   half.binaryproto"), "{half}");
}

#[test]
fn a_shape_that_no_layer_needs_is_refused_with_a_blobs_name_and_without() {
    let files: [(&str, &[u8]); 3] = [
        ("net.prototxt", NET.as_bytes()),
        ("reads.prototxt", READS.as_bytes()),
        ("bad.prototxt", b"layer {"),
    ];
    let folder = folder_of(&files);
    let refused = "no layer reads data";
    let table: [(&[&str], &str); 6] = [
        (&["check", "--assume-shape", "4x1", "net.prototxt"], refused),
        (&["check", "--assume-shape", "x=4x1", "net.prototxt"], refused),
        (&["summary", "--assume-shape", "4x1", "net.prototxt"], refused),
        (&["check", "--assume-shape", "4x1", "reads.prototxt"], "Some(0)"),
        (&["check", "--assume-shape", "4x1", "net.prototxt", "reads.prototxt"], "Some(0)"),
        // What is wrong with the file comes first.
        (&["check", "--assume-shape", "4x1", "bad.prototxt"], "bad.prototxt:1:"),
    ];
    let failures = table.iter().filter_map(|(arguments, wanted)| {
        let told = told(folder.path(), arguments);
        (!told.contains(wanted)).then(|| format!("{arguments:?}: wanted {wanted}\n{told}"))
    });
    none(failures.collect());
}

#[test]
fn the_only_cause_is_told_once() {
    let folder = folder_of(&[("empty.prototxt", b""), ("bad.prototxt", b"layer { name: }\n")]);
    for file in ["empty.prototxt", "bad.prototxt", "none.prototxt"] {
        let told = told(folder.path(), &["check", file]);
        assert!(told.starts_with(&format!("Some(1) refused   {file}\n\nerror: ")), "{told}");
    }
    let summary = told(folder.path(), &["check", "."]);
    assert!(
        summary.contains("refused   ./empty.prototxt: the file holds no layers\n"),
        "{summary}"
    );
}

#[test]
fn weights_hold_what_the_net_has() {
    let folder = folder_of(&[]);
    let file = folder.path().join("net.caffemodel");
    net(NET, Phase::Test).save(&file).unwrap_or_else(|e| panic!("{e}"));
    let json = stdout(&cortado_in(folder.path(), &["check", "--json", "net.caffemodel"]));
    assert!(json.contains(r#""name":"in/fc","type":"InnerProduct""#), "{json}");
    assert!(json.contains(r#""params":[[4,3],[4]]"#), "{json}");
}
