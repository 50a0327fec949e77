//! Layers of the family `norm`.

use cortado_layers::check::{GradientCase, Values};

use super::{Gradient, Mistake};

/// N x C x H x W, normal values.
const X: &[(&[usize], Values)] = &[(&[3, 2, 2, 3], Values::Normal)];
/// Sums of means and variances, and their factor.
const SEEN: &[&[f32]] = &[&[0.5, -1.0], &[2.0, 6.0], &[2.5]];

pub static GRADIENTS: &[Gradient] = &[
    (
        "BatchNorm",
        GradientCase::new(
            "with NVIDIA's scale and bias",
            r#"layer { name: "l" type: "BatchNorm" bottom: "x" top: "y"
                 batch_norm_param { scale_bias: true scale_filler { type: "gaussian" } } }"#,
            X,
        ),
    ),
    (
        "BatchNorm",
        GradientCase::new(
            "with NVIDIA's scale and bias, global statistics",
            r#"layer { name: "l" type: "BatchNorm" bottom: "x" top: "y"
                 batch_norm_param { scale_filler { type: "gaussian" } } }"#,
            X,
        )
        .state(SEEN)
        .test(),
    ),
    (
        "BatchNorm",
        GradientCase::new(
            "with Intel's scale, without its bias",
            r#"layer { name: "l" type: "BatchNorm" bottom: "x" top: "y"
                 batch_norm_param { use_weight_bias: true bias_term: false filler { type: "gaussian" } } }"#,
            X,
        ),
    ),
    (
        "BatchNorm",
        GradientCase::new(
            "with Intel's bias and ReLU",
            r#"layer { name: "l" type: "BatchNorm" bottom: "x" top: "y"
                 batch_norm_param { use_weight_bias: true relu: true bias_filler { value: 3 } } }"#,
            X,
        ),
    ),
    (
        "EltwiseAffine",
        GradientCase::new(
            "a slope per channel",
            r#"layer { name: "l" type: "EltwiseAffine" bottom: "x" top: "y"
                 eltwise_affine_param { slope_filler { type: "gaussian" } } }"#,
            X,
        ),
    ),
    (
        "EltwiseAffine",
        GradientCase::new(
            "one slope",
            r#"layer { name: "l" type: "EltwiseAffine" bottom: "x" top: "y"
                 eltwise_affine_param { channel_shared: true slope_filler { value: 2 } } }"#,
            X,
        ),
    ),
    (
        "BatchNorm",
        GradientCase::new(
            "statistics of the batch",
            r#"layer { name: "l" type: "BatchNorm" bottom: "x" top: "y" }"#,
            X,
        ),
    ),
    (
        "BatchNorm",
        GradientCase::new(
            "statistics of the batch, without spatial axes",
            r#"layer { name: "l" type: "BatchNorm" bottom: "x" top: "y"
                 batch_norm_param { eps: 0.1 moving_average_fraction: 0.5 } }"#,
            &[(&[5, 3], Values::Normal)],
        )
        .state(SEEN),
    ),
    (
        "BatchNorm",
        GradientCase::new(
            "global statistics asked for in TEST, with a large eps",
            r#"layer { name: "l" type: "BatchNorm" bottom: "x" top: "y"
                 batch_norm_param { use_global_stats: true eps: 0.5 } }"#,
            X,
        )
        .state(SEEN)
        .test(),
    ),
    (
        "BatchNorm",
        GradientCase::new(
            "global statistics in TRAIN",
            r#"layer { name: "l" type: "BatchNorm" bottom: "x" top: "y"
                 batch_norm_param { use_global_stats: true } }"#,
            X,
        )
        .state(SEEN),
    ),
    (
        "BatchNorm",
        GradientCase::new(
            "global statistics",
            r#"layer { name: "l" type: "BatchNorm" bottom: "x" top: "y" }"#,
            X,
        )
        .state(SEEN)
        .test(),
    ),
    (
        "BatchNorm",
        GradientCase::new(
            "a batch of one item",
            r#"layer { name: "l" type: "BatchNorm" bottom: "x" top: "y" }"#,
            &[(&[1, 3, 2, 4], Values::Normal)],
        ),
    ),
    (
        "BatchNorm",
        GradientCase::new(
            "one element per channel",
            r#"layer { name: "l" type: "BatchNorm" bottom: "x" top: "y"
                 batch_norm_param { eps: 1 } }"#,
            &[(&[1, 4], Values::Normal)],
        ),
    ),
    (
        "BatchNorm",
        GradientCase::new(
            "one axis is one channel",
            r#"layer { name: "l" type: "BatchNorm" bottom: "x" top: "y" }"#,
            &[(&[9], Values::Normal)],
        ),
    ),
    (
        "BatchNorm",
        GradientCase::new(
            "three spatial axes far from mean 0",
            r#"layer { name: "l" type: "BatchNorm" bottom: "x" top: "y" }"#,
            &[(&[2, 2, 2, 2, 2], Values::Uniform(10.0, 14.0))],
        ),
    ),
    (
        "Bias",
        GradientCase::new(
            "a bias per channel",
            r#"layer { name: "l" type: "Bias" bottom: "x" top: "y"
                 bias_param { filler { type: "gaussian" } } }"#,
            X,
        ),
    ),
    (
        "Bias",
        GradientCase::new(
            "a bias over two axes from the back",
            r#"layer { name: "l" type: "Bias" bottom: "x" top: "y"
                 bias_param { axis: -2 num_axes: 2 } }"#,
            X,
        ),
    ),
    (
        "Bias",
        GradientCase::new(
            "a bias over all axes from the second on",
            r#"layer { name: "l" type: "Bias" bottom: "x" top: "y" bias_param { num_axes: -1 } }"#,
            X,
        ),
    ),
    (
        "Bias",
        GradientCase::new(
            "one bias for everything",
            r#"layer { name: "l" type: "Bias" bottom: "x" top: "y" bias_param { num_axes: 0 } }"#,
            X,
        ),
    ),
    (
        "Bias",
        GradientCase::new(
            "a given bias",
            r#"layer { name: "l" type: "Bias" bottom: "x" bottom: "b" top: "y"
                 bias_param { axis: 0 } }"#,
            &[(&[3, 2, 4], Values::Normal), (&[3, 2], Values::Normal)],
        ),
    ),
    (
        "Bias",
        GradientCase::new(
            "a given bias without axes",
            r#"layer { name: "l" type: "Bias" bottom: "x" bottom: "b" top: "y" }"#,
            &[(&[3, 2, 4], Values::Normal), (&[], Values::Normal)],
        ),
    ),
    ("MVN", GradientCase::new("mvn", r#"layer { name: "l" type: "MVN" bottom: "x" top: "y" }"#, X)),
    (
        "MVN",
        GradientCase::new(
            "mvn across channels",
            r#"layer { name: "l" type: "MVN" bottom: "x" top: "y"
                 mvn_param { across_channels: true } }"#,
            X,
        ),
    ),
    (
        "MVN",
        GradientCase::new(
            "only the mean is taken out",
            r#"layer { name: "l" type: "MVN" bottom: "x" top: "y"
                 mvn_param { normalize_variance: false } }"#,
            X,
        ),
    ),
    (
        "MVN",
        GradientCase::new(
            "only the mean is taken out, across channels",
            r#"layer { name: "l" type: "MVN" bottom: "x" top: "y"
                 mvn_param { normalize_variance: false across_channels: true } }"#,
            X,
        ),
    ),
    (
        "Scale",
        GradientCase::new(
            "a factor per channel",
            r#"layer { name: "l" type: "Scale" bottom: "x" top: "y"
                 scale_param { filler { type: "gaussian" } } }"#,
            X,
        ),
    ),
    (
        "Scale",
        GradientCase::new(
            "a factor and a bias per channel",
            r#"layer { name: "l" type: "Scale" bottom: "x" top: "y"
                 scale_param { bias_term: true filler { type: "gaussian" } bias_filler { type: "gaussian" } } }"#,
            X,
        ),
    ),
    (
        "Scale",
        GradientCase::new(
            "a factor over two axes from the first on",
            r#"layer { name: "l" type: "Scale" bottom: "x" top: "y"
                 scale_param { axis: 0 num_axes: 2 filler { type: "gaussian" } } }"#,
            X,
        ),
    ),
    (
        "Scale",
        GradientCase::new(
            "a factor per column",
            r#"layer { name: "l" type: "Scale" bottom: "x" top: "y"
                 scale_param { axis: -1 bias_term: true filler { type: "gaussian" } } }"#,
            X,
        ),
    ),
    (
        "Scale",
        GradientCase::new(
            "a factor over all axes from the second on",
            r#"layer { name: "l" type: "Scale" bottom: "x" top: "y"
                 scale_param { num_axes: -1 filler { type: "gaussian" } } }"#,
            X,
        ),
    ),
    (
        "Scale",
        GradientCase::new(
            "one factor and one bias",
            r#"layer { name: "l" type: "Scale" bottom: "x" top: "y"
                 scale_param { num_axes: 0 bias_term: true filler { value: 0.7 } } }"#,
            X,
        ),
    ),
    (
        "Scale",
        GradientCase::new(
            "two bottoms from the first axis on",
            r#"layer { name: "l" type: "Scale" bottom: "x" bottom: "s" top: "y"
                 scale_param { axis: 0 } }"#,
            &[(&[3, 2, 4], Values::Normal), (&[3, 2], Values::Normal)],
        ),
    ),
    (
        "Scale",
        GradientCase::new(
            "two bottoms and a bias",
            r#"layer { name: "l" type: "Scale" bottom: "x" bottom: "s" top: "y"
                 scale_param { bias_term: true } }"#,
            &[(&[3, 2, 4], Values::Normal), (&[2], Values::Normal)],
        ),
    ),
    (
        "Scale",
        GradientCase::new(
            "two bottoms of one shape",
            r#"layer { name: "l" type: "Scale" bottom: "x" bottom: "s" top: "y"
                 scale_param { axis: 0 } }"#,
            &[(&[3, 2], Values::Normal), (&[3, 2], Values::Normal)],
        ),
    ),
    (
        "Scale",
        GradientCase::new(
            "the second bottom has no axes",
            r#"layer { name: "l" type: "Scale" bottom: "x" bottom: "s" top: "y" }"#,
            &[(&[3, 2, 4], Values::Normal), (&[], Values::Normal)],
        ),
    ),
    (
        "BatchNorm",
        GradientCase::new(
            "batch statistics of 1 axis",
            r#"layer { name: "l" type: "BatchNorm" bottom: "a" top: "y0" batch_norm_param { eps: 0.01 } }"#,
            &[(&[6], Values::Normal)],
        ),
    ),
    (
        "BatchNorm",
        GradientCase::new(
            "batch statistics of 2 axes",
            r#"layer { name: "l" type: "BatchNorm" bottom: "a" top: "y0" batch_norm_param { eps: 0.01 } }"#,
            &[(&[5, 3], Values::Normal)],
        ),
    ),
    (
        "BatchNorm",
        GradientCase::new(
            "batch statistics of 3 axes",
            r#"layer { name: "l" type: "BatchNorm" bottom: "a" top: "y0" batch_norm_param { eps: 0.01 } }"#,
            &[(&[3, 2, 4], Values::Normal)],
        ),
    ),
    (
        "BatchNorm",
        GradientCase::new(
            "batch statistics of 5 axes",
            r#"layer { name: "l" type: "BatchNorm" bottom: "a" top: "y0" batch_norm_param { eps: 0.01 } }"#,
            &[(&[2, 3, 2, 2, 2], Values::Normal)],
        ),
    ),
];

pub static ERRORS: &[Mistake] = &[
    (
        r#"layer { name: "l" type: "Bias" bottom: "x" top: "y" bias_param { axis: 4 } }"#,
        &[(&[2, 3, 4, 5], &[])],
        r#"Field("bias_param.axis"): axis 4 does not exist: the bottom has 4 axes, 2x3x4x5"#,
    ),
    (
        r#"layer { name: "l" type: "Bias" bottom: "x" bottom: "b" top: "y" }"#,
        &[(&[2, 3, 4], &[]), (&[4], &[])],
        r#"Bottom(1): the second bottom, 4, must equal the axes of 2x3x4 from axis 1 on"#,
    ),
    (
        r#"layer { name: "l" type: "MVN" bottom: "x" top: "y" }"#,
        &[(&[2], &[])],
        r#"Bottom(0): MVN wants N x C x spatial axes, the bottom is 2"#,
    ),
    (
        r#"layer { name: "l" type: "Scale" bottom: "x" top: "y" scale_param { num_axes: 3 } }"#,
        &[(&[2, 3, 4], &[])],
        r#"Field("scale_param.num_axes"): `num_axes` 3 from axis 1 on does not fit the bottom, 2x3x4"#,
    ),
    (
        r#"layer { name: "l" type: "Scale" bottom: "x" top: "y" scale_param { num_axes: -2 } }"#,
        &[(&[2, 3, 4], &[])],
        r#"Field("scale_param.num_axes"): `num_axes` -2 from axis 1 on does not fit the bottom, 2x3x4"#,
    ),
    (
        r#"layer { name: "l" type: "Scale" bottom: "x" top: "y" scale_param { axis: -4 } }"#,
        &[(&[2, 3, 4], &[])],
        r#"Field("scale_param.axis"): axis -4 does not exist: the bottom has 3 axes, 2x3x4"#,
    ),
    (
        r#"layer { name: "l" type: "Scale" bottom: "x" bottom: "s" top: "y" }"#,
        &[(&[2, 3, 4], &[]), (&[3, 5], &[])],
        r#"Bottom(1): the second bottom, 3x5, must equal the axes of 2x3x4 from axis 1 on"#,
    ),
    (
        r#"layer { name: "l" type: "Scale" bottom: "x" bottom: "s" top: "y" }"#,
        &[(&[2, 3], &[]), (&[3, 1], &[])],
        r#"Bottom(1): the second bottom, 3x1, must equal the axes of 2x3 from axis 1 on"#,
    ),
];
