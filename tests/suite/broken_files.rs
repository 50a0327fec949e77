//! Damaged weight files and snapshots, and data that does not suffice: an error, never a panic, and
//! nothing changes.

use cortado::net::{Net, NetOptions};
use cortado_layers::Phase;
use proptest::prelude::*;

use crate::support::{cortado, net, solver, stderr, try_net};

const NET: &str = r#"
    layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 } } }
    layer { name: "fc" type: "InnerProduct" bottom: "x" top: "y"
      inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
    layer { name: "bn" type: "BatchNorm" bottom: "y" top: "y" }"#;

fn weights(net: &Net) -> Vec<Vec<f32>> {
    (0..net.store.params().len()).map(|id| net.store.data(id).to_vec()).collect()
}

/// A good file's bytes, and a net that has other weights.
fn good() -> (tempfile::TempDir, Vec<u8>, Net) {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let file = folder.path().join("good.caffemodel");
    net(NET, Phase::Test).save(&file).unwrap_or_else(|e| panic!("{e}"));
    let bytes = std::fs::read(&file).unwrap_or_else(|e| panic!("{e}"));
    let mut other = net(NET, Phase::Test);
    let id = other.store.of_layer("fc", 0).unwrap_or_default();
    other.store.data_mut(id).fill(7.0);
    (folder, bytes, other)
}

#[test]
fn a_weight_file_cut_at_any_length_is_refused_or_whole_layers() {
    let (folder, bytes, mut other) = good();
    let file = folder.path().join("cut.caffemodel");
    let before = weights(&other);
    for length in 0..bytes.len() {
        std::fs::write(&file, &bytes[..length]).unwrap_or_else(|e| panic!("{e}"));
        match other.copy_from(&file) {
            Err(error) => {
                assert!(!error.to_string().is_empty());
                assert_eq!(weights(&other), before, "cut at {length}");
            }
            // Cut between two layers, the file is a good file of fewer layers.
            Ok(report) => {
                assert!(report.copied.len() < 2, "cut at {length}: {report}");
                other.store.data_mut(0).fill(7.0);
            }
        }
    }
}

#[test]
fn a_state_cut_at_any_length_is_refused() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let prefix = folder.path().join("run");
    let text = format!(
        "net_param {{ layer {{ name: \"d\" type: \"DummyData\" top: \"x\" dummy_data_param {{ shape {{ dim: 1 dim: 2 }} }} }}
           layer {{ name: \"fc\" type: \"InnerProduct\" bottom: \"x\" top: \"y\" loss_weight: 1
             inner_product_param {{ num_output: 1 }} }} }} base_lr: 0.5 lr_policy: \"fixed\" max_iter: 2 snapshot_prefix: {prefix:?}"
    );
    solver(&text, 1).solve(&mut ()).unwrap_or_else(|e| panic!("{e}"));
    let state = folder.path().join("run_iter_2.solverstate");
    let bytes = std::fs::read(&state).unwrap_or_else(|e| panic!("{e}"));
    let cut = folder.path().join("cut.solverstate");
    // Cut among the last fields, which the original does not write, it is a file of the original's.
    for length in 0..bytes.len() {
        std::fs::write(&cut, &bytes[..length]).unwrap_or_else(|e| panic!("{e}"));
        let mut solver = solver(&text, 1);
        match solver.restore(&cut) {
            Err(error) => assert!(!error.to_string().is_empty()),
            Ok(_) => assert_eq!(solver.iter(), 2, "cut at {length}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_no_weights(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
        let file = folder.path().join("random.caffemodel");
        std::fs::write(&file, &bytes).unwrap_or_else(|e| panic!("{e}"));
        let mut net = net(NET, Phase::Test);
        let before = weights(&net);
        let copied = net.copy_from(&file).is_ok_and(|report| !report.copied.is_empty());
        prop_assert!(!copied);
        prop_assert_eq!(weights(&net), before);
    }

    #[test]
    fn a_changed_byte_never_panics(at in 0usize..10_000, byte in any::<u8>()) {
        let (folder, mut bytes, mut other) = good();
        let at = at % bytes.len();
        bytes[at] = byte;
        let file = folder.path().join("changed.caffemodel");
        std::fs::write(&file, &bytes).unwrap_or_else(|e| panic!("{e}"));
        let _ = other.copy_from(&file);
        other.forward().unwrap_or_else(|e| panic!("{e}"));
    }
}

#[test]
fn a_batch_larger_than_the_data_set_is_refused() {
    let text = r#"
        layer { name: "d" type: "Data" top: "x" top: "l" data_param { backend: IDX batch_size: 10007
          source: "models/lenet/data/t10k-images-idx3-ubyte.gz"
          label_source: "models/lenet/data/t10k-labels-idx1-ubyte.gz" } }"#;
    let told = try_net(text, &NetOptions::new(Phase::Test)).err().unwrap_or_default();
    assert!(told.contains("a batch of 10007 items is larger than the data set"), "{told}");
    assert!(told.contains("holds 10000") && told.contains("net.prototxt:2:"), "{told}");
}

#[test]
fn a_wrong_kind_of_file_is_named() {
    let told = stderr(&cortado(&[
        "test",
        "--model",
        "models/lenet/train_test.prototxt",
        "--weights",
        "models/lenet/solver.prototxt",
    ]));
    assert!(
        told.contains("this looks like a definition; weights are in a `.caffemodel`"),
        "{told}"
    );
}
