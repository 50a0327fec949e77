//! What single layers do where a gradient does not tell it: types without one, random ones, state,
//! masks, ties.

mod forks;
mod rest;

use cortado_layers::check::SingleLayer;
use cortado_layers::{Phase, Registry, RngKey, Shape, Tensor};

fn tensor(dims: &[usize], values: &[f32]) -> Tensor {
    Tensor::from_vec(Shape::new(dims), values.to_vec()).expect("as many values as elements")
}

/// The layer after one forward pass.
fn run(layer: &str, phase: Phase, bottoms: Vec<Tensor>) -> SingleLayer {
    let built = SingleLayer::build(&Registry::builtin(), layer, phase, bottoms);
    let mut single = built.unwrap_or_else(|e| panic!("{layer}: {e}"));
    single.forward().unwrap_or_else(|e| panic!("{layer}: {e}"));
    single
}

fn test(layer: &str, bottoms: Vec<Tensor>) -> SingleLayer {
    run(layer, Phase::Test, bottoms)
}

/// Four items of three classes: right, second best, tied with another, worst.
fn scores() -> Tensor {
    tensor(&[4, 3], &[3.0, 1.0, 2.0, 1.0, 3.0, 2.0, 2.0, 2.0, 1.0, 1.0, 2.0, 3.0])
}

#[test]
fn accuracy_counts_ties_against() {
    let labels = tensor(&[4], &[0.0, 2.0, 0.0, 0.0]);
    let layer = r#"layer { name: "l" type: "Accuracy" bottom: "x" bottom: "t" top: "y" }"#;
    assert_eq!(test(layer, vec![scores(), labels]).tops[0].data(), [0.25]);
}

#[test]
fn accuracy_of_the_best_two() {
    let labels = tensor(&[4], &[0.0, 2.0, 0.0, 0.0]);
    let layer = r#"layer { name: "l" type: "Accuracy" bottom: "x" bottom: "t" top: "y"
         accuracy_param { top_k: 2 } }"#;
    assert_eq!(test(layer, vec![scores(), labels]).tops[0].data(), [0.75]);
}

#[test]
fn accuracy_per_class_leaves_out_what_is_ignored() {
    let labels = tensor(&[4], &[0.0, 1.0, 0.0, 2.0]);
    let layer = r#"layer { name: "l" type: "Accuracy" bottom: "x" bottom: "t" top: "y" top: "per"
                     accuracy_param { ignore_label: 2 } }"#;
    let single = test(layer, vec![scores(), labels]);
    assert_eq!(single.tops[0].data(), [2.0 / 3.0]);
    assert_eq!(single.tops[1].data(), [0.5, 1.0, 0.0]);
}

#[test]
fn accuracy_of_nothing_is_0() {
    let layer = r#"layer { name: "l" type: "Accuracy" bottom: "x" bottom: "t" top: "y"
         accuracy_param { ignore_label: 1 } }"#;
    let ignored = tensor(&[4], &[1.0; 4]);
    assert_eq!(test(layer, vec![scores(), ignored]).tops[0].data(), [0.0]);
    assert_eq!(test(layer, vec![tensor(&[0, 3], &[]), tensor(&[0], &[])]).tops[0].data(), [0.0]);
}

#[test]
fn accuracy_along_another_axis() {
    // Classes along the first axis: two positions.
    let scores = tensor(&[3, 2], &[1.0, 5.0, 2.0, 4.0, 3.0, 3.0]);
    let layer = r#"layer { name: "l" type: "Accuracy" bottom: "x" bottom: "t" top: "y"
         accuracy_param { axis: 0 } }"#;
    assert_eq!(test(layer, vec![scores, tensor(&[2], &[2.0, 2.0])]).tops[0].data(), [0.5]);
}

#[test]
fn threshold_is_0_at_the_threshold() {
    let layer = r#"layer { name: "l" type: "Threshold" bottom: "x" top: "y"
         threshold_param { threshold: 0.5 } }"#;
    let x = tensor(&[4], &[0.4, 0.5, 0.6, f32::NAN]);
    assert_eq!(test(layer, vec![x]).tops[0].data(), [0.0, 0.0, 1.0, 0.0]);
}

#[test]
fn input_has_a_shape_per_top_or_one_for_all() {
    let one = r#"layer { name: "l" type: "Input" top: "a" top: "b"
         input_param { shape { dim: 2 dim: 3 } } }"#;
    let two = r#"layer { name: "l" type: "Input" top: "a" top: "b"
                   input_param { shape { dim: 2 } shape { dim: 1 dim: 4 } } }"#;
    let shapes = |layer| -> Vec<Shape> {
        test(layer, Vec::new()).tops.iter().map(|top| top.shape().clone()).collect()
    };
    assert_eq!(shapes(one), [Shape::new(&[2, 3]), Shape::new(&[2, 3])]);
    assert_eq!(shapes(two), [Shape::new(&[2]), Shape::new(&[1, 4])]);
}

#[test]
fn parameter_shows_its_blob_and_adds_to_its_diff() {
    let layer =
        r#"layer { name: "l" type: "Parameter" top: "p" parameter_param { shape { dim: 3 } } }"#;
    let mut single = run(layer, Phase::Train, Vec::new());
    assert_eq!(single.tops[0].data(), [0.0; 3]);
    single.weights[0] = tensor(&[3], &[1.0, 2.0, 3.0]);
    single.forward().expect("it ran before");
    assert_eq!(single.tops[0].data(), [1.0, 2.0, 3.0]);
    let gradients = single.backward(&[tensor(&[3], &[4.0, 5.0, 6.0])]).expect("it ran before");
    assert_eq!(gradients.weights, [Some(tensor(&[3], &[4.0, 5.0, 6.0]))]);
}

const DROPOUT: &str = r#"layer { name: "l" type: "Dropout" bottom: "x" top: "y"
     dropout_param { dropout_ratio: 0.3 } }"#;

#[test]
fn dropout_keeps_the_share_it_says_and_the_mean() {
    let n = 100_000;
    let single = run(DROPOUT, Phase::Train, vec![tensor(&[n], &vec![1.0; n])]);
    let y = single.tops[0].data();
    let kept = y.iter().filter(|&&v| v != 0.0).count() as f64 / n as f64;
    // Five standard deviations of a share of 0.7.
    let allowed = 5.0 * (0.3 * 0.7 / n as f64).sqrt();
    assert!((kept - 0.7).abs() < allowed, "{kept} is kept");
    assert!(y.iter().all(|&v| v == 0.0 || v == 1.0 / 0.7));
}

#[test]
fn dropout_depends_on_seed_pass_and_replica_only() {
    let mut single = run(DROPOUT, Phase::Train, vec![tensor(&[64], &[1.0; 64])]);
    let first = single.tops.clone();
    let key = single.key;
    let others = [
        RngKey { seed: key.seed + 1, ..key },
        RngKey { pass: key.pass + 1, ..key },
        RngKey { replica: key.replica + 1, ..key },
    ];
    for other in others {
        single.key = other;
        single.forward().expect("it ran before");
        assert_ne!(single.tops, first, "{other:?}");
    }
    single.key = key;
    single.forward().expect("it ran before");
    assert_eq!(single.tops, first);
}

#[test]
fn dropout_in_test_copies() {
    let x = tensor(&[3], &[1.0, -2.0, 0.5]);
    assert_eq!(test(DROPOUT, vec![x.clone()]).tops[0].data(), x.data());
}

#[test]
fn batch_norm_gathers_sums_and_their_factor() {
    let layer = r#"layer { name: "l" type: "BatchNorm" bottom: "x" top: "y"
         batch_norm_param { moving_average_fraction: 0.5 } }"#;
    // Mean 2 and 0, biased variance 1 and 4, over 2 elements each: unbiased 2 and 8.
    let x = tensor(&[2, 2], &[1.0, -2.0, 3.0, 2.0]);
    let mut single = run(layer, Phase::Train, vec![x]);
    let state = |single: &SingleLayer| -> Vec<Vec<f32>> {
        single.state.iter().map(|state| state.data().to_vec()).collect()
    };
    assert_eq!(state(&single), [vec![2.0, 0.0], vec![2.0, 8.0], vec![1.0]]);
    single.forward().expect("it ran before");
    assert_eq!(state(&single), [vec![3.0, 0.0], vec![3.0, 12.0], vec![1.5]]);
}

#[test]
fn batch_norm_that_saw_nothing_divides_by_the_root_of_eps() {
    let layer = r#"layer { name: "l" type: "BatchNorm" bottom: "x" top: "y"
         batch_norm_param { eps: 0.25 } }"#;
    let single = test(layer, vec![tensor(&[1, 2], &[1.0, -3.0])]);
    assert_eq!(single.tops[0].data(), [2.0, -6.0]);
}

#[test]
fn the_mask_of_a_maximum_is_its_place_in_the_plane() {
    let layer = r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y" top: "m"
         pooling_param { kernel_size: 2 stride: 1 } }"#;
    let x = tensor(&[1, 2, 2, 3], &[1.0, 5.0, 5.0, 5.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 7.0]);
    let single = test(layer, vec![x]);
    assert_eq!(single.tops[0].data(), [5.0, 5.0, 0.0, 7.0]);
    // The first of equals; counted from 0 in each plane.
    assert_eq!(single.tops[1].data(), [1.0, 1.0, 0.0, 5.0]);
}

const STOCHASTIC: &str = r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y"
                              pooling_param { pool: STOCHASTIC kernel_size: 2 stride: 2 } }"#;

#[test]
fn stochastic_pooling_draws_in_proportion() {
    let planes = 20_000;
    let window = [1.0, 2.0, 3.0, 4.0];
    let values: Vec<f32> = window.iter().copied().cycle().take(4 * planes).collect();
    let single = run(STOCHASTIC, Phase::Train, vec![tensor(&[1, planes, 2, 2], &values)]);
    for value in window {
        let drawn = single.tops[0].data().iter().filter(|&&y| y == value).count();
        let (share, wanted) = (drawn as f64 / planes as f64, f64::from(value) / 10.0);
        let allowed = 5.0 * (wanted * (1.0 - wanted) / planes as f64).sqrt();
        assert!((share - wanted).abs() < allowed, "{value}: {share} instead of {wanted}");
    }
}

#[test]
fn stochastic_pooling_in_test_is_the_mean_of_the_draws() {
    let single = test(STOCHASTIC, vec![tensor(&[1, 1, 2, 2], &[1.0, 2.0, 3.0, 4.0])]);
    assert_eq!(single.tops[0].data(), [3.0]);
}

#[test]
fn of_equal_first_bottoms_the_second_is_the_maximum() {
    let layer = r#"layer { name: "l" type: "Eltwise" bottom: "a" bottom: "b" bottom: "c" top: "y"
         eltwise_param { operation: MAX } }"#;
    let same = || tensor(&[1], &[2.0]);
    let mut single = run(layer, Phase::Train, vec![same(), same(), same()]);
    let gradients = single.backward(&[tensor(&[1], &[1.0])]).expect("it ran before");
    let diffs: Vec<f32> = gradients.bottoms.iter().flatten().map(|diff| diff.data()[0]).collect();
    assert_eq!(diffs, [0.0, 1.0, 0.0]);
}

#[test]
fn the_loss_of_a_net_that_diverged_is_87() {
    let layer = r#"layer { name: "l" type: "SoftmaxWithLoss" bottom: "x" bottom: "t" }"#;
    let single = test(layer, vec![tensor(&[1, 2], &[-1000.0, 1000.0]), tensor(&[1], &[0.0])]);
    assert_eq!(single.tops[0].data(), [87.33655]);
}

#[test]
fn a_given_filler_without_type_is_0_where_an_absent_one_is_1() {
    let absent = r#"layer { name: "l" type: "Scale" bottom: "x" top: "y" }"#;
    let given =
        r#"layer { name: "l" type: "Scale" bottom: "x" top: "y" scale_param { filler { } } }"#;
    let x = || vec![tensor(&[1, 1], &[3.0])];
    assert_eq!(test(absent, x()).tops[0].data(), [3.0]);
    assert_eq!(test(given, x()).tops[0].data(), [0.0]);
}

#[test]
fn a_window_beyond_the_plane_gives_numbers_and_no_gradient() {
    // 4 elements, windows of 2 every 5: the second begins behind the last element.
    for (pool, wanted) in [("MAX", [3.0, f32::MIN]), ("AVE", [2.5, 0.0])] {
        let layer = format!(
            r#"layer {{ name: "l" type: "Pooling" bottom: "x" top: "y" pooling_param {{ pool: {pool} kernel_size: 2 stride: 5 }} }}"#
        );
        let mut single = run(&layer, Phase::Train, vec![tensor(&[1, 1, 4], &[2.0, 3.0, 0.0, 1.0])]);
        assert_eq!(single.tops[0].data(), wanted, "{pool}");
        let gradients = single.backward(&[tensor(&[1, 1, 2], &[1.0, 1.0])]).expect("it ran before");
        let dx = gradients.bottoms[0].as_ref().expect("bottom 0 takes a gradient").data();
        assert_eq!(dx.iter().sum::<f32>(), 1.0, "{pool}");
    }
}

#[test]
fn threshold_in_place_is_the_same() {
    let layer = r#"layer { name: "l" type: "Threshold" bottom: "x" top: "y" }"#;
    let mut single = test(layer, vec![tensor(&[3], &[-1.0, 0.0, 2.0])]);
    let apart = single.tops.clone();
    single.in_place = true;
    single.forward().expect("it ran before");
    assert_eq!(single.tops, apart);
}

#[test]
fn an_empty_batch_leaves_the_statistics_finite() {
    let layer = r#"layer { name: "l" type: "BatchNorm" bottom: "x" top: "y" }"#;
    let mut single = run(layer, Phase::Train, vec![tensor(&[2, 1], &[1.0, 3.0])]);
    single.bottoms[0] = tensor(&[0, 1], &[]);
    single.forward().expect("an empty batch is no mistake");
    assert!(single.state.iter().flat_map(|state| state.data()).all(|v| v.is_finite()));
}

#[test]
fn a_bottom_that_changes_later_is_held_against_the_parameters() {
    type Later = (&'static str, &'static [usize], &'static [usize], &'static str);
    const LATER: &[Later] = &[
        (
            r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y"
                 convolution_param { num_output: 2 kernel_size: 1 } }"#,
            &[1, 3, 2, 2],
            &[1, 4, 2, 2],
            "the weights are for 3 channels, the bottom is 1x4x2x2",
        ),
        (
            r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y"
                 convolution_param { num_output: 2 kernel_size: 1 } }"#,
            &[1, 3, 2, 2],
            &[1, 3, 4],
            "the layer was set up for 4 axes, the bottom is 1x3x4",
        ),
        (
            r#"layer { name: "l" type: "Deconvolution" bottom: "x" top: "y"
                 convolution_param { num_output: 2 kernel_size: 1 } }"#,
            &[1, 3, 2, 2],
            &[1, 4, 2, 2],
            "the weights are for 3 channels, the bottom is 1x4x2x2",
        ),
        (
            r#"layer { name: "l" type: "InnerProduct" bottom: "x" top: "y"
                 inner_product_param { num_output: 2 } }"#,
            &[1, 3, 2],
            &[1, 3, 3],
            "the weights are for 6 inputs, the bottom is 1x3x3",
        ),
        (
            r#"layer { name: "l" type: "BatchNorm" bottom: "x" top: "y" }"#,
            &[1, 3],
            &[1, 4],
            "the statistics are for 3 channels, the bottom is 1x4",
        ),
        (
            r#"layer { name: "l" type: "Scale" bottom: "x" top: "y" }"#,
            &[1, 3],
            &[1, 4],
            "the blob, 3, must equal the axes of 1x4 from axis 1 on",
        ),
        (
            r#"layer { name: "l" type: "Bias" bottom: "x" top: "y" }"#,
            &[1, 3],
            &[3],
            "axis 1 does not exist: the bottom has 1 axis, 3",
        ),
        (
            r#"layer { name: "l" type: "PReLU" bottom: "x" top: "y" }"#,
            &[1, 3],
            &[1, 4],
            "there are slopes for 3 channels, the bottom is 1x4",
        ),
    ];
    for &(layer, first, later, wanted) in LATER {
        let mut single = run(layer, Phase::Train, vec![Tensor::zeros(Shape::new(first))]);
        single.bottoms[0] = Tensor::zeros(Shape::new(later));
        let told = single.forward().err().map(|e| e.why);
        assert_eq!(told.as_deref(), Some(wanted), "{layer}");
    }
}
