//! Exact statistics in place of moving averages: what they are, and what the command tells.

use std::path::Path;

use cortado::batch_norm::recalibrate;
use cortado::net::{Net, NetOptions};
use cortado_layers::Phase;
use cortado_proto::NetDef;
use cortado_proto::span::Source;
use cortado_proto::wire::Model;

use crate::support::{cortado, cortado_in, none, stderr, stdout};

#[test]
fn exact_statistics_are_those_of_all_batches_together() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    // Every batch is other noise; all of them together are what the layer must have seen.
    let text = r#"
        layer { name: "d" type: "DummyData" top: "x" dummy_data_param {
          shape { dim: 5 dim: 2 dim: 3 } data_filler { type: "gaussian" mean: 3 std: 2 } } }
        layer { name: "bn" type: "BatchNorm" bottom: "x" top: "y" }"#;
    let def =
        || NetDef::from_text(&Source::new("net.prototxt", text)).unwrap_or_else(|e| panic!("{e}"));
    let options = NetOptions::new(Phase::Train);
    let mut net = Net::build(def(), &options).unwrap_or_else(|e| panic!("{e}"));
    let mut seen = [Vec::new(), Vec::new()];
    for _ in 0..4 {
        net.forward().unwrap_or_else(|e| panic!("{e}"));
        let x = net.read("x").map(|b| b.data.to_vec()).unwrap_or_else(|e| panic!("{e}"));
        for (i, value) in x.into_iter().enumerate() {
            seen[i / 3 % 2].push(f64::from(value));
        }
    }
    let weights = folder.path().join("old.caffemodel");
    net.save(&weights).unwrap_or_else(|e| panic!("{e}"));
    let made =
        recalibrate(def(), &[weights], &options, 4, &mut |_| {}).unwrap_or_else(|e| panic!("{e}"));
    let new = folder.path().join("new.caffemodel");
    made.save(&new).unwrap_or_else(|e| panic!("{e}"));
    let mut net = Net::build(def(), &options).unwrap_or_else(|e| panic!("{e}"));
    net.copy_from(&new).unwrap_or_else(|e| panic!("{e}"));
    let blob = |i: usize| net.store.of_layer("bn", i).map(|id| net.store.data(id).to_vec());
    let (means, variances) = (blob(0).unwrap_or_default(), blob(1).unwrap_or_default());
    assert_eq!(blob(2).as_deref(), Some(&[1.0][..]));
    for (c, values) in seen.iter().enumerate() {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
        assert!((f64::from(means[c]) - mean).abs() < 1e-5, "{means:?} {mean}");
        assert!((f64::from(variances[c]) - variance).abs() < 1e-4, "{variances:?} {variance}");
    }
    assert!(made.drifts[0].mean > 0.0 && made.drifts[0].mean < 1.0, "{:?}", made.drifts);
}

/// The forks' layers keep biased variances, and averages.
#[test]
fn every_dialect_gets_its_own_kind_of_statistics() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let weights = folder.path().join("old.caffemodel");
    let table = [
        (r#"type: "BatchNorm""#, 0, 32.0 / 31.0),
        (r#"type: "BatchNorm" batch_norm_param { use_weight_bias: true }"#, 0, 32.0 / 31.0),
        (r#"type: "BatchNorm" batch_norm_param { scale_bias: true }"#, 0, 1.0),
        (r#"type: "BN" bn_param { momentum: 0.9 }"#, 2, 1.0),
        (r#"type: "BN" bn_param { decay: 0.1 }"#, 2, 1.0),
    ];
    let mut failures = Vec::new();
    for (layer, at, unbias) in table {
        let text = format!(
            r#"layer {{ name: "d" type: "DummyData" top: "x" dummy_data_param {{
              shape {{ dim: 8 dim: 1 dim: 2 dim: 1 }} data_filler {{ type: "gaussian" std: 2 }} }} }}
            layer {{ name: "n" bottom: "x" top: "y" {layer} }}"#
        );
        let source = Source::new("net.prototxt", text);
        let def = || NetDef::from_text(&source).unwrap_or_else(|e| panic!("{e}"));
        let options = NetOptions::new(Phase::Train);
        let mut net = Net::build(def(), &options).unwrap_or_else(|e| panic!("{e}"));
        net.save(&weights).unwrap_or_else(|e| panic!("{e}"));
        let mut seen: Vec<f64> = Vec::new();
        for _ in 0..2 {
            net.forward().unwrap_or_else(|e| panic!("{e}"));
            let x = net.read("x").unwrap_or_else(|e| panic!("{e}"));
            seen.extend(x.data.iter().map(|&v| f64::from(v)));
        }
        let mean = seen.iter().sum::<f64>() / 32.0;
        let variance = seen.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 32.0 * unbias;
        let files = [weights.clone()];
        let made = recalibrate(def(), &files, &options, 2, &mut |_| {});
        let made = made.unwrap_or_else(|e| panic!("{e}"));
        let store = &made.net().store;
        let blob = |i: usize| store.of_layer("n", i).map_or(f32::NAN, |id| store.data(id)[0]);
        let near = |found: f32, wanted: f64| (f64::from(found) - wanted).abs() < 1e-4;
        if !near(blob(at), mean) || !near(blob(at + 1), variance) {
            failures.push(format!("{layer}: {} {}, not {mean} {variance}", blob(at), blob(at + 1)));
        }
    }
    none(failures);
}

/// A run so short and so fast that the averages are of weights that are no longer there.
#[test]
fn the_command_tells_scores_and_drifts_and_is_the_same_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let prefix = format!("snapshot_prefix={}", at("run"));
    let output = cortado(&[
        "train",
        "--solver",
        "models/mnist_mlp_bn/solver.prototxt",
        "--set",
        "max_iter=40",
        "--set",
        "base_lr=2",
        "--set",
        "test_initialization=false",
        "--set",
        &prefix,
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    let weights = at("run_iter_40.caffemodel");
    let run = |to: &str, threads: &str, json: &[&str]| {
        let mut arguments =
            vec!["bn-recalibrate", "--model", "models/mnist_mlp_bn/train_test.prototxt"];
        arguments.extend(["--weights", &weights, "-o", to, "--iterations", "20"]);
        arguments.extend(["--test-iterations", "20", "--threads", threads]);
        arguments.extend(json);
        let output = cortado(&arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        (stdout(&output), std::fs::read(to).unwrap_or_else(|e| panic!("{e}")))
    };
    let (told, file) = run(&at("one.caffemodel"), "1", &["--json"]);
    for threads in ["2", "5"] {
        let again = run(&at("more.caffemodel"), threads, &["--json"]);
        assert_eq!(again.0, told, "{threads} threads");
        assert!(again.1 == file, "{threads} threads: other bits");
    }
    let told: serde_json::Value = serde_json::from_str(&told).unwrap_or_default();
    let drifts: Vec<(&str, u64)> = told["drift"]
        .as_array()
        .map(|all| {
            all.iter()
                .map(|d| (d["layer"].as_str().unwrap_or(""), d["channels"].as_u64().unwrap_or(0)))
        })
        .map(Iterator::collect)
        .unwrap_or_default();
    assert_eq!(drifts, [("bn1", 100), ("bn2", 100), ("bn3", 100)], "{told}");
    let score = |when: &str| told[when]["accuracy"].as_f64().unwrap_or(f64::NAN);
    assert!(score("after") > score("before") + 0.02, "{told}");
    // A second time there is nothing left to mend.
    let exact = at("one.caffemodel");
    let (table, _) = run(&at("table.caffemodel"), "2", &[]);
    assert!(table.contains("accuracy = ") && table.contains(" before, "), "{table}");
    for layer in ["bn1", "bn2", "bn3"] {
        assert!(table.lines().any(|l| l.starts_with(layer) && l.contains("100")), "{table}");
    }
    let output = cortado(&[
        "bn-recalibrate",
        "--model",
        "models/mnist_mlp_bn/train_test.prototxt",
        "--weights",
        &exact,
        "-o",
        &at("again.caffemodel"),
        "--iterations",
        "20",
        "--json",
    ]);
    let again: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let drifts = again["drift"].as_array().cloned().unwrap_or_default();
    assert_eq!(drifts.len(), 3, "{}", stderr(&output));
    for drift in drifts {
        assert!(drift["mean"].as_f64().is_some_and(|d| d < 1e-5), "{drift}");
        assert!(drift["deviation"].as_f64().is_some_and(|d| d < 1e-5), "{drift}");
    }
    // An ordinary file: nothing but the statistics has changed.
    let open = |path: &str| Model::open(Path::new(path)).unwrap_or_else(|e| panic!("{e}"));
    let (old, new) = (open(&weights), open(&exact));
    for layer in old.layers.iter().filter(|layer| !layer.blobs.is_empty()) {
        let twin = new.layer(&layer.name).unwrap_or_else(|| panic!("`{}` is gone", layer.name));
        let same = old
            .blobs(layer)
            .zip(new.blobs(twin))
            .all(|(a, b)| matches!((a.to_vec(), b.to_vec()), (Ok(a), Ok(b)) if a == b));
        assert_eq!(same, layer.type_name != "BatchNorm", "{}", layer.name);
    }
}

const DATA: &str = r#"layer { name: "d" type: "DummyData" top: "x" top: "z" dummy_data_param {
  shape { dim: 8 dim: 1 dim: 2 dim: 1 } shape { dim: 4 dim: 1 dim: 2 dim: 1 }
  data_filler { type: "gaussian" mean: 1 } data_filler { type: "gaussian" mean: 20 std: 3 } } } "#;

/// A net of this text, its weights as they are at the start, in a folder.
fn in_folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("net.prototxt"), text).unwrap_or_else(|e| panic!("{e}"));
    let net = Net::from_file(at("net.prototxt"), &NetOptions::new(Phase::Test));
    let net = net.unwrap_or_else(|e| panic!("{e}"));
    net.save(at("old.caffemodel")).unwrap_or_else(|e| panic!("{e}"));
    folder
}

#[test]
fn what_makes_no_statistics_is_refused_and_writes_nothing() {
    let bn = r#"layer { name: "n" type: "BatchNorm" bottom: "x" top: "y" }"#;
    let input = r#"layer { name: "d" type: "Input" top: "x" input_param { shape { dim: 2 dim: 1 dim: 2 dim: 1 } } }"#;
    let memory = r#"layer { name: "d" type: "MemoryData" top: "x" top: "l" memory_data_param {
        batch_size: 2 channels: 1 height: 2 width: 1 } }"#;
    let table = [
        (input, "new.caffemodel", "nobody feeds `x`"),
        (memory, "new.caffemodel", "nobody feeds `x`"),
        (DATA, "nowhere/new.caffemodel", "there is no folder `nowhere`"),
        (DATA, "old.caffemodel", "it is read by this command"),
    ];
    let mut failures = Vec::new();
    for (data, output, wanted) in table {
        let folder = in_folder(&format!("{data} {bn}"));
        let old = std::fs::read(folder.path().join("old.caffemodel")).unwrap_or_default();
        let mut arguments = vec!["bn-recalibrate", "--model", "net.prototxt"];
        arguments.extend(["--weights", "old.caffemodel", "-o", output, "--iterations", "2"]);
        let told = cortado_in(folder.path(), &arguments);
        let kept = std::fs::read(folder.path().join("old.caffemodel")).unwrap_or_default() == old;
        let files = std::fs::read_dir(folder.path()).map_or(0, Iterator::count);
        if told.status.code() != Some(1) || !stderr(&told).contains(wanted) || !kept || files != 2 {
            failures.push(format!("{data}: {}", stderr(&told)));
        }
    }
    none(failures);
}

#[test]
fn weights_of_another_net_are_refused_and_new_statistics_are_not() {
    let bn = r#"layer { name: "n" type: "BatchNorm" bottom: "x" top: "y" }"#;
    let scale = r#"layer { name: "s" type: "Scale" bottom: "x" top: "x" }"#;
    let folder = in_folder(&format!("{DATA} {bn}"));
    let mut arguments = vec!["bn-recalibrate", "--model", "net.prototxt", "--weights"];
    arguments.extend(["old.caffemodel", "-o", "new.caffemodel", "--iterations", "2"]);
    let with = |text: String| {
        std::fs::write(folder.path().join("net.prototxt"), text).unwrap_or_else(|e| panic!("{e}"));
        cortado_in(folder.path(), &arguments)
    };
    let told = with(format!("{DATA} {scale} {bn}"));
    let wanted = "`old.caffemodel` has no weights for these layers of `net.prototxt`: s";
    assert!(stderr(&told).contains(wanted), "{}", stderr(&told));
    let told = with(format!("{DATA} {}", bn.replace("\"n\"", "\"new\"")));
    assert!(told.status.success(), "{}", stderr(&told));
}

#[test]
fn layers_of_other_phases_keep_their_weights() {
    let folder = in_folder(&format!(
        r#"{DATA} layer {{ name: "n" type: "BatchNorm" bottom: "x" top: "y" }}
        layer {{ name: "t" type: "Scale" bottom: "y" top: "t" include {{ phase: TEST }}
          scale_param {{ filler {{ value: 7 }} }} }}"#
    ));
    let at = |name: &str| folder.path().join(name);
    let mut arguments = vec!["bn-recalibrate", "--model", "net.prototxt", "--weights"];
    arguments.extend(["old.caffemodel", "-o", "new.caffemodel", "--iterations", "2"]);
    let output = cortado_in(folder.path(), &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let model = Model::open(at("new.caffemodel")).unwrap_or_else(|e| panic!("{e}"));
    let layer = model.layer("t").unwrap_or_else(|| panic!("`t` is gone"));
    let values: Vec<Vec<f32>> =
        model.blobs(layer).map(|blob| blob.to_vec().unwrap_or_default()).collect();
    assert_eq!(values, [[7.0]]);
}

#[test]
fn statistics_that_layers_share_are_those_of_all_of_them() {
    let names = r#"param { name: "m" } param { name: "v" } param { name: "f" }"#;
    let names_of_bn =
        r#"param { name: "g" } param { name: "b" } param { name: "m" } param { name: "v" }"#;
    let table = [
        (format!(r#"type: "BatchNorm" {names}"#), 0, 48.0 / 47.0),
        (format!(r#"type: "BN" bn_param {{ momentum: 0.9 }} {names_of_bn}"#), 2, 1.0),
    ];
    let mut failures = Vec::new();
    for (layer, at, unbias) in table {
        let text = format!(
            r#"{DATA} layer {{ name: "one" bottom: "x" top: "y" {layer} }}
            layer {{ name: "two" bottom: "z" top: "w" {layer} }}"#
        );
        let source = Source::new("net.prototxt", text);
        let def = || NetDef::from_text(&source).unwrap_or_else(|e| panic!("{e}"));
        let options = NetOptions::new(Phase::Train);
        let mut net = Net::build(def(), &options).unwrap_or_else(|e| panic!("{e}"));
        let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
        let file = |name: &str| folder.path().join(name);
        net.save(file("old.caffemodel")).unwrap_or_else(|e| panic!("{e}"));
        let mut seen: Vec<f64> = Vec::new();
        for _ in 0..2 {
            net.forward().unwrap_or_else(|e| panic!("{e}"));
            for name in ["x", "z"] {
                let x = net.read(name).unwrap_or_else(|e| panic!("{e}"));
                seen.extend(x.data.iter().map(|&v| f64::from(v)));
            }
        }
        let count = seen.len() as f64;
        let mean = seen.iter().sum::<f64>() / count;
        let variance = seen.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count * unbias;
        let made = recalibrate(def(), &[file("old.caffemodel")], &options, 2, &mut |_| {});
        let made = made.unwrap_or_else(|e| panic!("{e}"));
        made.save(&file("new.caffemodel")).unwrap_or_else(|e| panic!("{e}"));
        net.copy_from(file("new.caffemodel")).unwrap_or_else(|e| panic!("{e}"));
        for name in ["one", "two"] {
            let id = |i: usize| net.store.of_layer(name, i);
            let blob = |i: usize| id(i).map_or(f32::NAN, |id| net.store.data(id)[0]);
            let near = |found: f32, wanted: f64| (f64::from(found) - wanted).abs() < 1e-4 * wanted;
            if !near(blob(at), mean) || !near(blob(at + 1), variance) || made.drifts.len() != 2 {
                let found = (blob(at), blob(at + 1));
                failures.push(format!("{layer} {name}: {found:?}, not {mean} {variance}"));
            }
        }
    }
    none(failures);
}

/// How the command ends on a net in a folder, what it tells, and what it prints.
fn recalibrated(folder: &Path, net: &str, more: &[&str]) -> (Option<i32>, String, String) {
    std::fs::write(folder.join("net.prototxt"), net).unwrap_or_else(|e| panic!("{e}"));
    let command = ["bn-recalibrate", "--json", "-o", "new.caffemodel", "--iterations", "2"];
    let output = cortado_in(folder, &[&command[..], more].concat());
    (output.status.code(), stderr(&output), stdout(&output))
}

#[test]
fn only_a_net_without_a_test_phase_is_not_scored() {
    let bn = r#"layer { name: "n" type: "BatchNorm" bottom: "x" top: "y" }"#;
    let folder = in_folder(&format!("{DATA} {bn}"));
    let given = ["--model", "net.prototxt", "--weights", "old.caffemodel"];
    let in_phase = |data: &str, phase: &str| {
        let data = data.replacen("type:", &format!("include {{ phase: {phase} }} type:"), 1);
        data.replacen("\"d\"", &format!("\"d{phase}\""), 1)
    };
    let missing = r#"layer { name: "d" type: "Data" top: "x" top: "z" data_param { source: "no_db"
        backend: LMDB batch_size: 2 } }"#;
    let trains = in_phase(DATA, "TRAIN");
    let tests_nothing = format!("{trains} {} {bn}", in_phase(missing, "TEST"));
    let scores = |json: &str| {
        let json: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
        (json["before"].clone(), json["after"].clone())
    };
    let null = (serde_json::Value::Null, serde_json::Value::Null);
    let (code, told, json) = recalibrated(folder.path(), &format!("{trains} {bn}"), &given);
    assert!(code == Some(0) && told.matches("no TEST phase").count() == 1, "{told}");
    assert!(!told.contains("error: ") && scores(&json) == null, "{told}{json}");
    // Data that is missing is no missing phase.
    std::fs::remove_file(folder.path().join("new.caffemodel")).unwrap_or_else(|e| panic!("{e}"));
    let (code, told, _) = recalibrated(folder.path(), &tests_nothing, &given);
    assert!(code == Some(1) && told.contains("no_db`"), "{told}");
    assert!(told.contains("`--test-iterations 0`") && !told.contains("no TEST phase"), "{told}");
    assert!(!folder.path().join("new.caffemodel").exists());
    let unscored = [&given[..], &["--test-iterations", "0"]].concat();
    let (code, told, json) = recalibrated(folder.path(), &tests_nothing, &unscored);
    assert!(code == Some(0) && !told.contains("no TEST phase"), "{told}");
    assert_eq!(scores(&json), null);
    let (code, told, json) = recalibrated(folder.path(), &format!("{DATA} {bn}"), &given);
    assert!(code == Some(0) && scores(&json).1["y"].is_number(), "{told}{json}");
}

#[test]
fn what_cannot_be_read_is_told_once() {
    let bn = r#"layer { name: "n" type: "BatchNorm" bottom: "x" top: "y" }"#;
    let both = format!("{DATA} {bn}");
    let folder = in_folder(&both);
    let trains = both.replacen("type:", "include { phase: TRAIN } type:", 1);
    let files = [("solver.prototxt", "net: \"net.prototxt\"\n"), ("s.solverstate", "")];
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap_or_else(|e| panic!("{e}"));
    }
    let table = [
        ("net.prototxt", "nosuch", "nosuch"),
        ("net.prototxt", "s.solverstate", "is the state of a training"),
        ("solver.prototxt", "old.caffemodel", "is a solver; its net is `net.prototxt`"),
        ("nosuch.prototxt", "old.caffemodel", "there is no such file"),
    ];
    let mut failures = Vec::new();
    for (model, weights, wanted) in table {
        for net in [&both, &trains] {
            let given = ["--model", model, "--weights", weights];
            let (code, told, _) = recalibrated(folder.path(), net, &given);
            let once = told.matches("error: ").count() == 1 && told.contains(wanted);
            if code != Some(1) || !once || told.contains("TEST") {
                failures.push(format!("{model} {weights}: {told}"));
            }
        }
    }
    none(failures);
}
