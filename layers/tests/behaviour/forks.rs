//! Types of Caffe's forks, by numbers worked out by hand.

use cortado_layers::Phase;
use cortado_layers::check::SingleLayer;

use super::{run, tensor, test};

/// Equal but for rounding.
fn near(found: &[f32], wanted: &[f32]) {
    let same = found.iter().zip(wanted).all(|(a, b)| (a - b).abs() <= 1e-5 * b.abs().max(1.0));
    assert!(same && found.len() == wanted.len(), "found {found:?}, wanted {wanted:?}");
}

#[test]
fn prior_boxes_of_one_position() {
    let layer = r#"layer { name: "l" type: "PriorBox" bottom: "x" bottom: "data" top: "y"
         prior_box_param { min_size: 4.9 max_size: 9 aspect_ratio: 4 variance: 0.1 variance: 0.1
           variance: 0.2 variance: 0.2 } }"#;
    let single =
        test(layer, vec![tensor(&[1, 1, 1, 1], &[0.0]), tensor(&[1, 1, 10, 20], &[0.0; 200])]);
    // Around (10, 5): 4 x 4, 6 x 6, 8 x 2 and 2 x 8, of 20 x 10.
    near(
        &single.tops[0].data()[..16],
        &[0.4, 0.3, 0.6, 0.7, 0.35, 0.2, 0.65, 0.8, 0.3, 0.4, 0.7, 0.6, 0.45, 0.1, 0.55, 0.9],
    );
    near(&single.tops[0].data()[16..20], &[0.1, 0.1, 0.2, 0.2]);
    assert_eq!(single.tops[0].shape()[..], [1, 2, 16]);
}

#[test]
fn detections_leave_out_what_overlaps_a_better_one() {
    let layer = r#"layer { name: "l" type: "DetectionOutput" bottom: "loc" bottom: "conf" bottom: "prior"
         top: "y" detection_output_param { num_classes: 2 confidence_threshold: 0.1 } }"#;
    let boxes = [0.0, 0.0, 0.4, 0.4, 0.0, 0.0, 0.4, 0.5, 0.5, 0.5, 1.0, 1.0, 0.0, 0.0, 1.0, 0.1];
    let priors = tensor(&[1, 2, 16], &[&boxes[..], &[0.1; 16]].concat());
    let conf = tensor(&[1, 8], &[0.5, 0.5, 0.2, 0.8, 0.1, 0.9, 0.95, 0.05]);
    let single = test(layer, vec![tensor(&[1, 16], &[0.0; 16]), conf, priors]);
    assert_eq!(
        single.tops[0].data(),
        [0.0, 1.0, 0.9, 0.5, 0.5, 1.0, 1.0, 0.0, 1.0, 0.8, 0.0, 0.0, 0.4, 0.5]
    );
}

#[test]
fn a_python_proposal_layer_is_a_proposal() {
    let python = r#"layer { name: "l" type: "Python" bottom: "s" bottom: "d" bottom: "i" top: "y"
         python_param { module: "rpn.proposal_layer" layer: "ProposalLayer"
           param_str: "{'feat_stride': 8, 'scales': [2, 4]}" } }"#;
    let own = r#"layer { name: "l" type: "Proposal" bottom: "s" bottom: "d" bottom: "i" top: "y"
         proposal_param { feat_stride: 8 scale: 2 scale: 4 } }"#;
    let bottoms = || {
        let scores: Vec<f32> = (0..48).map(|i| (i * 7 % 48) as f32 / 48.0).collect();
        let deltas: Vec<f32> = (0..96).map(|i| (i % 5) as f32 * 0.05 - 0.1).collect();
        let info = tensor(&[1, 3], &[64.0, 80.0, 1.0]);
        vec![tensor(&[1, 12, 2, 2], &scores), tensor(&[1, 24, 2, 2], &deltas), info]
    };
    let (found, wanted) = (test(python, bottoms()), test(own, bottoms()));
    assert!(wanted.tops[0].shape()[0] > 1);
    assert_eq!(found.tops[0], wanted.tops[0]);
}

/// One channel of mean 2 and variance 1.
fn two_items() -> Vec<cortado_layers::Tensor> {
    vec![tensor(&[2, 1, 1, 1], &[1.0, 3.0])]
}

#[test]
fn bn_of_ducha_aiki_keeps_mostly_the_batch() {
    let layer = r#"layer { name: "l" type: "BN" bottom: "x" top: "y" bn_param { decay: 0.75 } }"#;
    let single = run(layer, Phase::Train, two_items());
    near(single.tops[0].data(), &[-1.0, 1.0]);
    near(single.state[0].data(), &[1.5]);
    near(single.state[1].data(), &[0.75]);
}

#[test]
fn bn_of_pspnet_keeps_mostly_what_was() {
    let layer =
        r#"layer { name: "l" type: "BN" bottom: "x" top: "y" bn_param { momentum: 0.75 } }"#;
    let single = run(layer, Phase::Train, two_items());
    near(single.tops[0].data(), &[-1.0, 1.0]);
    near(single.state[0].data(), &[0.5]);
    near(single.state[1].data(), &[0.25]);
}

#[test]
fn bn_of_segnet_has_two_blobs() {
    let layer =
        r#"layer { name: "l" type: "BN" bottom: "x" top: "y" bn_param { bn_mode: LEARN } }"#;
    let single = test(layer, two_items());
    near(single.tops[0].data(), &[-1.0, 1.0]);
    assert!(single.state.is_empty());
    assert_eq!(single.weights.len(), 2);
}

/// mean 1, variance 4, factor 1; then scale 3 and bias −1.
fn scaled(layer: &str) -> SingleLayer {
    let mut single = test(layer, two_items());
    for (state, value) in single.state.iter_mut().zip([1.0, 4.0, 1.0]) {
        state.data_mut().fill(value);
    }
    for (weight, value) in single.weights.iter_mut().zip([3.0, -1.0]) {
        weight.data_mut().fill(value);
    }
    single.forward().expect("it ran before");
    single
}

#[test]
fn batch_norm_of_the_forks_scales() {
    let nvidia = r#"layer { name: "l" type: "BatchNorm" bottom: "x" top: "y"
         batch_norm_param { scale_bias: true } }"#;
    near(scaled(nvidia).tops[0].data(), &[-1.0, 2.0]);
    let intel = r#"layer { name: "l" type: "BatchNorm" bottom: "x" top: "y"
         batch_norm_param { use_weight_bias: true relu: true } }"#;
    near(scaled(intel).tops[0].data(), &[0.0, 2.0]);
    let plain = r#"layer { name: "l" type: "BatchNorm" bottom: "x" top: "y" }"#;
    near(scaled(plain).tops[0].data(), &[0.0, 1.0]);
}

#[test]
fn mish_rrelu_and_crelu() {
    let x = || vec![tensor(&[1, 2], &[1.0, -2.0])];
    let mish = r#"layer { name: "l" type: "Mish" bottom: "x" top: "y" }"#;
    near(test(mish, x()).tops[0].data(), &[0.865_098_4, -0.252_501_5]);
    let rrelu =
        r#"layer { name: "l" type: "RReLU" bottom: "x" top: "y" rrelu_param { lb: 3 ub: 5 } }"#;
    near(test(rrelu, x()).tops[0].data(), &[1.0, -0.5]);
    let drawn = run(rrelu, Phase::Train, x()).tops[0].data()[1];
    assert!((-2.0 / 3.0..=-0.4).contains(&drawn));
    let crelu = r#"layer { name: "l" type: "CReLU" bottom: "x" top: "y" }"#;
    assert_eq!(test(crelu, x()).tops[0].data(), [1.0, 0.0, 0.0, 2.0]);
}

#[test]
fn spatial_dropout_takes_whole_channels() {
    let layer = r#"layer { name: "l" type: "SpatialDropout" bottom: "x" top: "y"
         spatial_dropout_param { dropout_ratio: 0.75 } }"#;
    let x = || vec![tensor(&[4, 50, 3], &[1.0; 600])];
    let single = run(layer, Phase::Train, x());
    let channels: Vec<&[f32]> = single.tops[0].data().chunks(3).collect();
    assert!(channels.iter().all(|c| *c == [0.0; 3] || *c == [4.0; 3]));
    let kept = channels.iter().filter(|c| c[0] > 0.0).count();
    assert!((30..70).contains(&kept), "{kept} of 200 kept");
    assert_eq!(test(layer, x()).tops[0].data(), [1.0; 600]);
}

#[test]
fn roi_align_reads_between_pixels() {
    let layer = r#"layer { name: "l" type: "ROIAlign" bottom: "x" bottom: "rois" top: "y"
         roi_align_param { pooled_h: 1 pooled_w: 2 } }"#;
    // x = column + 4 · row.
    let plane: Vec<f32> = (0..16).map(|i| i as f32).collect();
    let region = tensor(&[1, 5], &[0.0, 0.5, 1.0, 2.5, 2.0]);
    let single = test(layer, vec![tensor(&[1, 1, 4, 4], &plane), region]);
    near(single.tops[0].data(), &[7.0, 8.0]);
}

#[test]
fn upsample_of_one_bottom_repeats_pixels() {
    let layer =
        r#"layer { name: "l" type: "Upsample" bottom: "x" top: "y" upsample_param { scale: 2 } }"#;
    let single = test(layer, vec![tensor(&[1, 1, 1, 2], &[1.0, 2.0])]);
    assert_eq!(single.tops[0].data(), [1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0]);
}

#[test]
fn local_weights_differ_from_place_to_place() {
    let layer = r#"layer { name: "l" type: "Local" bottom: "x" top: "y"
         local_param { num_output: 1 kernel_size: 1 } }"#;
    let mut single = test(layer, vec![tensor(&[1, 2, 1, 2], &[1.0, 2.0, 3.0, 4.0])]);
    assert_eq!(single.weights[0].shape()[..], [1, 1, 2, 2]);
    single.weights[0].data_mut().copy_from_slice(&[1.0, 10.0, 100.0, 1000.0]);
    single.weights[1].data_mut().copy_from_slice(&[0.5, -0.5]);
    single.forward().expect("it ran before");
    assert_eq!(single.tops[0].data(), [301.5, 4019.5]);
}

#[test]
fn apl_adds_hinges_per_unit() {
    let layer = r#"layer { name: "l" type: "APL" bottom: "x" top: "y" apl_param { sums: 1
         slope_filler { value: 0.5 } offset_filler { value: 1 } } }"#;
    let mut single = test(layer, vec![tensor(&[2, 2], &[2.0, 0.0, -1.0, 0.5])]);
    assert_eq!(single.tops[0].data(), [2.0, 0.5, 1.0, 0.75]);
    single.weights[0].data_mut()[1] = 2.0;
    single.forward().expect("it ran before");
    assert_eq!(single.tops[0].data(), [2.0, 2.0, 1.0, 1.5]);
}

#[test]
fn yolo_boxes_lie_around_their_position() {
    let layer = r#"layer { name: "l" type: "Yolov3DetectionOutput" bottom: "x" top: "y"
         yolov3_detection_output_param { num_classes: 2 num_box: 1 confidence_threshold: 0.3
           nms_threshold: 0.5 biases: 16 biases: 8 anchors_scale: 10 mask: 0 } }"#;
    // Two positions: the first is no object; of the second's two classes the better one stays.
    let sure = 20.0;
    let x = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -sure, sure, 0.0, 0.0, 0.0, sure];
    let single = test(layer, vec![tensor(&[1, 7, 1, 2], &x)]);
    near(single.tops[0].data(), &[0.0, 2.0, 1.0, 0.35, 0.1, 1.15, 0.9]);
    let nothing = test(layer, vec![tensor(&[2, 7, 1, 1], &[-sure; 14])]);
    assert_eq!(nothing.tops[0].data()[7..9], [1.0, -1.0]);
}

/// Odds of 3 to 1 between two classes.
const THREE_TO_ONE: f32 = 1.098_612_3;

#[test]
fn region_reads_places_certainties_and_classes() {
    let layer = r#"layer { name: "l" type: "Region" bottom: "x" top: "y"
         region_param { classes: 2 num: 1 } }"#;
    // Two positions: planes of x, y, width, height, certainty and the classes.
    let x = [0.0, 20.0, 0.0, -20.0, 0.5, 1.0, 2.0, 3.0, 0.0, 20.0, 0.0, 0.0, 0.0, THREE_TO_ONE];
    let single = test(layer, vec![tensor(&[1, 7, 1, 2], &x)]);
    near(
        single.tops[0].data(),
        &[0.5, 1.0, 0.5, 0.0, 0.5, 1.0, 2.0, 3.0, 0.5, 1.0, 0.5, 0.25, 0.5, 0.75],
    );
    let plain = layer.replace("num: 1", "num: 1 softmax: false");
    let single = test(&plain, vec![tensor(&[1, 7, 1, 2], &x)]);
    near(&single.tops[0].data()[10..], &[0.0, 0.0, 0.0, THREE_TO_ONE]);
}

#[test]
fn boxes_of_yolo_v2_have_one_class_each() {
    let layer = r#"layer { name: "l" type: "YoloDetectionOutput" bottom: "x" top: "y"
         yolo_detection_output_param { num_classes: 2 num_box: 1 confidence_threshold: 0.2
           nms_threshold: 0.5 biases: 1.6 biases: 0.8 } }"#;
    let x = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -20.0, 20.0, 0.0, 0.0, 0.0, THREE_TO_ONE];
    let single = test(layer, vec![tensor(&[1, 7, 1, 2], &x)]);
    near(single.tops[0].data(), &[0.0, 2.0, 0.75, 0.35, 0.1, 1.15, 0.9]);
    // Of two boxes that lie on each other the surer one stays.
    let two =
        layer.replace("num_box: 1", "num_box: 2").replace("0.8 }", "0.8 biases: 1.6 biases: 0.7 }");
    let first = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, THREE_TO_ONE];
    let second = [0.0, 0.0, 0.0, 0.0, 20.0, 0.0, THREE_TO_ONE];
    let x = tensor(&[1, 14, 1, 1], &[first, second].concat());
    let single = test(&two, vec![x]);
    near(single.tops[0].data(), &[0.0, 2.0, 0.75, -0.3, 0.15, 1.3, 0.85]);
    let nothing = test(layer, vec![tensor(&[2, 7, 1, 1], &[-20.0; 14])]);
    assert_eq!(nothing.tops[0].data()[7..9], [1.0, -1.0]);
}

#[test]
fn right_boxes_of_yolo_are_counted() {
    let layer = r#"layer { name: "l" type: "EvalDetection" bottom: "x" bottom: "truth" top: "y"
         eval_detection_param { side: 2 num_class: 2 num_object: 1 nms: 0.5 biases: 1 biases: 1 } }"#;
    // A box in each quarter: sure of class 1, half sure, sure of class 0, no object.
    let objects = [20.0, 0.0, 20.0, -20.0];
    let classes = [THREE_TO_ONE, THREE_TO_ONE, -THREE_TO_ONE, 0.0];
    let x = [&[0.0; 16][..], &objects, &[0.0; 4], &classes].concat();
    let truth = [
        [0.0, 2.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.0],
        [0.0, 2.0, 1.0, 0.0, 0.5, 0.5, 1.0, 0.0],
        [-1.0; 8],
    ];
    let bottoms = || vec![tensor(&[1, 7, 2, 2], &x), tensor(&[1, 1, 3, 8], &truth.concat())];
    let single = test(layer, bottoms());
    let wrong = [0.0, 0.75, 0.0, 1.0];
    let (right, neither) = ([1.0, 0.75, 1.0, 0.0], [1.0, 0.375, 0.0, 0.0]);
    near(single.tops[0].data(), &[&[0.0, 2.0][..], &wrong, &right, &neither, &[0.0; 4]].concat());
    // Without `nms` boxes that are hardly objects stand too.
    let all = test(&layer.replace("nms: 0.5 ", ""), bottoms());
    let hardly = [0.0, 0.0, 0.0, 1.0];
    near(all.tops[0].data(), &[&[0.0, 2.0][..], &wrong, &hardly, &right, &neither].concat());
    let objects_only = test(&layer.replace("nms: 0.5", "nms: 0.5 score_type: OBJ"), bottoms());
    near(&objects_only.tops[0].data()[2..6], &[0.0, 1.0, 0.0, 1.0]);
}

#[test]
fn resized_planes_fade_beyond_their_last_row() {
    let layer = r#"layer { name: "l" type: "Resize" bottom: "x" top: "y"
         resize_param { is_pyramid_test: true out_height_scale: 2 out_width_scale: 2.4 } }"#;
    let x = || vec![tensor(&[1, 1, 2, 2], &[1.0, 2.0, 3.0, 4.0])];
    let single = test(layer, x());
    assert_eq!(single.tops[0].shape()[..], [1, 1, 4, 4]);
    near(
        single.tops[0].data(),
        &[1.0, 1.5, 2.0, 1.0, 2.0, 2.5, 3.0, 1.5, 3.0, 3.5, 4.0, 2.0, 1.5, 1.75, 2.0, 1.0],
    );
    let nearest = r#"layer { name: "l" type: "Resize" bottom: "x" top: "y"
         resize_param { height: 3 width: 2 type: NEAREST } }"#;
    assert_eq!(test(nearest, x()).tops[0].data(), [1.0, 2.0, 1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn classes_weigh_in_the_loss_and_not_in_what_it_is_divided_by() {
    let plain =
        r#"layer { name: "l" type: "SoftmaxWithLoss" bottom: "x" bottom: "t" top: "loss" }"#;
    let weights =
        "loss_param { weight_by_label_freqs: true class_weighting: 3 class_weighting: 0.5 }";
    let weighted = plain.replace("\"loss\" }", &format!("\"loss\" {weights} }}"));
    // Probabilities 1/4 and 3/4, and the other way round.
    let bottoms = || {
        vec![tensor(&[2, 2], &[0.0, THREE_TO_ONE, 0.0, THREE_TO_ONE]), tensor(&[2], &[0.0, 1.0])]
    };
    let (quarter, three) = (4f32.ln(), (4f32 / 3.0).ln());
    near(test(plain, bottoms()).tops[0].data(), &[(quarter + three) / 2.0]);
    near(test(&weighted, bottoms()).tops[0].data(), &[(3.0 * quarter + 0.5 * three) / 2.0]);
    let all_one = weighted.replace("3 class", "1 class").replace("0.5", "1");
    assert_eq!(test(&all_one, bottoms()).tops[0], test(plain, bottoms()).tops[0]);
}

#[test]
fn losses_of_nan_are_nan() {
    let labels = || tensor(&[1], &[1.0]);
    let nan = || tensor(&[1, 2], &[0.5, f32::NAN]);
    for layer in [
        r#"layer { name: "l" type: "SoftmaxWithLoss" bottom: "x" bottom: "t" top: "loss" }"#,
        r#"layer { name: "l" type: "MultinomialLogisticLoss" bottom: "x" bottom: "t" top: "loss" }"#,
    ] {
        assert!(test(layer, vec![nan(), labels()]).tops[0].data()[0].is_nan(), "{layer}");
    }
    let infogain = r#"layer { name: "l" type: "InfogainLoss" bottom: "x" bottom: "t" bottom: "h" top: "loss" }"#;
    let prices = tensor(&[2, 2], &[1.0, 0.0, 0.0, 1.0]);
    assert!(test(infogain, vec![nan(), labels(), prices]).tops[0].data()[0].is_nan());
    let multibox = r#"layer { name: "l" type: "MultiBoxLoss" bottom: "loc" bottom: "conf" bottom: "prior"
         bottom: "truth" top: "loss" multibox_loss_param { num_classes: 2 } }"#;
    let prior = [&[0.0, 0.0, 1.0, 1.0][..], &[0.1; 4]].concat();
    let truth = [0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0];
    let bottoms = vec![
        tensor(&[1, 4], &[0.0; 4]),
        tensor(&[1, 2], &[0.5, f32::NAN]),
        tensor(&[1, 2, 4], &prior),
        tensor(&[1, 1, 1, 8], &truth),
    ];
    assert!(run(multibox, Phase::Train, bottoms).tops[0].data()[0].is_nan());
}

#[test]
fn dropout_of_the_forks() {
    let x = || vec![tensor(&[1000], &[2.0; 1000])];
    let found = |param: &str, phase| {
        let layer = format!(
            r#"layer {{ name: "l" type: "Dropout" bottom: "x" top: "y" dropout_param {{ dropout_ratio: 0.75 {param} }} }}"#
        );
        let mut values = run(&layer, phase, x()).tops[0].data().to_vec();
        values.sort_by(f32::total_cmp);
        values.dedup();
        values
    };
    for (param, train, test) in [
        ("", &[0.0, 8.0][..], &[2.0][..]),
        ("scale_train: false", &[0.0, 2.0], &[0.5]),
        ("sample_weights_test: true", &[0.0, 8.0], &[0.0, 8.0]),
        ("sample_weights_test: true scale_train: false", &[0.0, 2.0], &[0.0, 2.0]),
    ] {
        assert_eq!(found(param, Phase::Train), train, "{param}");
        assert_eq!(found(param, Phase::Test), test, "{param}");
    }
}

#[test]
fn intel_has_a_relu_in_the_layer() {
    let x = || vec![tensor(&[1, 1, 1, 2], &[1.0, -2.0])];
    for (layer, wanted) in [
        (
            r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y" convolution_param {
                 num_output: 1 kernel_size: 1 relu: true weight_filler { value: 3 } } }"#,
            &[3.0, 0.0][..],
        ),
        (
            r#"layer { name: "l" type: "DepthwiseConvolution" bottom: "x" top: "y" convolution_param {
                 num_output: 1 kernel_size: 1 relu: true negative_slope: 0.5
                 weight_filler { value: 3 } bias_filler { value: 2 } } }"#,
            &[5.0, -2.0],
        ),
        (
            r#"layer { name: "l" type: "InnerProduct" bottom: "x" top: "y" inner_product_param {
                 num_output: 2 relu: true weight_filler { value: 3 } bias_filler { value: -1 } } }"#,
            &[0.0, 0.0],
        ),
    ] {
        near(test(layer, x()).tops[0].data(), wanted);
    }
}

#[test]
fn batch_norm_of_nvidia_tests_by_what_it_kept() {
    let nvidia = r#"layer { name: "l" type: "BatchNorm" bottom: "x" top: "y"
         batch_norm_param { scale_bias: true use_global_stats: false } }"#;
    near(scaled(nvidia).tops[0].data(), &[-1.0, 2.0]);
}
