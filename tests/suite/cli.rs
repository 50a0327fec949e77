//! The program as a user runs it.

use std::path::Path;

use crate::support::{ROOT, cortado, cortado_in, none, stderr, stdout};

const COMMANDS: [&str; 6] = ["train", "test", "time", "summary", "classify", "layers"];

#[test]
fn every_command_has_help_with_an_example() {
    let mut failures = Vec::new();
    for command in COMMANDS {
        let output = cortado(&[command, "--help"]);
        let text = stdout(&output);
        if !output.status.success()
            || !text.contains("Example")
            || !text.contains(&format!("cortado {command}"))
        {
            failures.push(format!("{command}: {text}"));
        }
    }
    none(failures);
}

#[test]
fn exit_codes_tell_usage_from_bad_input() {
    let table: [(&[&str], i32); 9] = [
        (&["frobnicate"], 2),
        (&["train"], 2),
        (
            &[
                "train",
                "--solver",
                "models/lenet/solver.prototxt",
                "--snapshot",
                "a",
                "--weights",
                "b",
            ],
            2,
        ),
        (&["summary", "--model", "models/lenet/deploy.prototxt", "--threads", "many"], 2),
        (&["time", "--model", "models/lenet/deploy.prototxt", "--phase", "WORK"], 2),
        (&["summary", "--model", "models/nothing.prototxt"], 1),
        (&["summary", "--model", "models"], 1),
        (&["train", "--solver", "models/lenet/deploy.prototxt"], 1),
        (&["summary", "--model", "models/lenet/deploy.prototxt"], 0),
    ];
    let mut failures = Vec::new();
    for (arguments, wanted) in table {
        let output = cortado(arguments);
        if output.status.code() != Some(wanted) {
            failures.push(format!("{arguments:?}: {:?}\n{}", output.status, stderr(&output)));
        }
        if wanted != 0 && !stderr(&output).contains("error: ") {
            failures.push(format!("{arguments:?} says nothing: {}", stderr(&output)));
        }
    }
    none(failures);
}

#[test]
fn a_missing_file_is_told_with_where_it_was_looked_for() {
    let told = stderr(&cortado(&["summary", "--model", "models/lenet/deplay.prototxt"]));
    let looked = Path::new(ROOT).join("models/lenet/deplay.prototxt");
    assert!(told.contains(&looked.display().to_string()), "{told}");
    assert!(told.contains("similar: `deploy.prototxt`"), "{told}");
}

#[test]
fn summary_knows_the_size_of_resnet_50() {
    let text = stdout(&cortado(&["summary", "--model", "models/resnet50/deploy.prototxt"]));
    assert!(text.contains("25.6 M parameters") && text.contains("3.86 G MACs"), "{text}");
}

#[test]
fn reports_are_also_json() {
    let lenet = "models/lenet/deploy.prototxt";
    let table: [(&[&str], &str); 3] = [
        (&["summary", "--model", lenet, "--json"], "layers"),
        (&["time", "--model", lenet, "--phase", "TEST", "--iterations", "1", "--json"], "layers"),
        (
            &["test", "--model", "models/lenet/train_test.prototxt", "--iterations", "1", "--json"],
            "outputs",
        ),
    ];
    let mut failures = Vec::new();
    for (arguments, key) in table {
        let output = cortado(arguments);
        let parsed: Result<serde_json::Value, _> = serde_json::from_slice(&output.stdout);
        if !parsed.as_ref().is_ok_and(|value| value.get(key).is_some()) {
            failures.push(format!("{arguments:?}: {parsed:?}\n{}", stderr(&output)));
        }
    }
    none(failures);
}

/// A solver of `iters` iterations on a net that needs no data.
fn write_solver(folder: &Path, iters: usize, more: &str) {
    let net = r#"
        layer { name: "d" type: "DummyData" top: "x" top: "t" dummy_data_param {
          shape { dim: 8 dim: 20 } shape { dim: 8 dim: 4 } data_filler { type: "gaussian" } data_filler { type: "gaussian" } } }
        layer { name: "fc" type: "InnerProduct" bottom: "x" top: "y"
          inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
        layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "loss" }"#;
    let solver = format!(
        "net: \"net.prototxt\" base_lr: 0.001 lr_policy: \"fixed\" max_iter: {iters} display: 1 \
         snapshot_prefix: \"run\" random_seed: 1 solver_mode: GPU {more}"
    );
    for (name, text) in [("net.prototxt", net), ("solver.prototxt", solver.as_str())] {
        std::fs::write(folder.join(name), text).unwrap_or_else(|e| panic!("{e}"));
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn caffes_spellings_work_and_gpus_are_noted_once() {
    let folder = folder();
    write_solver(folder.path(), 2, "");
    let output = cortado_in(folder.path(), &["train", "-solver=solver.prototxt", "-gpu", "0,1"]);
    let told = stderr(&output);
    assert!(output.status.success(), "{told}");
    assert_eq!(told.matches("-gpu 0,1 is ignored").count(), 1, "{told}");
    assert_eq!(told.matches("solver_mode: GPU runs on the CPU").count(), 1, "{told}");
    assert!(folder.path().join("run_iter_2.solverstate").is_file());
}

#[test]
fn log_lines_have_the_form_that_scripts_parse() {
    let folder = folder();
    write_solver(folder.path(), 2, "");
    let told = stderr(&cortado_in(folder.path(), &["train", "--solver", "solver.prototxt"]));
    let rate = told.lines().find(|line| line.contains("Iteration 1 (")).unwrap_or_default();
    // I1122 19:13:44.828763   512 cortado.rs:1] Iteration 1 (20 iter/s, 0.05s/1 iters), loss = 2.1
    let head: Vec<&str> = rate.split_whitespace().collect();
    assert!(head.len() > 9 && head[0].len() == 5 && head[0].starts_with('I'), "{told}");
    assert_eq!((head[1].len(), head[3]), (15, "cortado.rs:1]"), "{rate}");
    assert!(rate.contains(" iter/s, ") && rate.contains("s/1 iters), loss = "), "{rate}");
    for part in [
        "Solving ",
        "    Train net output #0: loss = ",
        "Iteration 1, lr = 0.001",
        "Optimization Done.",
    ] {
        assert!(told.contains(part), "{part} is missing in\n{told}");
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_with_a_snapshot_and_a_hangup_writes_one() {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};
    let folder = folder();
    write_solver(folder.path(), 100_000_000, "");
    let mut child = Command::new(env!("CARGO_BIN_EXE_cortado"))
        .current_dir(folder.path())
        .args(["train", "--solver", "solver.prototxt"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|e| panic!("{e}"));
    let states = || {
        let names = std::fs::read_dir(folder.path()).into_iter().flatten().flatten();
        names.filter(|e| e.file_name().to_string_lossy().ends_with(".solverstate")).count()
    };
    let signal = |name: &str| {
        let sent =
            Command::new("sh").args(["-c", &format!("kill -{name} {}", child.id())]).status();
        assert!(sent.is_ok_and(|status| status.success()));
    };
    let wait_for = |count: usize| {
        let start = Instant::now();
        while states() < count && start.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(states(), count);
    };
    std::thread::sleep(Duration::from_millis(300));
    signal("HUP");
    wait_for(1);
    signal("INT");
    let status = child.wait().unwrap_or_else(|e| panic!("{e}"));
    assert!(status.success(), "{status}");
    assert_eq!(states(), 2);
}

#[cfg(unix)]
#[test]
fn a_disk_that_is_full_leaves_the_old_snapshot_and_says_so() {
    let folder = folder();
    write_solver(folder.path(), 2, "");
    assert!(cortado_in(folder.path(), &["train", "--solver", "solver.prototxt"]).status.success());
    let before = std::fs::read(folder.path().join("run_iter_2.caffemodel")).unwrap_or_default();
    // No file may grow: what a full disk does to a writer.
    let program = env!("CARGO_BIN_EXE_cortado");
    let script =
        format!("trap '' XFSZ; ulimit -f 0; exec '{program}' train --solver solver.prototxt");
    let output = std::process::Command::new("sh")
        .current_dir(folder.path())
        .args(["-c", &script])
        .output()
        .unwrap_or_else(|e| panic!("{e}"));
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("run_iter_2.caffemodel"), "{told}");
    let after = std::fs::read(folder.path().join("run_iter_2.caffemodel")).unwrap_or_default();
    assert!(!before.is_empty() && before == after);
    let left: Vec<String> = std::fs::read_dir(folder.path())
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with('.'))
        .collect();
    assert!(left.is_empty(), "{left:?} are left");
}

#[test]
fn the_layer_reference_is_current() {
    let written =
        std::fs::read_to_string(Path::new(ROOT).join("docs/layers.md")).unwrap_or_default();
    let current = stdout(&cortado(&["layers", "--markdown"]));
    assert!(written == current, "run: cargo run --release -- layers --markdown > docs/layers.md");
}

#[test]
fn a_layer_page_is_found_whatever_its_case_and_a_wrong_name_gets_a_hint() {
    let page = stdout(&cortado(&["layers", "batchnorm"]));
    for part in ["## BatchNorm", "`eps`", "0.00001", "Why two layers"] {
        assert!(page.contains(part), "{part} is missing in\n{page}");
    }
    let output = cortado(&["layers", "BatchNrom"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("similar: BatchNorm"), "{}", stderr(&output));
}
