//! Studies: runs that are kept, tables, mistakes.

use std::path::Path;

use cortado::study::{Report, Study};

use crate::support::{ROOT, cortado, cortado_in, stderr, stdout};

const NET: &str = r#"
    layer { name: "in" type: "DummyData" top: "x" top: "y" dummy_data_param {
      data_filler { type: "gaussian" std: 1 } data_filler { type: "constant" }
      shape { dim: 8 dim: 5 } shape { dim: 8 } } }
    layer { name: "fc" type: "InnerProduct" bottom: "x" top: "a"
      inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
    layer { name: "bn" type: "BatchNorm" bottom: "a" top: "a" include { stage: "bn" } }
    layer { name: "accuracy" type: "Accuracy" bottom: "a" bottom: "y" top: "accuracy" include { phase: TEST } }
    layer { name: "loss" type: "SoftmaxWithLoss" bottom: "a" bottom: "y" top: "loss" }"#;

const STUDY: &str = r#"title: "Two" seeds: 2 baseline: "plain" reference: "elsewhere"
    variant { name: "plain" reference: "0.5" }
    variant { name: "bn" stage: "bn" set: "base_lr=0.2" }
    short { set: "max_iter=2" }"#;

fn write(folder: &Path, study: &str) {
    let solver = "net: \"net.prototxt\" test_iter: 2 test_interval: 2 base_lr: 0.1 lr_policy: \"fixed\" \
                  max_iter: 6 probe { blob: \"a\" interval: 3 }";
    for (name, text) in [("net", NET), ("solver", solver), ("study", study)] {
        let path = folder.join(format!("{name}.prototxt"));
        std::fs::write(path, text).unwrap_or_else(|e| panic!("{e}"));
    }
}

fn study(folder: &Path, more: &[&str]) -> (String, String) {
    let arguments: Vec<&str> = ["study", "."].iter().chain(more).copied().collect();
    let output = cortado_in(folder, &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    (stdout(&output), stderr(&output))
}

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[test]
fn a_study_goes_on_where_it_stopped_and_writes_table_numbers_and_picture() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    write(folder.path(), STUDY);
    let (table, said) = study(folder.path(), &["--jobs", "2"]);
    assert!(said.contains("4 runs, 0 of them kept"), "{said}");
    assert!(table.contains("| plain |") && table.contains("| 0.5 |"), "{table}");
    let whole = read(folder.path(), "results.md");
    assert_eq!(table.trim_end(), whole.trim_end());
    let json: serde_json::Value =
        serde_json::from_str(&read(folder.path(), "results.json")).unwrap_or_default();
    assert_eq!(json["variants"][1]["runs"][1]["seed"], 2, "{json}");
    assert_eq!(json["variants"][1]["runs"][1]["curve"].as_array().map(Vec::len), Some(4), "{json}");
    let svg = read(folder.path(), "curves.svg");
    let document = roxmltree::Document::parse(&svg).unwrap_or_else(|e| panic!("{e}"));
    let lines = document.descendants().filter(|n| n.attribute("class") == Some("series")).count();
    assert_eq!(lines, 6, "two curves, and median and mean of a probe of each: {svg}");

    // A run that is missing is made again, on its own, and comes out the same.
    let curve = |text: &str| text.split("\"seconds\"").next().map(str::to_owned);
    let before = read(folder.path(), "runs/bn-2.json");
    std::fs::remove_file(folder.path().join("runs/bn-2.json")).unwrap_or_else(|e| panic!("{e}"));
    let (_, said) = study(folder.path(), &["--jobs", "1"]);
    assert!(said.contains("4 runs, 3 of them kept"), "{said}");
    assert_eq!(curve(&read(folder.path(), "runs/bn-2.json")), curve(&before));

    // Runs of another net do not count; the short form has its own.
    std::fs::write(
        folder.path().join("net.prototxt"),
        NET.replace("num_output: 3", "num_output: 4"),
    )
    .unwrap_or_else(|e| panic!("{e}"));
    let (_, said) = study(folder.path(), &[]);
    assert!(said.contains("4 runs, 0 of them kept"), "{said}");
    let (_, said) = study(folder.path(), &["--short"]);
    assert!(said.contains("2 runs, 0 of them kept"), "{said}");
    assert!(read(folder.path(), "short/results.md").contains("`cortado study . --short`"));
}

#[test]
fn nets_that_are_scored_together_score_as_the_test_command_says() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    write(folder.path(), &STUDY.replace("seeds: 2", "seeds: 5 ensemble: 2"));
    let (table, _) = study(folder.path(), &[]);
    assert!(table.contains("| 2 nets together |"), "{table}");
    assert!(table.contains("2 nets, 2 times with other seeds"), "{table}");
    let json: serde_json::Value =
        serde_json::from_str(&read(folder.path(), "results.json")).unwrap_or_default();
    for (i, (variant, stages)) in [("plain", "none"), ("bn", "bn")].into_iter().enumerate() {
        let pairs = [[1, 2], [3, 4]].map(|pair| {
            let files = pair.map(|seed| format!("runs/{variant}-{seed}.caffemodel")).join(",");
            let output = cortado_in(
                folder.path(),
                &[
                    "test",
                    "--model",
                    "net.prototxt",
                    "--iterations",
                    "2",
                    "--json",
                    "--ensemble",
                    &files,
                    "--stage",
                    stages,
                ],
            );
            let told: serde_json::Value =
                serde_json::from_slice(&output.stdout).unwrap_or_default();
            told["outputs"]["accuracy"][0].as_f64().unwrap_or_else(|| panic!("{}", stderr(&output)))
        });
        let found = json["variants"][i]["together"].as_array().cloned().unwrap_or_default();
        let found: Vec<f64> = found.iter().filter_map(serde_json::Value::as_f64).collect();
        assert_eq!(found, pairs, "{variant}: {json}");
    }
    // Without its weights a run counts as not made.
    std::fs::remove_file(folder.path().join("runs/bn-3.caffemodel"))
        .unwrap_or_else(|e| panic!("{e}"));
    let (_, said) = study(folder.path(), &[]);
    assert!(said.contains("10 runs, 9 of them kept"), "{said}");
}

#[test]
fn a_run_that_diverges_is_a_result() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let text = STUDY.replace(r#"stage: "bn" set: "base_lr=0.2""#, r#"set: "base_lr=3e38""#);
    let text = text.replace("seeds: 2", "seeds: 1");
    write(folder.path(), &text);
    let (table, _) = study(folder.path(), &[]);
    assert!(table.contains("without a value at the end: 1 of the runs"), "{table}");
    assert!(table.contains("| bn | — |"), "{table}");
}

#[test]
fn mistakes_of_a_study_are_told() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let table = [
        ("title: \"x\"", "there is no `variant`"),
        ("variant { name: \"a\" } variant { name: \"a\" }", "two variants have the name `a`"),
        ("variant { name: \"a/b\" }", "found `a/b`"),
        ("variant { name: \"a\" } baseline: \"b\"", "one of the variants a, found `b`"),
        ("variant { name: \"a\" } ensemble: 4", "from 2 to the number of seeds, 3; found 4"),
        ("variant { name: \"a\" } seeds: 0", "`seeds` is at least 1, found 0"),
        ("variant { name: \"a\" } measure: \"acc\"", "the test net of `a` has no output `acc`"),
        ("variant { name: \"a\" set: \"base_rate=1\" }", "a solver has no field `base_rate`"),
        ("variant { name: \"a\" stages: \"b\" }", "stages"),
        (
            "variant { name: \"a\" stage: \"bnn\" }",
            "variant `a`: no rule of the net names the stage `bnn`; similar: `bn`",
        ),
        (
            "variant { name: \"a\" stage: \"dropout\" }",
            "variant `a`: no rule of the net names the stage `dropout`; there are: `bn`",
        ),
    ];
    for (text, wanted) in table {
        write(folder.path(), text);
        let output = cortado_in(folder.path(), &["study", "."]);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(stderr(&output).contains(wanted), "{text}: {}", stderr(&output));
    }
    assert_eq!(cortado(&["study", "models/lenet"]).status.code(), Some(1));
}

#[test]
fn the_results_that_ship_are_of_every_variant_and_their_stages_are_known() {
    let folders = std::fs::read_dir(Path::new(ROOT).join("models/bn"));
    let folders = folders.unwrap_or_else(|e| panic!("{e}")).flatten().map(|entry| entry.path());
    let mut count = 0;
    for folder in folders.filter(|path| path.join("study.prototxt").is_file()) {
        let study = Study::read(&folder, false).unwrap_or_else(|e| panic!("{e}"));
        for (variant, seed) in study.plan() {
            study.kept(variant, seed).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        }
        // One that has not been run yet has no table.
        let Ok(table) = std::fs::read_to_string(folder.join("results.md")) else { continue };
        for row in &Report::new(&study, &[], &[]).rows {
            assert!(table.contains(&format!("\n| {} | ", row.name)), "{}: {table}", row.name);
        }
        count += 1;
    }
    assert!(count > 0, "there are results");
}
