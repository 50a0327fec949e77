//! What a training run is watched for.

use cortado::net::threads;
use cortado::solver::{Event, Guards, Solver, SolverError, SolverOptions, Watcher};
use cortado_proto::SolverDef;
use cortado_proto::span::Source;

use crate::support::none;

#[derive(Default)]
struct Lines(Vec<String>);

impl Watcher for Lines {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Line(line) = event {
            self.0.push((*line).to_owned());
        }
    }
}

fn solver(text: &str, guards: Guards) -> Solver {
    let def = SolverDef::from_text(&Source::new("solver.prototxt", text));
    let def = def.unwrap_or_else(|e| panic!("{e}"));
    let options = SolverOptions { pool: threads::pool(1), guards, ..SolverOptions::default() };
    Solver::build(def, &options).unwrap_or_else(|e| panic!("{e}"))
}

/// Data of one value, two InnerProducts and a loss.
fn text(value: &str, layers: &str, more: &str) -> String {
    format!(
        r#"net_param {{
          layer {{ name: "d" type: "DummyData" top: "x" top: "t" dummy_data_param {{
            shape {{ dim: 4 dim: 3 }} shape {{ dim: 4 }} data_filler {{ {value} }}
            data_filler {{ type: "constant" value: 1 }} }} }}
          layer {{ name: "a" type: "InnerProduct" bottom: "x" top: "a" inner_product_param {{
            num_output: 8 weight_filler {{ type: "constant" value: 1 }} }} }}
          {layers} }} lr_policy: "fixed" random_seed: 1 {more}"#
    )
}

const EUCLIDEAN: &str = r#"
  layer { name: "b" type: "InnerProduct" bottom: "a" top: "b" inner_product_param {
    num_output: 1 weight_filler { type: "constant" value: 1 } } }
  layer { name: "r" type: "Reshape" bottom: "b" top: "r" reshape_param { shape { dim: 4 } } }
  layer { name: "loss" type: "EuclideanLoss" bottom: "r" bottom: "t" top: "loss" }"#;

#[test]
fn numbers_that_are_none_stop_training_at_the_layer_they_begin_in() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let constant = r#"type: "constant" value: 1"#;
    // Data, layers, rate, the layer, what of it.
    let overflow = r#"layer { name: "e" type: "Exp" bottom: "a" top: "e" exp_param { scale: 100 } }
      layer { name: "b" type: "InnerProduct" bottom: "e" top: "b" inner_product_param { num_output: 1 } }
      layer { name: "r" type: "Reshape" bottom: "b" top: "r" reshape_param { shape { dim: 4 } } }
      layer { name: "loss" type: "EuclideanLoss" bottom: "r" bottom: "t" top: "loss" }"#;
    let table = [
        (r#"type: "constant" value: inf"#, EUCLIDEAN, 0.1, "d", "top blob `x` holds inf"),
        (constant, overflow, 0.1, "e", "top blob `e` holds inf"),
        (constant, EUCLIDEAN, 1e30, "b", "top blob `b` holds"),
        // The update itself overflows: the weights are none, and must not be saved.
        (constant, EUCLIDEAN, 3e38, "a", "parameter 0 holds -inf"),
    ];
    let mut failures = Vec::new();
    for (row, (data, layers, rate, layer, what)) in table.into_iter().enumerate() {
        let prefix = folder.path().join(format!("run{row}"));
        let more = format!("base_lr: {rate} max_iter: 20 snapshot_prefix: {prefix:?}");
        let text = text(data, layers, &more);
        let mut lines = Lines::default();
        let mut solver = solver(&text, Guards::default());
        let told = match solver.solve(&mut lines) {
            Err(cortado::Error::Solver(errors)) => match &errors[..] {
                [error @ SolverError::Diverged { iter, first: Some(first), .. }] => {
                    if first.layer != layer || *iter != solver.iter() {
                        failures.push(format!("{first}, iteration {iter}"));
                    }
                    error.to_string()
                }
                other => format!("{other:?}"),
            },
            other => format!("{other:?}"),
        };
        if !told.contains(what) || !told.contains("training has diverged in iteration") {
            failures.push(told.clone());
        }
        // What was done before is kept, unless the weights themselves are none.
        let (_, state) = cortado::solver::snapshot_names(&prefix, solver.iter());
        let kept = state.is_file() == solver.net().store.is_finite();
        let said = solver.net().store.is_finite()
            || lines.0.iter().any(|line| line.contains("the weights are not finite"));
        if !kept || !said {
            failures.push(format!("{told}: snapshot {}: {:?}", state.display(), lines.0));
        }
        // Turned off, it trains on.
        let off = text.replace("max_iter: 20", "max_iter: 20 snapshot_after_train: false");
        let mut solver = self::solver(&off, Guards::NONE);
        if let Err(e) = solver.step(20, &mut ()) {
            failures.push(format!("turned off: {e}"));
        }
    }
    none(failures);
}

#[test]
fn doubtful_training_is_warned_of_and_each_guard_can_be_turned_off() {
    let softmax = |scores: &str| {
        format!(
            r#"{scores} layer {{ name: "s" type: "InnerProduct" bottom: "a" top: "s"
              param {{ lr_mult: 0 }} inner_product_param {{ num_output: 3 weight_filler {{ type: "xavier" }} }} }}
              layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "s" bottom: "t" top: "loss" }}"#
        )
    };
    let normal = r#"type: "gaussian""#;
    let huge = r#"type: "gaussian" std: 1e7"#;
    let relu = r#"layer { name: "shift" type: "Power" bottom: "a" top: "a" power_param { shift: -1000 } }
      layer { name: "relu" type: "ReLU" bottom: "a" top: "a" }"#;
    let half = softmax("").replace("bottom: \"t\"", "bottom: \"h\"");
    let half = format!(
        r#"layer {{ name: "h" type: "Power" bottom: "t" top: "h" power_param {{ shift: 0.5 }} }} {half}"#
    );
    let off = Guards::default;
    let table = [
        (
            normal,
            softmax(relu),
            "8 of 8 channels of the ReLU layer `relu`",
            Guards { relus: false, ..off() },
        ),
        (
            normal,
            softmax(""),
            "all labels of layer `loss` in 20 iterations are 1",
            Guards { labels: false, ..off() },
        ),
        (normal, half, "a label of layer `loss` is 1.5", Guards { labels: false, ..off() }),
        (huge, softmax(""), "87.3365 = -ln(FLT_MIN)", Guards { non_finite: false, ..off() }),
    ];
    let mut failures = Vec::new();
    for (data, layers, wanted, without) in table {
        let text = text(data, &layers, "base_lr: 1e-9 max_iter: 101 snapshot_after_train: false");
        for (guards, times) in [(Guards::default(), 1), (without, 0)] {
            let mut lines = Lines::default();
            let run = solver(&text, guards).step(101, &mut lines);
            let found = lines.0.iter().filter(|line| line.contains(wanted)).count();
            if run.is_err() || found != times {
                failures.push(format!("{wanted}: {found} times, {run:?}: {:?}", lines.0));
            }
        }
    }
    none(failures);
}

#[test]
fn a_gradient_that_explodes_is_warned_of() {
    // y = w² · x, from a steep place on: the rate throws the weight far out once.
    let text = text(
        r#"type: "constant" value: 1"#,
        EUCLIDEAN,
        "base_lr: 0.0001 max_iter: 60 snapshot_after_train: false",
    );
    for (guards, wanted) in
        [(Guards::default(), 1), (Guards { gradients: false, ..Guards::default() }, 0)]
    {
        let mut solver = solver(&text, guards);
        let mut lines = Lines::default();
        solver.step(30, &mut lines).unwrap_or_else(|e| panic!("{e}"));
        let store = &mut solver.net_mut().store;
        let id = store.of_layer("b", 0).unwrap_or_default();
        store.data_mut(id).fill(1000.0);
        solver.step(1, &mut lines).unwrap_or_else(|e| panic!("{e}"));
        let found =
            lines.0.iter().filter(|l| l.contains("the gradient of iteration 30 has")).count();
        assert_eq!(found, wanted, "{:?}", lines.0);
    }
}
