//! Several nets scored as one.

use cortado::net::{Net, NetOptions};
use cortado_layers::Phase;

use crate::support::{cortado_in, net, stderr, stdout};

/// The weights alone decide the scores; the right class is 0.
const NET: &str = r#"
layer { name: "d" type: "DummyData" top: "x" top: "t" dummy_data_param {
  shape { dim: 2 dim: 1 } shape { dim: 2 } data_filler { value: 1 } data_filler { value: 0 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 2 } }
SOFTMAX
layer { name: "loss" type: "LOSS" bottom: "y" bottom: "t" top: "loss" }
layer { name: "right" type: "Accuracy" bottom: "y" bottom: "t" top: "right" }
"#;

fn text(probabilities: bool) -> String {
    let softmax = r#"layer { name: "p" type: "Softmax" bottom: "y" top: "p" }"#;
    match probabilities {
        true => NET
            .replace("SOFTMAX", softmax)
            .replace(r#"bottom: "y" bottom: "t""#, r#"bottom: "p" bottom: "t""#)
            .replace("LOSS", "MultinomialLogisticLoss"),
        false => NET.replace("SOFTMAX", "").replace("LOSS", "SoftmaxWithLoss"),
    }
}

/// The scores of the two classes are `first` and 0: the probability of class 0 is 1/(1 + e^−first).
fn save(text: &str, first: f32, path: &std::path::Path) -> Net {
    let mut net = net(text, Phase::Test);
    for (blob, values) in [(0, [0.0, 0.0]), (1, [first, 0.0])] {
        let id = net.store.of_layer("ip", blob).unwrap_or_else(|| panic!("no parameter {blob}"));
        net.store.data_mut(id).copy_from_slice(&values);
    }
    net.save(path).unwrap_or_else(|e| panic!("{e}"));
    net
}

#[test]
fn the_mean_of_probabilities_is_scored() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let at = |name: &str| folder.path().join(name);
    for probabilities in [false, true] {
        let text = text(probabilities);
        std::fs::write(at("net.prototxt"), &text).unwrap_or_else(|e| panic!("{e}"));
        // One net is sure, three are a little against it: the scores' mean is for class 0, that of the
        // probabilities against it.
        let firsts = [5.0f32, -1.0, -1.0, -1.0];
        let files = ["a", "b", "c", "d"];
        for (first, file) in firsts.iter().zip(files) {
            save(&text, *first, &at(&format!("{file}.caffemodel")));
        }
        let list = files.map(|file| format!("{file}.caffemodel")).join(",");
        let arguments =
            ["test", "--model", "net.prototxt", "--ensemble", &list, "--iterations", "2", "--json"];
        let output = cortado_in(folder.path(), &arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        let told: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap_or_default();
        let p = firsts.iter().map(|&s| 1.0 / (1.0 + (-f64::from(s)).exp())).sum::<f64>() / 4.0;
        assert!(p < 0.5 && firsts.iter().sum::<f32>() > 0.0);
        let loss = told["outputs"]["loss"][0].as_f64().unwrap_or_default();
        assert!((loss + p.ln()).abs() < 1e-5, "{loss}, wanted {}: {told}", -p.ln());
        assert_eq!(told["outputs"]["right"][0], 0.0, "{told}");
    }
}

#[test]
fn one_member_scores_as_it_does_alone() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let text = text(false);
    let file = folder.path().join("a.caffemodel");
    let mut alone = save(&text, 1.5, &file);
    alone.forward().unwrap_or_else(|e| panic!("{e}"));
    let wanted = alone.blob("loss").map(|b| b.data[0]).unwrap_or_default();
    let def = cortado_proto::NetDef::from_text(&cortado_proto::Source::new("net", text))
        .unwrap_or_else(|e| panic!("{e}"));
    let options = NetOptions::new(Phase::Test);
    let mut one = cortado::tools::ensemble::Ensemble::new(def, vec![alone], &options)
        .unwrap_or_else(|e| panic!("{e}"));
    one.forward().unwrap_or_else(|e| panic!("{e}"));
    let found = one.head().blob("loss").map(|b| b.data[0]).unwrap_or_default();
    assert!((found - wanted).abs() < 1e-6, "{found} {wanted}");
    assert_eq!(one.head().blob("right").map(|b| b.data[0]), Some(1.0));
}

#[test]
fn a_net_that_does_not_score_is_told() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let text = text(false);
    save(&text, 1.0, &folder.path().join("a.caffemodel"));
    let bare: Vec<&str> = text.lines().filter(|l| !l.contains("bottom: \"t\"")).collect();
    std::fs::write(folder.path().join("net.prototxt"), bare.join("\n"))
        .unwrap_or_else(|e| panic!("{e}"));
    let output = cortado_in(
        folder.path(),
        &["test", "--model", "net.prototxt", "--ensemble", "a.caffemodel,a.caffemodel"],
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no layer of the net scores"), "{}", stderr(&output));
}
