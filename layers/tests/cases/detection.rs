//! Layers of the family `detection`, and the loss of boxes.

use cortado_layers::check::{GradientCase, Values};

use super::{Gradient, Mistake};

/// Two priors side by side, each with variances.
const PRIORS: Values = Values::Given(&[
    0.1, 0.1, 0.4, 0.5, 0.5, 0.4, 0.9, 0.9, 0.6, 0.1, 0.9, 0.4, 0.1, 0.1, 0.2, 0.2, 0.1, 0.1, 0.2,
    0.2, 0.1, 0.1, 0.2, 0.2,
]);
/// An item with a box near the first prior, and one near the second.
const TRUTH: Values = Values::Given(&[
    0.0, 1.0, 0.0, 0.12, 0.08, 0.45, 0.5, 0.0, 1.0, 2.0, 0.0, 0.5, 0.45, 0.85, 0.9, 0.0,
]);

pub static GRADIENTS: &[Gradient] = &[
    (
        "ROIAlign",
        GradientCase::new(
            "points between pixels",
            r#"layer { name: "l" type: "ROIAlign" bottom: "x" bottom: "rois" top: "y"
                 roi_align_param { pooled_h: 2 pooled_w: 3 spatial_scale: 0.5 } }"#,
            &[
                (&[2, 2, 4, 5], Values::Normal),
                (&[2, 5], Values::Given(&[0.0, 1.0, 0.0, 7.0, 6.0, 1.0, 2.0, 3.0, 20.0, 9.0])),
            ],
        ),
    ),
    (
        "MultiBoxLoss",
        GradientCase::new(
            "squared distances, all priors",
            r#"layer { name: "l" type: "MultiBoxLoss" bottom: "loc" bottom: "conf" bottom: "prior"
                 bottom: "gt" top: "loss" multibox_loss_param { num_classes: 3 code_type: CENTER_SIZE
                   loc_loss_type: L2 loc_weight: 0.5 mining_type: NONE } }"#,
            &[
                (&[2, 12], Values::Normal),
                (&[2, 9], Values::Normal),
                (&[1, 2, 12], PRIORS),
                (&[1, 1, 2, 8], TRUTH),
            ],
        ),
    ),
    (
        "MultiBoxLoss",
        GradientCase::new(
            "smooth distances, logistic, with negatives",
            r#"layer { name: "l" type: "MultiBoxLoss" bottom: "loc" bottom: "conf" bottom: "prior"
                 bottom: "gt" top: "loss" multibox_loss_param { num_classes: 3
                   conf_loss_type: LOGISTIC } }"#,
            &[
                (&[2, 12], Values::Uniform(-0.5, 0.5)),
                (&[2, 9], Values::Normal),
                (&[1, 2, 12], PRIORS),
                (&[1, 1, 2, 8], TRUTH),
            ],
        )
        .within(5e-3, 6e-3),
    ),
    (
        "PSROIPooling",
        GradientCase::new(
            "cells of their own channels",
            r#"layer { name: "l" type: "PSROIPooling" bottom: "x" bottom: "rois" top: "y"
                 psroi_pooling_param { spatial_scale: 0.5 output_dim: 2 group_size: 2 } }"#,
            &[
                (&[2, 8, 4, 5], Values::Normal),
                (&[2, 5], Values::Given(&[0.0, 1.0, 0.0, 7.0, 6.0, 1.0, 2.0, 3.0, 20.0, 9.0])),
            ],
        ),
    ),
    (
        "ROIPooling",
        GradientCase::new(
            "maxima of cells",
            r#"layer { name: "l" type: "ROIPooling" bottom: "x" bottom: "rois" top: "y"
                 roi_pooling_param { pooled_h: 2 pooled_w: 3 spatial_scale: 0.5 } }"#,
            &[
                (&[2, 2, 4, 5], Values::Distinct(0.1)),
                (&[2, 5], Values::Given(&[0.0, 1.0, 0.0, 7.0, 6.0, 1.0, 2.0, 3.0, 20.0, 9.0])),
            ],
        ),
    ),
    (
        "SmoothL1Loss",
        GradientCase::new(
            "as SSD has it",
            r#"layer { name: "l" type: "SmoothL1Loss" bottom: "a" bottom: "b" top: "loss" }"#,
            &[(&[3, 4], Values::Uniform(-0.4, 0.4)), (&[3, 4], Values::Uniform(1.7, 2.5))],
        ),
    ),
    (
        "SmoothL1Loss",
        GradientCase::new(
            "near 0, with sigma and both weights",
            r#"layer { name: "l" type: "SmoothL1Loss" bottom: "a" bottom: "b" bottom: "in" bottom: "out"
                 top: "loss" smooth_l1_loss_param { sigma: 0.5 } }"#,
            &[
                (&[3, 4], Values::Uniform(-1.0, 1.0)),
                (&[3, 4], Values::Uniform(-1.0, 1.0)),
                (&[3, 4], Values::Given(&[1.0, 0.0, 0.5])),
                (&[3, 4], Values::Given(&[0.25, 2.0])),
            ],
        ),
    ),
];

/// A region of an item that is not there.
const REGION: &[f32] = &[2.0, 0.0, 0.0, 1.0, 1.0];

/// A true box of a class that is not there.
const THIRD_CLASS: &[f32] = &[0.0, 3.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.0];

pub static ERRORS: &[Mistake] = &[
    (
        r#"layer { name: "l" type: "EvalDetection" bottom: "x" bottom: "t" top: "y"
             eval_detection_param { side: 1 num_class: 2 num_object: 1 biases: 1 biases: 1 } }"#,
        &[(&[1, 7, 1, 1], &[]), (&[1, 1, 1, 8], THIRD_CLASS)],
        "Bottom(1): labels are 1 to 2, found 3",
    ),
    (
        r#"layer { name: "l" type: "EvalDetection" bottom: "x" bottom: "t" top: "y"
             eval_detection_param { num_class: 2 num_object: 1 biases: 1 biases: 1 } }"#,
        &[(&[1, 7, 1, 1], &[]), (&[1, 1, 1, 8], THIRD_CLASS)],
        "Field(\"eval_detection_param.side\"): `side` is that of the bottom, 1x7x1x1; found 7",
    ),
    (
        r#"layer { name: "l" type: "Region" bottom: "x" top: "y" }"#,
        &[(&[1, 6, 1, 1], &[])],
        "Bottom(0): the bottom is N x 125 x H x W, found 1x6x1x1",
    ),
    (
        r#"layer { name: "l" type: "YoloDetectionOutput" bottom: "x" top: "y"
             yolo_detection_output_param { num_classes: 1 num_box: 2 biases: 10 biases: 14 } }"#,
        &[(&[1, 12, 1, 1], &[])],
        "Field(\"yolo_detection_output_param.biases\"): `biases` holds a width and a height for each of 2 boxes, 4 numbers; found 2",
    ),
    (
        r#"layer { name: "l" type: "YoloDetectionOutput" bottom: "x" top: "y" }"#,
        &[(&[1, 12, 1, 1], &[])],
        "Field(\"yolo_detection_output_param.num_classes\"): `num_classes` must be given and above 0, found none",
    ),
    (
        r#"layer { name: "l" type: "Yolov3DetectionOutput" bottom: "x" top: "y"
             yolov3_detection_output_param { num_classes: 1 num_box: 1 confidence_threshold: 0.5
               nms_threshold: 0.5 biases: 10 biases: 14 anchors_scale: 32 mask: 1 } }"#,
        &[(&[1, 6, 1, 1], &[])],
        "Field(\"yolov3_detection_output_param.mask\"): `mask` 1 has no pair of `biases`, there are 1",
    ),
    (
        r#"layer { name: "l" type: "Yolov3DetectionOutput" bottom: "x" top: "y"
             yolov3_detection_output_param { num_classes: 2 num_box: 1 confidence_threshold: 0.5
               nms_threshold: 0.5 biases: 10 biases: 14 anchors_scale: 32 mask: 0 } }"#,
        &[(&[1, 6, 1, 1], &[])],
        "Bottom(0): the bottom is 1 x 7 x H x W, found 1x6x1x1",
    ),
    (
        r#"layer { name: "l" type: "ROIAlign" bottom: "x" bottom: "rois" top: "y"
             roi_align_param { pooled_h: 2 } }"#,
        &[(&[2, 4, 2, 2], &[]), (&[1, 5], REGION)],
        "Field(\"roi_align_param.pooled_h\"): `pooled_h` and `pooled_w` must be above 0, found 2 and 0",
    ),
    (
        r#"layer { name: "l" type: "DetectionOutput" bottom: "loc" bottom: "conf" bottom: "prior" top: "y" }"#,
        &[(&[1, 4], &[]), (&[1, 2], &[]), (&[1, 2, 4], &[])],
        "Field(\"detection_output_param.num_classes\"): `num_classes` must be given and above 0, found none",
    ),
    (
        r#"layer { name: "l" type: "DetectionOutput" bottom: "loc" bottom: "conf" bottom: "prior" top: "y"
             detection_output_param { num_classes: 3 } }"#,
        &[(&[1, 4], &[]), (&[1, 2], &[]), (&[1, 2, 4], &[])],
        "Bottom(1): 1 items of 1 priors with 3 numbers each are wanted, found 1x2",
    ),
    (
        r#"layer { name: "l" type: "DetectionOutput" bottom: "loc" bottom: "conf" bottom: "prior" top: "y"
             detection_output_param { num_classes: 2 nms_param { eta: 0 } } }"#,
        &[(&[1, 4], &[]), (&[1, 2], &[]), (&[1, 2, 4], &[])],
        "Field(\"detection_output_param.nms_param.eta\"): `eta` is above 0 and at most 1, found 0",
    ),
    (
        r#"layer { name: "l" type: "DetectionEvaluate" bottom: "det" bottom: "gt" top: "y"
             detection_evaluate_param { num_classes: 2 } }"#,
        &[(&[1, 1, 1, 7], &[0.0, 2.0]), (&[1, 1, 1, 8], &[-1.0])],
        "Bottom(0): labels are below 2 and not the background's, 0; found 2",
    ),
    (
        r#"layer { name: "l" type: "DetectionEvaluate" bottom: "det" bottom: "gt" top: "y"
             detection_evaluate_param { num_classes: 2 } }"#,
        &[(&[1, 1, 1, 6], &[]), (&[1, 1, 1, 8], &[])],
        "Bottom(0): the bottom is 1 x 1 x rows x 7, found 1x1x1x6",
    ),
    (
        r#"layer { name: "l" type: "MultiBoxLoss" bottom: "loc" bottom: "conf" bottom: "prior" bottom: "gt"
             top: "loss" multibox_loss_param { num_classes: 2 share_location: false } }"#,
        &[(&[1, 8], &[]), (&[1, 2], &[]), (&[1, 2, 4], &[]), (&[1, 1, 1, 8], &[])],
        "Field(\"multibox_loss_param.mining_type\"): without `share_location` it is NONE, found MAX_NEGATIVE",
    ),
    (
        r#"layer { name: "l" type: "MultiBoxLoss" bottom: "loc" bottom: "conf" bottom: "prior" bottom: "gt"
             top: "loss" multibox_loss_param { num_classes: 2 } }"#,
        &[(&[1, 4], &[]), (&[1, 2], &[]), (&[1, 2, 4], &[]), (&[1, 1, 1, 8], &[0.0, 2.0])],
        "Bottom(3): label 2 of row 0 is out of range: with 2 classes labels are below, and not 0, the background",
    ),
    (
        r#"layer { name: "l" type: "MultiBoxLoss" bottom: "loc" bottom: "conf" bottom: "prior" bottom: "gt"
             top: "loss" multibox_loss_param { num_classes: 2 } }"#,
        &[(&[1, 4], &[]), (&[1, 2], &[]), (&[1, 2, 4], &[]), (&[1, 1, 1, 8], &[1.0])],
        "Bottom(3): row 0 is of item 1, there are 1",
    ),
    (
        r#"layer { name: "l" type: "PriorBox" bottom: "x" bottom: "data" top: "y" }"#,
        &[(&[1, 1, 2, 2], &[]), (&[1, 3, 8, 8], &[])],
        "Field(\"prior_box_param.min_size\"): `min_size` must be given",
    ),
    (
        r#"layer { name: "l" type: "PriorBox" bottom: "x" bottom: "data" top: "y"
             prior_box_param { min_size: 4 max_size: 4 } }"#,
        &[(&[1, 1, 2, 2], &[]), (&[1, 3, 8, 8], &[])],
        "Field(\"prior_box_param.max_size\"): `max_size` must be above `min_size` 4, found 4",
    ),
    (
        r#"layer { name: "l" type: "PriorBox" bottom: "x" bottom: "data" top: "y"
             prior_box_param { min_size: 4 variance: 1 variance: 1 } }"#,
        &[(&[1, 1, 2, 2], &[]), (&[1, 3, 8, 8], &[])],
        "Field(\"prior_box_param.variance\"): `variance` is given once or four times, found 2",
    ),
    (
        r#"layer { name: "l" type: "Proposal" bottom: "s" bottom: "d" bottom: "i" top: "y" }"#,
        &[(&[1, 4, 2, 2], &[]), (&[1, 36, 2, 2], &[]), (&[1, 3], &[])],
        "Bottom(0): the scores are 1 x 18 x H x W for 9 anchors, found 1x4x2x2",
    ),
    (
        r#"layer { name: "l" type: "PSROIPooling" bottom: "x" bottom: "rois" top: "y"
             psroi_pooling_param { spatial_scale: 1 output_dim: 2 group_size: 2 } }"#,
        &[(&[1, 4, 2, 2], &[]), (&[1, 5], &[])],
        "Bottom(0): x has output_dim 2 · group_size² 2² channels, found 1x4x2x2",
    ),
    (
        r#"layer { name: "l" type: "ROIPooling" bottom: "x" bottom: "rois" top: "y" }"#,
        &[(&[1, 4, 2, 2], &[]), (&[1, 5], &[])],
        "Field(\"roi_pooling_param.pooled_h\"): `pooled_h` and `pooled_w` must be above 0, found 0 and 0",
    ),
    (
        r#"layer { name: "l" type: "ROIPooling" bottom: "x" bottom: "rois" top: "y"
             roi_pooling_param { pooled_h: 2 pooled_w: 2 } }"#,
        &[(&[2, 4, 2, 2], &[]), (&[1, 5], REGION)],
        "Bottom(1): region 0 is of item 2, there are 2",
    ),
    (
        r#"layer { name: "l" type: "SmoothL1Loss" bottom: "a" bottom: "b" top: "loss" }"#,
        &[(&[3, 4], &[]), (&[3, 3], &[])],
        "Bottom(1): every bottom has as many items and elements as the first, 3x4; found 3x3",
    ),
    (
        r#"layer { name: "l" type: "SmoothL1Loss" bottom: "a" bottom: "b" top: "loss"
             smooth_l1_loss_param { sigma: 0 } }"#,
        &[(&[3, 4], &[]), (&[3, 4], &[])],
        "Field(\"smooth_l1_loss_param.sigma\"): `sigma` must be above 0, found 0",
    ),
];
