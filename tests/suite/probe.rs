//! Probes: what is read while a net trains, and the files of it.

use std::path::Path;

use cortado::plot::panels_of_readings;
use cortado::solver::{Event, Reading, Solver, Watcher, read_readings};

use crate::support::{cortado, cortado_in, solver, stderr};

const NET: &str = r#"
    layer { name: "in" type: "DummyData" top: "x" top: "y" dummy_data_param {
      data_filler { type: "gaussian" std: 1 } data_filler { type: "constant" }
      shape { dim: 8 dim: 5 } shape { dim: 8 dim: 4 } } }
    layer { name: "fc" type: "InnerProduct" bottom: "x" top: "a"
      inner_product_param { num_output: 4 weight_filler { type: "gaussian" std: 0.5 } } }
    layer { name: "act" type: "ReLU" bottom: "a" top: "b" }
    layer { name: "loss" type: "EuclideanLoss" bottom: "b" bottom: "y" top: "loss" }"#;

fn text(more: &str) -> String {
    format!(
        "net_param {{ {NET} }} base_lr: 0.1 lr_policy: \"fixed\" random_seed: 5 max_iter: 12 {more}"
    )
}

#[derive(Default)]
struct Readings(Vec<Reading>);

impl Watcher for Readings {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Probed(readings) = event {
            self.0.extend_from_slice(readings);
        }
    }
}

fn trained(more: &str) -> (Solver, Vec<Reading>) {
    let mut solver = solver(&text(more), 1);
    let mut watcher = Readings::default();
    solver.step(12, &mut watcher).unwrap_or_else(|e| panic!("{e}"));
    (solver, watcher.0)
}

fn weights(solver: &Solver) -> Vec<f32> {
    solver.net().store.data(0).to_vec()
}

#[test]
fn a_reading_tells_what_the_blob_held_and_how_the_weights_moved() {
    let probe = r#"probe { blob: "a" blob: "b:2" blob: "fc" interval: 11 }"#;
    let mut solver = solver(&text(probe), 1);
    let before = weights(&solver);
    let mut watcher = Readings::default();
    solver.step(1, &mut watcher).unwrap_or_else(|e| panic!("{e}"));
    let [a, b, fc] = &watcher.0[..] else { panic!("{:?}", watcher.0) };
    assert_eq!((a.iter, a.probe.as_str(), b.probe.as_str()), (0, "a", "b:2"));

    let values = solver.net().blob("a").map(|blob| blob.data.to_vec()).unwrap_or_default();
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / 32.0;
    assert!((a.mean - mean).abs() < 1e-9, "{a:?}");
    let unit: Vec<f64> = values.iter().skip(2).step_by(4).map(|&v| f64::from(v.max(0.0))).collect();
    assert!((b.mean - unit.iter().sum::<f64>() / 8.0).abs() < 1e-9, "{b:?}");
    let mut sorted = unit;
    sorted.sort_by(f64::total_cmp);
    assert!((b.percentiles[2] - (sorted[3] + sorted[4]) / 2.0).abs() < 1e-9, "{b:?}");
    assert!(b.update.is_none() && b.weight_gradient.is_none(), "a ReLU has no weights: {b:?}");

    // Plain descent: the step is the rate times the gradient.
    let norm = |values: &[f32]| values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
    let step: Vec<f32> = weights(&solver).iter().zip(&before).map(|(n, b)| n - b).collect();
    let update = a.update.unwrap_or_default();
    assert!((update - norm(&step) / norm(&before)).abs() < 1e-6, "{a:?}");
    let gradient = a.weight_gradient.unwrap_or_default();
    assert!((gradient - norm(&step) / 0.1).abs() < 1e-4 * gradient, "{a:?}");
    assert_eq!((fc.mean, fc.update), (a.mean, a.update), "a layer is its first top");
}

#[test]
fn a_unit_is_read_with_its_own_weights_and_one_value_is_not_dead() {
    let probe = r#"probe { blob: "a:2" blob: "loss" interval: 11 }"#;
    let mut solver = solver(&text(probe), 1);
    let before = weights(&solver);
    let mut watcher = Readings::default();
    solver.step(1, &mut watcher).unwrap_or_else(|e| panic!("{e}"));
    let [unit, loss] = &watcher.0[..] else { panic!("{:?}", watcher.0) };
    let norm = |values: &[f32]| values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
    let now = weights(&solver);
    let step: Vec<f32> = now[10..15].iter().zip(&before[10..15]).map(|(n, b)| n - b).collect();
    let (update, gradient) = (unit.update.unwrap_or_default(), unit.weight_gradient);
    assert!((update - norm(&step) / norm(&before[10..15])).abs() < 1e-6, "{unit:?}");
    let gradient = gradient.unwrap_or_default();
    assert!((gradient - norm(&step) / 0.1).abs() < 1e-4 * gradient, "{unit:?}");
    assert_eq!((unit.dead, loss.dead), (Some(0.0), None));
}

#[test]
fn probes_change_nothing_and_keep_their_interval() {
    let (plain, none) = trained("");
    let (probed, readings) = trained(r#"probe { blob: "b" interval: 5 }"#);
    assert!(none.is_empty());
    assert_eq!(readings.iter().map(|r| r.iter).collect::<Vec<_>>(), [0, 5, 10]);
    assert_eq!(weights(&plain), weights(&probed));
    let panels = panels_of_readings(&readings);
    assert!(panels[0].name.starts_with("b: "), "{panels:?}");
    assert_eq!(panels[0].series[0].bands.len(), 2);
}

fn probe_in(folder: &Path, file: &str, more: &[&str]) -> String {
    let solver = text("snapshot: 6 snapshot_prefix: \"run\"");
    std::fs::write(folder.join("solver.prototxt"), solver).unwrap_or_else(|e| panic!("{e}"));
    let arguments = ["train", "--solver", "solver.prototxt", "--probe", "a,b:1"];
    let place = ["--probe-interval", "2", "--probe-file", file];
    let arguments: Vec<&str> = arguments.iter().chain(&place).chain(more).copied().collect();
    let output = cortado_in(folder, &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    std::fs::read_to_string(folder.join(file)).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn a_run_that_is_taken_up_leaves_the_readings_of_an_unbroken_one() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    for file in ["p.csv", "p.jsonl"] {
        let whole = probe_in(folder.path(), file, &[]);
        let readings = read_readings(&whole);
        assert_eq!(readings.len(), 12, "{whole}");
        let again = probe_in(folder.path(), file, &["--snapshot", "run_iter_6.solverstate"]);
        assert_eq!(again, whole);
    }
    let csv = probe_in(folder.path(), "p.csv", &[]);
    let jsonl = probe_in(folder.path(), "p.jsonl", &[]);
    assert_eq!(read_readings(&csv), read_readings(&jsonl));
    let output = cortado_in(folder.path(), &["plot", "p.csv", "-o", "p.svg"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let svg = std::fs::read_to_string(folder.path().join("p.svg")).unwrap_or_default();
    let document = roxmltree::Document::parse(&svg).unwrap_or_else(|e| panic!("{e}"));
    let bands = document.descendants().filter(|n| n.attribute("class") == Some("band")).count();
    assert_eq!(bands, 4, "{svg}");
    let output = cortado_in(folder.path(), &["plot", "p.csv", "-o", "q.csv"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let table = std::fs::read_to_string(folder.path().join("q.csv")).unwrap_or_default();
    let mut columns: Vec<&str> = table.lines().next().unwrap_or_default().split(',').collect();
    assert!(columns.contains(&"a share of dead units"), "{table}");
    columns.sort_unstable();
    assert!(columns.windows(2).all(|two| two[0] != two[1]), "columns of one name: {columns:?}");
}

#[test]
fn a_probe_of_nothing_is_told() {
    let table = [
        ("cov1", "there is no blob and no layer `cov1` to probe"),
        ("conv1:20", "blob `conv1` has units 0 to 19, found 20"),
        ("loss:0", "blob `loss` has no channels: `loss:0` names none"),
    ];
    for (probe, wanted) in table {
        let solver = "models/lenet/quick_solver.prototxt";
        let output = cortado(&["train", "--solver", solver, "--probe", probe]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(wanted), "{}", stderr(&output));
    }
}
