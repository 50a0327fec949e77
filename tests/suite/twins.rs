//! Whose a parameter is: layers of one name, layers that only a test net has.

use std::path::Path;

use cortado::net::{CopyOptions, Net};
use cortado::solver::Solver;
use cortado::tools::npy::Array;
use cortado::tools::weights;

use crate::support::{net, solver};
use cortado_layers::Phase;

const DATA: &str = r#"layer { name: "d" type: "DummyData" top: "x" top: "y" dummy_data_param {
    shape { dim: 4 dim: 3 } shape { dim: 4 dim: 3 } data_filler { type: "gaussian" std: 1 }
    data_filler { value: 0.5 } } }"#;

const TWINS: &str = r#"
    layer { name: "ip" type: "InnerProduct" bottom: "x" top: "a"
      inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
    layer { name: "s" type: "Sigmoid" bottom: "a" top: "b" }
    layer { name: "ip" type: "InnerProduct" bottom: "b" top: "c"
      inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }"#;

fn text(train: &str, test: &str, more: &str) -> String {
    let loss = r#"layer { name: "l" type: "EuclideanLoss" bottom: "c" bottom: "y" top: "l" }"#;
    format!(
        "train_net_param {{ {DATA} {train} {loss} }} {test} base_lr: 0.1 momentum: 0.9 weight_decay: 0.5 \
         lr_policy: \"fixed\" max_iter: 6 random_seed: 5 snapshot_after_train: false {more}"
    )
}

fn values(net: &Net) -> Vec<Vec<f32>> {
    let ids = net.layers().flat_map(|layer| layer.params().map(|(id, _)| id).collect::<Vec<_>>());
    ids.map(|id| net.store.data(id).to_vec()).collect()
}

fn trained(text: &str) -> Solver {
    let mut solver = solver(text, 1);
    solver.solve(&mut ()).unwrap_or_else(|e| panic!("{e}"));
    solver
}

#[test]
fn layers_of_one_name_have_weights_of_their_own() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let file = folder.path().join("twins.caffemodel");
    let renamed = TWINS.replacen(r#"name: "ip""#, r#"name: "first""#, 1);
    let solver = trained(&text(TWINS, "", ""));
    let found = values(solver.net());
    assert_eq!(found.len(), 4, "two weights and two biases");
    assert_ne!(found[0], found[2]);
    assert_eq!(values(trained(&text(&renamed, "", "")).net()).len(), 4);
    solver.net().save(&file).unwrap_or_else(|e| panic!("{e}"));
    let mut again = net(&format!("{DATA} {TWINS}"), Phase::Test);
    again.copy_from(&file).unwrap_or_else(|e| panic!("{e}"));
    assert!(values(&again) == found, "the file gives each its own");
    let told = again.notes().iter().map(ToString::to_string).collect::<String>();
    assert!(told.contains("another layer is named `ip`"), "{told}");
}

#[test]
fn tools_tell_layers_of_one_name_apart() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let [file, to] = ["twins", "new"].map(|name| folder.path().join(format!("{name}.caffemodel")));
    let saved = net(&format!("{DATA} {TWINS}"), Phase::Test);
    saved.save(&file).unwrap_or_else(|e| panic!("{e}"));
    let read = |path| weights::read(path).unwrap_or_else(|e| panic!("{e}"));
    let blobs = read(&file);
    assert_ne!(blobs[0].data, blobs[2].data);
    assert_eq!(weights::diff(&blobs, &blobs, 0.0), []);
    weights::average(&[&file, &file], &to).unwrap_or_else(|e| panic!("{e}"));
    assert!(read(&to) == blobs, "a file is the mean of itself");

    let names = |layer| {
        let arrays = weights::arrays(blobs.clone(), layer).unwrap_or_else(|e| panic!("{e}"));
        arrays.into_iter().map(|array| array.name).collect::<Vec<_>>()
    };
    assert_eq!(names(None), ["ip/0", "ip/1", "ip#1/0", "ip#1/1"]);
    assert_eq!(names(Some("ip")), names(None));
    assert_eq!(names(Some("ip#1")), ["ip#1/0", "ip#1/1"]);
    let mut odd = blobs.clone();
    odd.iter_mut().take(2).for_each(|blob| blob.layer = "ip#1".to_owned());
    let error = weights::arrays(odd, None).expect_err("another layer has that name").to_string();
    assert_eq!(error, "two arrays would be named `ip#1/0`");

    let values = Array { name: String::new(), shape: vec![3], data: vec![4.0, 5.0, 6.0] };
    weights::replace(&file, "ip#1", 1, &values, &to).unwrap_or_else(|e| panic!("{e}"));
    let told = weights::diff(&blobs, &read(&to), 0.0);
    let told: Vec<&str> = told.iter().map(|difference| difference.name.as_str()).collect();
    assert_eq!(told, ["ip#1/1"]);
}

/// A test net with a layer of its own, and one that names a parameter of the net in training.
const TESTS: &str = r#"test_net_param {
    layer { name: "d" type: "DummyData" top: "x" dummy_data_param { shape { dim: 4 dim: 3 } } }
    layer { name: "ip" type: "InnerProduct" bottom: "x" top: "c" param { name: "w" } param { name: "b" }
      inner_product_param { num_output: 3 } }
    layer { name: "also" type: "InnerProduct" bottom: "x" top: "e" param { name: "w" lr_mult: 0 decay_mult: 0 }
      param { name: "b" lr_mult: 0 } inner_product_param { num_output: 3 } }
    layer { name: "aux" type: "Scale" bottom: "c" top: "f" scale_param { filler { value: 2 } } }
  } test_iter: 1 test_interval: 2"#;

const ONE: &str = r#"layer { name: "ip" type: "InnerProduct" bottom: "x" top: "c" param { name: "w" } param { name: "b" }
    inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }"#;

fn aux(solver: &mut Solver) -> Vec<f32> {
    let found = solver.with_test_net(0, |net| {
        let id = net.store.of_layer("aux", 0).unwrap_or_else(|| panic!("it has no `aux`"));
        net.store.data(id).to_vec()
    });
    found.unwrap_or_default()
}

#[test]
fn what_only_a_test_net_has_is_not_trained_and_changes_no_training() {
    let alone = trained(&text(ONE, "", ""));
    let mut tested = trained(&text(ONE, TESTS, ""));
    assert_eq!(aux(&mut tested), [2.0; 3]);
    let of_ip = |solver: &Solver| {
        let id = solver.net().store.of_layer("ip", 0).unwrap_or_else(|| panic!("it has no `ip`"));
        solver.net().store.data(id).to_vec()
    };
    assert_eq!(of_ip(&alone), of_ip(&tested), "the mults of a test net are its own");
}

#[test]
fn a_state_is_that_of_the_net_in_training_whatever_is_tested() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let text = |prefix: &str, test: &str| {
        let prefix: &Path = &folder.path().join(prefix);
        text(ONE, test, &format!("snapshot: 3 snapshot_prefix: {prefix:?}"))
    };
    let bytes = |prefix: &str| {
        let path = folder.path().join(format!("{prefix}_iter_6.caffemodel"));
        std::fs::read(path).unwrap_or_default()
    };
    trained(&text("with", TESTS));
    trained(&text("without", ""));
    assert!(!bytes("with").is_empty() && bytes("with") == bytes("without"));
    for (from, test) in [("with", ""), ("without", TESTS)] {
        let mut solver = solver(&text("resumed", test), 1);
        let state = folder.path().join(format!("{from}_iter_3.solverstate"));
        solver.restore(&state).unwrap_or_else(|e| panic!("{from}: {e}"));
        solver.solve(&mut ()).unwrap_or_else(|e| panic!("{e}"));
        assert!(bytes("resumed") == bytes("with"), "from {from}");
    }
}

#[test]
fn weights_reach_the_layers_that_only_a_test_net_has() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let file = folder.path().join("all.caffemodel");
    let all = net(
        r#"layer { name: "d" type: "Input" top: "x" input_param { shape { dim: 4 dim: 3 } } }
           layer { name: "aux" type: "Scale" bottom: "x" top: "f" scale_param { filler { value: 7 } } }"#,
        Phase::Test,
    );
    all.save(&file).unwrap_or_else(|e| panic!("{e}"));
    let mut solver = solver(&text(ONE, TESTS, ""), 1);
    let report = solver.copy_with(&file, CopyOptions::default());
    let report = report.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(report.skipped, Vec::<String>::new());
    assert_eq!(aux(&mut solver), [7.0; 3]);
}
