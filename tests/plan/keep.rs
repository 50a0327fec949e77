//! What can be read after a planned pass, and when a plan is made anew.

use super::{agree, feed, net, options, outputs, same};

const NET: &str = r#"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }
layer { name: "c1" type: "Convolution" bottom: "data" top: "c1" convolution_param { num_output: 16 kernel_size: 3 pad: 1 } }
layer { name: "bn" type: "BatchNorm" bottom: "c1" top: "c1" }
layer { name: "r1" type: "ReLU" bottom: "c1" top: "c1" }
layer { name: "c2" type: "Convolution" bottom: "c1" top: "c2" convolution_param { num_output: 16 kernel_size: 3 pad: 1 } }
layer { name: "r2" type: "ReLU" bottom: "c2" top: "out" }
"#;

#[test]
fn a_blob_that_was_folded_away_is_not_there() {
    let mut planned = net(NET, &options(true));
    planned.forward_layers().unwrap();
    assert!(planned.blob("c1").is_some());
    planned.forward().unwrap();
    assert!(planned.blob("c1").is_none() && planned.blob("c2").is_none());
    assert!(planned.blob("out").is_some() && planned.blob("data").is_some());
    assert_eq!(planned.shape("c1").unwrap()[..], [1, 16, 8, 8]);
}

#[test]
fn any_blob_can_be_read_after_a_planned_pass() {
    let mut wanted = net(NET, &options(false));
    wanted.forward().unwrap();
    let mut planned = net(NET, &options(true));
    let steps = planned.plan_steps().unwrap().len();
    planned.forward().unwrap();
    let out = planned.blob("out").unwrap().data.to_vec();
    for name in ["c1", "c2", "data"] {
        assert_eq!(planned.read(name).unwrap().data, wanted.blob(name).unwrap().data, "{name}");
    }
    let error = planned.read("c3").err().unwrap().to_string();
    assert!(error.contains("no blob `c3`"), "{error}");
    // The plan is as it was, and so is what it gives.
    planned.forward().unwrap();
    assert_eq!(planned.blob("out").unwrap().data, out);
    assert_eq!(planned.plan_steps().unwrap().len(), steps);
    feed_more(&mut planned);
    feed_more(&mut wanted);
    planned.forward().unwrap();
    wanted.forward().unwrap();
    assert_eq!(planned.read("c1").unwrap().data, wanted.blob("c1").unwrap().data);
}

fn feed_more(net: &mut cortado::net::Net) {
    net.input_mut("data").unwrap().data.iter_mut().for_each(|v| *v += 0.25);
}

#[test]
fn blobs_behind_a_source_are_made_from_what_it_gave() {
    let source = |top: &str| {
        format!(
            r#"layer {{ name: "d" type: "DummyData" top: "{top}" dummy_data_param {{
                 shape {{ dim: 2 dim: 3 dim: 6 dim: 6 }} data_filler {{ type: "gaussian" }} }} }}"#
        )
    };
    let rest = r#"
        layer { name: "c" type: "Convolution" bottom: "x" top: "c" convolution_param { num_output: 16 kernel_size: 3 } }
        layer { name: "r" type: "ReLU" bottom: "c" top: "r" }"#;
    let mut planned = net(&format!("{}{rest}", source("x")), &options(true));
    planned.forward().unwrap();
    let relu: Vec<f32> = planned.blob("r").unwrap().data.to_vec();
    let made: Vec<f32> = planned.read("c").unwrap().data.iter().map(|v| v.max(0.0)).collect();
    same(&made, &relu, "c");
    // Overwritten in place, the source's value is gone: told, not made up.
    let in_place =
        r#"layer { name: "p" type: "Power" bottom: "x" top: "x" power_param { scale: 2 } }"#;
    let mut planned = net(&format!("{}{in_place}{rest}", source("x")), &options(true));
    planned.forward().unwrap();
    assert!(planned.blob("c").is_none());
    let error = planned.read("c").err().unwrap().to_string();
    assert!(error.contains("what `d` gave is gone") && error.contains("keep"), "{error}");
}

#[test]
fn kept_blobs_are_there() {
    let mut wanted = net(NET, &options(false));
    wanted.forward().unwrap();
    let mut planned = net(NET, &options(true));
    planned.keep(&["c1", "c2"]).unwrap();
    planned.forward().unwrap();
    for name in ["c1", "c2", "out"] {
        same(planned.blob(name).unwrap().data, wanted.blob(name).unwrap().data, name);
    }
    let error = planned.keep(&["c3"]).unwrap_err().to_string();
    assert!(error.contains("no blob `c3`"), "{error}");
    let mut all = net(NET, &options(true));
    all.keep_all();
    all.forward().unwrap();
    assert_eq!(all.blob("c1").unwrap().data, wanted.blob("c1").unwrap().data);
}

#[test]
fn layers_alone_find_their_bottoms_after_a_planned_pass() {
    let mut wanted = net(NET, &options(false));
    wanted.forward().unwrap();
    let mut planned = net(NET, &options(true));
    planned.forward().unwrap();
    planned.forward_range(4..6).unwrap();
    assert_eq!(planned.blob("out").unwrap().data, wanted.blob("out").unwrap().data);
}

#[test]
fn new_weights_and_new_shapes_make_a_new_plan() {
    let mut wanted = net(NET, &options(false));
    let mut planned = net(NET, &options(true));
    planned.forward().unwrap();
    for net in [&mut wanted, &mut planned] {
        let of = |layer, i| net.store.of_layer(layer, i).unwrap();
        let (weights, means) = (of("c1", 0), of("bn", 0));
        net.store.data_mut(weights).iter_mut().for_each(|w| *w *= 1.5);
        net.store.data_mut(means).iter_mut().for_each(|m| *m += 1.0);
        net.forward().unwrap();
    }
    same(&outputs(&planned)[0].2, &outputs(&wanted)[0].2, "new weights");
    for net in [&mut wanted, &mut planned] {
        net.reshape_input("data", [2, 3, 11, 5]).unwrap();
        feed(net);
        net.forward().unwrap();
    }
    assert_eq!(outputs(&planned)[0].1[..], [2, 16, 11, 5]);
    same(&outputs(&planned)[0].2, &outputs(&wanted)[0].2, "new shapes");
}

#[test]
fn a_net_whose_gradients_are_wanted_is_not_planned() {
    let text = format!("force_backward: true {NET}");
    let gradients = cortado::net::NetOptions { gradients: true, ..options(true) };
    assert!(net(&text, &gradients).plan_steps().is_none());
    assert!(net(&text, &options(true)).plan_steps().is_some());
}

#[test]
fn losses_and_labels_are_read_by_layers_as_they_are() {
    let steps = agree(
        r#"
layer { name: "data" type: "Input" top: "data" top: "label"
  input_param { shape { dim: 4 dim: 3 dim: 8 dim: 8 } shape { dim: 4 } } }
layer { name: "zero" type: "Power" bottom: "label" top: "zero" power_param { scale: 0 } }
layer { name: "c" type: "Convolution" bottom: "data" top: "c" convolution_param { num_output: 16 kernel_size: 8 } }
layer { name: "flat" type: "Flatten" bottom: "c" top: "flat" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "flat" bottom: "zero" top: "loss" }
layer { name: "acc" type: "Accuracy" bottom: "flat" bottom: "zero" top: "acc" }
"#,
    );
    assert!(steps.iter().all(|step| step.work != "reorder"), "one pixel is the same in both");
}
