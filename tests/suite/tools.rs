//! The tools as a user runs them, and a training whose data end.

use std::path::Path;

use cortado::tools::weights;
use cortado_layers::Phase;

use crate::support::{ROOT, cortado_in, net, none, stderr, stdout};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap_or_else(|e| panic!("no temporary folder: {e}"))
}

/// The original's names and spellings of its tools, one after the other on the same files.
#[test]
fn the_tools_of_the_original_work_under_their_names() {
    let folder = folder();
    let golden = Path::new(ROOT).join("tests/golden/data");
    let (images, list) = (golden.join("images/"), golden.join("list.txt"));
    let (images, list) = (images.display().to_string(), list.display().to_string());
    let mnist = Path::new(ROOT).join("models/lenet/data").display().to_string();
    std::fs::write(
        folder.path().join("net.prototxt"),
        r#"layer { name: "d" type: "Data" top: "data" top: "label"
             data_param { source: "db" backend: LMDB batch_size: 3 } }
           layer { name: "c" type: "Flatten" bottom: "data" top: "flat" }"#,
    )
    .unwrap_or_else(|e| panic!("{e}"));
    let weights = Path::new(ROOT).join("tests/golden/solver/sgd_decay_snap/init.caffemodel");
    let weights = weights.display().to_string();
    let test_images = format!("{mnist}/t10k-images-idx3-ubyte.gz");
    let test_labels = format!("{mnist}/t10k-labels-idx1-ubyte.gz");
    let table: [(&[&str], i32, &str); 19] = [
        (
            &["convert_imageset", "-gray=false", "--check_size", &images, &list, "db"],
            0,
            "db: 6 pictures",
        ),
        (
            &["convert_imageset", &images, &list, "db"],
            1,
            "error: `db` exists; remove it, or give --overwrite",
        ),
        (
            &["convert-imageset", "--backend=hdf5", &images, &list, "db2"],
            2,
            "`hdf5` is no kind of database; lmdb and leveldb are",
        ),
        (&["convert-imageset", "--gray=maybe", &images, &list, "db2"], 2, "maybe"),
        (
            &["compute_image_mean", "-backend=lmdb", "db", "mean.binaryproto"],
            0,
            "mean_value channel [2]: ",
        ),
        (&["compute-mean", "db", "--json"], 0, "\"records\":6"),
        (
            &["convert_mnist_data", "--backend=leveldb", &test_images, &test_labels, "mnist"],
            0,
            "mnist: 10000 pictures",
        ),
        (
            &[
                "extract_features",
                &weights,
                "net.prototxt",
                "flat,label",
                "f,l",
                "2",
                "leveldb",
                "GPU",
                "0",
            ],
            0,
            "f: 6 rows of `flat`",
        ),
        (
            &["extract_features", &weights, "net.prototxt", "flat", "f,l", "2", "lmdb"],
            2,
            "1 blobs and 2 stores are named; as many are wanted",
        ),
        (&["extract_features", &weights, "net.prototxt", "flat", "g", "0", "lmdb"], 2, "PASSES"),
        (&["device_query", "-gpu", "0"], 0, "Instruction sets:"),
        (&["db", "list", "f", "--limit", "1"], 0, "6 records"),
        (
            &["db", "show", "db", "1", "--output", "one.png"],
            0,
            "record 1 (key `00000001_im1.png`): 3x9x11, label 2",
        ),
        (
            &["db", "show", "f", "1", "--output", "one.png"],
            1,
            "error: record 1 holds floats, no picture",
        ),
        (&["db", "verify", "f"], 0, "f: 6 records, all whole"),
        (&["db", "copy", "f", "f_lmdb", "--json"], 0, "\"records\":6"),
        (&["caffemodel", "list", &weights], 0, "values"),
        (&["caffemodel", "diff", &weights, &weights], 0, "the same"),
        (&["parse_log", "net.prototxt", "."], 1, "is it the log of a training?"),
    ];
    let mut failures = Vec::new();
    for (arguments, code, wanted) in table {
        let output = cortado_in(folder.path(), arguments);
        let told = stdout(&output) + &stderr(&output);
        if output.status.code() != Some(code) || !told.contains(wanted) {
            failures.push(format!("{arguments:?}: {:?}, wanted {wanted}\n{told}", output.status));
        }
    }
    none(failures);
    let picture = std::fs::read(folder.path().join("one.png")).unwrap_or_default();
    assert!(picture.starts_with(b"\x89PNG"));
}

#[test]
fn no_mean_is_taken_of_different_nets_whose_first_blobs_differ_in_values() {
    let folder = folder();
    let save = |name: &str, fill: &str, second: &str| {
        let path = folder.path().join(name);
        let text = format!(
            r#"layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ dim: 1 dim: 3 }} }} }}
               layer {{ name: "a" type: "InnerProduct" bottom: "x" top: "a" inner_product_param {{
                 num_output: 2 bias_term: false weight_filler {{ value: {fill} }} }} }}
               layer {{ name: "{second}" type: "InnerProduct" bottom: "a" top: "b"
                 inner_product_param {{ num_output: 2 }} }}"#
        );
        net(&text, Phase::Test).save(&path).unwrap_or_else(|e| panic!("{e}"));
        path
    };
    let (first, other) = (save("first", "1", "b"), save("other", "nan", "c"));
    let to = folder.path().join("mean");
    let error = weights::average(&[&first, &other], &to).expect_err("another net").to_string();
    assert!(error.ends_with("are of different nets: b/0 is in the first file only"), "{error}");
    assert!(!to.exists());
}

#[test]
fn weights_that_are_read_are_not_written_over_and_each_mistake_names_its_file() {
    let folder = folder();
    let text = r#"
        layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 } } }
        layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 2 } }"#;
    let at = |name: &str| folder.path().join(name);
    net(text, Phase::Test).save(at("w")).unwrap_or_else(|e| panic!("{e}"));
    net(text, Phase::Test).save_hdf5(at("w.h5")).unwrap_or_else(|e| panic!("{e}"));
    let good = std::fs::read(at("w")).unwrap_or_else(|e| panic!("{e}"));
    std::fs::write(at("cut"), &good[..good.len() - 9]).unwrap_or_else(|e| panic!("{e}"));
    std::fs::write(at("s.solverstate"), &good).unwrap_or_else(|e| panic!("{e}"));
    let read = "it is read by this command";
    let table: [(&[&str], &str); 6] = [
        (&["average", "w", "-o", "./w"], read),
        (&["extract", "w", "w"], read),
        (&["replace", "w.h5", "ip", "0", "v.npy", "w.h5"], read),
        (&["average", "w.h5", "-o", "mean"], "`w.h5` is an HDF5 file"),
        (&["diff", "w", "cut"], "`cut`: damaged at byte"),
        (&["list", "s.solverstate"], "is the state of a training"),
    ];
    let mut failures = Vec::new();
    for (arguments, says) in table {
        let output = cortado_in(folder.path(), &[&["caffemodel"], arguments].concat());
        let told = stderr(&output);
        if output.status.code() != Some(1) || !told.contains(says) {
            failures.push(format!("{arguments:?}: {told}"));
        }
    }
    none(failures);
    assert_eq!(std::fs::read(at("w")).unwrap_or_else(|e| panic!("{e}")), good);
}

#[test]
fn features_for_one_file_spelled_in_two_ways_go_into_it_together() {
    let folder = folder();
    let text = r#"
        layer { name: "x" type: "DummyData" top: "x" dummy_data_param { shape { dim: 2 dim: 3 } } }
        layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
          inner_product_param { num_output: 2 } }"#;
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("net.prototxt"), text).unwrap_or_else(|e| panic!("{e}"));
    net(text, Phase::Test).save(at("w")).unwrap_or_else(|e| panic!("{e}"));
    for kind in ["npz", "hdf5"] {
        let stores = format!("f.{kind},./f.{kind}");
        let arguments = ["extract-features", "w", "net.prototxt", "x,y", &stores, "1", kind];
        let output = cortado_in(folder.path(), &arguments);
        assert!(output.status.success(), "{}", stderr(&output));
    }
    let archive = std::fs::read(at("f.npz")).unwrap_or_else(|e| panic!("{e}"));
    for name in [b"x.npy", b"y.npy"] {
        assert!(archive.windows(name.len()).any(|part| part == name), "{name:?}");
    }
    let file = cortado::hdf5::Reader::open(&at("f.hdf5")).unwrap_or_else(|e| panic!("{e}"));
    assert!(file.has("x") && file.has("y"));
}

#[test]
fn a_picture_that_cannot_be_read_ends_a_training_with_a_snapshot() {
    let folder = folder();
    let images = Path::new(ROOT).join("tests/golden/data/images");
    let picture = std::fs::read(images.join("im1.png")).unwrap_or_default();
    for (name, bytes) in [("whole.png", &picture[..]), ("cut.png", &picture[..picture.len() / 2])] {
        std::fs::write(folder.path().join(name), bytes).unwrap_or_else(|e| panic!("{e}"));
    }
    let list = "whole.png 1\n".repeat(7) + "cut.png 0\n";
    std::fs::write(folder.path().join("list.txt"), list).unwrap_or_else(|e| panic!("{e}"));
    let net = r#"
        layer { name: "d" type: "ImageData" top: "x" top: "t"
          image_data_param { source: "list.txt" batch_size: 2 } }
        layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" inner_product_param {
          num_output: 2 weight_filler { type: "gaussian" std: 0.001 } } }
        layer { name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "t" top: "loss" }"#;
    std::fs::write(folder.path().join("net.prototxt"), net).unwrap_or_else(|e| panic!("{e}"));
    let solver = "net: 'net.prototxt' base_lr: 0.00001 lr_policy: 'fixed' max_iter: 10 \
        snapshot_prefix: 'run' random_seed: 1";
    std::fs::write(folder.path().join("solver.prototxt"), solver).unwrap_or_else(|e| panic!("{e}"));
    let output = cortado_in(folder.path(), &["train", "--solver", "solver.prototxt"]);
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("record 7 (key `cut.png`): it is a damaged picture"), "{told}");
    assert!(folder.path().join("run_iter_3.caffemodel").is_file(), "{told}");
    assert!(folder.path().join("run_iter_3.solverstate").is_file(), "{told}");
}

/// As the original's programs do, which open the name they are given.
#[cfg(unix)]
#[test]
fn what_is_written_goes_through_links_and_pipes() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let at = |name: &str| folder.path().join(name);
    let net = "layers { name: \"r\" type: RELU bottom: \"x\" top: \"y\" }\ninput: \"x\"\ninput_dim: 1\n\
               input_dim: 1\ninput_dim: 1\ninput_dim: 1\n";
    for name in ["old.prototxt", "real.prototxt"] {
        std::fs::write(at(name), net).unwrap_or_else(|e| panic!("{e}"));
    }
    std::os::unix::fs::symlink("real.prototxt", at("link")).unwrap_or_else(|e| panic!("{e}"));
    let linked = cortado_in(folder.path(), &["upgrade_net_proto_text", "old.prototxt", "link"]);
    assert!(linked.status.success(), "{}", stderr(&linked));
    assert!(at("link").is_symlink());
    let upgraded = std::fs::read_to_string(at("real.prototxt")).unwrap_or_else(|e| panic!("{e}"));
    assert!(upgraded.contains("type: \"ReLU\""), "{upgraded}");
    // Its output is a pipe.
    let piped = cortado_in(folder.path(), &["upgrade-net", "old.prototxt", "/proc/self/fd/1"]);
    assert!(stdout(&piped).contains(&upgraded), "{}", stderr(&piped));
}
