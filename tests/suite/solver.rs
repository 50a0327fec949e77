//! Training: the same bits on any number of threads and after a resume, policies, test nets.

use std::path::Path;

use cortado::solver::{Event, Solver, Watcher};

use crate::support::{none, solver};

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
    let mut solver = solver(&text(&folder.path().join("run"), "iter_size: 2"), 1);
    solver.restore(&state).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(solver.iter(), 7);
    for ending in ["caffemodel", "solverstate"] {
        let path = folder.path().join(format!("run_iter_12.{ending}"));
        std::fs::remove_file(path).unwrap_or_else(|e| panic!("{e}"));
    }
    solver.solve(&mut ()).unwrap_or_else(|e| panic!("{e}"));
    assert!(snapshot(folder.path(), 12) == wanted);
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
    let table: [(&str, [f32; 4]); 7] = [
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
    let table: [(f32, u64, &str, f32); 8] = [
        (1.0, 1, "base_lr: 0.1", 1.0 - 0.1 * 2.0),
        (1.0, 2, "base_lr: 0.1 momentum: 0.5", 0.8 - (0.5 * 0.2 + 0.1 * 1.6)),
        (1.0, 1, "base_lr: 0.1 weight_decay: 0.5", 1.0 - 0.1 * (2.0 + 0.5)),
        (-1.0, 1, "base_lr: 0.1 weight_decay: 0.5 regularization_type: 'L1'", -1.0 + 0.1 * 2.5),
        (1.0, 1, "base_lr: 0.1 clip_gradients: 1", 1.0 - 0.1),
        (1.0, 1, "base_lr: 0.1 clip_gradients: 3", 1.0 - 0.2),
        (1.0, 1, "base_lr: 0.1 iter_size: 4", 1.0 - 0.2),
        // Clipped is the sum, 8, which is averaged then.
        (1.0, 1, "base_lr: 0.1 iter_size: 4 clip_gradients: 4", 1.0 - 0.1),
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
    ] {
        assert!(
            lines.iter().any(|line| line == wanted || line.starts_with(&format!("{wanted}."))),
            "{wanted} is missing in {lines:#?}"
        );
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
    let table: [(&str, &str); 8] = [
        ("base_lr: 1", "`lr_policy` must be given"),
        ("lr_policy: 'stepp'", "there is no lr_policy `stepp`"),
        ("lr_policy: 'step'", "wants a `stepsize` above 0"),
        ("lr_policy: 'fixed' type: 'Adm'", "there is no solver type `Adm`"),
        (
            "lr_policy: 'fixed' type: 'AdaGrad' momentum: 0.9",
            "AdaGrad takes no momentum, found 0.9",
        ),
        ("lr_policy: 'fixed' iter_size: 0", "`iter_size` is at least 1, found 0"),
        ("lr_policy: 'fixed' max_iter: -1", "`max_iter` is not negative, found -1"),
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
