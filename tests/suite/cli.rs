//! The program as a user runs it.

use std::path::Path;

use crate::support::{ROOT, cortado, cortado_in, none, stderr, stdout};

const COMMANDS: [&str; 27] = [
    "train",
    "test",
    "time",
    "tune",
    "summary",
    "classify",
    "layers",
    "check",
    "lint",
    "deploy",
    "draw",
    "plot",
    "study",
    "fold",
    "convert-bn",
    "bn-recalibrate",
    "upgrade-net",
    "upgrade-solver",
    "convert-imageset",
    "convert-mnist",
    "convert-cifar",
    "compute-mean",
    "extract-features",
    "device-query",
    "parse-log",
    "db",
    "caffemodel",
];

#[test]
fn every_command_has_help_with_an_example() {
    let mut failures = Vec::new();
    for command in COMMANDS.into_iter().map(|name| vec![name]).chain(parts()) {
        let output = cortado(&[&command[..], &["--help"]].concat());
        let (text, command) = (stdout(&output), command.join(" "));
        if !output.status.success()
            || !text.contains("Example")
            || !text.contains(&format!("cortado {command}"))
        {
            failures.push(format!("{command}: {text}"));
        }
    }
    none(failures);
}

/// The commands that have commands of their own.
const ACTIONS: [(&str, &[&str]); 2] = [
    ("db", &["list", "show", "verify", "copy", "shuffle"]),
    ("caffemodel", &["list", "diff", "extract", "replace", "average"]),
];

fn parts() -> impl Iterator<Item = Vec<&'static str>> {
    ACTIONS.iter().flat_map(|(name, list)| list.iter().map(|&part| vec![*name, part]))
}

#[test]
fn exit_codes_tell_usage_from_bad_input() {
    let table: [(&[&str], i32); 20] = [
        (&["frobnicate"], 2),
        (&["time", "--model", "models/lenet/deploy.prototxt", "--plan", "--phase", "TRAIN"], 2),
        (&["tune", "--model", "models/lenet/train_test.prototxt", "-o", "target/tuned"], 1),
        (&["compute_image_mean", "-backend", "nonsense", "nothing_lmdb"], 2),
        (&["extract_features", "w", "net", "ip1", "store", "1", "lmdb", "nonsense"], 2),
        (&["check"], 2),
        (&["check", "--assume-shape", "3by3", "models"], 2),
        (&["check", "models/nothing.prototxt"], 1),
        (&["check", "models/lenet/solver.prototxt", "models/lenet/deploy.prototxt"], 0),
        (&["deploy", "models/lenet/solver.prototxt"], 1),
        (&["upgrade-net", "models/lenet/deploy.prototxt"], 2),
        (&["upgrade-solver", "models/nothing.prototxt", "out.prototxt"], 1),
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
    let table: [(&[&str], &str); 4] = [
        (&["summary", "--model", lenet, "--json"], "layers"),
        (&["time", "--model", lenet, "--phase", "TEST", "--iterations", "1", "--json"], "layers"),
        (
            &[
                "time",
                "--model",
                "models/lenet/train_test.prototxt",
                "--data",
                "--iterations",
                "1",
                "--json",
            ],
            "waiting_percent",
        ),
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

#[test]
fn every_command_that_reports_can_do_so_as_json() {
    let of = |command: &'static str| ACTIONS.iter().find(|(name, _)| *name == command);
    let whole = COMMANDS.iter().filter(|command| of(command).is_none()).map(|&c| vec![c]);
    let mut failures = Vec::new();
    for command in whole.chain(parts()) {
        let output = cortado(&[&command[..], &["--help"]].concat());
        if !stdout(&output).contains("--json") {
            failures.push(command.join(" "));
        }
    }
    none(failures);
}

#[test]
fn what_was_written_is_told_as_json() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    write_solver(folder.path(), 3, "snapshot_after_train: true");
    let deploy = format!("{ROOT}/models/lenet/deploy.prototxt");
    let train_test = format!("{ROOT}/models/lenet/train_test.prototxt");
    let model = "run_iter_3.caffemodel";
    let table: [(&[&str], &str); 11] = [
        (&["train", "--solver", "solver.prototxt"], "iterations"),
        (&["caffemodel", "extract", model, "w.npz"], "arrays"),
        (&["caffemodel", "average", model, model, "-o", "mean.caffemodel"], "files"),
        (&["upgrade-net", &deploy, "new.prototxt"], "upgraded"),
        (&["upgrade-solver", "solver.prototxt", "new_solver.prototxt"], "upgraded"),
        (&["deploy", &train_test, "-o", "deploy.prototxt"], "dropped"),
        (&["deploy", "--reverse", &deploy, "-o", "train.prototxt"], "made"),
        (&["draw", &deploy, "-o", "net.svg"], "boxes"),
        (&["layers", "BatchNorm"], "page"),
        (&["plot", "table.csv", "-o", "curves.svg"], "curves"),
        (&["parse-log", "train.log"], "tables"),
    ];
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text);
    write("table.csv", "iter,loss\n0,2\n1,1\n").unwrap_or_else(|e| panic!("{e}"));
    let log = "I1122 19:13:44.828763   512 solver.cpp:1] Iteration 0, loss = 2.3\n\
               I1122 19:13:44.828763   512 solver.cpp:1]     Train net output #0: loss = 2.3\n\
               I1122 19:13:44.828763   512 sgd_solver.cpp:1] Iteration 0, lr = 0.01\n";
    write("train.log", log).unwrap_or_else(|e| panic!("{e}"));
    let mut failures = Vec::new();
    for (arguments, key) in table {
        let output = cortado_in(folder.path(), &[arguments, &["--json"]].concat());
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
    let output =
        cortado_in(folder.path(), &["train", "-solver=solver.prototxt", "-v", "1", "-gpu", "0,1"]);
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
    // I1122 19:13:44.828762   512 cortado.rs:1]     160 images/s, 0.0% waiting for data
    // I1122 19:13:44.828763   512 cortado.rs:1] Iteration 1 (20 iter/s, 0.05s/1 iters), loss = 2.1
    let head: Vec<&str> = rate.split_whitespace().collect();
    assert!(head.len() == 13 && head[0].len() == 5 && head[0].starts_with('I'), "{told}");
    assert_eq!((head[1].len(), head[3]), (15, "cortado.rs:1]"), "{rate}");
    assert!(rate.contains(" iter/s, ") && rate.contains("s/1 iters), loss = "), "{rate}");
    let images = told.lines().find(|line| line.contains(" images/s, 0.0% waiting for data"));
    let images: Vec<&str> = images.unwrap_or_default().split_whitespace().collect();
    // The rate in images is that in iterations times the batch of 8.
    let number = |text: &str| text.trim_start_matches('(').parse::<f64>().unwrap_or(f64::NAN);
    assert!((number(images[4]) / (8.0 * number(head[6])) - 1.0).abs() < 1e-4, "{told}");
    assert!(
        told.contains("Iteration 0 (0 iter/s, ") && told.contains("s/1 iters), loss"),
        "{told}"
    );
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
fn values_are_set_in_place_of_the_file() {
    let folder = folder();
    write_solver(folder.path(), 2, "stepvalue: 1 stepvalue: 5");
    let run = |sets: &[&str]| {
        let mut arguments = vec!["train", "--solver", "solver.prototxt"];
        sets.iter().for_each(|set| arguments.extend(["--set", set]));
        let output = cortado_in(folder.path(), &arguments);
        (output.status.code(), stderr(&output))
    };
    let multistep =
        ["base_lr=0.5", "lr_policy=multistep", "gamma=0.5", "stepvalue=2", "max_iter=4"];
    let (code, told) = run(&multistep);
    assert_eq!(code, Some(0), "{told}");
    for wanted in
        ["Iteration 1, lr = 0.5", "Iteration 2, lr = 0.25", "note: `base_lr=0.5` in place of"]
    {
        assert!(told.contains(wanted), "{wanted} is missing in {told}");
    }
    for (set, wanted) in [
        ("base_rl=1", "a solver has no field `base_rl`"),
        ("base_lr", "wants field=value, found `base_lr`"),
        ("base_lr=fast", "base_lr"),
        ("base_rl=1", "similar: `base_lr`"),
    ] {
        let (code, told) = run(&[set]);
        assert!(code == Some(1) && told.contains(wanted), "{set}: {told}");
    }
}

#[test]
fn guards_and_limits_are_arguments() {
    let folder = folder();
    write_solver(folder.path(), 3, "");
    let run = |more: &[&str]| {
        let output =
            cortado_in(folder.path(), &[&["train", "--solver", "solver.prototxt"], more].concat());
        (output.status.code(), stderr(&output))
    };
    let (code, told) = run(&["--set", "base_lr=1e30", "--set", "max_iter=20"]);
    assert!(code == Some(1) && told.contains("training has diverged in iteration"), "{told}");
    let (code, told) =
        run(&["--set", "base_lr=1e30", "--set", "max_iter=20", "--no-guard", "nan,labels"]);
    assert!(code == Some(0), "{told}");
    let (code, told) = run(&["--max-memory", "100"]);
    assert!(code == Some(1) && told.contains("over the limit"), "{told}");
    assert_eq!(run(&["--max-memory", "much"]).0, Some(2));
    assert_eq!(run(&["--max-memory", "1G", "--stall-seconds", "0"]).0, Some(0));
    assert_eq!(run(&["--no-guard", "dog"]).0, Some(2));
}

/// A picture list whose pipe never gives the picture: the data stands still.
#[cfg(unix)]
#[test]
fn data_that_stands_still_is_told() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let folder = folder();
    write_solver(folder.path(), 3, "");
    let net = r#"layer { name: "pictures" type: "ImageData" top: "x" top: "t"
        image_data_param { source: "list" batch_size: 1 new_height: 2 new_width: 2 } }
      layer { name: "fc" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 1 } }
      layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "loss" }"#;
    let picture = Path::new(ROOT).join("tests/golden/data/images/im1.png");
    write(folder.path(), "net.prototxt", net);
    write(folder.path(), "list", "im1.png 0\npipe.png 1\n");
    std::fs::copy(picture, folder.path().join("im1.png")).unwrap_or_else(|e| panic!("{e}"));
    let made = Command::new("mkfifo").arg(folder.path().join("pipe.png")).status();
    assert!(made.is_ok_and(|status| status.success()));
    let mut child = Command::new(env!("CARGO_BIN_EXE_cortado"))
        .current_dir(folder.path())
        .args(["train", "--solver", "solver.prototxt", "--stall-seconds", "0.3"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{e}"));
    let lines = BufReader::new(child.stderr.take().unwrap_or_else(|| panic!("no stderr"))).lines();
    let told: Vec<String> = lines
        .map_while(Result::ok)
        .scan(false, |over, line| {
            let go_on = !*over;
            *over = line.contains("has been at work") || line.contains("rror:");
            go_on.then_some(line)
        })
        .collect();
    child.kill().unwrap_or_else(|e| panic!("{e}"));
    child.wait().unwrap_or_else(|e| panic!("{e}"));
    let last = told.last().cloned().unwrap_or_default();
    assert!(last.contains("layer `pictures` (ImageData) has been at work for"), "{told:#?}");
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

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn check_gives_a_verdict_per_file_and_lists_all_unsupported_types_together() {
    let folder = folder();
    let data = r#"layer { name: "d" type: "Data" top: "data" top: "label"
        data_param { source: "nowhere" batch_size: 4 } transform_param { crop_size: 12 } }"#;
    let good = format!(
        r#"{data} layer {{ name: "f" type: "InnerProduct" bottom: "data" top: "f" inner_product_param {{ num_output: 2 }} }}
        layer {{ name: "l" type: "SoftmaxWithLoss" bottom: "f" bottom: "label" top: "l" }}"#
    );
    let odd = format!("{good} quirk_level: 3");
    let bad = format!(
        r#"{data} layer {{ name: "a" type: "Correlation" bottom: "data" top: "a" }}
        layer {{ name: "b" type: "Frobnicate" bottom: "a" top: "b" }}
        layer {{ name: "c" type: "ReLU" bottom: "dato" top: "c" }}"#
    );
    write(folder.path(), "a.prototxt", &good);
    write(folder.path(), "b.prototxt", &odd);
    write(folder.path(), "c.prototxt", &bad);
    write(folder.path(), "d.prototxt", "net: \"a.prototxt\" lr_policy: \"step\"");
    write(folder.path(), "e.prototxt", "item { name: \"cat\" id: 1 }");
    let output = cortado_in(folder.path(), &["check", "."]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stdout(&output),
        "ok        ./a.prototxt (net)\n\
         warnings  ./b.prototxt (net, 1 warning)\n\
         refused   ./c.prototxt: unsupported layer types: Correlation (1×, from FlowNet2), Frobnicate (1×)\n\
         refused   ./d.prototxt: line 1: lr_policy `step` wants a `stepsize` above 0\n\
         other     ./e.prototxt (neither net nor solver)\n\
         5 files: 1 ok, 1 with warnings, 2 refused, 1 of another kind\n"
    );
    let full = stdout(&cortado_in(folder.path(), &["check", "c.prototxt"]));
    assert!(full.contains("it would need products of two feature maps"), "{full}");
    assert!(full.contains("the other 2 layers are of types that are here: Data, ReLU"), "{full}");
    assert!(full.contains("bottom `dato` is made by no layer above"), "{full}");
    assert!(full.contains("checked without its data, as 4x3x12x12 and 4"), "{full}");
    let json =
        cortado_in(folder.path(), &["check", "--json", "--assume-shape", "2x1x6x6", "a.prototxt"]);
    let parsed: serde_json::Value =
        serde_json::from_slice(&json.stdout).unwrap_or_else(|e| panic!("{e}: {}", stderr(&json)));
    assert_eq!(parsed[0]["phases"]["TEST"][1]["params"], serde_json::json!([[2, 36], [2]]));
}

#[test]
fn check_tells_mistakes_of_text_and_of_wiring_together() {
    let folder = folder();
    let text = "layer { name: \"a\" type: \"Relu\" botom: \"x\" top: \"y\" }\n\
                layer { name: \"b\" type: \"ReLU\" bottom: \"z\" top: \"w\" }";
    write(folder.path(), "net.prototxt", text);
    let told = stdout(&cortado_in(folder.path(), &["check", "net.prototxt"]));
    for part in ["has no field `botom`", "no layer type `Relu`", "bottom `z` is made by no layer"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn old_files_are_upgraded_with_their_comments() {
    let folder = folder();
    write(
        folder.path(),
        "old.prototxt",
        "# of 2014\nlayers { name: 'r' type: RELU bottom: 'x' top: 'y' }\n",
    );
    write(folder.path(), "s.prototxt", "solver_type: ADAM # fast\n");
    for arguments in [
        ["upgrade-net", "old.prototxt", "new.prototxt"],
        ["upgrade-solver", "s.prototxt", "t.prototxt"],
    ] {
        let output = cortado_in(folder.path(), &arguments);
        assert!(output.status.success(), "{}", stderr(&output));
    }
    let read = |name: &str| {
        std::fs::read_to_string(folder.path().join(name)).unwrap_or_else(|e| panic!("{e}"))
    };
    assert!(read("new.prototxt").starts_with("# of 2014\nlayer {\n  name: \"r\"\n"));
    assert_eq!(read("t.prototxt"), "type: \"Adam\" # fast\n");
}

#[test]
fn a_deploy_net_has_input_and_softmax_and_the_names_of_the_training_net() {
    let folder = folder();
    let out = folder.path().join("deploy.prototxt");
    let out = out.to_string_lossy();
    let output = cortado(&["deploy", "models/lenet/train_test.prototxt", "-o", &out]);
    assert!(output.status.success(), "{}", stderr(&output));
    let parsed = cortado(&["summary", "--model", &out, "--json"]);
    let parsed: serde_json::Value = serde_json::from_slice(&parsed.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", stderr(&parsed)));
    let layers = parsed["layers"].as_array().cloned().unwrap_or_default();
    let types: Vec<&str> = layers.iter().filter_map(|l| l["type"].as_str()).collect();
    assert_eq!((types.first(), types.last()), (Some(&"Input"), Some(&"Softmax")));
    assert_eq!(layers[0]["tops"], serde_json::json!([[1, 1, 28, 28]]));
    assert!(
        layers.iter().any(|l| l["name"] == "ip2") && layers.iter().all(|l| l["name"] != "loss")
    );
}

#[test]
fn a_training_net_comes_back_from_a_deploy_net() {
    let folder = folder();
    let out = folder.path().join("train_val.prototxt");
    let out = out.to_string_lossy();
    let arguments = ["deploy", "--reverse", "models/resnet20_cifar/deploy.prototxt", "-o", &out];
    let output = cortado(&arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("Data layers for `data`"), "{}", stderr(&output));
    let text = std::fs::read_to_string(&*out).unwrap_or_else(|e| panic!("{e}"));
    for part in ["\"SoftmaxWithLoss\"", "\"Accuracy\"", "phase: TRAIN", "lr_mult", "\"msra\""] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("\"Input\"") && !text.contains("use_global_stats"), "{text}");
    // γ and β are learned without decay.
    let scales: Vec<&str> = text.split("\nlayer {").filter(|l| l.contains("\"Scale\"")).collect();
    let decays = |l: &&str| l.matches("decay_mult: 0").count() == 2 && !l.contains("decay_mult: 1");
    assert!(scales.len() > 10 && scales.iter().all(decays), "{text}");
    // It builds, in both phases, and a deploy net of it has the layers of the first one.
    let json = cortado(&["check", "--json", &out]);
    let parsed: serde_json::Value =
        serde_json::from_slice(&json.stdout).unwrap_or_else(|e| panic!("{e}: {}", stderr(&json)));
    assert_eq!(parsed[0]["verdict"], "ok", "{parsed}");
    let phases: Vec<&String> =
        parsed[0]["phases"].as_object().into_iter().flat_map(|p| p.keys()).collect();
    assert_eq!(phases, ["TEST", "TRAIN"]);
    let names = |text: &str| -> Vec<String> {
        let names = text.lines().filter_map(|line| line.strip_prefix("  name: "));
        names.map(str::to_owned).collect()
    };
    let again = stdout(&cortado(&["deploy", &out]));
    let first = std::fs::read_to_string(format!("{ROOT}/models/resnet20_cifar/deploy.prototxt"));
    assert_eq!(names(&again), names(&first.unwrap_or_else(|e| panic!("{e}"))));
    let two = r#"
        layer { name: "data" type: "Input" top: "x" input_param { shape { dim: 1 dim: 4 } } }
        layer { name: "f" type: "InnerProduct" bottom: "x" top: "f" inner_product_param { num_output: 3 } }
        layer { name: "a" type: "Softmax" bottom: "f" top: "a" }
        layer { name: "b" type: "Softmax" bottom: "f" top: "b" }"#;
    write(folder.path(), "two.prototxt", two);
    let made =
        cortado_in(folder.path(), &["deploy", "--reverse", "two.prototxt", "-o", "t.prototxt"]);
    assert!(made.status.success(), "{}", stderr(&made));
    let checked = cortado_in(folder.path(), &["check", "--assume-shape", "2x4", "t.prototxt"]);
    assert!(stdout(&checked).starts_with("ok        t.prototxt"), "{}", stdout(&checked));
    let no_deploy = cortado(&["deploy", "--reverse", "models/lenet/train_test.prototxt"]);
    assert_eq!(no_deploy.status.code(), Some(1));
}

#[test]
fn check_takes_the_shape_of_one_blob_and_looks_into_stages() {
    let folder = folder();
    let net = r#"
        layer { name: "d" type: "Data" top: "x" include { stage: "go" } data_param { source: "a" batch_size: 2 } }
        layer { name: "l" type: "Data" top: "t" include { stage: "go" } data_param { source: "b" batch_size: 2 } }
        layer { name: "f" type: "InnerProduct" bottom: "x" top: "f" inner_product_param { num_output: 3 } }
        layer { name: "e" type: "EuclideanLoss" bottom: "f" bottom: "t" top: "e" }"#;
    write(folder.path(), "net.prototxt", net);
    let told = |more: &[&str]| {
        let arguments = [&["check", "net.prototxt"], more].concat();
        stdout(&cortado_in(folder.path(), &arguments))
    };
    let wrong = told(&[]);
    assert!(wrong.contains("checked with `--stage go`"), "{wrong}");
    assert!(
        wrong.contains("every bottom has as many items and elements as the first, 2x3"),
        "{wrong}"
    );
    let chain = "shapes on the way: `x` 2x3x224x224 (Data) → `f` 2x3 (InnerProduct)";
    assert!(wrong.contains(chain), "{wrong}");
    let right = told(&["--assume-shape", "t=2x3", "--assume-shape", "2x1x5x5"]);
    assert!(right.starts_with("warnings  net.prototxt (net, 1 warning)"), "{right}");
    assert!(right.contains("checked without its data, as 2x1x5x5"), "{right}");
}

#[test]
fn check_reads_weights_of_any_fork() {
    let folder = folder();
    // A layer `n` of SSD's type Normalize with field 147 (a block) and one blob of three values.
    let values = [0x2a, 0x0c, 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40, 0, 0, 0x40, 0x40];
    let shape = [[0x3a].as_slice(), &[0x03, 0x0a, 0x01, 0x03]].concat();
    let content = [&shape[..], &values].concat();
    let mut layer = b"\x0a\x01n\x12\x09Normalize".to_vec();
    layer.extend([0x3a, content.len() as u8]);
    layer.extend(&content);
    layer.extend([0x9a, 0x09, 0x02, 0x08, 0x02]);
    let mut net = b"\x0a\x03net\xa2\x06".to_vec();
    net.push(layer.len() as u8);
    net.extend(&layer);
    std::fs::write(folder.path().join("net.caffemodel"), &net).unwrap_or_else(|e| panic!("{e}"));
    let told = stdout(&cortado_in(folder.path(), &["check", "net.caffemodel"]));
    assert!(told.starts_with("ok        net.caffemodel (weights)"), "{told}");
    assert!(told.contains("written by a fork: Normalize of ssd"), "{told}");
    assert!(told.contains("fields that forks use for different things (147)"), "{told}");
    let json = cortado_in(folder.path(), &["check", "--json", "net.caffemodel"]);
    let parsed: serde_json::Value =
        serde_json::from_slice(&json.stdout).unwrap_or_else(|e| panic!("{e}: {}", stderr(&json)));
    let layer = &parsed[0]["phases"]["WEIGHTS"][0];
    assert_eq!((&layer["name"], &layer["params"]), (&"n".into(), &serde_json::json!([[3]])));
}

#[test]
fn python_layers_are_checked_by_their_shapes() {
    let folder = folder();
    let net = r#"
        layer { name: "d" type: "Python" top: "data" top: "im_info" top: "gt_boxes"
          python_param { module: "roi_data_layer.layer" layer: "RoIDataLayer" param_str: "'num_classes': 3" } }
        layer { name: "s" type: "Convolution" bottom: "data" top: "s"
          convolution_param { num_output: 18 kernel_size: 16 stride: 16 } }
        layer { name: "a" type: "Python" bottom: "s" bottom: "gt_boxes" bottom: "im_info" bottom: "data"
          top: "labels" top: "targets"
          python_param { module: "rpn.anchor_target_layer" layer: "AnchorTargetLayer" } }
        layer { name: "f" type: "Flatten" bottom: "targets" top: "f" }
        layer { name: "q" type: "Silence" bottom: "labels" }
        layer { name: "own" type: "Python" bottom: "f" top: "loss" loss_weight: 1
          python_param { module: "mine" layer: "MyLoss" } }"#;
    write(folder.path(), "net.prototxt", net);
    let json = cortado_in(folder.path(), &["check", "--json", "net.prototxt"]);
    let parsed: serde_json::Value =
        serde_json::from_slice(&json.stdout).unwrap_or_else(|e| panic!("{e}: {}", stderr(&json)));
    assert_eq!(parsed[0]["verdict"], "warnings", "{parsed}");
    let told = parsed[0]["warnings"].to_string();
    assert!(told.contains("the class `MyLoss` of the Python module `mine`"), "{told}");
    let layers = parsed[0]["phases"]["TRAIN"].as_array().cloned().unwrap_or_default();
    let anchors = layers.iter().find(|l| l["name"] == "a").map(|l| l["tops"].clone());
    let wanted = serde_json::json!([["labels", [1, 1, 333, 50]], ["targets", [1, 36, 37, 50]]]);
    assert_eq!(anchors, Some(wanted));
    // Read by another layer, what an unknown class makes would have to be known.
    let read = format!(r#"{net} layer {{ name: "r" type: "ReLU" bottom: "loss" top: "r" }}"#);
    write(folder.path(), "net.prototxt", &read);
    let output = cortado_in(folder.path(), &["check", "net.prototxt"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("this layer is Python code, the class `MyLoss`"));
}

/// Classes are the channels of the picture: each is scored by its mean.
#[cfg(feature = "images")]
const COLOURS: &str = r#"
    layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 4 dim: 4 } } }
    layer { name: "mean" type: "Pooling" bottom: "data" top: "mean" pooling_param { pool: AVE global_pooling: true } }
    layer { name: "prob" type: "Softmax" bottom: "mean" top: "prob" }"#;

#[cfg(feature = "images")]
#[test]
fn pictures_are_classified_in_the_channel_order_that_was_asked_for() {
    let folder = folder();
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.path().join(name), bytes).unwrap_or_else(|e| panic!("{e}"));
    };
    write("net.prototxt", COLOURS.as_bytes());
    write("names.txt", b"first\nsecond\nthird\n");
    // A red picture of 5 x 3 pixels.
    let red = image::RgbImage::from_pixel(5, 3, image::Rgb([200, 10, 20]));
    red.save(folder.path().join("red.png")).unwrap_or_else(|e| panic!("{e}"));
    let run = |more: &[&str]| {
        let mut arguments =
            vec!["classify", "--model", "net.prototxt", "--labels", "names.txt", "--scale", "0.01"];
        arguments.extend(more);
        cortado_in(folder.path(), &arguments)
    };
    let mut failures = Vec::new();
    for (more, best) in [
        (&["red.png"][..], "third"),
        (&["--channels", "RGB", "red.png"][..], "first"),
        // Without so much red, blue (0.2) is ahead of green (0.1).
        (&["--mean", "0,0,250", "red.png"][..], "first"),
        (&["--top", "1", "red.png"][..], "third"),
    ] {
        let output = run(more);
        let text = stdout(&output);
        let found = text.lines().nth(1).unwrap_or_default();
        if !found.ends_with(best) {
            failures.push(format!("{more:?}: wanted {best}\n{text}{}", stderr(&output)));
        }
    }
    for (more, code, wanted) in [
        (&["--mean", "1,2", "red.png"][..], 2, "--mean has 2 values, the input 3 channels"),
        (&["nothing.png"][..], 1, "nothing.png"),
        (&["nothing.png", "red.png", "none.png"][..], 1, "none.png"),
        (&["net.prototxt"][..], 1, "net.prototxt"),
        (&[][..], 2, "required"),
    ] {
        let output = run(more);
        if output.status.code() != Some(code) || !stderr(&output).contains(wanted) {
            failures.push(format!("{more:?}: {:?}\n{}", output.status, stderr(&output)));
        }
    }
    let output = run(&["--json", "--top", "1", "nothing.png", "red.png"]);
    let found: serde_json::Value =
        serde_json::from_str(&stdout(&output)).unwrap_or_else(|e| panic!("{e}"));
    let why = found[0]["error"].as_str().unwrap_or_default();
    if !why.starts_with("cannot read `nothing.png`") || found[1]["classes"][0]["label"] != "third" {
        failures.push(format!("with a picture that is not there: {found}"));
    }
    none(failures);
}

/// Whichever picture comes first, the mean of what stands behind it is that of its own values, and of the
/// pixels only those there are.
#[cfg(feature = "images")]
#[test]
fn an_output_that_changes_its_size_leaves_the_means_of_others_alone() {
    let folder = folder();
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap_or_else(|e| panic!("{e}"));
    };
    for (name, width, value) in [("small.png", 1, 10), ("large.png", 2, 20)] {
        let picture = image::RgbImage::from_pixel(width, 1, image::Rgb([value; 3]));
        picture.save(folder.path().join(name)).unwrap_or_else(|e| panic!("{e}"));
    }
    let net = r#"
        layer { name: "d" type: "ImageData" top: "a" top: "z" include { phase: TEST }
          image_data_param { source: "list.txt" batch_size: 1 } }
        layer { name: "t" type: "DummyData" top: "x" dummy_data_param { shape { dim: 1 } } include { phase: TRAIN } }"#;
    write("net.prototxt", net);
    let solver = "net: 'net.prototxt' base_lr: 1 lr_policy: 'fixed' max_iter: 0 test_iter: 2 \
                  test_interval: 1 snapshot_after_train: false";
    write("solver.prototxt", solver);
    let wanted = ["a = 15", "a = 15", "a = 15", "a = 20", "a = 20", "a = 20", "z = 6"];
    for list in ["small.png 5\nlarge.png 7\n", "large.png 7\nsmall.png 5\n"] {
        write("list.txt", list);
        let test = &["test", "--model", "net.prototxt", "--iterations", "2"][..];
        for arguments in [test, &["train", "--solver", "solver.prototxt"]] {
            let told = stderr(&cortado_in(folder.path(), arguments));
            let lines = told.lines().filter_map(|line| line.split_once("] "));
            let means = lines.map(|(_, line)| match line.split_once("Test net output #") {
                Some((_, output)) => output.split_once(": ").unwrap_or_default().1,
                None => line,
            });
            let means: Vec<&str> =
                means.filter(|line| line.starts_with("a = ") || line.starts_with("z = ")).collect();
            assert_eq!(means, wanted, "{list}{told}");
        }
    }
}

#[test]
fn time_tells_forward_backward_and_update_of_every_layer() {
    let net = "models/lenet/train_test.prototxt";
    for (phase, updates) in [("TRAIN", true), ("TEST", false)] {
        let arguments = ["time", "--model", net, "--phase", phase, "--iterations", "1", "--json"];
        let output = cortado(&arguments);
        let told: serde_json::Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("{phase}: {e}: {}", stderr(&output)));
        let layers = told["layers"].as_array().cloned().unwrap_or_default();
        let conv =
            layers.iter().find(|layer| layer["name"] == "conv1").cloned().unwrap_or_default();
        for field in ["forward_ms", "backward_ms"] {
            assert!(conv[field].as_f64() > Some(0.0), "{phase}: {conv}");
        }
        // 20 x 1 x 5 x 5 weights and 20 biases, seven times 4 bytes.
        let bytes = updates.then_some(520 * 28);
        assert_eq!(conv["update"]["bytes"].as_u64(), bytes, "{phase}: {conv}");
        assert_eq!(told["update_ms"].as_f64() > Some(0.0), updates, "{phase}: {told}");
        let is_logged = stderr(&output).contains("Average Update: ");
        assert_eq!(is_logged, updates, "{phase}: {}", stderr(&output));
    }
}

#[test]
fn the_time_of_the_data_needs_a_net_that_reads_some() {
    let output = cortado(&["time", "--model", "models/lenet/deploy.prototxt", "--data"]);
    assert_eq!(output.status.code(), Some(1));
    let wanted = "error: the net has no layer that reads data; give the net that trains";
    assert!(stderr(&output).contains(wanted), "{}", stderr(&output));
}

#[test]
fn a_mistake_in_a_value_given_from_outside_is_shown_there() {
    let folder = folder();
    write_solver(folder.path(), 2, "");
    let arguments = ["train", "--solver", "solver.prototxt", "--set", "base_lr=1", "--set"];
    let told = cortado_in(folder.path(), &[&arguments[..], &["display=-1"]].concat());
    assert_eq!(told.status.code(), Some(1), "{}", stderr(&told));
    let told = stderr(&told);
    assert!(told.contains("--> --set:2:1") && told.contains("|  display: -1"), "{told}");
    assert!(!told.contains("solver.prototxt:"), "{told}");
}

#[test]
fn a_net_in_place_of_a_solver_is_told_as_one() {
    let folder = folder();
    write_solver(folder.path(), 2, "");
    let told = cortado_in(folder.path(), &["train", "--solver", "net.prototxt"]);
    assert_eq!(told.status.code(), Some(1), "{}", stderr(&told));
    let wanted = "cannot read the solver `net.prototxt`: it is a net, and a solver is wanted";
    assert!(stderr(&told).contains(wanted), "{}", stderr(&told));
    assert!(!stderr(&told).contains("has no field"), "{}", stderr(&told));
}
