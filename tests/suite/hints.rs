//! What a command says when it was given something else than it wants.

use std::path::Path;

use cortado::batch_norm::{Given, Trained};

use crate::support::{ROOT, cortado, cortado_in, none, stderr, stdout, told};

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap_or_else(|e| panic!("{e}"));
    }
    folder
}

const NET: &str = r#"
    layer { name: "d" type: "DummyData" top: "x" top: "t" dummy_data_param { shape { dim: 2 dim: 3 } shape { dim: 2 } } }
    layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 4 } }
    layer { name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "t" top: "loss" }"#;

const SOLVER: &str = "net: 'net.prototxt' base_lr: 0.1 lr_policy: 'fixed' max_iter: 1 random_seed: 1 \
    snapshot_prefix: 'run' snapshot_after_train: true";

/// Reads data in TRAIN only, from where there is none.
const TRAINS: &str = r#"
    layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TRAIN }
      data_param { source: "nowhere" batch_size: 4 } transform_param { crop_size: 8 mean_file: "no.binaryproto" } }
    layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 2 } }
    layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }"#;

#[test]
fn weights_of_something_else_are_refused() {
    let other = NET.replace("\"ip\"", "\"fc\"");
    let folder =
        folder(&[("net.prototxt", NET), ("other.prototxt", &other), ("solver.prototxt", SOLVER)]);
    let trained = told(folder.path(), &["train", "--solver", "solver.prototxt"]);
    assert!(trained.starts_with("Some(0)"), "{trained}");
    let (weights, state) = ("run_iter_1.caffemodel", "run_iter_1.solverstate");
    let table: [(&[&str], &[&str]); 5] = [
        (
            &["test", "--model", "net.prototxt", "--iterations", "1", "--weights", state],
            &[
                "Some(1)",
                "its weights are in `run_iter_1.caffemodel`",
                "--snapshot run_iter_1.solverstate",
            ],
        ),
        (
            &["test", "--model", "other.prototxt", "--iterations", "1", "--weights", weights],
            &["Some(1)", "no layer of the net has its weights", "the file has: ip", "wants: fc"],
        ),
        (
            &["test", "--model", "net.prototxt", "--iterations", "1"],
            &["Some(0)", "warning: without `--weights`"],
        ),
        (
            &["test", "--model", "net.prototxt", "--iterations", "1", "--weights", weights],
            &["Some(0)"],
        ),
        (
            &["check", state],
            &["Some(0)", "iteration 1; its weights are in `run_iter_1.caffemodel`"],
        ),
    ];
    none(missing(folder.path(), &table));
}

/// Commands that do not say what they are to.
fn missing(folder: &Path, table: &[(&[&str], &[&str])]) -> Vec<String> {
    let mut failures = Vec::new();
    for (arguments, wanted) in table {
        let told = told(folder, arguments);
        for part in wanted.iter().filter(|part| !told.contains(**part)) {
            failures.push(format!("{arguments:?}: wanted `{part}`\n{told}"));
        }
    }
    failures
}

#[test]
fn a_solver_is_as_right_as_its_nets() {
    let broken = NET.replace("bottom: \"x\"", "bottom: \"z\"");
    let test_only = NET.replace("name: \"ip\"", "name: \"ip\" include { phase: TRAIN }");
    let tests = format!("{SOLVER} test_iter: 1 test_interval: 1");
    let staged = NET.replace("name: \"ip\"", "name: \"ip\" include { stage: \"go\" }");
    let on = SOLVER.replace("net.prototxt", "staged.prototxt");
    let folder = folder(&[
        ("net.prototxt", NET),
        ("broken.prototxt", &broken),
        ("half.prototxt", &test_only),
        ("staged.prototxt", &staged),
        ("a.prototxt", SOLVER),
        ("b.prototxt", &SOLVER.replace("net.prototxt", "broken.prototxt")),
        ("c.prototxt", &tests.replace("net.prototxt", "half.prototxt")),
        ("d.prototxt", &SOLVER.replace("net.prototxt", "half.prototxt")),
        ("e.prototxt", &SOLVER.replace("net.prototxt", "none.prototxt")),
        ("f.prototxt", &on),
        ("g.prototxt", &format!("{on} train_state {{ stage: 'go' }}")),
        ("h.prototxt", "net: 'net.prototxt' lr_policy: 'exp' momentum: 1 max_iter: 3"),
    ]);
    let broken = "its net is refused: bottom `z` is made by no layer above";
    let table: [(&[&str], &[&str]); 8] = [
        (&["check", "a.prototxt"], &["Some(0)", "ok        a.prototxt (solver)"]),
        (&["check", "b.prototxt"], &["Some(1)", broken, "broken.prototxt:3:"]),
        (&["check", "c.prototxt"], &["Some(1)", "bottom `y` is made by no layer above"]),
        (&["check", "d.prototxt"], &["Some(0)"]),
        (&["check", "e.prototxt"], &["Some(0)", "`none.prototxt` is not there"]),
        (&["check", "f.prototxt"], &["Some(1)"]),
        (&["check", "g.prototxt"], &["Some(0)"]),
        (
            &["check", "h.prototxt"],
            &["3 warnings", "`base_lr`", "without `gamma`", "`momentum` is 1"],
        ),
    ];
    none(missing(folder.path(), &table));
}

#[test]
fn nets_are_shown_without_their_data_and_in_the_phase_that_builds() {
    let folder = folder(&[("net.prototxt", TRAINS), ("solver.prototxt", SOLVER)]);
    let only = "builds in phase TRAIN only";
    let table: [(&[&str], &[&str]); 7] = [
        (&["summary", "net.prototxt"], &["Some(0)", only, "4x3x8x8", "386", "Data"]),
        (&["summary", "--assume-shape", "data=4x1x5x5", "net.prototxt"], &["Some(0)", "4x1x5x5"]),
        (&["summary", "--assume-shape", "foo=4", "net.prototxt"], &["Some(1)", "no such blob"]),
        (&["draw", "net.prototxt", "-o", "net.svg"], &["Some(0)", only]),
        (
            &["draw", "net.prototxt", "--phase", "TEST", "-o", "net.svg"],
            &["in phase TEST the net has mistakes", "`cortado check --phase TEST net.prototxt`"],
        ),
        (
            &["time", "--model", "net.prototxt", "--phase", "TEST"],
            &["Some(1)", only, "`--phase TRAIN`"],
        ),
        (&["summary", "solver.prototxt"], &["Some(1)", "is a solver; its net is `net.prototxt`"]),
    ];
    none(missing(folder.path(), &table));
}

#[test]
fn shapes_that_were_assumed_are_told_where_they_do_not_fit() {
    let net = r#"
        layer { name: "d" type: "Data" top: "x" data_param { source: "a" batch_size: 2 } }
        layer { name: "l" type: "Data" top: "t" data_param { source: "b" batch_size: 2 } }
        layer { name: "f" type: "InnerProduct" bottom: "x" top: "f" inner_product_param { num_output: 3 } }
        layer { name: "e" type: "EuclideanLoss" bottom: "f" bottom: "t" top: "e" }"#;
    let sure = r#"
        layer { name: "d" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
        layer { name: "t" type: "Input" top: "t" input_param { shape { dim: 2 dim: 4 } } }
        layer { name: "e" type: "EuclideanLoss" bottom: "x" bottom: "t" top: "e" }"#;
    let unused = r#"layer { name: "d" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } pooling_param { pool: MAX } }"#;
    let files = [("net.prototxt", net), ("sure.prototxt", sure), ("unused.prototxt", unused)];
    let folder = folder(&files);
    let table: [(&[&str], &[&str]); 4] = [
        (
            &["check", "net.prototxt"],
            &["(Data) → `f`", "`x` 2x3x224x224, `t` 2x3x224x224", "`--assume-shape t=NxCxHxW`"],
        ),
        (&["check", "net.prototxt", "--assume-shape", "t=2x3"], &["Some(0)"]),
        (
            &["check", "net.prototxt", "--assume-shape", "foo=2x3"],
            &[
                "Some(1)",
                "`--assume-shape foo=…`: there is no such blob; layers that read data make t, x",
            ],
        ),
        (
            &["check", "unused.prototxt"],
            &["1 warning", "`d` (Input) does not read its `pooling_param`"],
        ),
    ];
    none(missing(folder.path(), &table));
    let sure = told(folder.path(), &["check", "sure.prototxt"]);
    assert!(sure.starts_with("Some(1)") && !sure.contains("--assume-shape"), "{sure}");
}

#[test]
fn a_folder_that_is_not_there_is_made_or_named() {
    let log = "I1122 19:13:44.828763   512 solver.cpp:1] Iteration 0, loss = 2.3\n\
               I1122 19:13:44.828763   512 solver.cpp:1]     Train net output #0: loss = 2.3\n\
               I1122 19:13:44.828763   512 sgd_solver.cpp:1] Iteration 0, lr = 0.01\n";
    let folder = folder(&[("train.log", log), ("net.prototxt", NET)]);
    let no = "there is no folder `no`; `mkdir -p no`";
    let weights = format!("{ROOT}/tests/golden/solver/sgd_decay_snap/init.caffemodel");
    let table: [(&[&str], &[&str]); 7] = [
        (&["parse-log", "train.log", "tables/"], &["Some(0)", "tables/train.log.train: 1 rows"]),
        (&["draw", "net.prototxt", "-o", "no/net.svg"], &["Some(1)", no]),
        (&["plot", "train.log", "-o", "no/net.svg"], &["Some(1)", no]),
        (&["upgrade-net", "net.prototxt", "no/net.prototxt"], &["Some(1)", no]),
        (&["compute-mean", "db", "no/mean.binaryproto"], &["Some(1)", no]),
        (&["caffemodel", "average", &weights, &weights, "-o", "no/m.caffemodel"], &["Some(1)", no]),
        (&["lint", "tables"], &["Some(1)", "there is no .prototxt file"]),
    ];
    none(missing(folder.path(), &table));
}

#[test]
fn names_of_old_tools_lead_to_their_commands() {
    for (old, new) in [("net_speed_benchmark", "time"), ("draw_net", "draw"), ("test_net", "test")]
    {
        let told = stdout(&cortado(&[old, "--help"]));
        assert!(told.contains(&format!("Usage: cortado {new}")), "{old}: {told}");
    }
}

#[test]
fn a_rate_that_stays_is_drawn_at_its_height_and_all_panels_share_their_iterations() {
    let table = "iter,lr,loss\n0,0.02,2\n10,0.02,1\n20,0.02,\n";
    let folder = folder(&[("t.csv", table)]);
    let output = cortado_in(folder.path(), &["plot", "t.csv", "-o", "t.svg"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let svg = std::fs::read_to_string(folder.path().join("t.svg")).unwrap_or_default();
    assert!(svg.contains(">0.02<") && !svg.contains(">-0.5<"), "{svg}");
    let ends: Vec<&str> = svg.split("class=\"series\" d=\"").skip(1).collect();
    let at = |line: &str| {
        let line = line.split('"').next().unwrap_or_default();
        line.rsplit('L').next().and_then(|p| p.split(' ').next()).map(str::to_owned)
    };
    // Halfway along the axis, and at its end.
    assert_eq!(
        ends.iter().map(|line| at(line)).collect::<Vec<_>>(),
        [Some("500.0".to_owned()), Some("930.0".to_owned())]
    );
}

#[test]
fn fold_tells_blobs_by_the_names_of_the_file() {
    let net = r#"
        layer { name: "d" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 dim: 4 dim: 4 } } }
        layer { name: "c" type: "Convolution" bottom: "x" top: "c" convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
        layer { name: "n" type: "BatchNorm" bottom: "c" top: "n" }
        layer { name: "prob" type: "Softmax" bottom: "n" top: "prob" }
        layer { name: "best" type: "ArgMax" bottom: "n" top: "best" argmax_param { axis: 1 } }"#;
    let folder = folder(&[("net.prototxt", net)]);
    let at = folder.path().join("net.prototxt");
    let (trained, _) = Trained::read(&at, &[], &Given::nothing()).unwrap_or_else(|e| panic!("{e}"));
    let saved = trained.save(&folder.path().join("net.caffemodel"));
    saved.unwrap_or_else(|e| panic!("{e}"));
    for more in [&[][..], &["--json"]] {
        let fold = [&["fold", "net.prototxt", "net.caffemodel"], more].concat();
        let told = told(folder.path(), &fold);
        assert!(told.starts_with("Some(0)") && told.contains("best"), "{told}");
        assert!(!told.contains("_split_"), "{told}");
    }
}
