//! The forks' forms of batch normalisation as Caffe's two layers, by numbers worked out by hand.

use std::collections::HashMap;

use cortado::batch_norm::{Blob, Conversion, Given, Trained, compare, convert};
use cortado::net::{Net, NetOptions};
use cortado_layers::Phase;
use cortado_proto::NetDef;
use cortado_proto::span::Source;

use crate::support::none;

const INPUT: &str = r#"layer { name: "x" type: "Input" top: "x"
  input_param { shape { dim: 2 dim: 1 dim: 1 dim: 1 } } } "#;

/// Two pictures of one number: mean 2, variance 1, unbiased 2.
const X: [f32; 2] = [1.0, 3.0];

/// A layer of one channel in a fork's form, and what it must become.
struct Case {
    /// All but name, bottom and top.
    layer: &'static str,
    /// One number per blob.
    blobs: &'static [f32],
    /// The layers: type, then one number per blob.
    wanted: &'static [(&'static str, &'static [f32])],
    /// What both make of `X` in TEST.
    y: [f32; 2],
    /// Mean and variance of the new net after a step of training on `X`.
    trained: Option<[f32; 2]>,
}

/// γ = 2 and β = 0.5, a mean of 1 and a variance of 3.75 with eps 0.25: y = 2 (x − 1) / 2 + 0.5.
const FOUR: &[f32] = &[2.0, 0.5, 1.0, 3.75];
const BY_KEPT: [f32; 2] = [0.5, 2.5];
/// f = 0.75, so 1 / (1 − f) = 4 times the averages.
const SUMS: (&str, &[f32]) = ("BatchNorm", &[4.0, 15.0, 4.0]);
const SCALE: (&str, &[f32]) = ("Scale", &[2.0, 0.5]);
/// 0.75 · 1 + 0.25 · 2, and 0.75 · 3.75 + 0.25 · 2.
const MOVED: Option<[f32; 2]> = Some([1.25, 3.3125]);
const NOTHING: (&str, &[f32]) = ("BatchNorm", &[0.0, 0.0, 0.0]);
/// Caffe's statistics of `X` alone.
const FIRST: Option<[f32; 2]> = Some([2.0, 2.0]);

const CASES: &[Case] = &[
    Case {
        layer: r#"type: "BN" bn_param { decay: 0.25 var_eps: 0.25 }"#,
        blobs: FOUR,
        wanted: &[SUMS, SCALE],
        y: BY_KEPT,
        trained: MOVED,
    },
    // eps 1e-10 and a decay of 0.95, which is the new batch's share: f = 0.05.
    Case {
        layer: r#"type: "BN" param { lr_mult: 1 } param { lr_mult: 1 } param { lr_mult: 0 } param { lr_mult: 0 }"#,
        blobs: &[2.0, 0.5, 1.0, 4.0],
        wanted: &[("BatchNorm", &[1.0 / 0.95, 4.0 / 0.95, 1.0 / 0.95]), SCALE],
        y: BY_KEPT,
        trained: Some([0.05 + 0.95 * 2.0, 0.05 * 4.0 + 0.95 * 2.0]),
    },
    // By the batch in TEST too: y = 2 (x − 2) / √(1 + 3) + 0.5.
    Case {
        layer: r#"type: "BN" bn_param { moving_average: false decay: 0.25 var_eps: 3 }"#,
        blobs: FOUR,
        wanted: &[SUMS, SCALE],
        y: [-0.5, 1.5],
        trained: MOVED,
    },
    Case {
        layer: r#"type: "BN" bn_param { bn_mode: INFERENCE }"#,
        blobs: &[2.0, 0.5],
        wanted: &[SCALE],
        y: [2.5, 6.5],
        trained: None,
    },
    // By the batch, always: y = 2 (x − 2) + 0.5. It kept no statistics.
    Case {
        layer: r#"type: "BN" bn_param { bn_mode: LEARN }"#,
        blobs: &[2.0, 0.5],
        wanted: &[NOTHING, SCALE],
        y: [-1.5, 2.5],
        trained: FIRST,
    },
    Case {
        layer: r#"type: "BN" param { lr_mult: 1 } param { lr_mult: 2 }"#,
        blobs: &[2.0, 0.5],
        wanted: &[NOTHING, SCALE],
        y: [-1.5, 2.5],
        trained: FIRST,
    },
    Case {
        layer: r#"type: "BN" bn_param { momentum: 0.75 eps: 0.25 }"#,
        blobs: FOUR,
        wanted: &[SUMS, SCALE],
        y: BY_KEPT,
        trained: MOVED,
    },
    // Statistics stay in training as well.
    Case {
        layer: r#"type: "BN" bn_param { frozen: true momentum: 0.75 eps: 0.25 }"#,
        blobs: FOUR,
        wanted: &[SUMS, SCALE],
        y: BY_KEPT,
        trained: Some([1.0, 3.75]),
    },
    // Momentum 0.9 and eps 1e-5: y = 2 (x − 1) / √4 + 0.5.
    Case {
        layer: r#"type: "BN" bn_param { slope_filler { value: 1 } bias_filler { value: 0 } }"#,
        blobs: &[2.0, 0.5, 1.0, 3.99999],
        wanted: &[("BatchNorm", &[10.0, 39.9999, 10.0]), SCALE],
        y: BY_KEPT,
        trained: Some([0.9 + 0.1 * 2.0, 0.9 * 3.99999 + 0.1 * 2.0]),
    },
    Case {
        layer: r#"type: "BatchNorm" batch_norm_param { scale_bias: true moving_average_fraction: 0.75 eps: 0.25 }"#,
        blobs: &[1.0, 3.75, 1.0, 2.0, 0.5],
        wanted: &[SUMS, SCALE],
        y: BY_KEPT,
        trained: MOVED,
    },
    Case {
        layer: r#"type: "BatchNorm" batch_norm_param { scale_filler { value: 1 } use_global_stats: true
            moving_average_fraction: 0.75 eps: 0.25 }"#,
        blobs: &[1.0, 3.75, 1.0, 2.0, 0.5],
        wanted: &[SUMS, SCALE],
        y: BY_KEPT,
        trained: Some([1.0, 3.75]),
    },
    // Sums already: (0.75 · 2 + 2) / (0.75 · 2 + 1) and (0.75 · 7.5 + 2) / 2.5.
    Case {
        layer: r#"type: "BatchNorm" batch_norm_param { use_weight_bias: true moving_average_fraction: 0.75 eps: 0.25 }"#,
        blobs: &[2.0, 7.5, 2.0, 2.0, 0.5],
        wanted: &[("BatchNorm", &[2.0, 7.5, 2.0]), SCALE],
        y: BY_KEPT,
        trained: Some([1.4, 3.05]),
    },
    // y = max(0, 2 (x − 1) / 2 − 1).
    Case {
        layer: r#"type: "BatchNorm" batch_norm_param { use_weight_bias: true relu: true moving_average_fraction: 0.75
            eps: 0.25 }"#,
        blobs: &[2.0, 7.5, 2.0, 2.0, -1.0],
        wanted: &[("BatchNorm", &[2.0, 7.5, 2.0]), ("Scale", &[2.0, -1.0]), ("ReLU", &[])],
        y: [0.0, 1.0],
        trained: Some([1.4, 3.05]),
    },
    // No bias: y = 2 (x − 1) / 2.
    Case {
        layer: r#"type: "BatchNorm" batch_norm_param { use_weight_bias: true bias_term: false
            moving_average_fraction: 0.75 eps: 0.25 }"#,
        blobs: &[2.0, 7.5, 2.0, 2.0],
        wanted: &[("BatchNorm", &[2.0, 7.5, 2.0]), ("Scale", &[2.0])],
        y: [0.0, 2.0],
        trained: Some([1.4, 3.05]),
    },
    // An engine alone: (x − 1) / 2.
    Case {
        layer: r#"type: "BatchNorm" batch_norm_param { engine: MKL2017 moving_average_fraction: 0.75 eps: 0.25 }"#,
        blobs: &[2.0, 7.5, 2.0],
        wanted: &[("BatchNorm", &[2.0, 7.5, 2.0])],
        y: [0.0, 1.0],
        trained: Some([1.4, 3.05]),
    },
];

/// A net with these parameters after a pass on `X`.
fn ran(text: &str, blobs: &HashMap<String, Vec<Blob>>, phase: Phase) -> Net {
    let source = Source::new("net.prototxt", text);
    let def = NetDef::from_text(&source).unwrap_or_else(|e| panic!("{e}"));
    let mut net = Net::build(def, &NetOptions { plan: false, ..NetOptions::new(phase) })
        .unwrap_or_else(|e| panic!("{e}"));
    for (name, own) in blobs {
        for (i, blob) in own.iter().enumerate() {
            let id = net.store.of_layer(name, i).unwrap_or_else(|| panic!("{name} {i}\n{text}"));
            net.store.data_mut(id).copy_from_slice(&blob.data);
        }
    }
    if let Some(x) = net.input_mut("x") {
        x.data.copy_from_slice(&X);
    }
    net.forward().unwrap_or_else(|e| panic!("{e}"));
    net
}

fn statistics(net: &Net) -> [f32; 3] {
    [0, 1, 2].map(|i| net.store.of_layer("n", i).map_or(f32::NAN, |id| net.store.data(id)[0]))
}

fn near(found: &[f32], wanted: &[f32]) -> bool {
    let same = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-5 * b.abs().max(1.0);
    found.len() == wanted.len() && found.iter().zip(wanted).all(same)
}

#[test]
fn every_dialect_by_hand_in_use_and_in_training() {
    let mut failures = Vec::new();
    for case in CASES {
        let mut fail = |why: String| failures.push(format!("{}: {why}", case.layer));
        let text = format!(r#"{INPUT} layer {{ name: "n" bottom: "x" top: "y" {} }}"#, case.layer);
        let source = Source::new("net.prototxt", text.clone());
        let (mut net, mut first) =
            Trained::from_text(source, &Given::nothing()).unwrap_or_else(|e| panic!("{e}"));
        if net.layers[1].blobs.len() != case.blobs.len() {
            fail(format!("it has {} blobs", net.layers[1].blobs.len()));
            continue;
        }
        for (i, value) in case.blobs.iter().enumerate() {
            net.layers[1].blobs[i].data[0] = *value;
            let id = first.store.of_layer("n", i).unwrap_or_default();
            first.store.data_mut(id)[0] = *value;
        }
        let Conversion { text: new, blobs, layers } =
            convert(&net).unwrap_or_else(|e| panic!("{e}"));
        let found: Vec<(&str, Vec<f32>)> = layers[0]
            .now
            .iter()
            .map(|(t, name)| (t.as_str(), blobs[name].iter().map(|b| b.data[0]).collect()))
            .collect();
        let same = found.len() == case.wanted.len()
            && found.iter().zip(case.wanted).all(|(f, w)| f.0 == w.0 && near(&f.1, w.1));
        if !same {
            fail(format!("became {found:?}"));
            continue;
        }
        let before = ran(&text, &net.blobs(), Phase::Test);
        let after = ran(&new, &blobs, Phase::Test);
        for (whose, net) in [("its", &before), ("the new", &after)] {
            let y = net.blob("y").map(|b| b.data.to_vec()).unwrap_or_default();
            if !near(&y, &case.y) {
                fail(format!("{whose} outputs are {y:?}"));
            }
        }
        let (_, mut second) =
            net.rebuilt(new.clone(), &blobs, &Given::nothing()).unwrap_or_else(|e| panic!("{e}"));
        let errors = compare(&mut first, &mut second).unwrap_or_else(|e| panic!("{e}"));
        if errors.iter().any(|e| !(e.relative < 1e-6)) {
            fail(format!("{errors:?}"));
        }
        if let Some(wanted) = case.trained {
            let [mean, variance, factor] = statistics(&ran(&new, &blobs, Phase::Train));
            if !near(&[mean / factor, variance / factor], &wanted) {
                fail(format!("after a step {mean} / {factor}, {variance} / {factor}"));
            }
        }
    }
    none(failures);
}

/// What the forks keep after the same step: means as the new net's, variances of the biased kind.
#[test]
fn the_new_layers_remember_as_long_as_the_old_ones() {
    let table = [
        r#"type: "BN" bn_param { decay: 0.25 }"#,
        r#"type: "BN" bn_param { momentum: 0.75 }"#,
        r#"type: "BatchNorm" batch_norm_param { scale_bias: true moving_average_fraction: 0.75 }"#,
    ];
    let mut failures = Vec::new();
    for layer in table {
        let text = format!(r#"{INPUT} layer {{ name: "n" bottom: "x" top: "y" {layer} }}"#);
        let source = Source::new("net.prototxt", text.clone());
        let (mut net, _) =
            Trained::from_text(source, &Given::nothing()).unwrap_or_else(|e| panic!("{e}"));
        let nvidia = layer.contains("scale_bias");
        let values: &[f32] =
            if nvidia { &[5.0, 4.0, 1.0, 2.0, 0.5] } else { &[2.0, 0.5, 5.0, 4.0] };
        for (blob, value) in net.layers[1].blobs.iter_mut().zip(values) {
            blob.data[0] = *value;
        }
        let Conversion { text: new, blobs, .. } = convert(&net).unwrap_or_else(|e| panic!("{e}"));
        let old = ran(&text, &net.blobs(), Phase::Train);
        let kept = [0, 1].map(|i| {
            let i = if nvidia { i } else { i + 2 };
            old.store.of_layer("n", i).map_or(f32::NAN, |id| old.store.data(id)[0])
        });
        let [mean, variance, factor] = statistics(&ran(&new, &blobs, Phase::Train));
        // 0.75 · 5 + 0.25 · 2; 0.75 · 4 + 0.25 · 1, and 0.25 · 2 for the unbiased variance.
        if !near(&kept, &[4.25, 3.25]) || !near(&[mean / factor, variance / factor], &[4.25, 3.5]) {
            failures.push(format!("{layer}: {kept:?}, {mean} {variance} {factor}"));
        }
    }
    none(failures);
}

#[test]
fn statistics_that_are_shared_by_name_stay_shared() {
    let bn = |name: &str, bottom: &str| {
        format!(
            r#"layer {{ name: "{name}" type: "BN" bottom: "{bottom}" top: "{name}"
            param {{ name: "g" }} param {{ name: "b" }} param {{ name: "m" }} param {{ name: "v" }}
            bn_param {{ decay: 0.25 }} }}"#
        )
    };
    let text = format!("{INPUT} {} {}", bn("one", "x"), bn("two", "x"));
    let source = Source::new("net.prototxt", text);
    let (net, _) = Trained::from_text(source, &Given::nothing()).unwrap_or_else(|e| panic!("{e}"));
    let Conversion { text, blobs, .. } = convert(&net).unwrap_or_else(|e| panic!("{e}"));
    let (after, run) =
        net.rebuilt(text.clone(), &blobs, &Given::nothing()).unwrap_or_else(|e| panic!("{e}"));
    for i in 0..3 {
        let of = |name: &str| run.store.of_layer(name, i);
        assert_eq!(of("one"), of("two"), "blob {i}\n{text}");
    }
    assert_eq!(after.layers.len(), 5);
}

#[test]
fn a_layer_that_stands_once_per_phase_is_converted_from_the_same_numbers() {
    let table = [
        (
            r#"type: "BatchNorm" batch_norm_param { scale_bias: true }"#,
            r#"type: "BatchNorm" batch_norm_param { scale_bias: true use_global_stats: true }"#,
        ),
        (r#"type: "BN" bn_param { momentum: 0.9 }"#, r#"type: "BN" bn_param { momentum: 0.9 }"#),
        (
            r#"type: "BatchNorm" batch_norm_param { relu: true }"#,
            r#"type: "BatchNorm" batch_norm_param { relu: true use_global_stats: true }"#,
        ),
        (
            r#"type: "BN" bn_param { bn_mode: LEARN }"#,
            r#"type: "BN" bn_param { bn_mode: INFERENCE }"#,
        ),
    ];
    let mut failures = Vec::new();
    for (train, test) in table {
        let text = format!(
            r#"{INPUT} layer {{ name: "n" bottom: "x" top: "y" {train} include {{ phase: TRAIN }} }}
            layer {{ name: "n" bottom: "x" top: "y" {test} include {{ phase: TEST }} }}"#
        );
        let source = Source::new("net.prototxt", text);
        let (net, mut first) =
            Trained::from_text(source, &Given::nothing()).unwrap_or_else(|e| panic!("{e}"));
        let Conversion { text, blobs, .. } = convert(&net).unwrap_or_else(|e| panic!("{e}"));
        let again = net.rebuilt(text.clone(), &blobs, &Given::nothing());
        let (after, mut second) = again.unwrap_or_else(|e| panic!("{e}\n{text}"));
        let errors = compare(&mut first, &mut second).unwrap_or_else(|e| panic!("{e}"));
        if errors.iter().any(|e| !(e.relative < 1e-5)) {
            failures.push(format!("{train}: {errors:?}\n{text}"));
        }
        // The file fits the net of either phase.
        let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
        let file = folder.path().join("new.caffemodel");
        after.save(&file).unwrap_or_else(|e| panic!("{e}"));
        for phase in [Phase::Train, Phase::Test] {
            let def = NetDef::from_text(&Source::new("new.prototxt", text.clone()));
            let def = def.unwrap_or_else(|e| panic!("{e}"));
            let mut net =
                Net::build(def, &NetOptions::new(phase)).unwrap_or_else(|e| panic!("{e}\n{text}"));
            match net.copy_from(&file) {
                Ok(report) if report.fresh.is_empty() => {}
                other => failures.push(format!("{train}, {phase:?}: {other:?}\n{text}")),
            }
        }
    }
    none(failures);
}
