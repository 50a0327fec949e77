//! Training that computes activations again: nothing that somebody sees differs.

use std::path::Path;

use cortado::net::threads;
use cortado::solver::{Event, Reading, Solver, SolverError, SolverOptions, Watcher};
use cortado_proto::SolverDef;
use cortado_proto::span::Source;

use crate::support::{cortado, leave_alone, stderr, stdout};

/// Dropout, statistics, shuffled data; behind it come residual blocks.
const STEM: &str = r#"
    layer { name: "mnist" type: "Data" top: "data" top: "label" transform_param { scale: 0.00390625 mirror: true }
      data_param { backend: IDX source: "models/lenet/data/t10k-images-idx3-ubyte.gz"
        label_source: "models/lenet/data/t10k-labels-idx1-ubyte.gz" batch_size: 8 shuffle: true } }
    layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
      convolution_param { num_output: 8 kernel_size: 5 stride: 2 weight_filler { type: "xavier" } } }
    layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" }
    layer { name: "scale" type: "Scale" bottom: "conv" top: "conv" scale_param { bias_term: true } }
    layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
    layer { name: "drop" type: "Dropout" bottom: "conv" top: "drop" }"#;

/// A residual block from blob x to blob y; `inner` is what it adds.
const BLOCK: &str = r#"
    layer { name: "inner" type: "Convolution" bottom: "x" top: "inner"
      convolution_param { num_output: 8 kernel_size: 3 pad: 1 weight_filler { type: "xavier" } } }
    layer { name: "bn2" type: "BatchNorm" bottom: "inner" top: "inner" }
    layer { name: "scale2" type: "Scale" bottom: "inner" top: "inner" scale_param { bias_term: true } }
    layer { name: "y" type: "Eltwise" bottom: "x" bottom: "inner" top: "y" }
    layer { name: "relu2" type: "ReLU" bottom: "y" top: "y" }"#;

const END: &str = r#"
    layer { name: "pool" type: "Pooling" bottom: "y3" top: "pool" pooling_param { kernel_size: 2 stride: 2 } }
    layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc"
      inner_product_param { num_output: 10 weight_filler { type: "xavier" } } }
    layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }"#;

const ITERS: u64 = 8;

fn solver(text: &str, threads: usize, checkpoint_activations: bool) -> Solver {
    let source = Source::new("solver.prototxt", text);
    let def = SolverDef::from_text(&source).unwrap_or_else(|e| panic!("{e}"));
    let pool = threads::pool(threads);
    let options = SolverOptions { pool, checkpoint_activations, ..SolverOptions::default() };
    Solver::build(def, &options).unwrap_or_else(|e| panic!("{e}"))
}

fn text(prefix: &Path, more: &str) -> String {
    let block = |n: usize, from: &str| {
        let names = ["inner", "bn2", "scale2", "y", "relu2"];
        let x = BLOCK.replace("\"x\"", &format!("{from:?}"));
        names
            .iter()
            .fold(x, |text, name| text.replace(&format!("{name:?}"), &format!("\"{name}{n}\"")))
    };
    let blocks = block(1, "drop") + &block(2, "y1") + &block(3, "y2");
    format!(
        "net_param {{ {STEM} {blocks} {END} }} base_lr: 0.01 momentum: 0.9 random_seed: 3 lr_policy: \"fixed\" \
         test_iter: 2 test_interval: 3 display: 2 max_iter: {ITERS} snapshot_prefix: {prefix:?} {more}"
    )
}

/// Keeps what is told, but for what depends on time.
#[derive(Debug, Default, PartialEq)]
struct Told {
    lines: Vec<String>,
    readings: Vec<Reading>,
}

impl Watcher for Told {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Line(line) if !(line.contains("iter/s") || line.contains("images/s")) => {
                self.lines.push((*line).to_owned())
            }
            Event::Probed(readings) => self.readings.extend_from_slice(readings),
            _ => {}
        }
    }
}

fn snapshot(folder: &Path) -> Vec<Vec<u8>> {
    let read = |ending| std::fs::read(folder.join(format!("run_iter_{ITERS}.{ending}")));
    ["caffemodel", "solverstate"].map(|e| read(e).unwrap_or_else(|e| panic!("{e}"))).to_vec()
}

#[test]
fn training_tells_and_learns_the_same_whether_activations_are_kept_or_computed_again() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let prefix = folder.path().join("run");
    let probe = r#"probe { blob: "conv" blob: "inner2:3" blob: "y2" interval: 2 }"#;
    for more in ["iter_size: 2", probe, "debug_info: true", "snapshot: 5"] {
        let text = text(&prefix, more);
        let train = |threads: usize, again: bool| {
            let mut solver = solver(&text, threads, again);
            assert_eq!(!solver.net().run_again().is_empty(), again, "{more}");
            let mut told = Told::default();
            leave_alone(&solver);
            solver.solve(&mut told).unwrap_or_else(|e| panic!("{more}: {e}"));
            (told, snapshot(folder.path()))
        };
        let (told, bytes) = train(1, false);
        assert!(told.readings.len() == if more == probe { 12 } else { 0 }, "{more}");
        for threads in [1, 3] {
            let (found, same) = train(threads, true);
            assert_eq!(found, told, "{more}");
            assert!(same == bytes, "{more}: the snapshots differ");
        }
        // Going on from a snapshot, the other way round.
        if more == "snapshot: 5" {
            let mut solver = solver(&text, 2, true);
            let state = folder.path().join("run_iter_5.solverstate");
            solver.restore(&state).unwrap_or_else(|e| panic!("{e}"));
            leave_alone(&solver);
            solver.solve(&mut ()).unwrap_or_else(|e| panic!("{e}"));
            assert!(snapshot(folder.path()) == bytes, "the resumed run differs");
        }
    }
}

/// Layers that go on from what the last pass left: a run computed again, and one taken up, begin where
/// the first did.
#[test]
fn what_layers_carry_from_pass_to_pass_is_there_again() {
    let data = |axes: &str, fillers: &str| {
        format!(
            "layer {{ name: \"d\" type: \"DummyData\" top: \"x\" top: \"cont\" top: \"t\" dummy_data_param {{ {axes} {fillers} }} }}"
        )
    };
    let sequence = data(
        "shape { dim: 4 dim: 2 dim: 6 } shape { dim: 4 dim: 2 } shape { dim: 4 dim: 2 dim: 6 }",
        r#"data_filler { type: "gaussian" std: 1 } data_filler { type: "constant" value: 1 } data_filler { type: "gaussian" std: 1 }"#,
    );
    let classes = data(
        "shape { dim: 8 dim: 6 } shape { dim: 8 } shape { dim: 8 dim: 6 }",
        r#"data_filler { type: "gaussian" std: 1 } data_filler { type: "constant" value: 2 } data_filler { type: "gaussian" std: 1 }"#,
    );
    let recurrent = |kind: &str| {
        format!(
            "layer {{ name: \"r\" type: \"{kind}\" bottom: \"x\" bottom: \"cont\" top: \"h0\" \
                 recurrent_param {{ num_output: 6 weight_filler {{ type: \"uniform\" min: -0.8 max: 0.8 }} }} }}"
        )
    };
    let fork = r#"layer { name: "r" type: "Lstm" bottom: "x" bottom: "cont" top: "h0"
        lstm_param { num_output: 6 weight_filler { type: "uniform" min: -0.8 max: 0.8 } } }"#;
    let tail = |axis: usize| -> String {
        let block = |i: usize| {
            let j = i + 1;
            format!(
                "layer {{ name: \"ip{i}\" type: \"InnerProduct\" bottom: \"h{i}\" top: \"i{i}\" \
                     inner_product_param {{ num_output: 6 axis: {axis} weight_filler {{ type: \"xavier\" }} }} }} \
                     layer {{ name: \"th{i}\" type: \"TanH\" bottom: \"i{i}\" top: \"h{j}\" }}"
            )
        };
        (0..3).map(block).collect::<String>()
            + r#"layer { name: "loss" type: "EuclideanLoss" bottom: "h3" bottom: "t" top: "loss" }"#
    };
    let steep = r#"layer { name: "r" type: "ScaleTanH" bottom: "x" top: "h0" scale_tanh_param { step_size: 2 gamma: 0.5 power: 1 } }"#;
    let margin = r#"
        layer { name: "ip" type: "InnerProduct" bottom: "x" top: "m" inner_product_param { num_output: 6 weight_filler { type: "xavier" } } }
        layer { name: "r" type: "MarginInnerProduct" bottom: "m" bottom: "cont" top: "h0" margin_inner_product_param {
          num_output: 6 type: DOUBLE base: 1000 gamma: 0.12 power: 1 lambda_min: 5 weight_filler { type: "xavier" } } }"#;
    let nets = [
        ("LSTM", sequence.clone() + &recurrent("LSTM") + &tail(2)),
        ("RNN", sequence.clone() + &recurrent("RNN") + &tail(2)),
        ("Lstm", sequence + fork + &tail(2)),
        ("ScaleTanH", classes.clone() + steep + &tail(1)),
        ("MarginInnerProduct", classes + margin + &tail(1)),
    ];
    let mut wrong = Vec::new();
    for (kind, net) in nets {
        let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
        let prefix = folder.path().join("run");
        let text = format!(
            "net_param {{ {net} }} base_lr: 0.02 momentum: 0.9 random_seed: 5 lr_policy: \"fixed\" \
             max_iter: {ITERS} snapshot: 3 snapshot_prefix: {prefix:?}"
        );
        let run = |again: bool, from: Option<&str>| {
            let mut solver = solver(&text, 1, again);
            if let Some(state) = from {
                solver.restore(folder.path().join(state)).unwrap_or_else(|e| panic!("{kind}: {e}"));
            }
            leave_alone(&solver);
            solver.solve(&mut ()).unwrap_or_else(|e| panic!("{kind}: {e}"));
            snapshot(folder.path())
        };
        let unbroken = run(false, None);
        for (what, again, from) in
            [("computed again", true, None), ("taken up", false, Some("run_iter_3.solverstate"))]
        {
            if run(again, from) != unbroken {
                wrong.push(format!("{kind}, {what}: the snapshots differ"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn numbers_that_are_none_are_found_where_they_begin() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let text = text(&folder.path().join("run"), "").replace("base_lr: 0.01", "base_lr: 1e30");
    let first = |again: bool| match solver(&text, 1, again).solve(&mut ()) {
        Err(cortado::Error::Solver(errors)) => match &errors[..] {
            [SolverError::Diverged { first: Some(first), .. }] => first.clone(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    assert_eq!(first(true), first(false));
}

#[test]
fn the_program_takes_it_as_an_option() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let file = folder.path().join("solver.prototxt");
    std::fs::write(&file, text(&folder.path().join("run"), "")).unwrap_or_else(|e| panic!("{e}"));
    let file = file.display().to_string();
    let run = |more: &[&str]| {
        let output = cortado(&[&["train", "--solver", &file], more].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        snapshot(folder.path())
    };
    assert!(run(&["--checkpoint-activations"]) == run(&[]));
    assert!(stdout(&cortado(&["train", "--help"])).contains("--checkpoint-activations"));
}
