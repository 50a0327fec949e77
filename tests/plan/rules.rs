//! One test per rule, and one per layout that the planner chooses.

use cortado::net::StepInfo;

use super::{agree, net, options, same};

const DATA: &str = r#"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 9 dim: 8 } } }
"#;

/// A convolution to `n` channels.
fn conv(name: &str, bottom: &str, n: usize, more: &str) -> String {
    format!(
        r#"layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{name}"
  convolution_param {{ num_output: {n} {more} }} }}
"#
    )
}

/// A layer with one bottom and one top.
fn layer(type_name: &str, bottom: &str, top: &str, param: &str) -> String {
    format!(
        r#"layer {{ name: "{top}_{type_name}" type: "{type_name}" bottom: "{bottom}" top: "{top}" {param} }}
"#
    )
}

fn works(steps: &[StepInfo]) -> Vec<&str> {
    steps.iter().map(|step| step.work.as_str()).collect()
}

fn rules(steps: &[StepInfo]) -> Vec<&'static str> {
    steps.iter().flat_map(|step| step.rules.clone()).collect()
}

#[test]
fn affine_goes_into_affine() {
    let text = DATA.to_owned()
        + &layer("BatchNorm", "data", "bn", "")
        + &layer("Scale", "bn", "sc", "scale_param { bias_term: true }")
        + &layer("Power", "sc", "out", "power_param { scale: 0.5 shift: 2 }");
    let steps = agree(&text);
    assert_eq!(works(&steps), ["affine"]);
    assert_eq!(rules(&steps), ["affine into affine", "affine into affine"]);
}

#[test]
fn affine_goes_into_the_convolution_before_it() {
    let text = DATA.to_owned()
        + &conv("c", "data", 20, "kernel_size: 3 pad: 1 bias_term: false")
        + &layer("BatchNorm", "c", "c", "")
        + &layer("Scale", "c", "c", "scale_param { bias_term: true }");
    let steps = agree(&text);
    assert_eq!(works(&steps), ["conv", "reorder"]);
    assert_eq!(rules(&steps), ["affine into product", "affine into product"]);
}

#[test]
fn affine_goes_into_deconvolutions_and_inner_products() {
    let text = DATA.to_owned()
        + &layer(
            "Deconvolution",
            "data",
            "up",
            "convolution_param { num_output: 6 group: 3 kernel_size: 4 stride: 2 pad: 1 }",
        )
        + &layer("Scale", "up", "up", "scale_param { bias_term: true }")
        + &layer("InnerProduct", "up", "ip", "inner_product_param { num_output: 7 }")
        + &layer("Bias", "ip", "ip", "")
        + &layer(
            "InnerProduct",
            "ip",
            "ip2",
            "inner_product_param { num_output: 5 transpose: true }",
        )
        + &layer("Scale", "ip2", "ip2", "");
    let steps = agree(&text);
    assert_eq!(works(&steps), ["deconv", "gemm", "gemm"]);
    assert_eq!(rules(&steps), ["affine into product"; 3]);
}

#[test]
fn affine_goes_into_the_product_behind_it_where_nothing_is_padded() {
    let affine = layer("Scale", "data", "s", "scale_param { bias_term: true }");
    let text = DATA.to_owned() + &affine + &conv("c", "s", 18, "kernel_size: 3 group: 3");
    assert_eq!(rules(&agree(&text)), ["affine before product"]);
    let ip = layer("InnerProduct", "s", "ip", "inner_product_param { num_output: 5 }");
    assert_eq!(rules(&agree(&(DATA.to_owned() + &affine + &ip))), ["affine before product"]);
    let padded = DATA.to_owned() + &affine + &conv("c", "s", 18, "kernel_size: 3 pad: 1");
    assert!(rules(&agree(&padded)).is_empty());
    let factor_only = layer("Scale", "data", "s", "");
    let padded = DATA.to_owned() + &factor_only + &conv("c", "s", 18, "kernel_size: 3 pad: 1");
    assert_eq!(rules(&agree(&padded)), ["affine before product"]);
}

#[test]
fn sum_becomes_the_end_of_a_convolution() {
    let text = DATA.to_owned()
        + &conv("a", "data", 20, "kernel_size: 1")
        + &conv("b", "a", 20, "kernel_size: 3 pad: 1")
        + r#"layer { name: "sum" type: "Eltwise" bottom: "b" bottom: "a" top: "sum" }
"# + &layer("ReLU", "sum", "sum", "");
    let steps = agree(&text);
    assert_eq!(works(&steps), ["conv", "conv + add + relu", "reorder"]);
    assert_eq!(rules(&steps), ["alias", "sum into product", "act into maker"][1..]);
}

#[test]
fn sum_with_coefficients_stays_a_sum() {
    let text = DATA.to_owned()
        + &conv("a", "data", 16, "kernel_size: 1")
        + &conv("b", "data", 16, "kernel_size: 1")
        + r#"layer { name: "sum" type: "Eltwise" bottom: "b" bottom: "a" top: "sum"
  eltwise_param { coeff: 2 coeff: -1 } }
"# + &layer("TanH", "sum", "sum", "");
    assert_eq!(works(&agree(&text)), ["conv", "conv", "sum + tanh", "reorder"]);
}

#[test]
fn activations_become_the_end_of_their_makers() {
    let acts = [
        ("ReLU", "relu_param { negative_slope: 0.1 }"),
        ("PReLU", ""),
        ("PReLU", "prelu_param { channel_shared: true }"),
        ("Clip", "clip_param { min: 0.1 max: 0.5 }"),
        ("Sigmoid", ""),
        ("TanH", ""),
    ];
    for (act, param) in acts {
        let text = DATA.to_owned()
            + &conv("c", "data", 20, "kernel_size: 3")
            + &layer(act, "c", "c", param)
            + &layer("InnerProduct", "c", "ip", "inner_product_param { num_output: 5 }")
            + &layer(act, "ip", "ip", param);
        let steps = agree(&text);
        assert_eq!(rules(&steps), ["act into maker"; 2], "{act}");
        assert_eq!(steps.len(), 3, "{act}: {:?}", works(&steps));
    }
}

#[test]
fn what_passes_its_bottom_on_is_no_step() {
    let text = DATA.to_owned()
        + &conv("c", "data", 20, "kernel_size: 3")
        + &layer("Dropout", "c", "d", "")
        + &layer("Concat", "d", "e", "")
        + &layer("Reshape", "e", "f", "reshape_param { shape { dim: 0 dim: 10 dim: -1 } }")
        + &layer("Flatten", "f", "g", "")
        + &layer("InnerProduct", "g", "a", "inner_product_param { num_output: 5 }")
        + &layer("InnerProduct", "g", "b", "inner_product_param { num_output: 6 }");
    assert_eq!(works(&agree(&text)), ["conv", "reorder", "gemm", "gemm"]);
}

#[test]
fn an_alias_that_is_asked_for_beside_its_bottom_is_a_copy() {
    let text = DATA.to_owned() + &layer("Dropout", "data", "out", "");
    assert_eq!(works(&agree(&text)), ["copy"]);
}

#[test]
fn concatenation_is_written_in_place() {
    let concat = r#"layer { name: "cat" type: "Concat" bottom: "a" bottom: "b" bottom: "p" top: "cat" }
"#;
    let text = DATA.to_owned()
        + &conv("x", "data", 16, "kernel_size: 1")
        + &conv("a", "x", 32, "kernel_size: 1")
        + &conv("b", "x", 16, "kernel_size: 3 pad: 1")
        + &layer("Pooling", "x", "p", "pooling_param { kernel_size: 3 stride: 1 pad: 1 }")
        + concat
        + &conv("y", "cat", 7, "kernel_size: 3 pad: 1");
    let steps = agree(&text);
    assert_eq!(works(&steps), ["conv", "conv", "conv", "max pool", "nothing", "conv", "reorder"]);
    assert!(rules(&steps).contains(&"concat in place"));
    let odd = text.replace("num_output: 32", "num_output: 24");
    assert!(!rules(&agree(&odd)).contains(&"concat in place"));
}

#[test]
fn parts_of_a_concatenation_that_others_read_are_copied() {
    let text = DATA.to_owned()
        + &conv("a", "data", 16, "kernel_size: 1")
        + &conv("b", "a", 20, "kernel_size: 3 pad: 1")
        + r#"layer { name: "cat" type: "Concat" bottom: "a" bottom: "b" top: "cat" }
"# + &conv("y", "cat", 7, "kernel_size: 3 pad: 1");
    let steps = agree(&text);
    assert_eq!(works(&steps), ["conv", "conv", "copy", "conv", "reorder"]);
    assert!(rules(&steps).contains(&"concat in place"));
}

#[test]
fn pooling_normalisation_and_sums_follow_in_blocks() {
    let text = DATA.to_owned()
        + &conv("c", "data", 20, "kernel_size: 3")
        + &layer("LRN", "c", "n", "")
        + &layer("Pooling", "n", "m", "pooling_param { kernel_size: 3 stride: 2 }")
        + &layer("Pooling", "n", "v", "pooling_param { pool: AVE kernel_size: 3 stride: 2 }")
        + r#"layer { name: "e" type: "Eltwise" bottom: "m" bottom: "v" top: "e"
  eltwise_param { operation: MAX } }
layer { name: "p" type: "Eltwise" bottom: "e" bottom: "v" top: "p" eltwise_param { operation: PROD } }
"# + &conv("d", "p", 8, "kernel_size: 3 pad: 1");
    let steps = agree(&text);
    let reorders = steps.iter().filter(|step| step.work == "reorder").count();
    assert_eq!(reorders, 1, "{:?}", works(&steps));
}

#[test]
fn unusual_layers_run_as_they_are() {
    let text = DATA.to_owned()
        + &conv("c", "data", 20, "kernel_size: 3")
        + &layer("ELU", "c", "c", "")
        + &layer("MVN", "c", "m", "")
        + &conv("d", "m", 20, "kernel_size: 3")
        + &layer("Softmax", "d", "out", "");
    let steps = agree(&text);
    let wanted = ["conv", "reorder", "ELU", "MVN", "conv", "reorder", "Softmax"];
    assert_eq!(works(&steps), wanted);
}

#[test]
fn statistics_of_the_batch_are_not_folded() {
    let batch = "batch_norm_param { use_global_stats: false }";
    let text = DATA.to_owned()
        + &conv("c", "data", 20, "kernel_size: 3")
        + &layer("BatchNorm", "c", "c", batch);
    assert_eq!(works(&agree(&text)), ["conv", "reorder", "BatchNorm"]);
}

#[test]
fn statistics_that_were_never_gathered_are_taken_as_the_layer_takes_them() {
    let text = DATA.to_owned()
        + &conv("c", "data", 20, "kernel_size: 3")
        + &layer("BatchNorm", "c", "c", "");
    let [found, wanted] = [true, false].map(|plan| {
        let mut net = net(&text, &options(plan));
        let factor = net.store.of_layer("c_BatchNorm", 2).unwrap();
        net.store.data_mut(factor).fill(0.0);
        net.forward().unwrap();
        net.blob("c").unwrap().data.to_vec()
    });
    same(&found, &wanted, "c");
}

#[test]
fn three_spatial_axes_run_in_row_major_order() {
    let text = r#"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 5 dim: 6 dim: 7 } } }
"#
    .to_owned()
        + &conv("c", "data", 6, "kernel_size: 3 pad: 1")
        + &layer("BatchNorm", "c", "c", "")
        + &layer("PReLU", "c", "c", "");
    assert_eq!(works(&agree(&text)), ["conv + prelu"]);
}

#[test]
fn the_forks_depthwise_forms_and_relu6_are_planned_as_the_original_ones() {
    let net = |depthwise: &str, group: &str, act: &str, param: &str| {
        DATA.to_owned()
            + &conv("c", "data", 20, "kernel_size: 1")
            + &format!(
                r#"layer {{ name: "dw" type: "{depthwise}" bottom: "c" top: "dw"
  convolution_param {{ num_output: 20 kernel_size: 3 pad: 1 bias_term: false {group} }} }}
"#
            )
            + &layer("BatchNorm", "dw", "dw", "")
            + &layer("Scale", "dw", "dw", "scale_param { bias_term: true }")
            + &layer(act, "dw", "act", param)
            + &conv("d", "act", 8, "kernel_size: 1")
    };
    let clip = "clip_param { min: 0 max: 6 }";
    let wanted = agree(&net("Convolution", "group: 20", "Clip", clip));
    assert!(rules(&wanted).contains(&"act into maker"), "{:?}", rules(&wanted));
    for depthwise in ["ConvolutionDepthwise", "DepthwiseConvolution"] {
        let steps = agree(&net(depthwise, "", "ReLU6", ""));
        assert_eq!(works(&steps), works(&wanted), "{depthwise}");
        assert_eq!(rules(&steps), rules(&wanted), "{depthwise}");
    }
}
