//! Training: the same bits on any number of threads and after a resume, policies, test nets.

use std::path::Path;

use cortado::solver::{Event, Request, Solver, Watcher};

use crate::support::{leave_alone, none, solver};

/// LeNet's parts on MNIST: convolution, pooling, dropout, BatchNorm, shuffled data.
const NET: &str = r#"
    layer { name: "mnist" type: "Data" top: "data" top: "label" transform_param { scale: 0.00390625 mirror: true }
      data_param { backend: IDX source: "models/lenet/data/t10k-images-idx3-ubyte.gz"
        label_source: "models/lenet/data/t10k-labels-idx1-ubyte.gz" batch_size: 16 shuffle: true } }
    layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
      convolution_param { num_output: 6 kernel_size: 5 weight_filler { type: "xavier" } } }
    layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" }
    layer { name: "scale" type: "Scale" bottom: "conv" top: "conv" scale_param { bias_term: true } }
    layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
    layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param { kernel_size: 2 stride: 2 } }
    layer { name: "drop" type: "Dropout" bottom: "pool" top: "pool" }
    layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc"
      inner_product_param { num_output: 10 weight_filler { type: "xavier" } } }
    layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }"#;

fn text(prefix: &Path, more: &str) -> String {
    format!(
        "net_param {{ {NET} }} base_lr: 0.01 momentum: 0.9 weight_decay: 0.0005 random_seed: 3 \
         lr_policy: \"step\" gamma: 0.5 stepsize: 5 max_iter: 12 snapshot_prefix: {prefix:?} {more}"
    )
}

/// Trains to iteration 12 and gives the bytes of the snapshot, which names itself in the state.
fn trained(folder: &Path, threads: usize, more: &str) -> Vec<Vec<u8>> {
    let mut solver = solver(&text(&folder.join("run"), more), threads);
    solver.solve(&mut ()).unwrap_or_else(|e| panic!("{e}"));
    snapshot(folder, 12)
}

fn snapshot(folder: &Path, iter: u64) -> Vec<Vec<u8>> {
    ["caffemodel", "solverstate"]
        .map(|ending| {
            let path = folder.join(format!("run_iter_{iter}.{ending}"));
            std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        })
        .to_vec()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn a_run_gives_the_same_bits_on_any_number_of_threads() {
    let folder = folder();
    let one = trained(folder.path(), 1, "");
    for threads in [2, 3] {
        assert!(trained(folder.path(), threads, "") == one, "{threads} threads differ from one");
    }
}

#[test]
fn a_run_stopped_and_resumed_gives_the_bits_of_the_unbroken_one() {
    let folder = folder();
    let wanted = trained(folder.path(), 2, "iter_size: 2 snapshot: 7");
    let state = folder.path().join("run_iter_7.solverstate");
    // The seed is the state's, whatever the file says.
    let text = text(&folder.path().join("run"), "iter_size: 2");
    let mut solver = solver(&text.replace("random_seed: 3", "random_seed: 4"), 1);
    solver.restore(&state).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(solver.iter(), 7);
    for ending in ["caffemodel", "solverstate"] {
        let path = folder.path().join(format!("run_iter_12.{ending}"));
        std::fs::remove_file(path).unwrap_or_else(|e| panic!("{e}"));
    }
    solver.solve(&mut ()).unwrap_or_else(|e| panic!("{e}"));
    assert!(snapshot(folder.path(), 12) == wanted);
}

/// Asks for a snapshot in the test after the last iteration.
#[derive(Default)]
struct AskLate(bool);

impl Watcher for AskLate {
    fn event(&mut self, event: &Event<'_>) {
        self.0 |= matches!(event, Event::Line(line) if line.starts_with("Iteration 12, Testing"));
    }

    fn request(&mut self) -> Request {
        if std::mem::take(&mut self.0) { Request::Snapshot } else { Request::Nothing }
    }
}

#[test]
fn a_snapshot_asked_for_in_the_last_test_is_of_the_state_before_it() {
    let folder = folder();
    let more = "display: 3 average_loss: 4 test_iter: 2 test_interval: 3 keep_best: \"loss\"";
    let wanted = trained(folder.path(), 2, more);
    for ending in ["caffemodel", "solverstate"] {
        let path = folder.path().join(format!("run_iter_12.{ending}"));
        std::fs::remove_file(path).unwrap_or_else(|e| panic!("{e}"));
    }
    let more = format!("{more} snapshot_after_train: false");
    let mut solver = solver(&text(&folder.path().join("run"), &more), 2);
    solver.solve(&mut AskLate::default()).unwrap_or_else(|e| panic!("{e}"));
    assert!(snapshot(folder.path(), 12) == wanted);
    assert_eq!(solver.best().map(|(_, at)| at), Some(12), "what the last test found stays known");
}

/// Keeps what is printed.
#[derive(Default)]
struct Lines(Vec<String>);

impl Watcher for Lines {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Line(line) = event {
            self.0.push((*line).to_owned());
        }
    }
}

#[test]
fn several_test_nets_run_on_the_weights_in_training() {
    let net = |layers: &str| {
        format!(
            r#"layer {{ name: "d" type: "DummyData" top: "x" top: "label" dummy_data_param {{
                 shape {{ dim: 4 dim: 5 }} shape {{ dim: 4 }}
                 data_filler {{ type: "constant" value: 1 }} data_filler {{ type: "constant" value: 2 }} }} }}
               layer {{ name: "fc" type: "InnerProduct" bottom: "x" top: "fc" inner_product_param {{ num_output: 3 }} }}
               {layers}"#
        )
    };
    let loss = r#"layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }"#;
    let accuracy =
        r#"layer { name: "acc" type: "Accuracy" bottom: "fc" bottom: "label" top: "acc" }"#;
    let text = format!(
        "train_net_param {{ {} }} test_net_param {{ {} }} test_net_param {{ {} }} test_iter: 1 test_iter: 2 \
         test_interval: 3 max_iter: 3 display: 1 base_lr: 0.5 lr_policy: \"fixed\" snapshot_after_train: false",
        net(loss),
        net(loss),
        net(accuracy)
    );
    let mut lines = Lines::default();
    solver(&text, 1).solve(&mut lines).unwrap_or_else(|e| panic!("{e}"));
    let tested: Vec<&String> = lines.0.iter().filter(|l| l.contains("Test net output")).collect();
    assert_eq!(tested.len(), 4, "{:#?}", lines.0);
    // All weights are 0 at first: the loss is ln 3, and a tie counts as wrong.
    assert!(tested[0].contains("loss = 1.09861"), "{}", tested[0]);
    assert!(tested[1].contains("acc = 0"), "{}", tested[1]);
    assert!(tested[3].contains("acc = 1"), "{}", tested[3]);
}

#[test]
fn learning_rates_follow_their_policies() {
    let rates = |policy: &str| -> Vec<f32> {
        let text = format!(
            "net_param {{ layer {{ name: \"d\" type: \"DummyData\" top: \"x\" dummy_data_param {{ shape {{ dim: 1 dim: 1 }} }} }}
               layer {{ name: \"fc\" type: \"InnerProduct\" bottom: \"x\" top: \"y\" loss_weight: 1
                 inner_product_param {{ num_output: 1 }} }} }} base_lr: 0.5 max_iter: 8 display: 1 {policy}"
        );
        let mut lines = Lines::default();
        let mut solver: Solver = solver(&text, 1);
        solver.step(4, &mut lines).unwrap_or_else(|e| panic!("{e}"));
        let rate = |line: &String| line.split("lr = ").nth(1)?.parse().ok();
        lines.0.iter().filter_map(rate).collect()
    };
    let e = std::f32::consts::E;
    let cosine = |t: f32| 0.1 + 0.4 * (1.0 + (std::f32::consts::PI * t / 8.0).cos()) / 2.0;
    let table: [(&str, [f32; 4]); 16] = [
        ("lr_policy: 'fixed'", [0.5; 4]),
        ("lr_policy: 'step' gamma: 0.1 stepsize: 2", [0.5, 0.5, 0.05, 0.05]),
        ("lr_policy: 'exp' gamma: 0.5", [0.5, 0.25, 0.125, 0.0625]),
        ("lr_policy: 'inv' gamma: 1 power: 1", [0.5, 0.25, 0.5 / 3.0, 0.125]),
        ("lr_policy: 'multistep' gamma: 0.1 stepvalue: 1 stepvalue: 3", [0.5, 0.05, 0.05, 0.005]),
        (
            "lr_policy: 'poly' power: 2",
            [0.5, 0.5 * 49.0 / 64.0, 0.5 * 36.0 / 64.0, 0.5 * 25.0 / 64.0],
        ),
        (
            "lr_policy: 'sigmoid' gamma: 1 stepsize: 1",
            [0.5 / (1.0 + e), 0.25, 0.5 / (1.0 + 1.0 / e), 0.5 / (1.0 + 1.0 / (e * e))],
        ),
        ("lr_policy: 'cosine' min_lr: 0.1", [0.5, cosine(1.0), cosine(2.0), cosine(3.0)]),
        ("lr_policy: 'exp' gamma: 0.5 min_lr: 0.2", [0.5, 0.25, 0.2, 0.2]),
        (
            "lr_policy: 'poly' power: 1 min_lr: 0.1",
            [0.5, 0.1 + 0.4 * 0.875, 0.1 + 0.4 * 0.75, 0.1 + 0.4 * 0.625],
        ),
        ("lr_policy: 'fixed' warmup_iter: 2 warmup_start_lr: 0.1", [0.1, 0.3, 0.5, 0.5]),
        ("lr_policy: 'fixed' rampup_interval: 2 rampup_lr: 0.1", [0.1, 0.2, 0.5, 0.5]),
        (
            "lr_policy: 'step' gamma: 0.1 stepsize: 2 warmup_iter: 3",
            [0.0, 0.5 / 3.0, 1.0 / 3.0, 0.05],
        ),
        // Steps below the rise are made up afterwards, one an iteration, as in Intel's.
        (
            "lr_policy: 'multistep' gamma: 0.1 stepvalue: 1 stepvalue: 2 warmup_iter: 3",
            [0.0, 0.5 / 3.0, 1.0 / 3.0, 0.05],
        ),
        // Without gradients the loss stays 0: its first look is the only new minimum.
        (
            "lr_policy: 'plateau' gamma: 0.1 plateau_winsize: 1 plateau_winsize: 2 clip_gradients: 0",
            [0.5, 0.05, 0.05, 0.005],
        ),
        (
            "lr_policy: 'plateau' gamma: 0.1 plateau_winsize: 3 clip_gradients: 0",
            [0.5, 0.5, 0.5, 0.05],
        ),
    ];
    let mut failures = Vec::new();
    for (policy, wanted) in table {
        let found = rates(policy);
        let same = found.len() == 4 && found.iter().zip(wanted).all(|(f, w)| (f - w).abs() < 2e-6);
        if !same {
            failures.push(format!("{policy}: found {found:?}, wanted {wanted:?}"));
        }
    }
    none(failures);
}

/// y = w · 1 on a net without data, w at first `start`, the loss y²: its gradient is 2w.
fn parabola(start: f32, more: &str) -> String {
    format!(
        r#"net_param {{
          layer {{ name: "d" type: "DummyData" top: "x" dummy_data_param {{
            shape {{ dim: 1 dim: 1 }} data_filler {{ type: "constant" value: 1 }} }} }}
          layer {{ name: "w" type: "InnerProduct" bottom: "x" top: "y" inner_product_param {{
            num_output: 1 bias_term: false weight_filler {{ type: "constant" value: {start} }} }} }}
          layer {{ name: "sq" type: "Power" bottom: "y" top: "loss" power_param {{ power: 2 }} loss_weight: 1 }}
        }} lr_policy: "fixed" snapshot_after_train: false random_seed: 1 {more}"#
    )
}

/// The weight of `parabola` after so many iterations, and what was printed.
fn minimised(start: f32, iters: u64, more: &str) -> (f32, Vec<String>) {
    let mut lines = Lines::default();
    let mut solver = solver(&parabola(start, &format!("max_iter: {iters} {more}")), 1);
    solver.step(iters, &mut lines).unwrap_or_else(|e| panic!("{e}"));
    let store = &solver.net().store;
    (store.data(store.of_layer("w", 0).unwrap_or_default())[0], lines.0)
}

#[test]
fn fields_of_the_update_do_what_they_say() {
    // Start, iterations, fields, and the weight by hand.
    let table: [(f32, u64, &str, f32); 12] = [
        (1.0, 1, "base_lr: 0.1", 1.0 - 0.1 * 2.0),
        (1.0, 2, "base_lr: 0.1 momentum: 0.5", 0.8 - (0.5 * 0.2 + 0.1 * 1.6)),
        (1.0, 1, "base_lr: 0.1 weight_decay: 0.5", 1.0 - 0.1 * (2.0 + 0.5)),
        (-1.0, 1, "base_lr: 0.1 weight_decay: 0.5 regularization_type: 'L1'", -1.0 + 0.1 * 2.5),
        (1.0, 1, "base_lr: 0.1 clip_gradients: 1", 1.0 - 0.1),
        (1.0, 1, "base_lr: 0.1 clip_gradients: 3", 1.0 - 0.2),
        (1.0, 1, "base_lr: 0.1 iter_size: 4", 1.0 - 0.2),
        // Clipped is the sum, 8, which is averaged then.
        (1.0, 1, "base_lr: 0.1 iter_size: 4 clip_gradients: 4", 1.0 - 0.1),
        // Adam's first step is the rate in the direction of the gradient; the decay stands apart.
        (1.0, 1, "type: 'AdamW' momentum: 0.9 base_lr: 0.1", 1.0 - 0.1),
        (2.0, 1, "type: 'AdamW' momentum: 0.9 base_lr: 0.1 weight_decay: 0.5", 2.0 * 0.95 - 0.1),
        // |w| / (|g| + decay |w|) = 1 / (2 + 0.5), and the gradient with the decay is 2.5.
        (1.0, 1, "type: 'LARS' base_lr: 0.1 larc_eta: 0.5 weight_decay: 0.5", 1.0 - 0.1 * 0.5),
        (3.0, 1, "type: 'LARS' base_lr: 0.1 larc_eta: 0.5", 3.0 - 0.1 * 0.5 * 3.0),
    ];
    let mut failures = Vec::new();
    for (start, iters, more, wanted) in table {
        let (found, _) = minimised(start, iters, more);
        if (found - wanted).abs() > 1e-6 {
            failures.push(format!("{more}: {found} instead of {wanted}"));
        }
    }
    none(failures);
}

#[test]
fn the_shown_loss_is_the_mean_of_the_last_iterations() {
    // The losses are 1, 0.25, 0.0625: the weight halves.
    let (_, lines) = minimised(1.0, 3, "base_lr: 0.25 display: 1 average_loss: 2");
    let shown: Vec<&str> = lines.iter().filter_map(|l| l.split("loss = ").nth(1)).collect();
    let shown: Vec<&str> = shown.into_iter().filter(|l| !l.contains('(')).collect();
    assert_eq!(shown, ["1", "0.625", "0.15625"], "{lines:#?}");
}

#[test]
fn debug_info_shows_the_mean_magnitude_of_all() {
    let (_, lines) = minimised(-3.0, 1, "base_lr: 0.25 display: 1 debug_info: true");
    for wanted in [
        "    [Forward] Layer d, top blob x data: 1",
        "    [Forward] Layer w, top blob y data: 3",
        "    [Forward] Layer w, param blob 0 data: 3",
        "    [Forward] Layer sq, top blob loss data: 9",
        "    [Backward] Layer sq, bottom blob y diff: 6",
        "    [Backward] Layer w, param blob 0 diff: 6",
        "    [Backward] All net params (data, diff): L1 norm = (3, 6); L2 norm = (3, 6)",
    ] {
        assert!(lines.iter().any(|line| line == wanted), "{wanted} is missing in {lines:#?}");
    }
}

#[test]
fn tests_begin_with_the_first_iteration_unless_they_must_not() {
    let tested = |more: &str| {
        let (_, lines) =
            minimised(1.0, 2, &format!("base_lr: 0.25 test_iter: 1 test_interval: 2 {more}"));
        lines.iter().filter(|line| line.contains("Testing net (#0)")).count()
    };
    assert_eq!((tested(""), tested("test_initialization: false")), (1, 0));
    let (_, lines) =
        minimised(2.0, 1, "base_lr: 0.25 test_iter: 1 test_interval: 2 test_compute_loss: true");
    assert!(lines.contains(&"Test loss: 4".to_owned()), "{lines:#?}");
}

#[test]
fn solver_files_that_make_no_sense_are_refused_field_by_field() {
    let options = cortado::solver::SolverOptions::default();
    let told = |text: &str| {
        let source = cortado_proto::span::Source::new("solver.prototxt", text);
        let def = cortado_proto::SolverDef::from_text(&source).unwrap_or_else(|e| panic!("{e}"));
        Solver::build(def, &options).err().map_or("no error".to_owned(), |e| e.to_string())
    };
    let table: [(&str, &str); 14] = [
        ("lr_policy: 'plateau'", "wants `plateau_winsize`"),
        ("lr_policy: 'cosine'", "lr_policy `cosine` wants a `max_iter` above 0"),
        (
            "lr_policy: 'fixed' base_lr: 0.1 min_lr: 1",
            "`min_lr` is between 0 and base_lr, 0.1, found 1",
        ),
        ("lr_policy: 'fixed' patience: 2", "`patience` wants `keep_best`"),
        ("lr_policy: 'fixed' keep_last: -1", "`keep_last` must not be negative, found -1"),
        ("lr_policy: 'fixed' type: 'LARS' larc_eta: 0", "`larc_eta` is above 0, found 0"),
        ("base_lr: 1", "`lr_policy` must be given"),
        ("lr_policy: 'stepp'", "there is no lr_policy `stepp`"),
        ("lr_policy: 'step'", "wants a `stepsize` above 0"),
        ("lr_policy: 'fixed' type: 'Adm'", "there is no solver type `Adm`"),
        (
            "lr_policy: 'fixed' type: 'AdaGrad' momentum: 0.9",
            "AdaGrad takes no momentum, found 0.9",
        ),
        ("lr_policy: 'fixed' iter_size: 0", "`iter_size` is at least 1, found 0"),
        ("lr_policy: 'fixed' max_iter: -1", "`max_iter` must not be negative, found -1"),
        (
            "lr_policy: 'fixed' regularization_type: 'L3'",
            "regularization_type is L1 or L2, found `L3`",
        ),
    ];
    let mut failures = Vec::new();
    for (fields, wanted) in table {
        let found = told(fields);
        if !found.contains(wanted) {
            failures.push(format!("{fields}: {found}"));
        }
    }
    // Both at once, each with its place.
    let both = told("lr_policy: 'stepp'\niter_size: 0");
    if !(both.contains("solver.prototxt:1:") && both.contains("solver.prototxt:2:")) {
        failures.push(both);
    }
    none(failures);
}

/// A parabola that is tested every iteration, and what `keep_best` and `patience` make of it.
#[test]
fn the_best_weights_are_kept_and_patience_ends() {
    let folder = folder();
    // The rate grows: the loss falls, and rises again from the third test on.
    let more = format!(
        "base_lr: 0.3 max_iter: 50 test_iter: 1 test_interval: 1 snapshot_prefix: {:?} patience: 3",
        folder.path().join("run").display().to_string()
    );
    let run = |best: &str| {
        let text = parabola(1.0, &format!("{more} keep_best: {best:?}"));
        let text = text.replace("\"fixed\"", "\"exp\" gamma: 1.6");
        let mut solver = solver(&text, 1);
        let finished = solver.solve(&mut ()).unwrap_or_else(|e| panic!("{e}"));
        (finished, solver.best(), solver.iter())
    };
    let (finished, best, iter) = run("loss");
    let (value, at) = best.unwrap_or_default();
    assert!(!finished && value < 0.1 && iter == at + 3, "{value} at {at}, stopped at {iter}");
    let saved = folder.path().join("run_best.caffemodel");
    let mut net = solver(&parabola(1.0, "base_lr: 1"), 1);
    net.net_mut().copy_from(&saved).unwrap_or_else(|e| panic!("{e}"));
    let store = &net.net().store;
    let weight = f64::from(store.data(store.of_layer("w", 0).unwrap_or_default())[0]);
    assert!((weight * weight - value).abs() < 1e-6, "{weight} is not the weight of {value}");
    // Larger is better with a sign: the first test is the best of the falling part.
    let (_, best, _) = run("+loss");
    assert!(best.is_some_and(|(value, _)| value >= 1.0), "{best:?}");
    let source = cortado_proto::span::Source::new("s", parabola(1.0, "keep_best: 'accuracy'"));
    let def = cortado_proto::SolverDef::from_text(&source).unwrap_or_else(|e| panic!("{e}"));
    let told = Solver::build(def, &cortado::solver::SolverOptions::default()).err();
    let told = told.map(|e| e.to_string()).unwrap_or_default();
    assert!(told.contains("`keep_best` names the output `accuracy`"), "{told}");
}

#[test]
fn the_best_and_the_patience_go_on_from_a_snapshot() {
    let folder = folder();
    // The rate grows: the loss falls, and rises again.
    let more = format!(
        "base_lr: 0.3 max_iter: 50 test_iter: 1 test_interval: 1 snapshot: 1 snapshot_prefix: {:?} \
         keep_best: \"loss\" patience: 3",
        folder.path().join("run").display().to_string()
    );
    let text = parabola(1.0, &more).replace("\"fixed\"", "\"exp\" gamma: 1.6");
    let mut straight = solver(&text, 1);
    straight.solve(&mut ()).unwrap_or_else(|e| panic!("{e}"));
    let (_, at) = straight.best().unwrap_or_default();
    for behind in [1, 2] {
        let mut resumed = solver(&text, 1);
        let state = folder.path().join(format!("run_iter_{}.solverstate", at + behind));
        resumed.restore(state).unwrap_or_else(|e| panic!("{e}"));
        resumed.solve(&mut ()).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(
            (resumed.best(), resumed.iter()),
            (straight.best(), straight.iter()),
            "{behind} behind"
        );
    }
}

#[test]
fn policies_that_keep_count_go_on_from_a_snapshot() {
    for policy in [
        "\"multistep\" gamma: 0.5 stepvalue: 1 stepvalue: 2 stepvalue: 9",
        "\"plateau\" gamma: 0.5 plateau_winsize: 2 plateau_winsize: 4 plateau_winsize: 50",
    ] {
        let folder = folder();
        // The rate is too small to move the weight: the loss stands still, the momentum tells the rates.
        let more = format!(
            "base_lr: 1e-12 momentum: 0.9 max_iter: 12 snapshot: 4 snapshot_prefix: {:?}",
            folder.path().join("run").display().to_string()
        );
        let text = parabola(1.0, &more).replace("\"fixed\"", policy);
        let run = |from: Option<u64>| {
            let mut solver = solver(&text, 1);
            if let Some(iter) = from {
                let state = folder.path().join(format!("run_iter_{iter}.solverstate"));
                solver.restore(state).unwrap_or_else(|e| panic!("{e}"));
            }
            leave_alone(&solver);
            solver.solve(&mut ()).unwrap_or_else(|e| panic!("{e}"));
            snapshot(folder.path(), 12)
        };
        let straight = run(None);
        assert!(run(Some(4)) == straight, "{policy}");
    }
}

#[test]
fn gradients_are_saved_beside_the_weights_when_asked_for() {
    let folder = folder();
    for (format, name) in
        [("BINARYPROTO", "run_iter_1.caffemodel"), ("HDF5", "run_iter_1.caffemodel.h5")]
    {
        if format == "HDF5" && cfg!(not(feature = "hdf5")) {
            continue;
        }
        let more = format!(
            "base_lr: 0.1 max_iter: 1 snapshot_diff: true snapshot_format: {format} snapshot_prefix: {:?}",
            folder.path().join("run").display().to_string()
        );
        let text = parabola(1.0, &more).replace("snapshot_after_train: false", "");
        solver(&text, 1).solve(&mut ()).unwrap_or_else(|e| panic!("{e}"));
        let path = folder.path().join(name);
        let diff = match format {
            "HDF5" => {
                let reader = cortado::hdf5::Reader::open(&path).unwrap_or_else(|e| panic!("{e}"));
                reader.read("diff/w/0").unwrap_or_else(|e| panic!("{e}")).1
            }
            _ => {
                let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{e}"));
                let net = cortado_proto::wire::decode_net(&bytes).unwrap_or_else(|e| panic!("{e}"));
                net.layer[1].blobs[0].diff.clone()
            }
        };
        assert_eq!(diff, [2.0], "{format}");
    }
}

#[test]
fn the_shown_loss_goes_on_from_a_snapshot() {
    let folder = folder();
    let run = |from: Option<u64>| {
        let more = format!(
            "base_lr: 0.05 max_iter: 8 display: 1 average_loss: 4 snapshot: 4 snapshot_prefix: {:?}",
            folder.path().join("run").display().to_string()
        );
        let mut solver = solver(&parabola(1.0, &more), 1);
        if let Some(iter) = from {
            let state = folder.path().join(format!("run_iter_{iter}.solverstate"));
            solver.restore(state).unwrap_or_else(|e| panic!("{e}"));
        }
        let mut lines = Lines::default();
        solver.solve(&mut lines).unwrap_or_else(|e| panic!("{e}"));
        let shown = lines.0.iter().filter(|l| l.starts_with("Iteration 5 ("));
        shown.filter_map(|l| l.split("loss = ").nth(1)).map(str::to_owned).collect::<Vec<_>>()
    };
    let straight = run(None);
    assert_eq!((straight.len(), run(Some(4))), (1, straight));
}

/// Per picture two true boxes and two detections, of which the second best is right.
#[test]
fn detections_are_told_as_their_mean_average_precision() {
    let rows = |name: &str, shape: [usize; 2], values: &str| {
        let [n, width] = shape;
        let data: String = values.split(' ').map(|v| format!("data: {v} ")).collect();
        let shape = format!("shape {{ dim: 1 dim: 1 dim: {n} dim: {width} }}");
        format!(
            "layer {{ name: \"{name}\" type: \"Parameter\" top: \"{name}\" parameter_param {{ {shape} }} \
             blobs {{ {shape} {data} }} }}"
        )
    };
    let boxes = "0 1 0 .1 .1 .5 .5 0 0 1 1 .5 .5 .9 .9 0";
    let found = "0 1 .9 .6 .1 .9 .4 0 1 .8 .1 .1 .5 .5";
    let test = format!(
        "{} {} layer {{ name: \"e\" type: \"DetectionEvaluate\" bottom: \"found\" bottom: \"boxes\" \
         top: \"detection_eval\" detection_evaluate_param {{ num_classes: 2 }} }}",
        rows("found", [2, 7], found),
        rows("boxes", [2, 8], boxes)
    );
    let train =
        r#"layer { name: "d" type: "DummyData" top: "x" dummy_data_param { shape { dim: 1 } } }"#;
    let mut failures = Vec::new();
    let table = [("Integral", "0.191667"), ("MaxIntegral", "0.25"), ("11point", "0.272727")];
    for (version, wanted) in table {
        let text = format!(
            "train_net_param {{ {train} }} test_net_param {{ {test} }} test_iter: 3 test_interval: 1 \
             max_iter: 1 base_lr: 0.1 lr_policy: \"fixed\" snapshot_after_train: false \
             eval_type: \"detection\" ap_version: \"{version}\" show_per_class_result: true"
        );
        let mut lines = Lines::default();
        solver(&text, 1).solve(&mut lines).unwrap_or_else(|e| panic!("{e}"));
        let told = [
            format!("class1: {wanted}"),
            format!("    Test net output #0: detection_eval = {wanted}"),
        ];
        if !told.iter().all(|line| lines.0.contains(line)) {
            failures.push(format!("{version}: {:#?}", lines.0));
        }
    }
    none(failures);
}
