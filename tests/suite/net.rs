//! Wiring: rules, splits, sharing, gradients, shapes at run time, weights by layer name.

use cortado::net::{Net, NetOptions, NetState};
use cortado_layers::{Phase, Shape};

use crate::support::{net, none, try_net};

const INPUT: &str =
    r#"layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }"#;

fn layer_names(net: &Net) -> Vec<String> {
    net.layers().map(|layer| layer.name().to_owned()).collect()
}

fn fill(net: &mut Net, name: &str, values: impl Fn(usize) -> f32) {
    let input = net.input_mut(name).unwrap_or_else(|| panic!("no input {name}"));
    input.data.iter_mut().enumerate().for_each(|(i, v)| *v = values(i));
}

#[test]
fn rules_choose_layers_by_phase_level_and_stage() {
    let text = |rule: &str| {
        format!(r#"{INPUT} layer {{ name: "r" type: "ReLU" bottom: "x" top: "y" {rule} }}"#)
    };
    let state = |phase, level, stages: &[&str]| NetState {
        phase,
        level,
        stages: stages.iter().map(|s| (*s).to_owned()).collect(),
    };
    let table = [
        ("", state(Phase::Train, 0, &[]), true),
        ("include { phase: TRAIN }", state(Phase::Train, 0, &[]), true),
        ("include { phase: TRAIN }", state(Phase::Test, 0, &[]), false),
        ("include { phase: TRAIN } include { phase: TEST }", state(Phase::Test, 0, &[]), true),
        ("exclude { phase: TEST }", state(Phase::Test, 0, &[]), false),
        ("include { min_level: 2 }", state(Phase::Test, 1, &[]), false),
        ("include { min_level: 2 max_level: 3 }", state(Phase::Test, 3, &[]), true),
        ("include { stage: 'a' stage: 'b' }", state(Phase::Test, 0, &["a"]), false),
        ("include { stage: 'a' stage: 'b' }", state(Phase::Test, 0, &["a", "b"]), true),
        ("include { not_stage: 'a' }", state(Phase::Test, 0, &["a"]), false),
        ("exclude { stage: 'a' }", state(Phase::Test, 0, &["b"]), true),
    ];
    let mut failures = Vec::new();
    for (rule, state, wanted) in table {
        let options = NetOptions { state: state.clone(), ..NetOptions::new(state.phase) };
        let net = try_net(&text(rule), &options).unwrap_or_else(|why| panic!("{why}"));
        if layer_names(&net).contains(&"r".to_owned()) != wanted {
            failures.push(format!("{rule} in {state:?}: wanted {wanted}"));
        }
    }
    none(failures);
}

#[test]
fn splits_have_the_names_of_the_original() {
    let text = format!(
        r#"{INPUT}
        layer {{ name: "fc" type: "InnerProduct" bottom: "x" top: "y" inner_product_param {{ num_output: 4 }} }}
        layer {{ name: "a" type: "ReLU" bottom: "y" top: "a" }}
        layer {{ name: "b" type: "TanH" bottom: "y" top: "b" }}"#
    );
    let net = net(&text, Phase::Test);
    assert_eq!(layer_names(&net), ["in", "fc", "y_fc_0_split", "a", "b"]);
    let split: Vec<&str> = net.layer(2).tops().map(|(name, _)| name).collect();
    assert_eq!(split, ["y_fc_0_split_0", "y_fc_0_split_1"]);
}

#[test]
fn outputs_are_sorted_by_name() {
    let text = format!(
        r#"{INPUT}
        layer {{ name: "1" type: "ReLU" bottom: "x" top: "z" }}
        layer {{ name: "2" type: "TanH" bottom: "x" top: "B" }}
        layer {{ name: "3" type: "TanH" bottom: "x" top: "a" }}"#
    );
    assert_eq!(net(&text, Phase::Test).outputs(), ["B", "a", "z"]);
}

fn shared(more_first: &str, more_second: &str, outputs: usize) -> String {
    format!(
        r#"layer {{ name: "in" type: "Input" top: "x" input_param {{ shape {{ dim: 2 dim: 3 }} }} }}
        layer {{ name: "one" type: "InnerProduct" bottom: "x" top: "h" param {{ name: "w" {more_first} }}
                 inner_product_param {{ num_output: 3 bias_term: false weight_filler {{ type: "xavier" }} }} }}
        layer {{ name: "two" type: "InnerProduct" bottom: "h" top: "y" param {{ name: "w" {more_second} }}
                 inner_product_param {{ num_output: {outputs} bias_term: false }} }}"#
    )
}

#[test]
fn parameters_of_one_name_are_one_parameter() {
    let net = net(&shared("", "", 3), Phase::Train);
    let (one, two) = (net.store.of_layer("one", 0), net.store.of_layer("two", 0));
    assert!(one.is_some() && one == two);
    assert_eq!(net.store.params().len(), 1);
}

/// One memory, which each layer reads in its own shape; both add to its diff.
#[test]
fn permissive_sharing_needs_only_as_many_elements() {
    let text = r#"
        layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 } } }
        layer { name: "one" type: "InnerProduct" bottom: "x" top: "h" param { name: "w" }
                inner_product_param { num_output: 2 bias_term: false } }
        layer { name: "two" type: "InnerProduct" bottom: "h" top: "y"
                param { name: "w" share_mode: PERMISSIVE } loss_weight: 1
                inner_product_param { num_output: 3 bias_term: false } }"#;
    let strict = try_net(&text.replace("PERMISSIVE", "STRICT"), &NetOptions::new(Phase::Train));
    let told = strict.err().unwrap_or_default();
    assert!(told.contains("2x3") && told.contains("3x2") && told.contains("PERMISSIVE"), "{told}");
    let mut net = net(text, Phase::Train);
    assert_eq!(net.store.params().len(), 1);
    net.store.data_mut(0).copy_from_slice(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    fill(&mut net, "x", |i| (i + 1) as f32);
    net.forward().and_then(|_| net.backward()).unwrap_or_else(|e| panic!("{e}"));
    let y = net.blob("y").map(|blob| blob.data.to_vec());
    // h = [1 2 3; 4 5 6] x = (14, 32); y = [1 2; 3 4; 5 6] h.
    assert_eq!(y, Some(vec![78.0, 170.0, 262.0]));
    // dh = (9, 12): 9 x, 12 x; and h for each of the three rows.
    let wanted = [9.0 + 14.0, 18.0 + 32.0, 27.0 + 14.0, 12.0 + 32.0, 24.0 + 14.0, 36.0 + 32.0];
    assert_eq!(net.store.diff(0), wanted);
}

#[test]
fn parameters_that_cannot_be_shared_are_refused_with_both_layers() {
    let options = NetOptions::new(Phase::Train);
    for (text, wanted) in [
        (shared("", "", 4), ["3x3", "4x3", "one"]),
        (shared("lr_mult: 1", "lr_mult: 2", 3), ["lr_mult", "one", "two"]),
    ] {
        let told = try_net(&text, &options).err().unwrap_or_default();
        assert!(wanted.iter().all(|part| told.contains(part)), "{told}");
    }
}

const LOSSES: &str = r#"
    layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
    layer { name: "t" type: "Input" top: "t" input_param { shape { dim: 2 dim: 3 } } }
    layer { name: "fc" type: "InnerProduct" bottom: "x" top: "y"
            inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
    layer { name: "near" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "near" loss_weight: 0.5 }
    layer { name: "small" type: "Power" bottom: "y" top: "small" loss_weight: 2 power_param { power: 2 } }"#;

#[test]
fn the_loss_is_the_weighted_sum_over_all_tops() {
    let mut net = net(LOSSES, Phase::Train);
    fill(&mut net, "x", |i| i as f32 * 0.1 - 0.2);
    fill(&mut net, "t", |i| 1.0 - i as f32 * 0.3);
    let loss = net.forward().unwrap_or_else(|e| panic!("{e}"));
    let blob =
        |name| net.blob(name).map_or(f64::NAN, |b| b.data.iter().map(|&v| f64::from(v)).sum());
    assert!((loss - (0.5 * blob("near") + 2.0 * blob("small"))).abs() < 1e-6);
    assert_eq!((net.loss_weight("near"), net.loss_weight("small")), (0.5, 2.0));
}

#[test]
fn gradients_stop_where_propagate_down_says_so() {
    let text = |down: &str, force: &str| {
        format!(
            r#"{force} {INPUT}
            layer {{ name: "a" type: "InnerProduct" bottom: "x" top: "a" inner_product_param {{ num_output: 2 }} }}
            layer {{ name: "b" type: "InnerProduct" bottom: "a" top: "b" {down} inner_product_param {{ num_output: 2 }} loss_weight: 1 }}"#
        )
    };
    let backward = |text: &str| -> Vec<bool> {
        net(text, Phase::Train).layers().map(|layer| layer.needs_backward()).collect()
    };
    assert_eq!(backward(&text("", "")), [false, true, true]);
    assert_eq!(backward(&text("propagate_down: false", "")), [false, false, true]);
    let forced = net(&text("", "force_backward: true"), Phase::Train);
    let mut forced = forced;
    forced.forward().and_then(|_| forced.backward()).unwrap_or_else(|e| panic!("{e}"));
    assert!(forced.diff("x").is_some());
}

#[test]
fn an_input_takes_another_shape_and_all_shapes_follow() {
    let text = r#"
        layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }
        layer { name: "c" type: "Convolution" bottom: "x" top: "y" convolution_param { num_output: 2 kernel_size: 3 } }"#;
    let mut net = net(text, Phase::Test);
    net.reshape_input("x", Shape::new(&[2, 3, 10, 12])).unwrap_or_else(|e| panic!("{e}"));
    net.forward().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(net.blob("y").map(|y| y.shape.to_string()), Some("2x2x8x10".to_owned()));
    let told = net.reshape_input("x", Shape::new(&[2, 4, 10, 12])).err().map(|e| e.to_string());
    assert!(told.is_some_and(|told| told.contains("4") && told.contains("layer `c`")));
    // The net is as it was before the refused shape.
    net.forward().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(net.blob("x").map(|x| x.shape.to_string()), Some("2x3x10x12".to_owned()));
}

#[test]
fn weights_are_copied_by_layer_name_with_a_report() {
    let fc = |name: &str, bottom: &str, top: &str| {
        format!(
            r#"layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{top}"
               inner_product_param {{ num_output: 3 weight_filler {{ type: "xavier" }} }} }}"#
        )
    };
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let file = folder.path().join("two.caffemodel");
    let two = net(&format!("{INPUT}{}{}", fc("a", "x", "a"), fc("b", "a", "b")), Phase::Train);
    two.save(&file).unwrap_or_else(|e| panic!("{e}"));
    let mut other = net(&format!("{INPUT}{}{}", fc("a", "x", "a"), fc("c", "a", "c")), Phase::Test);
    let report = other.copy_from(&file).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(
        (report.copied, report.skipped, report.fresh),
        (vec!["a".to_owned()], vec!["b".to_owned()], vec!["c".to_owned()])
    );
    let weight = |net: &Net| net.store.of_layer("a", 0).map(|id| net.store.data(id).to_vec());
    assert_eq!(weight(&two), weight(&other));
}

#[test]
fn weights_of_another_shape_are_refused_and_change_nothing() {
    let fc = |outputs: usize| {
        format!(
            r#"{INPUT} layer {{ name: "a" type: "InnerProduct" bottom: "x" top: "a"
               inner_product_param {{ num_output: {outputs} weight_filler {{ type: "xavier" }} }} }}"#
        )
    };
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let file = folder.path().join("four.caffemodel");
    net(&fc(4), Phase::Test).save(&file).unwrap_or_else(|e| panic!("{e}"));
    let mut three = net(&fc(3), Phase::Test);
    let before = three.store.of_layer("a", 0).map(|id| three.store.data(id).to_vec());
    let told = three.copy_from(&file).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(told.contains("3x3") && told.contains("4x3") && told.contains("layer `a`"), "{told}");
    assert_eq!(before, three.store.of_layer("a", 0).map(|id| three.store.data(id).to_vec()));
}

#[test]
fn in_place_is_refused_where_another_layer_still_reads_the_value() {
    // `n` reads x after `r` has run in place on it: r gets memory of its own.
    let text = format!(
        r#"force_backward: true {INPUT}
        layer {{ name: "h" type: "Power" bottom: "x" top: "h" power_param {{ scale: 2 }} }}
        layer {{ name: "t" type: "Power" bottom: "h" top: "t" power_param {{ power: 2 }} }}
        layer {{ name: "r" type: "ReLU" bottom: "h" top: "h" }}"#
    );
    let mut net = net(&text, Phase::Train);
    fill(&mut net, "x", |i| i as f32 - 2.5);
    net.forward().unwrap_or_else(|e| panic!("{e}"));
    let values =
        |net: &Net, name: &str| net.blob(name).map(|b| b.data.to_vec()).unwrap_or_default();
    assert_eq!(values(&net, "t"), [25.0, 9.0, 1.0, 1.0, 9.0, 25.0]);
    assert_eq!(values(&net, "h"), [0.0, 0.0, 0.0, 1.0, 3.0, 5.0]);
    // The squares' backward sees h as it was before the ReLU.
    net.set_diff("t", &[1.0; 6])
        .and_then(|()| net.set_diff("h", &[0.0; 6]))
        .unwrap_or_else(|e| panic!("{e}"));
    net.backward().unwrap_or_else(|e| panic!("{e}"));
    let diff = net.diff("x").map(|d| d.data.to_vec()).unwrap_or_default();
    assert_eq!(diff, [-20.0, -12.0, -4.0, 4.0, 12.0, 20.0]);
}

#[test]
fn what_lies_behind_a_filter_follows_the_number_of_items() {
    let text = r#"
        layer { name: "in" type: "Input" top: "x" top: "keep"
                input_param { shape { dim: 4 dim: 3 } shape { dim: 4 } } }
        layer { name: "a" type: "InnerProduct" bottom: "x" top: "a"
                inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
        layer { name: "f" type: "Filter" bottom: "a" bottom: "keep" top: "f" }
        layer { name: "b" type: "InnerProduct" bottom: "f" top: "b"
                inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
        layer { name: "r" type: "TanH" bottom: "b" top: "b" }
        layer { name: "s" type: "Softmax" bottom: "b" top: "s" }
        layer { name: "loss" type: "Reduction" bottom: "s" top: "loss" loss_weight: 1
                reduction_param { operation: SUMSQ } }"#;
    let mut net = net(text, Phase::Train);
    fill(&mut net, "x", |i| (i as f32).sin());
    for kept in [&[2][..], &[], &[0, 1, 2, 3], &[1, 3]] {
        fill(&mut net, "keep", |i| f32::from(u8::from(kept.contains(&i))));
        net.store.clear_diffs();
        net.forward().and_then(|_| net.backward()).unwrap_or_else(|e| panic!("{kept:?}: {e}"));
        assert_eq!(net.blob("s").map(|s| s.shape.to_vec()), Some(vec![kept.len(), 2]));
        let (a, f) = (net.blob("a").map(|b| b.data), net.blob("f").map(|b| b.data));
        let rows: Vec<f32> =
            kept.iter().flat_map(|&i| a.unwrap_or(&[])[3 * i..][..3].to_vec()).collect();
        assert_eq!(f, Some(&rows[..]));
        let diff = net.diff("a").map(|d| d.data.to_vec()).unwrap_or_default();
        for (item, row) in diff.chunks_exact(3).enumerate() {
            assert_eq!(row.iter().any(|&d| d != 0.0), kept.contains(&item), "{kept:?} {item}");
        }
    }
}

#[test]
fn force_backward_leaves_indices_and_selectors_out() {
    let text = r#"force_backward: true
        layer { name: "in" type: "Input" top: "x" top: "keep" top: "at" top: "word"
                input_param { shape { dim: 3 dim: 2 } shape { dim: 3 } shape { dim: 2 } shape { dim: 2 } } }
        layer { name: "f" type: "Filter" bottom: "x" bottom: "keep" top: "f" }
        layer { name: "b" type: "BatchReindex" bottom: "x" bottom: "at" top: "b" }
        layer { name: "e" type: "Embed" bottom: "word" top: "e"
                embed_param { num_output: 2 input_dim: 5 } }"#;
    let mut net = net(text, Phase::Train);
    fill(&mut net, "keep", |i| i as f32);
    fill(&mut net, "at", |i| 2.0 * i as f32);
    net.forward().unwrap_or_else(|e| panic!("{e}"));
    for output in ["f", "b", "e"] {
        net.set_diff(output, &[1.0; 4]).unwrap_or_else(|e| panic!("{e}"));
    }
    net.backward().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(net.diff("x").map(|d| d.data), Some(&[1.0, 1.0, 1.0, 1.0, 2.0, 2.0][..]));
    for none in ["keep", "at", "word"] {
        assert!(net.diff(none).is_none(), "{none}");
    }
}

#[test]
fn labels_and_indices_behind_something_learned_are_refused() {
    let text = format!(
        r#"{INPUT}
        layer {{ name: "fc" type: "InnerProduct" bottom: "x" top: "y" inner_product_param {{ num_output: 3 }} }}
        layer {{ name: "e" type: "Embed" bottom: "y" top: "e" loss_weight: 1
                 embed_param {{ num_output: 2 input_dim: 5 }} }}"#
    );
    let told = try_net(&text, &NetOptions::new(Phase::Train)).err().unwrap_or_default();
    assert!(told.contains("Embed can't pass a gradient to its bottom 0, `y`"), "{told}");
}

/// They say where or how large; in the original a gradient ends there without a word.
#[test]
fn references_masks_and_regions_may_be_learned() {
    let head = format!(
        r#"{INPUT}
        layer {{ name: "shape" type: "Reshape" bottom: "x" top: "picture" reshape_param {{ shape {{ dim: 1 dim: 1 dim: 2 dim: -1 }} }} }}
        layer {{ name: "conv" type: "Convolution" bottom: "picture" top: "y" convolution_param {{ num_output: 1 kernel_size: 1 }} }}"#
    );
    let cases = [
        r#"layer { name: "wide" type: "Convolution" bottom: "picture" top: "wide" convolution_param { num_output: 1 kernel_size: 1 pad: 1 } }
           layer { name: "z" type: "Crop" bottom: "wide" bottom: "y" top: "z" loss_weight: 1 crop_param { axis: 2 offset: 1 } }"#,
        r#"layer { name: "pool" type: "Pooling" bottom: "y" top: "p" top: "mask" pooling_param { pool: MAX kernel_size: 1 stride: 1 } }
           layer { name: "z" type: "Upsample" bottom: "p" bottom: "mask" top: "z" loss_weight: 1 upsample_param { scale: 1 } }"#,
        r#"layer { name: "go" type: "DummyData" top: "go" top: "s" dummy_data_param { shape { dim: 1 dim: 1 } shape { dim: 1 dim: 1 dim: 2 } data_filler { value: 1 } data_filler { } } }
           layer { name: "enc" type: "LSTM" bottom: "y" bottom: "go" bottom: "s" bottom: "s" top: "e" top: "h" top: "c" recurrent_param { num_output: 2 expose_hidden: true } }
           layer { name: "z" type: "LSTM" bottom: "y" bottom: "go" bottom: "h" bottom: "c" top: "z" top: "h2" top: "c2" loss_weight: 1 loss_weight: 0 loss_weight: 0 recurrent_param { num_output: 2 expose_hidden: true } }"#,
        r#"layer { name: "at" type: "InnerProduct" bottom: "y" top: "at" inner_product_param { num_output: 5 } }
           layer { name: "z" type: "ROIPooling" bottom: "y" bottom: "at" top: "z" loss_weight: 1 roi_pooling_param { pooled_h: 1 pooled_w: 1 } }"#,
    ];
    let mut wrong = Vec::new();
    for case in cases {
        match try_net(&format!("{head}\n{case}"), &NetOptions::new(Phase::Train)) {
            Err(why) => wrong.push(why),
            Ok(mut net) => {
                net.forward().unwrap_or_else(|e| panic!("{e}"));
                net.backward().unwrap_or_else(|e| panic!("{e}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
