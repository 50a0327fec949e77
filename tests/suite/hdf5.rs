//! Weights and solver states in HDF5.

use cortado::hdf5::{Content, Reader, write};
use cortado::solver::{Solver, SolverOptions};
use cortado_layers::{Phase, Shape};
use cortado_proto::{SolverDef, Source};

use crate::support::{net, none, solver};

/// Two layers that share a weight, one with a slash in its name.
const NET: &str = r#"
    layer { name: "x" type: "DummyData" top: "x" top: "t"
      dummy_data_param { shape { dim: 2 dim: 3 } data_filler { type: "gaussian" } } }
    layer { name: "in/fc" type: "InnerProduct" bottom: "x" top: "a" param { name: "w" }
      inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
    layer { name: "fc2" type: "InnerProduct" bottom: "a" top: "b" param { name: "w" }
      inner_product_param { num_output: 3 } }
    layer { name: "loss" type: "EuclideanLoss" bottom: "b" bottom: "t" top: "loss" }"#;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn weights_are_written_by_their_owners_and_read_again() {
    let (folder, from) = (folder(), net(NET, Phase::Train));
    let path = folder.path().join("weights.bin");
    from.save_hdf5(&path).unwrap_or_else(|e| panic!("{e}"));
    let reader = Reader::open(&path).unwrap_or_else(|e| panic!("{e}"));
    assert!(reader.has("data/in/fc/0") && reader.has("data/in/fc/1") && reader.has("data/fc2/1"));
    assert!(!reader.has("data/fc2/0"), "it is not the owner");
    assert!(reader.has_group("data/loss"), "layers without parameters are there too");
    let mut to = net(&NET.replace("xavier", "constant"), Phase::Train);
    let report = to.copy_from(&path).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(
        (&report.copied[..], &report.fresh[..]),
        (&["in/fc".into(), "fc2".into()][..], &[][..])
    );
    let weights = |net: &cortado::net::Net| net.store.data(0).to_vec();
    assert_eq!(weights(&to), weights(&from));
}

#[test]
fn weights_that_do_not_fit_change_nothing() {
    let folder = folder();
    let path = folder.path().join("weights.h5");
    let six: Vec<f32> = (0..9).map(|v| v as f32).collect();
    let file = |contents: &[(&str, &[usize])]| {
        let content = |&(name, dims): &(&str, &[usize])| {
            let shape = Shape::new(dims);
            let count = shape.count();
            (name.to_owned(), Content::Floats(shape, &six[..count]))
        };
        let contents: Vec<_> = contents.iter().map(content).collect();
        write(&path, &contents).unwrap_or_else(|e| panic!("{e}"));
        let mut net = net(NET, Phase::Train);
        let before = net.store.data(0).to_vec();
        let result = net.copy_from(&path).map_err(|e| e.to_string());
        if result.is_err() {
            assert_eq!(net.store.data(0), before);
        }
        result
    };
    let wanted = [
        (
            &[("data/in/fc/0", &[3, 2][..]), ("data/in/fc/1", &[3])][..],
            "parameter 0 is 3x3, the file's is 3x2",
        ),
        (&[("data/in/fc/0", &[3, 3])], "parameter 1 of 3 is not in the file"),
        (
            &[("data/fc2/0", &[3, 3]), ("data/fc2/1", &[3]), ("data/fc2/2", &[1])],
            "has 2 parameters, the file's layer has 3",
        ),
        (&[("history/0", &[3])], "holds no weights; it is a solver's state"),
    ];
    for (contents, wanted) in wanted {
        let why = file(contents).expect_err(wanted);
        assert!(why.contains(wanted), "wanted {wanted}\n{why}");
    }
    // Four axes as of old, layers at the root, an unknown layer: all right.
    let legacy: &[(&str, &[usize])] =
        &[("fc2/0", &[1, 1, 3, 3]), ("fc2/1", &[1, 1, 1, 3]), ("other/0", &[2])];
    let report = file(legacy).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(
        (&report.copied[..], &report.skipped[..]),
        (&["fc2".into()][..], &["other".into()][..])
    );
}

#[test]
fn a_run_taken_up_from_hdf5_is_the_same_run() {
    let folder = folder();
    let text = |format: &str| {
        format!(
            "net_param {{ {NET} }} type: \"Adam\" momentum: 0.9 base_lr: 0.01 lr_policy: \"step\" \
             gamma: 0.5 stepsize: 3 max_iter: 8 snapshot: 4 random_seed: 5 snapshot_prefix: {:?} {format}",
            folder.path().join("run").display().to_string()
        )
    };
    let text = text("snapshot_format: HDF5");
    let file = |iter: usize, what: &str| folder.path().join(format!("run_iter_{iter}.{what}.h5"));
    solver(&text, 1).solve(&mut ()).unwrap_or_else(|e| panic!("{e}"));
    let bytes = || ["caffemodel", "solverstate"].map(|what| std::fs::read(file(8, what)).ok());
    let straight = bytes();
    assert!(straight.iter().all(Option::is_some));
    std::fs::remove_file(file(8, "solverstate")).unwrap_or_else(|e| panic!("{e}"));
    let mut resumed = solver(&text.replace("random_seed: 5", "random_seed: 6"), 1);
    resumed.restore(file(4, "solverstate")).unwrap_or_else(|e| panic!("{e}"));
    resumed.solve(&mut ()).unwrap_or_else(|e| panic!("{e}"));
    assert!(bytes() == straight, "weights and state differ");
    let told = |path| solver(&text, 1).restore(path).expect_err("it is no state").to_string();
    // The weights lead to the state beside them.
    let mut beside = solver(&text, 1);
    beside.restore(file(4, "caffemodel")).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(beside.iter(), 4);
    let hidden = folder.path().join("weights");
    std::fs::rename(file(4, "caffemodel"), &hidden).unwrap_or_else(|e| panic!("{e}"));
    let why = told(hidden);
    assert!(why.contains("these are weights, not a solver's state"), "{why}");
}

#[test]
fn names_that_clash_in_hdf5_are_refused_before_training() {
    let layer = |name: &str, bottom: &str, top: &str| {
        format!(
            r#"layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{top}"
            inner_product_param {{ num_output: 2 }} }}"#
        )
    };
    let mut failures = Vec::new();
    for (second, clashes) in [("a/0", true), ("a", true), ("a/b", false), ("a/2", false)] {
        let text = format!(
            r#"train_net_param {{ layer {{ name: "d" type: "DummyData" top: "x" dummy_data_param {{
            shape {{ dim: 1 dim: 2 }} }} }} {} {} }} snapshot_format: HDF5 lr_policy: "fixed" max_iter: 1"#,
            layer("a", "x", "y"),
            layer(second, "y", "z")
        );
        let def = SolverDef::from_text(&Source::new("s", text)).unwrap_or_else(|e| panic!("{e}"));
        let told = Solver::build(def, &SolverOptions::default()).err().map(|e| e.to_string());
        if told.as_ref().is_some_and(|told| told.contains("would stand in them twice")) != clashes {
            failures.push(format!("{second}: {told:?}"));
        }
    }
    none(failures);
}
