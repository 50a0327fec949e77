//! Types of single projects, by numbers worked out by hand.

use cortado_layers::check::SingleLayer;
use cortado_layers::{Phase, Tensor};

use super::{run, tensor, test};

/// Equal but for rounding.
fn near(found: &[f32], wanted: &[f32]) {
    let same = found.iter().zip(wanted).all(|(a, b)| (a - b).abs() <= 1e-5 * b.abs().max(1.0));
    assert!(same && found.len() == wanted.len(), "found {found:?}, wanted {wanted:?}");
}

fn weighted(layer: &str, bottoms: Vec<Tensor>, weights: &[&[f32]]) -> SingleLayer {
    let mut single = test(layer, bottoms);
    for (weight, values) in single.weights.iter_mut().zip(weights) {
        weight.data_mut().copy_from_slice(values);
    }
    single.forward().expect("it ran before");
    single
}

#[test]
fn a_gated_pooling_mixes_maximum_and_mean() {
    let x = || vec![tensor(&[1, 1, 2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 8.0])];
    let layer = |name: &str| {
        format!(
            r#"layer {{ name: "l" type: "{name}" bottom: "x" top: "y"
                 convolution_param {{ kernel_size: 2 stride: 2 }} }}"#
        )
    };
    // No mask: half of each. The second window is cut off: 3 and 8.
    let even = [(5.0 + 3.0) / 2.0, (8.0 + 5.5) / 2.0];
    for name in ["GatedMaxAve", "TreepoolMaxAve"] {
        near(weighted(&layer(name), x(), &[&[0.0; 4]]).tops[0].data(), &even);
    }
    // The mask's second number lies beyond the edge for the one, on the 8 for the other.
    let mask: &[f32] = &[0.0, 100.0, 0.0, 0.0];
    near(weighted(&layer("TreepoolMaxAve"), x(), &[mask]).tops[0].data(), &[5.0, even[1]]);
    near(weighted(&layer("GatedMaxAve"), x(), &[mask]).tops[0].data(), &[5.0, 8.0]);
}

#[test]
fn a_tree_of_filters_takes_one_leaf_or_the_other() {
    let layer = r#"layer { name: "l" type: "TreepoolKernel1L" bottom: "x" top: "y"
         convolution_param { kernel_size: 2 } }"#;
    let x = vec![tensor(&[1, 1, 2, 2], &[1.0, 2.0, 3.0, 4.0])];
    let (v1, v2): (&[f32], &[f32]) = (&[1.0, 0.0, 0.0, 0.0], &[0.0, 0.0, 0.0, 2.0]);
    near(weighted(layer, x.clone(), &[v1, v2, &[100.0; 4]]).tops[0].data(), &[1.0]);
    near(weighted(layer, x.clone(), &[v1, v2, &[-100.0; 4]]).tops[0].data(), &[8.0]);
    near(weighted(layer, x, &[v1, v2, &[0.0; 4]]).tops[0].data(), &[4.5]);
}

#[test]
fn losses_are_told_for_each_item() {
    let layer = r#"layer { name: "l" type: "SmoothL1LossOHEM" bottom: "a" bottom: "b" bottom: "w"
         top: "loss" top: "each" }"#;
    let bottoms = vec![
        tensor(&[2, 2, 1, 1], &[0.5, 3.0, 1.0, -2.0]),
        tensor(&[2, 2, 1, 1], &[0.0; 4]),
        tensor(&[2, 2, 1, 1], &[1.0, 1.0, 0.0, 1.0]),
    ];
    let single = test(layer, bottoms);
    near(single.tops[1].data(), &[0.125 + 2.5, 1.5]);
    near(single.tops[0].data(), &[(0.125 + 2.5 + 1.5) / 2.0]);
    assert_eq!(single.tops[1].shape()[..], [2, 1, 1, 1]);

    let layer = r#"layer { name: "l" type: "SoftmaxWithLossOHEM" bottom: "x" bottom: "t" top: "loss"
         top: "prob" top: "each" loss_param { ignore_label: -1 } }"#;
    let bottoms = vec![tensor(&[3, 2], &[0.0; 6]), tensor(&[3], &[1.0, -1.0, 0.0])];
    let single = test(layer, bottoms);
    let half = std::f32::consts::LN_2;
    near(single.tops[2].data(), &[half, 0.0, half]);
    near(single.tops[0].data(), &[half]);
}

#[test]
fn the_hardest_regions_of_each_item_keep_their_labels() {
    let layer = r#"layer { name: "l" type: "BoxAnnotatorOHEM" bottom: "r" bottom: "l" bottom: "t" bottom: "w"
         top: "labels" top: "weights" box_annotator_ohem_param { roi_per_img: 1 ignore_label: -1 } }"#;
    let rows: Vec<f32> =
        [0.0, 0.0, 1.0, 0.0].iter().flat_map(|&item| [item, 0.0, 0.0, 1.0, 1.0]).collect();
    let bottoms = vec![
        tensor(&[4, 5], &rows),
        tensor(&[4], &[0.5, 2.0, 0.1, 2.0]),
        tensor(&[4], &[1.0, 2.0, 3.0, 4.0]),
        tensor(&[4, 2], &[1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0]),
    ];
    let single = test(layer, bottoms);
    assert_eq!(single.tops[0].data(), [-1.0, 2.0, 3.0, -1.0]);
    assert_eq!(single.tops[1].data(), [0.0, 0.0, 2.0, 2.0, 3.0, 3.0, 0.0, 0.0]);
}

#[test]
fn centers_move_by_the_mean_of_their_items() {
    let layer = r#"layer { name: "l" type: "CenterLoss" bottom: "x" bottom: "t" top: "y"
         center_loss_param { num_output: 2 } }"#;
    let bottoms = vec![tensor(&[2, 2], &[1.0, 2.0, 3.0, 4.0]), tensor(&[2], &[1.0, 1.0])];
    let mut single = weighted(layer, bottoms, &[&[9.0, 9.0, 1.0, 1.0]]);
    // (0² + 1² + 2² + 3²) / (2 · 2)
    near(single.tops[0].data(), &[3.5]);
    let gradients = single.backward(&[tensor(&[], &[2.0])]).expect("forward ran");
    let centers = gradients.weights[0].as_ref().expect("asked for");
    near(centers.data(), &[0.0, 0.0, -(0.0 + 2.0) / 3.0, -(1.0 + 3.0) / 3.0]);
    let x = gradients.bottoms[0].as_ref().expect("asked for");
    near(x.data(), &[0.0, 1.0, 2.0, 3.0]);
}

#[test]
fn similar_codes_attract_and_others_repel() {
    let layer = r#"layer { name: "l" type: "HashingLoss" bottom: "x" bottom: "t" top: "y"
         hashing_loss_param { bi_margin: 6 tradeoff: 0.1 } }"#;
    let bottoms =
        vec![tensor(&[3, 1], &[1.0, -1.0, 3.0]), tensor(&[3, 2], &[1.0, 0.0, 1.0, 1.0, 0.0, 1.0])];
    // Items 0 and 1 share a label, and 1 and 2; 0 and 2 do not, their distance is 4 of 6.
    near(test(layer, bottoms).tops[0].data(), &[(4.0 + 16.0 + 2.0) / 6.0 + 0.1 * 2.0 / 3.0]);
}

#[test]
fn pairs_without_a_common_label_are_left_out_until_a_tenth_is_similar() {
    let layer = |more: &str| {
        format!(
            r#"layer {{ name: "l" type: "HashingLoss" bottom: "x" bottom: "t" top: "y"
                 hashing_loss_param {{ bi_margin: 0.5 tradeoff: 0 {more} }} }}"#
        )
    };
    // Nobody shares two labels: no pair without a common one counts. Items 0 and 1 share one.
    let labels = [1.0, 0.0, 1.0, 0.0, 0.0, 1.0];
    let bottoms = || vec![tensor(&[3, 1], &[2.0, -1.0, 0.0]), tensor(&[3, 2], &labels)];
    let wanted = 9.0 - 2.0 * (-1.0f32).exp();
    near(test(&layer("nsim: 2"), bottoms()).tops[0].data(), &[wanted]);
    // One of three shares one: all count; of distance 4 and 1, 2 is wanted.
    near(test(&layer("nsim: 1"), bottoms()).tops[0].data(), &[(wanted + 1.0) / 3.0]);
}

/// The score of the right class at a cosine, with λ 0, of an x of length 2.
fn margin(kind: &str, cosine: f32) -> f32 {
    let layer = format!(
        r#"layer {{ name: "l" type: "MarginInnerProduct" bottom: "x" bottom: "t" top: "y" top: "lambda"
             margin_inner_product_param {{ num_output: 1 type: {kind} base: 0 }} }}"#
    );
    let x = [2.0 * cosine, 2.0 * (1.0 - cosine * cosine).sqrt()];
    let bottoms = vec![tensor(&[1, 2], &x), tensor(&[1], &[0.0])];
    weighted(&layer, bottoms, &[&[5.0, 0.0]]).tops[0].data()[0] / 2.0
}

#[test]
fn the_right_class_is_scored_by_a_multiple_of_its_angle() {
    for (kind, times) in [("SINGLE", 1.0), ("DOUBLE", 2.0), ("TRIPLE", 3.0), ("QUADRUPLE", 4.0)] {
        for step in 1..12 {
            let angle = std::f32::consts::PI * (step as f32 - 0.4) / 12.0;
            // cos(m θ) as far as it falls; from each of its minima on, turned around and lower by 2.
            let turns = (times * angle / std::f32::consts::PI).floor();
            let wave = (times * angle).cos();
            let wanted = if turns % 2.0 == 0.0 { wave } else { -wave } - 2.0 * turns;
            let found = margin(kind, angle.cos());
            // The double margin of the original is 2 s cos² − 1 beyond π/2.
            let wanted = if kind == "DOUBLE" && turns == 1.0 {
                -2.0 * angle.cos() * angle.cos() - 1.0
            } else {
                wanted
            };
            assert!((found - wanted).abs() < 1e-4, "{kind} at {angle}: {found}, wanted {wanted}");
        }
    }
}

#[test]
fn a_margin_fades_in() {
    let layer = r#"layer { name: "l" type: "MarginInnerProduct" bottom: "x" bottom: "t" top: "y"
         top: "lambda" margin_inner_product_param { num_output: 1 type: DOUBLE base: 8 gamma: 1 power: 1
           lambda_min: 2 } }"#;
    let bottoms = vec![tensor(&[1, 2], &[0.6, 0.8]), tensor(&[1], &[0.0])];
    let mut single = run(layer, Phase::Train, bottoms);
    single.weights[0].data_mut().copy_from_slice(&[3.0, 0.0]);
    let mut lambdas = vec![single.tops[1].data()[0]];
    for _ in 0..3 {
        single.forward().expect("it ran before");
        lambdas.push(single.tops[1].data()[0]);
    }
    near(&lambdas, &[4.0, 8.0 / 3.0, 2.0, 2.0]);
    // (2 · 0.36 − 1 + 2 · 0.6) / 3
    near(single.tops[0].data(), &[(0.72 - 1.0 + 1.2) / 3.0]);
    // The label's part of dx has length 1 before λ is mixed in.
    let top_diffs = [tensor(&[1, 1], &[1.0]), tensor(&[1], &[0.0])];
    let gradients = single.backward(&top_diffs).expect("forward ran");
    let (of_w, of_x) = (2.4f32, -1.72f32);
    let length = of_w.hypot(of_x);
    let x = gradients.bottoms[0].as_ref().expect("asked for");
    near(x.data(), &[(of_w / length + of_x / length * 0.6 + 2.0) / 3.0, of_x / length * 0.8 / 3.0]);
    near(gradients.weights[0].as_ref().expect("asked for").data(), &[1.8, 2.4]);
}

#[test]
fn regions_and_masks_are_read_bilinearly() {
    let layer = r#"layer { name: "l" type: "ROIWarping" bottom: "x" bottom: "r" top: "y"
         roi_warping_param { pooled_h: 1 pooled_w: 4 spatial_scale: 1 } }"#;
    let x = tensor(&[1, 1, 1, 3], &[0.0, 10.0, 20.0]);
    // From 0 to 2 in steps of a half.
    let single = test(layer, vec![x.clone(), tensor(&[1, 5], &[0.0, 0.2, 0.0, 2.0, 0.0])]);
    near(single.tops[0].data(), &[0.0, 5.0, 10.0, 15.0]);
    // Outside of the plane there is nothing.
    let single = test(layer, vec![x, tensor(&[1, 5], &[0.0, 2.0, 0.0, 4.0, 0.0])]);
    near(single.tops[0].data(), &[20.0, 20.0, 0.0, 0.0]);

    let layer = r#"layer { name: "l" type: "MaskResize" bottom: "x" top: "y"
         mask_resize_param { output_height: 1 output_width: 6 } }"#;
    let single = test(layer, vec![tensor(&[1, 1, 1, 3], &[0.0, 10.0, 20.0])]);
    near(single.tops[0].data(), &[0.0, 5.0, 10.0, 15.0, 20.0, 20.0]);
}

#[test]
fn axes_are_turned_around_and_put_in_order() {
    let layer = r#"layer { name: "l" type: "Reverse" bottom: "x" top: "y" }"#;
    let single = test(layer, vec![tensor(&[2, 2], &[1.0, 2.0, 3.0, 4.0])]);
    assert_eq!(single.tops[0].data(), [3.0, 4.0, 1.0, 2.0]);
    let layer = r#"layer { name: "l" type: "Transpose" bottom: "x" top: "y" transpose_param { dim: 1 dim: 0 } }"#;
    let single = test(layer, vec![tensor(&[2, 2], &[1.0, 2.0, 3.0, 4.0])]);
    assert_eq!(single.tops[0].data(), [1.0, 3.0, 2.0, 4.0]);
}

/// The forks' LSTM and the original's are one computation with the blobs in another order.
#[test]
fn the_forks_lstm_is_the_original_one() {
    let own = r#"layer { name: "l" type: "Lstm" bottom: "x" top: "y" lstm_param { num_output: 3
         weight_filler { type: "uniform" min: -1 } bias_filler { type: "uniform" } } }"#;
    let x: Vec<f32> = (0..24).map(|i| ((i * 5 % 24) as f32 - 12.0) / 8.0).collect();
    let x = tensor(&[3, 2, 4], &x);
    let fork = test(own, vec![x.clone()]);
    let original = r#"layer { name: "l" type: "LSTM" bottom: "x" bottom: "c" top: "y"
         recurrent_param { num_output: 3 } }"#;
    let cont = tensor(&[3, 2], &[0.0, 0.0, 1.0, 1.0, 1.0, 1.0]);
    let blobs = [0, 2, 1].map(|i| fork.weights[i].data());
    near(weighted(original, vec![x, cont], &blobs).tops[0].data(), fork.tops[0].data());
}

#[test]
fn pairs_of_codes_are_held_against_their_labels() {
    let layer = |more: &str| {
        format!(
            r#"layer {{ name: "l" type: "PairwiseLoss" bottom: "a" bottom: "s" bottom: "b" bottom: "t"
                 top: "y" pairwise_param {{ sigmoid_param: 1 l_threshold: 15 {more} }} }}"#
        )
    };
    let bottoms = || {
        vec![
            tensor(&[2, 1], &[0.0, 20.0]),
            tensor(&[2, 2], &[1.0, 0.0, 0.0, 1.0]),
            tensor(&[2, 1], &[1.0, 1.0]),
            tensor(&[2, 2], &[1.0, 0.0, 1.0, 0.0]),
        ]
    };
    // Products 0, 0, 20, 20; the first item is similar to both, the second to none.
    let ln2 = std::f32::consts::LN_2;
    near(test(&layer(""), bottoms()).tops[0].data(), &[(2.0 * ln2 + 40.0) / 4.0]);
    near(test(&layer("class_num: 3"), bottoms()).tops[0].data(), &[(6.0 * ln2 + 40.0) / 8.0]);
    let of = |more: &str| {
        let mut single = test(&layer(more), bottoms());
        let gradients = single.backward(&[tensor(&[], &[1.0])]).expect("forward ran");
        gradients.bottoms[0].clone().expect("asked for").data().to_vec()
    };
    near(&of(""), &[-2.0 * 0.5 * 2.0 / 4.0, 2.0 * 2.0 / 4.0]);
    near(&of("continous_similarity: true"), &[-4.0 * 2.0 * 0.5 * 2.0 / 4.0, 2.0 * 2.0 / 4.0]);
}

#[test]
fn a_tanh_gets_steeper_every_so_many_passes() {
    let layer = r#"layer { name: "l" type: "ScaleTanH" bottom: "x" top: "y"
         scale_tanh_param { init_scale: 1 step_size: 2 gamma: 1 power: 1 } }"#;
    let mut single = test(layer, vec![tensor(&[1], &[0.5])]);
    let mut found = vec![single.tops[0].data()[0]];
    for _ in 0..3 {
        single.forward().expect("it ran before");
        found.push(single.tops[0].data()[0]);
    }
    near(&found, &[0.5f32, 1.5, 1.5, 2.5].map(f32::tanh));
}

#[test]
fn volumes_are_pooled_as_planes_are() {
    let nd = r#"layer { name: "l" type: "PoolingND" bottom: "x" top: "y"
         pooling_nd_param { pool: MAX kernel_size: 3 stride: 2 pad: 1 } }"#;
    let plane = r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y"
         pooling_param { pool: MAX kernel_size: 3 stride: 2 pad: 1 } }"#;
    let values: Vec<f32> = (0..2 * 7 * 6).map(|i| (i * 31 % 84) as f32).collect();
    let x = tensor(&[1, 2, 7, 6], &values);
    assert_eq!(test(nd, vec![x.clone()]).tops[0], test(plane, vec![x]).tops[0]);
    let cube = r#"layer { name: "l" type: "PoolingND" bottom: "x" top: "y"
         pooling_nd_param { pool: AVE kernel_size: 2 stride: 2 } }"#;
    let x = tensor(&[1, 1, 2, 2, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    near(test(cube, vec![x]).tops[0].data(), &[4.5]);
}
