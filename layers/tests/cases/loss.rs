//! Layers of the family `loss`.

use cortado_layers::check::{GradientCase, Values};

use super::{Gradient, Mistake};

/// Scores of 3 classes at 2 x 3 positions, and labels.
const SEGMENTS: &[(&[usize], Values)] =
    &[(&[2, 4, 3], Values::Normal), (&[2, 3], Values::Whole(4))];
/// The same, some of the labels being 255.
const IGNORED: &[(&[usize], Values)] =
    &[(&[2, 4, 3], Values::Normal), (&[2, 3], Values::Given(&[0.0, 255.0, 3.0, 1.0, 255.0]))];

pub static GRADIENTS: &[Gradient] = &[
    (
        "L1Loss",
        GradientCase::new(
            "distances on both sides",
            r#"layer { name: "l" type: "L1Loss" bottom: "a" bottom: "b" top: "loss" }"#,
            &[(&[3, 4], Values::Given(&[1.0, -2.0, 0.5])), (&[3, 4], Values::Given(&[0.25, 3.0]))],
        ),
    ),
    (
        "EuclideanLoss",
        GradientCase::new(
            "both bottoms",
            r#"layer { name: "l" type: "EuclideanLoss" bottom: "a" bottom: "b" top: "loss" }"#,
            &[(&[3, 2, 2], Values::Normal), (&[3, 2, 2], Values::Normal)],
        ),
    ),
    (
        "EuclideanLoss",
        GradientCase::new(
            "bottoms of one count in two shapes",
            r#"layer { name: "l" type: "EuclideanLoss" bottom: "a" bottom: "b" }"#,
            &[(&[3, 4], Values::Normal), (&[3, 2, 2], Values::Normal)],
        ),
    ),
    (
        "SoftmaxWithLoss",
        GradientCase::new(
            "scores without spatial axes",
            r#"layer { name: "l" type: "SoftmaxWithLoss" bottom: "x" bottom: "t" top: "loss" }"#,
            &[(&[4, 3], Values::Normal), (&[4], Values::Whole(3))],
        ),
    ),
    (
        "SoftmaxWithLoss",
        GradientCase::new(
            "a label per position",
            r#"layer { name: "l" type: "SoftmaxWithLoss" bottom: "x" bottom: "t" }"#,
            SEGMENTS,
        ),
    ),
    (
        "SoftmaxWithLoss",
        GradientCase::new(
            "the probabilities as a second top",
            r#"layer { name: "l" type: "SoftmaxWithLoss" bottom: "x" bottom: "t" top: "loss" top: "prob" }"#,
            SEGMENTS,
        )
        .tops(1),
    ),
    (
        "SoftmaxWithLoss",
        GradientCase::new(
            "classes along the last axis",
            r#"layer { name: "l" type: "SoftmaxWithLoss" bottom: "x" bottom: "t" top: "loss"
                 softmax_param { axis: -1 } }"#,
            &[(&[2, 3, 4], Values::Normal), (&[2, 3, 1], Values::Whole(4))],
        ),
    ),
    (
        "SoftmaxWithLoss",
        GradientCase::new(
            "ignored labels, divided by the others",
            r#"layer { name: "l" type: "SoftmaxWithLoss" bottom: "x" bottom: "t" top: "loss"
                 loss_param { ignore_label: 255 } }"#,
            IGNORED,
        ),
    ),
    (
        "SoftmaxWithLoss",
        GradientCase::new(
            "ignored labels, divided by all positions",
            r#"layer { name: "l" type: "SoftmaxWithLoss" bottom: "x" bottom: "t" top: "loss"
                 loss_param { ignore_label: 255 normalization: FULL } }"#,
            IGNORED,
        ),
    ),
    (
        "SoftmaxWithLoss",
        GradientCase::new(
            "ignored labels, divided by the items",
            r#"layer { name: "l" type: "SoftmaxWithLoss" bottom: "x" bottom: "t" top: "loss"
                 loss_param { ignore_label: 255 normalization: BATCH_SIZE } }"#,
            IGNORED,
        ),
    ),
    (
        "SoftmaxWithLoss",
        GradientCase::new(
            "ignored labels, not divided",
            r#"layer { name: "l" type: "SoftmaxWithLoss" bottom: "x" bottom: "t" top: "loss"
                 loss_param { ignore_label: 255 normalization: NONE } }"#,
            IGNORED,
        ),
    ),
    (
        "SoftmaxWithLoss",
        GradientCase::new(
            "the old spelling, divided by the items",
            r#"layer { name: "l" type: "SoftmaxWithLoss" bottom: "x" bottom: "t" top: "loss"
                 loss_param { ignore_label: 255 normalize: false } }"#,
            IGNORED,
        ),
    ),
    (
        "SoftmaxWithLoss",
        GradientCase::new(
            "divided by what the file fixes",
            r#"layer { name: "l" type: "SoftmaxWithLoss" bottom: "x" bottom: "t" top: "loss"
                 loss_param { normalization: PRE_FIXED pre_fixed_normalizer: 1.5 } }"#,
            SEGMENTS,
        ),
    ),
    (
        "SoftmaxWithLoss",
        GradientCase::new(
            "all labels are ignored",
            r#"layer { name: "l" type: "SoftmaxWithLoss" bottom: "x" bottom: "t" top: "loss"
                 loss_param { ignore_label: -1 } }"#,
            &[(&[2, 3], Values::Normal), (&[2], Values::Given(&[-1.0]))],
        ),
    ),
    (
        "SoftmaxWithLoss",
        GradientCase::new(
            "SegNet's weights of classes",
            r#"layer { name: "l" type: "SoftmaxWithLoss" bottom: "x" bottom: "t" top: "loss"
                 loss_param { weight_by_label_freqs: true class_weighting: 0.25 class_weighting: 2
                   class_weighting: 0 class_weighting: 7.5 } }"#,
            SEGMENTS,
        ),
    ),
    (
        "SoftmaxWithLoss",
        GradientCase::new(
            "SegNet's weights of classes beside ignored labels",
            r#"layer { name: "l" type: "SoftmaxWithLoss" bottom: "x" bottom: "t" top: "loss"
                 loss_param { ignore_label: 255 weight_by_label_freqs: true class_weighting: 0.25
                   class_weighting: 2 class_weighting: 0.5 class_weighting: 7.5 } }"#,
            IGNORED,
        ),
    ),
    (
        "ContrastiveLoss",
        GradientCase::new(
            "pairs within and beyond the margin",
            r#"layer { name: "l" type: "ContrastiveLoss" bottom: "a" bottom: "b" bottom: "c" top: "y0" contrastive_loss_param { margin: 2.5 } }"#,
            &[
                (&[5, 3], Values::Normal),
                (&[5, 3], Values::Normal),
                (&[5], Values::Given(&[1.0, 0.0, 0.0, 1.0, 0.0])),
            ],
        ),
    ),
    (
        "ContrastiveLoss",
        GradientCase::new(
            "pairs of the legacy version",
            r#"layer { name: "l" type: "ContrastiveLoss" bottom: "a" bottom: "b" bottom: "c" top: "y0" contrastive_loss_param { margin: 5 legacy_version: true } }"#,
            &[
                (&[5, 3], Values::Normal),
                (&[5, 3], Values::Normal),
                (&[5], Values::Given(&[1.0, 0.0, 0.0, 1.0, 0.0])),
            ],
        ),
    ),
    (
        "HingeLoss",
        GradientCase {
            kinks: &[-1.0, 1.0],
            ..GradientCase::new(
                "hinge L1",
                r#"layer { name: "l" type: "HingeLoss" bottom: "a" bottom: "b" top: "y0" hinge_loss_param { norm: L1 } }"#,
                &[(&[4, 5], Values::Normal), (&[4], Values::Whole(5))],
            )
        },
    ),
    (
        "HingeLoss",
        GradientCase {
            kinks: &[-1.0, 1.0],
            ..GradientCase::new(
                "hinge L2",
                r#"layer { name: "l" type: "HingeLoss" bottom: "a" bottom: "b" top: "y0" hinge_loss_param { norm: L2 } }"#,
                &[(&[4, 5], Values::Normal), (&[4], Values::Whole(5))],
            )
        },
    ),
    (
        "InfogainLoss",
        GradientCase::new(
            "infogain over an inner axis",
            r#"layer { name: "l" type: "InfogainLoss" bottom: "a" bottom: "b" bottom: "c" top: "y0" infogain_loss_param { axis: 2 } loss_param { ignore_label: 1 } }"#,
            &[
                (&[2, 2, 3, 2], Values::Normal),
                (&[2, 2, 1, 2], Values::Given(&[0.0, 1.0, 2.0])),
                (&[3, 3], Values::Uniform(0.1, 1.0)),
            ],
        ),
    ),
    (
        "InfogainLoss",
        GradientCase::new(
            "infogain by batch size",
            r#"layer { name: "l" type: "InfogainLoss" bottom: "a" bottom: "b" bottom: "c" top: "y0" loss_param { normalization: BATCH_SIZE } }"#,
            &[(&[3, 4], Values::Normal), (&[3], Values::Whole(4)), (&[1, 1, 4, 4], Values::Normal)],
        ),
    ),
    (
        "MultinomialLogisticLoss",
        GradientCase::new(
            "probabilities",
            r#"layer { name: "l" type: "MultinomialLogisticLoss" bottom: "a" bottom: "b" top: "y0"  }"#,
            &[(&[4, 3], Values::Uniform(0.2, 1.0)), (&[4], Values::Whole(3))],
        ),
    ),
    (
        "SigmoidCrossEntropyLoss",
        GradientCase::new(
            "targets between 0 and 1",
            r#"layer { name: "l" type: "SigmoidCrossEntropyLoss" bottom: "a" bottom: "b" top: "y0"  }"#,
            &[(&[3, 4], Values::Normal), (&[3, 4], Values::Uniform(0.0, 1.0))],
        ),
    ),
    (
        "SigmoidCrossEntropyLoss",
        GradientCase::new(
            "targets ignored",
            r#"layer { name: "l" type: "SigmoidCrossEntropyLoss" bottom: "a" bottom: "b" top: "y0" loss_param { ignore_label: -1 normalization: VALID } }"#,
            &[(&[2, 3, 2], Values::Normal), (&[2, 3, 2], Values::Given(&[1.0, -1.0, 0.0, 1.0]))],
        ),
    ),
    (
        "SigmoidCrossEntropyLoss",
        GradientCase::new(
            "elements that weigh",
            r#"layer { name: "l" type: "SigmoidCrossEntropyLoss" bottom: "a" bottom: "b" bottom: "c" top: "y0" }"#,
            &[
                (&[3, 4], Values::Normal),
                (&[3, 4], Values::Uniform(0.0, 1.0)),
                (&[3, 4], Values::Given(&[1.0, 0.0, 2.0, 0.5])),
            ],
        ),
    ),
];

pub static ERRORS: &[Mistake] = &[
    (
        r#"layer { name: "l" type: "SoftmaxWithLoss" bottom: "x" bottom: "t" top: "loss"
             loss_param { weight_by_label_freqs: true class_weighting: 1 class_weighting: 2 } }"#,
        &[(&[2, 3], &[]), (&[2], &[])],
        r#"Field("loss_param.class_weighting"): `weight_by_label_freqs` wants one `class_weighting` per class: 3 classes, 2 weights"#,
    ),
    (
        r#"layer { name: "l" type: "L1Loss" bottom: "a" bottom: "b" top: "loss" }"#,
        &[(&[3, 4], &[]), (&[3, 3], &[])],
        "Bottom(1): every bottom has as many items and elements as the first, 3x4; found 3x3",
    ),
    (
        r#"layer { name: "l" type: "Accuracy" bottom: "x" bottom: "t" top: "y"
             accuracy_param { top_k: 0 } }"#,
        &[(&[2, 3], &[]), (&[2], &[])],
        r#"Field("accuracy_param.top_k"): `top_k` is at least 1, found 0"#,
    ),
    (
        r#"layer { name: "l" type: "Accuracy" bottom: "x" bottom: "t" top: "y"
             accuracy_param { top_k: 4 } }"#,
        &[(&[2, 3], &[]), (&[2], &[])],
        r#"Field("accuracy_param.top_k"): `top_k` 4 exceeds the 3 classes of the scores, 2x3"#,
    ),
    (
        r#"layer { name: "l" type: "Accuracy" bottom: "x" bottom: "t" top: "y" }"#,
        &[(&[2, 3], &[]), (&[3], &[])],
        r#"Bottom(1): the labels must have one element per position of the scores, 2 for 2x3; found 3"#,
    ),
    (
        r#"layer { name: "l" type: "Accuracy" bottom: "x" bottom: "t" top: "y" }"#,
        &[(&[2, 3], &[]), (&[2], &[0.0, 3.0])],
        r#"Bottom(1): label 3 at item 1 is out of range: with 3 classes labels are 0 to 2"#,
    ),
    (
        r#"layer { name: "l" type: "Accuracy" bottom: "x" bottom: "t" top: "y"
             accuracy_param { axis: 2 } }"#,
        &[(&[2, 3], &[]), (&[2], &[])],
        r#"Field("accuracy_param.axis"): axis 2 does not exist: the bottom has 2 axes, 2x3"#,
    ),
    (
        r#"layer { name: "l" type: "EuclideanLoss" bottom: "a" bottom: "b" top: "loss" }"#,
        &[(&[2, 3], &[]), (&[2, 4], &[])],
        r#"Bottom(1): every bottom has as many items and elements as the first, 2x3; found 2x4"#,
    ),
    (
        r#"layer { name: "l" type: "EuclideanLoss" bottom: "a" bottom: "b" top: "loss" }"#,
        &[(&[2, 3], &[]), (&[3, 2], &[])],
        r#"Bottom(1): every bottom has as many items and elements as the first, 2x3; found 3x2"#,
    ),
    (
        r#"layer { name: "l" type: "SoftmaxWithLoss" bottom: "x" bottom: "t" top: "loss" }"#,
        &[(&[2, 3, 4, 4], &[]), (&[2, 3, 4, 4], &[])],
        r#"Bottom(1): the labels must have one element per position of the scores, 32 for 2x3x4x4; found 2x3x4x4"#,
    ),
    (
        r#"layer { name: "l" type: "SoftmaxWithLoss" bottom: "x" bottom: "t" top: "loss" }"#,
        &[(&[2, 3], &[]), (&[2], &[1.0, -1.0])],
        r#"Bottom(1): label -1 at item 1 is out of range: with 3 classes labels are 0 to 2"#,
    ),
    (
        r#"layer { name: "l" type: "SoftmaxWithLoss" bottom: "x" bottom: "t" top: "loss" }"#,
        &[(&[2, 3], &[]), (&[2], &[f32::NAN])],
        r#"Bottom(1): label NaN at item 0 is out of range: with 3 classes labels are 0 to 2"#,
    ),
    (
        r#"layer { name: "l" type: "SoftmaxWithLoss" bottom: "x" bottom: "t" top: "loss"
             loss_param { ignore_label: 255 } }"#,
        &[(&[2, 3], &[]), (&[2], &[255.0, 1e10])],
        r#"Bottom(1): label 10000000000 at item 1 is out of range: with 3 classes labels are 0 to 2"#,
    ),
    (
        r#"layer { name: "l" type: "SoftmaxWithLoss" bottom: "x" bottom: "t" top: "loss"
             softmax_param { axis: 2 } }"#,
        &[(&[2, 3], &[]), (&[2], &[])],
        r#"Field("softmax_param.axis"): axis 2 does not exist: the bottom has 2 axes, 2x3"#,
    ),
    (
        r#"layer { name: "l" type: "SoftmaxWithLoss" bottom: "x" bottom: "t" top: "loss" }"#,
        &[(&[2, 0], &[]), (&[2], &[])],
        r#"Bottom(0): the scores, 2x0, hold no class: axis 1 is empty"#,
    ),
    (
        r#"layer { name: "l" type: "SoftmaxWithLoss" bottom: "x" bottom: "t" top: "loss"
             loss_param { normalization: PRE_FIXED pre_fixed_normalizer: 0 } }"#,
        &[(&[2, 3], &[]), (&[2], &[])],
        r#"Field("loss_param.pre_fixed_normalizer"): `pre_fixed_normalizer` must be above 0, found 0"#,
    ),
    (
        r#"layer { name: "l" type: "ContrastiveLoss" bottom: "a" bottom: "b" bottom: "c" top: "y0" }"#,
        &[(&[2, 3], &[0.0]), (&[2, 4], &[0.0]), (&[2], &[0.0])],
        r#"Bottom(1): every bottom has as many items and elements as the first, 2x3; found 2x4"#,
    ),
    (
        r#"layer { name: "l" type: "ContrastiveLoss" bottom: "a" bottom: "b" bottom: "c" top: "y0" }"#,
        &[(&[2, 3], &[0.0]), (&[2, 3], &[0.0]), (&[3], &[0.0])],
        r#"Bottom(2): 3 is not one number for each of the 2 items of 2x3"#,
    ),
    (
        r#"layer { name: "l" type: "HingeLoss" bottom: "a" bottom: "b" top: "y0" }"#,
        &[(&[2, 3], &[0.0]), (&[2], &[0.0, 3.0])],
        r#"Bottom(1): label 3 at item 1 is out of range: with 3 classes labels are 0 to 2"#,
    ),
    (
        r#"layer { name: "l" type: "HingeLoss" bottom: "a" bottom: "b" top: "y0" }"#,
        &[(&[2, 3], &[0.0]), (&[2, 3], &[0.0])],
        r#"Bottom(1): 2x3 is not one number for each of the 2 items of 2x3"#,
    ),
    (
        r#"layer { name: "l" type: "InfogainLoss" bottom: "a" bottom: "b" top: "y0" }"#,
        &[(&[2, 3], &[0.0]), (&[2], &[0.0])],
        r#"Field("infogain_loss_param.source"): `source` must be given, or the matrix as a third bottom"#,
    ),
    (
        r#"layer { name: "l" type: "InfogainLoss" bottom: "a" bottom: "b" top: "y0" infogain_loss_param { source: "/nowhere/at/all.binaryproto" } }"#,
        &[(&[2, 3], &[0.0]), (&[2], &[0.0])],
        r#"Field("infogain_loss_param.source"): there is no `/nowhere/at/all.binaryproto`"#,
    ),
    (
        r#"layer { name: "l" type: "InfogainLoss" bottom: "a" bottom: "b" bottom: "c" top: "y0" loss_param { normalize: true } }"#,
        &[(&[2, 3], &[0.0]), (&[2], &[0.0]), (&[3, 3], &[1.0])],
        r#"Field("loss_param.normalize"): InfogainLoss does not take `normalize`; `normalization` says it"#,
    ),
    (
        r#"layer { name: "l" type: "InfogainLoss" bottom: "a" bottom: "b" bottom: "c" top: "y0" }"#,
        &[(&[2, 3], &[0.0]), (&[2], &[0.0]), (&[3, 2], &[1.0])],
        r#"Bottom(2): the matrix has 6 elements, 3 classes want 3 x 3"#,
    ),
    (
        r#"layer { name: "l" type: "InfogainLoss" bottom: "a" bottom: "b" bottom: "c" top: "y0" }"#,
        &[(&[2, 3], &[0.0]), (&[2], &[-1.0]), (&[3, 3], &[1.0])],
        r#"Bottom(1): label -1 at item 0 is out of range: with 3 classes labels are 0 to 2"#,
    ),
    (
        r#"layer { name: "l" type: "InfogainLoss" bottom: "a" bottom: "b" bottom: "c" top: "y0" infogain_loss_param { axis: 2 } }"#,
        &[(&[2, 3], &[0.0]), (&[2], &[0.0]), (&[3, 3], &[1.0])],
        r#"Field("infogain_loss_param.axis"): axis 2 does not exist: the bottom has 2 axes, 2x3"#,
    ),
    (
        r#"layer { name: "l" type: "MultinomialLogisticLoss" bottom: "a" bottom: "b" top: "y0" }"#,
        &[(&[2, 3], &[1.0]), (&[2], &[5.0])],
        r#"Bottom(1): label 5 at item 0 is out of range: with 3 classes labels are 0 to 2"#,
    ),
    (
        r#"layer { name: "l" type: "MultinomialLogisticLoss" bottom: "a" bottom: "b" top: "y0" }"#,
        &[(&[2, 3], &[1.0]), (&[4], &[0.0])],
        r#"Bottom(1): 4 is not one number for each of the 2 items of 2x3"#,
    ),
    (
        r#"layer { name: "l" type: "SigmoidCrossEntropyLoss" bottom: "a" bottom: "b" top: "y0" }"#,
        &[(&[2, 3], &[1.0]), (&[2, 2], &[0.0])],
        r#"Bottom(1): there is one target per score: 2x3 and 2x2"#,
    ),
    (
        r#"layer { name: "l" type: "SigmoidCrossEntropyLoss" bottom: "a" bottom: "b" bottom: "c" top: "y0" }"#,
        &[(&[2, 3], &[1.0]), (&[2, 3], &[0.0]), (&[2], &[1.0])],
        r#"Bottom(2): there is one weight per score: 2x3 and 2"#,
    ),
];
