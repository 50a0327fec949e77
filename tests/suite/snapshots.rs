//! What is written, what is taken for the newest, and what a run goes on from.

use std::fs;
use std::path::Path;

use cortado::net::Net;
use cortado::solver::{
    Event, Guards, Request, Solver, SolverOptions, Watcher, newest_snapshot, snapshot_names,
};
use cortado_proto::SolverDef;
use cortado_proto::span::Source;
use cortado_proto::wire;
use prost::Message;

use crate::support::{cortado_in, none, solver, stderr};

/// Keeps what is printed; asks in this order, one thing a look.
#[derive(Default)]
struct Script {
    lines: Vec<String>,
    asks: Vec<Request>,
}

impl Script {
    fn has(&self, part: &str) -> bool {
        self.lines.iter().any(|line| line.contains(part))
    }
}

impl Watcher for Script {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Line(line) = event {
            self.lines.push((*line).to_owned());
        }
    }

    fn request(&mut self) -> Request {
        if self.asks.is_empty() { Request::Nothing } else { self.asks.remove(0) }
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"))
}

/// y = w · 1, w at first 1, the loss y²; snapshots are `run_iter_N` in the folder.
fn parabola(folder: &Path, more: &str) -> String {
    let policy = if more.contains("lr_policy") { "" } else { "lr_policy: \"fixed\"" };
    format!(
        r#"net_param {{
          layer {{ name: "d" type: "DummyData" top: "x" dummy_data_param {{
            shape {{ dim: 1 dim: 1 }} data_filler {{ type: "constant" value: 1 }} }} }}
          layer {{ name: "w" type: "InnerProduct" bottom: "x" top: "y" inner_product_param {{
            num_output: 1 bias_term: false weight_filler {{ type: "constant" value: 1 }} }} }}
          layer {{ name: "sq" type: "Power" bottom: "y" top: "loss" power_param {{ power: 2 }} loss_weight: 1 }}
        }} {policy} snapshot_prefix: {:?} {more}
"#,
        folder.join("run").display().to_string()
    )
}

fn solve(text: &str, from: Option<&Path>) -> Solver {
    let mut solver = solver(text, 1);
    if let Some(state) = from {
        solver.restore(state).unwrap_or_else(|e| panic!("{e}"));
    }
    solver.solve(&mut ()).unwrap_or_else(|e| panic!("{e}"));
    solver
}

/// The iterations whose states are there, smallest first.
fn iterations(folder: &Path) -> Vec<u64> {
    let names = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let number =
        |name: String| name.strip_prefix("run_iter_")?.split_once(".solverstate")?.0.parse().ok();
    let mut found: Vec<u64> = names.filter_map(number).collect();
    found.sort_unstable();
    found
}

fn newest(folder: &Path) -> String {
    let (newest, damaged) = newest_snapshot(&folder.join("run"));
    assert!(damaged.is_empty(), "{damaged:?}");
    newest
        .and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .unwrap_or_default()
}

fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::write(path, bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

#[test]
fn weights_that_are_not_finite_end_the_run_and_take_no_snapshot_away() {
    // The rate of the third iteration overflows. Fields, and the states that are left.
    let leap = "base_lr: 1 lr_policy: 'multistep' gamma: 3e38 stepvalue: 2 max_iter: 3";
    let table: [(&str, &[u64]); 4] = [
        ("snapshot: 1 keep_last: 1", &[2]),
        ("snapshot: 3", &[]),
        ("snapshot: 0", &[]),
        ("snapshot_after_train: false", &[]),
    ];
    let mut failures = Vec::new();
    for (fields, wanted) in table {
        let folder = folder();
        let mut lines = Script::default();
        let text = parabola(folder.path(), &format!("{leap} {fields}"));
        let ended = solver(&text, 1).solve(&mut lines);
        let told = ended.err().map(|e| e.to_string()).unwrap_or_default();
        let says = "diverged in iteration 3: the weights are not finite; it begins in layer `w`";
        if !told.contains(says) || iterations(folder.path()) != wanted {
            failures.push(format!("{fields}: {:?}, {told}", iterations(folder.path())));
        }
        let newest =
            if wanted.is_empty() { "there is none from before" } else { "the newest is `" };
        if !fields.contains("after_train") && !lines.has(newest) {
            failures.push(format!("{fields}: {:?}", lines.lines));
        }
    }
    none(failures);
}

#[test]
fn weights_that_are_not_finite_are_never_the_best() {
    let folder = folder();
    // What is tested is finite, and first looked at after the weights are none.
    let text = parabola(
        folder.path(),
        "base_lr: 3e38 max_iter: 2 snapshot_after_train: false test_iter: 1 test_interval: 1 \
         test_initialization: false keep_best: 'fine'",
    );
    let fine = r#"layer { name: "f" type: "DummyData" top: "fine" dummy_data_param { shape { dim: 1 } } }
        layer { name: "w""#;
    let quiet = r#"layer { name: "s" type: "Silence" bottom: "y" include { phase: TEST } }
        layer { name: "sq" include { phase: TRAIN }"#;
    let text = text.replacen("layer { name: \"w\"", fine, 1);
    let text = text.replacen("layer { name: \"sq\"", quiet, 1);
    let def = SolverDef::from_text(&Source::new("s", text)).unwrap_or_else(|e| panic!("{e}"));
    let options = SolverOptions { guards: Guards::NONE, ..SolverOptions::default() };
    let mut solver = Solver::build(def, &options).unwrap_or_else(|e| panic!("{e}"));
    solver.solve(&mut ()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((solver.best(), solver.best_name().exists()), (None, false));
}

#[test]
fn a_test_whose_loss_is_no_number_is_neither_the_best_nor_counted() {
    let folder = folder();
    let prefix = folder.path().join("run").display().to_string();
    let text = format!(
        r#"net_param {{
          layer {{ name: "d" type: "DummyData" top: "x" top: "y" dummy_data_param {{ shape {{ dim: 4 dim: 3 }}
            shape {{ dim: 4 }} data_filler {{ type: "gaussian" std: 1 }} data_filler {{ value: 1 }} }} }}
          layer {{ name: "n" type: "BatchNorm" bottom: "x" top: "n" batch_norm_param {{ eps: 0 }} }}
          layer {{ name: "l" type: "SoftmaxWithLoss" bottom: "n" bottom: "y" top: "l" }}
          layer {{ name: "a" type: "Accuracy" bottom: "n" bottom: "y" top: "a" include {{ phase: TEST }} }} }}
        test_iter: 1 test_interval: 1 max_iter: 3 base_lr: 0 lr_policy: "fixed" snapshot_prefix: {prefix:?}
        keep_best: "a" patience: 5 snapshot_after_train: false"#
    );
    let mut lines = Script::default();
    let mut solver = solver(&text, 1);
    solver.solve(&mut lines).unwrap_or_else(|e| panic!("{e}"));
    assert!(lines.has("warning: `l` is not finite: this test does not count"), "{:?}", lines.lines);
    let (_, at) = solver.best().unwrap_or_else(|| panic!("later tests count"));
    assert!(at > 0, "the test before training is not the best");
}

#[test]
fn the_noise_of_rounding_is_nothing_better() {
    let folder = folder();
    // Every test brings 2.4e-7 of the loss.
    let text = parabola(
        folder.path(),
        "base_lr: 5e-8 max_iter: 10 test_iter: 1 test_interval: 1 keep_best: 'loss' patience: 3",
    );
    let mut lines = Script::default();
    let mut solver = solver(&text, 1);
    let finished = solver.solve(&mut lines).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((finished, solver.iter(), solver.best()), (false, 3, Some((1.0, 0))));
    assert!(lines.has("Best loss so far (smaller is better): 1;"), "{:?}", lines.lines);
}

#[test]
fn the_best_goes_on_only_for_the_same_output_beside_its_file() {
    let (folder, elsewhere) = (folder(), folder());
    let text = |at: &Path, best: &str| {
        let more = "base_lr: 0.1 max_iter: 2 test_iter: 1 test_interval: 1 patience: 9";
        parabola(at, &format!("{more} keep_best: '{best}'"))
    };
    solve(&text(folder.path(), "loss"), None);
    let state = folder.path().join("run_iter_2.solverstate");
    let best = |at: &Path, output: &str| {
        let mut solver = solver(&text(at, output), 1);
        solver.restore(&state).unwrap_or_else(|e| panic!("{e}"));
        let notes: Vec<String> = solver.notes().iter().map(ToString::to_string).collect();
        (solver.best().is_some(), notes.concat())
    };
    let table = [
        (folder.path(), "loss", true, ""),
        (folder.path(), "-loss", true, ""),
        (folder.path(), "+loss", false, "`keep_best` is +loss here, -loss in the snapshot"),
        (elsewhere.path(), "loss", false, "run_best.caffemodel` is not there"),
    ];
    for (at, output, wanted, says) in table {
        let (found, notes) = best(at, output);
        assert!(found == wanted && notes.contains(says), "{output}: {found}, {notes}");
    }
}

#[test]
fn what_was_written_last_is_the_newest_also_below_an_abandoned_run() {
    let formats: &[&str] =
        if cfg!(feature = "hdf5") { &["BINARYPROTO", "HDF5"] } else { &["BINARYPROTO"] };
    for format in formats {
        let folder = folder();
        let ending = if *format == "HDF5" { ".h5" } else { "" };
        let text = |more: &str| {
            parabola(folder.path(), &format!("base_lr: 0.1 snapshot_format: {format} {more}"))
        };
        let state = |iter: u64| folder.path().join(format!("run_iter_{iter}.solverstate{ending}"));
        let name = |iter: u64| format!("run_iter_{iter}.solverstate{ending}");
        solve(&text("snapshot: 1 max_iter: 6"), None);
        assert_eq!(newest(folder.path()), name(6));
        // Back to 2, with few kept: those of the abandoned run stay, and count as older.
        let back = solver(&text("snapshot: 1 max_iter: 3 keep_last: 1"), 1);
        drop(back);
        solve(&text("snapshot: 1 max_iter: 3 keep_last: 1"), Some(&state(2)));
        assert_eq!((newest(folder.path()), iterations(folder.path())), (name(3), vec![3, 4, 5, 6]));
        // Going on from the newest is the same run.
        solve(&text("snapshot: 2 max_iter: 4 keep_last: 2"), Some(&state(3)));
        assert_eq!((newest(folder.path()), iterations(folder.path())), (name(4), vec![3, 4, 5, 6]));
        // From the start again.
        solve(&text("max_iter: 1"), None);
        assert_eq!(newest(folder.path()), name(1));
        solve(&text("max_iter: 9 keep_last: 2"), Some(&state(1)));
        assert_eq!((newest(folder.path()), iterations(folder.path())), (name(9), vec![1, 9]));
    }
}

#[test]
fn a_run_that_begins_below_another_says_so() {
    let folder = folder();
    write(
        &folder.path().join("s.prototxt"),
        parabola(folder.path(), "base_lr: 0.1 snapshot: 1 max_iter: 2"),
    );
    let train = |more: &[&str]| {
        let output =
            cortado_in(folder.path(), &[&["train", "--solver", "s.prototxt"], more].concat());
        (output.status.code(), stderr(&output))
    };
    assert_eq!(train(&[]).0, Some(0));
    let says = "a run went further than this one begins, to `";
    let (code, told) = train(&["--snapshot", "run_iter_1.solverstate"]);
    assert!(
        code == Some(0) && told.contains(says) && told.contains("run_iter_2.solverstate`"),
        "{told}"
    );
    let (code, told) = train(&["--snapshot", "auto"]);
    assert!(code == Some(0) && !told.contains(says), "{told}");
}

#[test]
fn an_empty_state_is_none() {
    let folder = folder();
    let text = parabola(folder.path(), "base_lr: 0.1 snapshot: 1 max_iter: 2");
    solve(&text, None);
    let state = folder.path().join("run_iter_2.solverstate");
    write(&state, "");
    let told = solver(&text, 1).restore(&state).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(told.contains("nothing of a solver's state is in it"), "{told}");
    let (newest, damaged) = newest_snapshot(&folder.path().join("run"));
    assert_eq!((newest, damaged.len()), (Some(folder.path().join("run_iter_1.solverstate")), 1));
}

#[test]
fn auto_never_starts_over_where_snapshots_are_damaged() {
    let folder = folder();
    write(&folder.path().join("s.prototxt"), parabola(folder.path(), "base_lr: 0.1 max_iter: 1"));
    let auto = || {
        let output =
            cortado_in(folder.path(), &["train", "--solver", "s.prototxt", "--snapshot", "auto"]);
        (output.status.code(), stderr(&output))
    };
    let (code, told) = auto();
    let says = "run_iter_N.solverstate` yet: starting from the beginning";
    assert!(code == Some(0) && told.contains(says), "{told}");
    let model = folder.path().join("run_iter_1.caffemodel");
    write(&folder.path().join("run_iter_1.solverstate"), "");
    write(&model, "another run's");
    let (code, told) = auto();
    assert_eq!(code, Some(1), "{told}");
    for part in
        ["none is whole", "run_iter_1.solverstate`: nothing of", "remove them to start over"]
    {
        assert!(told.contains(part), "{part} is missing in {told}");
    }
    assert_eq!(fs::read(&model).unwrap_or_default(), b"another run's");
}

#[test]
fn a_snapshot_asked_for_keeps_off_the_prefix_of_another_run() {
    let folder = folder();
    let asked = || {
        let text = parabola(folder.path(), "base_lr: 0.1 max_iter: 2 snapshot_after_train: false");
        let mut script =
            Script { asks: vec![Request::Nothing, Request::Snapshot], ..Script::default() };
        solver(&text, 1).solve(&mut script).unwrap_or_else(|e| panic!("{e}"));
        script
    };
    let mut other = solver(&parabola(folder.path(), "base_lr: 0.1 max_iter: 2"), 1);
    other.claim_prefix().unwrap_or_else(|e| panic!("{e}"));
    let script = asked();
    assert!(script.has("another training") && script.has("without the snapshot asked for"));
    assert!(iterations(folder.path()).is_empty());
    drop(other);
    asked();
    assert_eq!(iterations(folder.path()), [1]);
}

#[test]
fn no_file_of_the_user_is_taken_for_the_lock() {
    let folder = folder();
    let lock = folder.path().join("run.lock");
    write(&lock, "precious");
    let mut solver = solver(&parabola(folder.path(), "base_lr: 0.1 max_iter: 1"), 1);
    solver.claim_prefix().unwrap_or_else(|e| panic!("{e}"));
    solver.solve(&mut ()).unwrap_or_else(|e| panic!("{e}"));
    drop(solver);
    assert_eq!(fs::read(lock).unwrap_or_default(), b"precious");
}

#[test]
fn level_and_stages_given_reach_the_training_net_alone() {
    let folder = folder();
    let marked = |name: &str, rule: &str| {
        format!(
            r#"layer {{ name: "{name}" type: "Silence" bottom: "x" include {{ {rule} }} }}
               layer {{ name: "w" "#
        )
    };
    let layers = [marked("deep", "min_level: 3"), marked("staged", "stage: 'go'")];
    let more =
        "base_lr: 1 test_iter: 1 test_interval: 1 train_state { level: 1 } test_state { level: 1 }";
    let text = layers.iter().fold(parabola(folder.path(), more), |text, layer| {
        text.replacen(r#"layer { name: "w" "#, layer, 1)
    });
    let names = |net: &Net| -> Vec<String> {
        let marked = ["deep", "staged"];
        net.layers().map(|l| l.name().to_owned()).filter(|n| marked.contains(&n.as_str())).collect()
    };
    let mut failures = Vec::new();
    for (level, stage, wanted) in [(3, "go", 2), (0, "go", 1), (3, "no", 1), (2, "no", 0)] {
        let def = SolverDef::from_text(&Source::new("s", &text)).unwrap_or_else(|e| panic!("{e}"));
        let options =
            SolverOptions { level, stages: vec![stage.to_owned()], ..SolverOptions::default() };
        let mut solver = Solver::build(def, &options).unwrap_or_else(|e| panic!("{e}"));
        let (train, test) = (names(solver.net()), solver.with_test_net(0, |net| names(net)));
        if train.len() != wanted || test != Some(Vec::new()) {
            failures.push(format!("{level} {stage}: {train:?}, {test:?}"));
        }
    }
    none(failures);
}

#[test]
fn a_state_of_another_solver_type_is_refused() {
    let folder = folder();
    let text =
        |kind: &str| parabola(folder.path(), &format!("base_lr: 0.1 max_iter: 1 type: '{kind}'"));
    solve(&text("AdaGrad"), None);
    let state = folder.path().join("run_iter_1.solverstate");
    let told = solver(&text("SGD"), 1).restore(&state).err().map(|e| e.to_string());
    let told = told.unwrap_or_default();
    assert!(told.contains("written by solver type AdaGrad, this one is SGD"), "{told}");
    // The original does not say.
    let mut original = wire::read_state(&state).unwrap_or_else(|e| panic!("{e}"));
    original.solver_type = None;
    write(&state, original.encode_to_vec());
    solver(&text("SGD"), 1).restore(&state).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn the_seed_told_is_the_one_in_use() {
    let folder = folder();
    let text = parabola(folder.path(), "base_lr: 0.1 max_iter: 2 snapshot: 1 random_seed: 5");
    write(&folder.path().join("s.prototxt"), text);
    let train = |more: &[&str]| {
        stderr(&cortado_in(folder.path(), &[&["train", "--solver", "s.prototxt"], more].concat()))
    };
    assert!(train(&[]).contains("Starting Optimization with seed 5"));
    let told = train(&["--snapshot", "run_iter_1.solverstate", "--set", "random_seed=7"]);
    let says = "`random_seed` is 7; the snapshot's seed, 5, is used";
    assert!(told.contains("Starting Optimization with seed 5") && told.contains(says), "{told}");
}

#[test]
fn a_type_is_set_in_place_of_its_old_name_and_one_value_at_a_time() {
    let folder = folder();
    let text = parabola(folder.path(), "base_lr: 0.1 max_iter: 1 momentum: 0.9 KIND");
    let path = folder.path().join("s.prototxt");
    let junk = "sets one field, and `max_iter=1 display: 7` more";
    let table = [
        ("solver_type: SGD", "type=Adam", 0, ""),
        ("type: 'SGD'", "solver_type=ADAM", 0, ""),
        ("", "max_iter=1 display: 7", 1, junk),
    ];
    let mut failures = Vec::new();
    for (kind, set, wanted, says) in table {
        write(&path, text.replace("KIND", kind));
        let output = cortado_in(folder.path(), &["train", "--solver", "s.prototxt", "--set", set]);
        let told = stderr(&output);
        if output.status.code() != Some(wanted) || !told.contains(says) {
            failures.push(format!("{kind} {set}: {told}"));
            continue;
        }
        let state = folder.path().join("run_iter_1.solverstate");
        if wanted == 0
            && wire::read_state(state).ok().and_then(|s| s.solver_type) != Some("Adam".into())
        {
            failures.push(format!("{kind} {set}: it was not trained with Adam"));
        }
    }
    none(failures);
}

#[test]
fn weights_of_the_solver_file_are_looked_for_beside_it() {
    let folder = folder();
    let sub = folder.path().join("sub");
    fs::create_dir(&sub).unwrap_or_else(|e| panic!("{e}"));
    solve(&parabola(&sub, "base_lr: 0.1 max_iter: 1"), None);
    let text = parabola(folder.path(), "base_lr: 0.1 max_iter: 1 weights: 'run_iter_1.caffemodel'");
    write(&sub.join("s.prototxt"), text);
    let output = cortado_in(folder.path(), &["train", "--solver", "sub/s.prototxt"]);
    let told = stderr(&output);
    assert!(
        output.status.success() && told.contains("sub/run_iter_1.caffemodel: copied"),
        "{told}"
    );
}

#[test]
fn a_test_cut_short_loses_no_snapshot_and_shows_no_loss() {
    let folder = folder();
    let more = "base_lr: 0.1 max_iter: 2 snapshot_after_train: false test_iter: 4 test_interval: 1 test_compute_loss: true";
    let asks = vec![Request::Nothing, Request::Nothing, Request::Snapshot, Request::Stop];
    let mut script = Script { asks, ..Script::default() };
    let finished = solver(&parabola(folder.path(), more), 1).solve(&mut script);
    assert!(matches!(finished, Ok(false)), "{finished:?}");
    assert_eq!(iterations(folder.path()), [0]);
    assert!(!script.has("Test loss"), "{:?}", script.lines);
}

#[test]
fn a_run_stops_between_the_passes_of_an_iteration() {
    let folder = folder();
    let text = parabola(folder.path(), "base_lr: 0.1 max_iter: 3 iter_size: 1000000000");
    // The first look is the one before the iteration.
    let asks = vec![Request::Nothing, Request::Nothing, Request::Snapshot, Request::Stop];
    let mut script = Script { asks, ..Script::default() };
    let finished = solver(&text, 1).solve(&mut script);
    assert!(matches!(finished, Ok(false)), "{finished:?}");
    assert_eq!(iterations(folder.path()), [0], "the last whole iteration");
}

#[test]
fn weights_named_as_windows_does_are_found_beside_the_state() {
    let folder = folder();
    let text = parabola(folder.path(), "base_lr: 0.1 max_iter: 1");
    solve(&text, None);
    let (_, path) = snapshot_names(&folder.path().join("run"), 1);
    let mut state = wire::read_state(&path).unwrap_or_else(|e| panic!("{e}"));
    state.learned_net = Some(r"C:\caffe\run_iter_1.caffemodel".to_owned());
    write(&path, state.encode_to_vec());
    solver(&text, 1).restore(&path).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn a_state_and_its_weights_may_both_have_another_name() {
    for (format, ending) in [("BINARYPROTO", ""), ("HDF5", ".h5")] {
        let folder = folder();
        let more = format!("base_lr: 0.1 max_iter: 1 snapshot_format: {format}");
        let text = parabola(folder.path(), &more);
        solve(&text, None);
        for kind in ["caffemodel", "solverstate"] {
            let at = |stem: &str| folder.path().join(format!("{stem}.{kind}{ending}"));
            fs::rename(at("run_iter_1"), at("v1.2")).unwrap_or_else(|e| panic!("{e}"));
        }
        for kind in ["caffemodel", "solverstate"] {
            let given = folder.path().join(format!("v1.2.{kind}{ending}"));
            let report = solver(&text, 1).restore(&given).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(report.copied.len(), 1, "{format}");
        }
    }
}

#[test]
fn what_a_run_of_a_longer_prefix_is_writing_is_left_alone() {
    let folder = folder();
    let text = parabola(folder.path(), "base_lr: 0.1 max_iter: 1");
    let names = ["run_iter_5.caffemodel.7.part", "run_best.caffemodel.7.part"];
    let others = ["run_iter_5_iter_6.caffemodel.7.part", "run_iter_5.caffemodel"];
    for name in names.iter().chain(&others) {
        write(&folder.path().join(name), Vec::new());
    }
    solver(&text, 1).claim_prefix().unwrap_or_else(|e| panic!("{e}"));
    for (names, wanted) in [(names, false), (others, true)] {
        for name in names {
            assert_eq!(folder.path().join(name).exists(), wanted, "{name}");
        }
    }
}

#[test]
fn a_run_that_has_ended_is_not_written_again() {
    let folder = folder();
    let text = parabola(folder.path(), "base_lr: 0.1 max_iter: 1");
    solve(&text, None);
    let mut script = Script::default();
    let mut again = solver(&text, 1);
    let state = folder.path().join("run_iter_1.solverstate");
    again.restore(state).unwrap_or_else(|e| panic!("{e}"));
    again.solve(&mut script).unwrap_or_else(|e| panic!("{e}"));
    let says = "Nothing is left to train: iteration 1, and `max_iter` is 1";
    assert!(script.has(says) && !script.has("Snapshotting"), "{:?}", script.lines);
}

#[test]
fn the_outputs_of_several_test_nets_are_told_once() {
    let folder = folder();
    let more = "base_lr: 0.1 test_iter: 1 test_iter: 1 test_interval: 1 keep_best: 'acc'";
    let text = parabola(folder.path(), more).replacen(
        "layer { name: \"w\"",
        "layer { name: \"z\" type: \"DummyData\" top: \"zed\" top: \"alone\" dummy_data_param { shape { dim: 1 } } }\n layer { name: \"w\"",
        1,
    );
    let def = SolverDef::from_text(&Source::new("s", text)).unwrap_or_else(|e| panic!("{e}"));
    let told = Solver::build(def, &SolverOptions::default()).err().map(|e| e.to_string());
    let told = told.unwrap_or_default();
    assert!(told.contains("have alone, loss, zed") && !told.contains("zed, "), "{told}");
}
