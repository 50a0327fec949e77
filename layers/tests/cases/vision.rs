//! Layers of the family `vision`.

use cortado_layers::check::{GradientCase, Values};

use super::{Gradient, Mistake};

/// N x C x H x W, normal values.
const X: &[(&[usize], Values)] = &[(&[2, 4, 5, 4], Values::Normal)];
/// The same without equal elements, for maxima.
const APART: &[(&[usize], Values)] = &[(&[2, 2, 5, 4], Values::Distinct(0.05))];
/// Above 0, as STOCHASTIC pooling wants it.
const POSITIVE: &[(&[usize], Values)] = &[(&[2, 2, 5, 4], Values::Uniform(0.5, 1.5))];

pub static GRADIENTS: &[Gradient] = &[
    (
        "Convolution",
        GradientCase::new(
            "3x3",
            r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y" convolution_param {
                 num_output: 3 kernel_size: 3 weight_filler { type: "gaussian" } bias_filler { type: "gaussian" } } }"#,
            X,
        ),
    ),
    (
        "Convolution",
        GradientCase::new(
            "3x3 with pad 1 and no bias",
            r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y" convolution_param {
                 num_output: 3 kernel_size: 3 pad: 1 bias_term: false weight_filler { type: "gaussian" } } }"#,
            X,
        ),
    ),
    (
        "Convolution",
        GradientCase::new(
            "1x1",
            r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y" convolution_param {
                 num_output: 3 kernel_size: 1 weight_filler { type: "gaussian" } } }"#,
            X,
        ),
    ),
    (
        "Convolution",
        GradientCase::new(
            "1x1 with stride 2",
            r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y" convolution_param {
                 num_output: 3 kernel_size: 1 stride: 2 weight_filler { type: "gaussian" } } }"#,
            X,
        ),
    ),
    (
        "Convolution",
        GradientCase::new(
            "kernel, stride and pad of two lengths",
            r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y" convolution_param {
                 num_output: 2 kernel_h: 2 kernel_w: 3 stride_h: 2 stride_w: 1 pad_h: 1 pad_w: 2
                 weight_filler { type: "gaussian" } } }"#,
            X,
        ),
    ),
    (
        "Convolution",
        GradientCase::new(
            "dilation 2",
            r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y" convolution_param {
                 num_output: 2 kernel_size: 2 dilation: 2 pad: 1 weight_filler { type: "gaussian" } } }"#,
            X,
        ),
    ),
    (
        "Convolution",
        GradientCase::new(
            "two groups",
            r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y" convolution_param {
                 num_output: 6 group: 2 kernel_size: 3 pad: 1 stride: 2 weight_filler { type: "gaussian" } } }"#,
            X,
        ),
    ),
    (
        "Convolution",
        GradientCase::new(
            "depthwise",
            r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y" convolution_param {
                 num_output: 4 group: 4 kernel_size: 3 pad: 1 weight_filler { type: "gaussian" } } }"#,
            X,
        ),
    ),
    (
        "Convolution",
        GradientCase::new(
            "depthwise with two outputs per channel",
            r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y" convolution_param {
                 num_output: 8 group: 4 kernel_size: 2 stride: 2 weight_filler { type: "gaussian" } } }"#,
            X,
        ),
    ),
    (
        "Convolution",
        GradientCase::new(
            "two bottoms share the weights",
            r#"layer { name: "l" type: "Convolution" bottom: "a" bottom: "b" top: "y" top: "z" convolution_param {
                 num_output: 2 kernel_size: 2 weight_filler { type: "gaussian" } } }"#,
            &[(&[1, 2, 3, 3], Values::Normal), (&[1, 2, 3, 3], Values::Normal)],
        ),
    ),
    (
        "Convolution",
        GradientCase::new(
            "one spatial axis",
            r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y" convolution_param {
                 num_output: 2 kernel_size: 3 stride: 2 pad: 1 weight_filler { type: "gaussian" } } }"#,
            &[(&[2, 3, 6], Values::Normal)],
        ),
    ),
    (
        "Convolution",
        GradientCase::new(
            "three spatial axes",
            r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y" convolution_param {
                 num_output: 2 kernel_size: 2 kernel_size: 3 kernel_size: 1 pad: 0 pad: 1 pad: 0
                 dilation: 1 dilation: 1 dilation: 2 weight_filler { type: "gaussian" } } }"#,
            &[(&[2, 2, 3, 3, 2], Values::Normal)],
        ),
    ),
    (
        "Convolution",
        GradientCase::new(
            "no spatial axis",
            r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y" convolution_param {
                 num_output: 3 weight_filler { type: "gaussian" } } }"#,
            &[(&[4, 2], Values::Normal)],
        ),
    ),
    (
        "Convolution",
        GradientCase::new(
            "channels along axis 2",
            r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y" convolution_param {
                 num_output: 2 axis: 2 kernel_size: 2 weight_filler { type: "gaussian" } } }"#,
            &[(&[2, 2, 3, 4], Values::Normal)],
        ),
    ),
    (
        "Deconvolution",
        GradientCase::new(
            "upsampling by 2",
            r#"layer { name: "l" type: "Deconvolution" bottom: "x" top: "y" convolution_param {
                 num_output: 3 kernel_size: 4 stride: 2 pad: 1 weight_filler { type: "gaussian" } } }"#,
            &[(&[2, 2, 2, 3], Values::Normal)],
        ),
    ),
    (
        "Deconvolution",
        GradientCase::new(
            "bilinear upsampling, a group per channel",
            r#"layer { name: "l" type: "Deconvolution" bottom: "x" top: "y" convolution_param {
                 num_output: 3 group: 3 kernel_size: 4 stride: 2 pad: 1 bias_term: false
                 weight_filler { type: "bilinear" } } }"#,
            &[(&[1, 3, 3, 2], Values::Normal)],
        ),
    ),
    (
        "Deconvolution",
        GradientCase::new(
            "two groups",
            r#"layer { name: "l" type: "Deconvolution" bottom: "x" top: "y" convolution_param {
                 num_output: 4 group: 2 kernel_size: 3 weight_filler { type: "gaussian" } } }"#,
            &[(&[2, 2, 2, 3], Values::Normal)],
        ),
    ),
    (
        "Deconvolution",
        GradientCase::new(
            "stride above the kernel, dilation",
            r#"layer { name: "l" type: "Deconvolution" bottom: "x" top: "y" convolution_param {
                 num_output: 2 kernel_size: 2 stride: 4 dilation: 2 weight_filler { type: "gaussian" } } }"#,
            &[(&[1, 2, 2, 2], Values::Normal)],
        ),
    ),
    (
        "Deconvolution",
        GradientCase::new(
            "1x1",
            r#"layer { name: "l" type: "Deconvolution" bottom: "x" top: "y" convolution_param {
                 num_output: 2 kernel_size: 1 weight_filler { type: "gaussian" } } }"#,
            &[(&[2, 3, 2, 3], Values::Normal)],
        ),
    ),
    (
        "Deconvolution",
        GradientCase::new(
            "two bottoms share the weights",
            r#"layer { name: "l" type: "Deconvolution" bottom: "a" bottom: "b" top: "y" top: "z" convolution_param {
                 num_output: 2 kernel_size: 2 weight_filler { type: "gaussian" } } }"#,
            &[(&[1, 2, 2, 2], Values::Normal), (&[1, 2, 2, 2], Values::Normal)],
        ),
    ),
    (
        "Deconvolution",
        GradientCase::new(
            "one spatial axis",
            r#"layer { name: "l" type: "Deconvolution" bottom: "x" top: "y" convolution_param {
                 num_output: 2 kernel_size: 3 stride: 2 pad: 1 weight_filler { type: "gaussian" } } }"#,
            &[(&[2, 3, 4], Values::Normal)],
        ),
    ),
    (
        "Deconvolution",
        GradientCase::new(
            "three spatial axes",
            r#"layer { name: "l" type: "Deconvolution" bottom: "x" top: "y" convolution_param {
                 num_output: 2 kernel_size: 2 stride: 2 weight_filler { type: "gaussian" } } }"#,
            &[(&[1, 2, 2, 1, 2], Values::Normal)],
        ),
    ),
    (
        "InnerProduct",
        GradientCase::new(
            "all axes but the first",
            r#"layer { name: "l" type: "InnerProduct" bottom: "x" top: "y" inner_product_param {
                 num_output: 4 weight_filler { type: "gaussian" } bias_filler { type: "gaussian" } } }"#,
            &[(&[3, 2, 1, 3], Values::Normal)],
        ),
    ),
    (
        "InnerProduct",
        GradientCase::new(
            "transposed, without bias",
            r#"layer { name: "l" type: "InnerProduct" bottom: "x" top: "y" inner_product_param {
                 num_output: 4 transpose: true bias_term: false weight_filler { type: "gaussian" } } }"#,
            &[(&[3, 5], Values::Normal)],
        ),
    ),
    (
        "InnerProduct",
        GradientCase::new(
            "the last axis",
            r#"layer { name: "l" type: "InnerProduct" bottom: "x" top: "y" inner_product_param {
                 num_output: 2 axis: -1 weight_filler { type: "gaussian" } } }"#,
            &[(&[2, 3, 4], Values::Normal)],
        ),
    ),
    (
        "InnerProduct",
        GradientCase::new(
            "everything is one row",
            r#"layer { name: "l" type: "InnerProduct" bottom: "x" top: "y" inner_product_param {
                 num_output: 3 axis: 0 transpose: true weight_filler { type: "gaussian" } } }"#,
            &[(&[2, 3], Values::Normal)],
        ),
    ),
    (
        "LRN",
        GradientCase::new(
            "across channels",
            r#"layer { name: "l" type: "LRN" bottom: "x" top: "y" }"#,
            &[(&[2, 7, 2, 2], Values::Normal)],
        ),
    ),
    (
        "LRN",
        GradientCase::new(
            "across 3 channels with k",
            r#"layer { name: "l" type: "LRN" bottom: "x" top: "y"
                 lrn_param { local_size: 3 alpha: 0.5 beta: 1.3 k: 2 } }"#,
            X,
        ),
    ),
    (
        "LRN",
        GradientCase::new(
            "across more channels than there are",
            r#"layer { name: "l" type: "LRN" bottom: "x" top: "y" lrn_param { local_size: 9 } }"#,
            &[(&[2, 2, 3], Values::Normal)],
        ),
    ),
    (
        "LRN",
        GradientCase::new(
            "a channel by itself",
            r#"layer { name: "l" type: "LRN" bottom: "x" top: "y" lrn_param { local_size: 1 } }"#,
            &[(&[3, 2], Values::Normal)],
        ),
    ),
    (
        "LRN",
        GradientCase::new(
            "within a channel",
            r#"layer { name: "l" type: "LRN" bottom: "x" top: "y"
                 lrn_param { norm_region: WITHIN_CHANNEL local_size: 3 alpha: 2 } }"#,
            X,
        ),
    ),
    (
        "LRN",
        GradientCase::new(
            "within a channel, a square above the plane",
            r#"layer { name: "l" type: "LRN" bottom: "x" top: "y"
                 lrn_param { norm_region: WITHIN_CHANNEL local_size: 5 beta: 0.5 k: 3 } }"#,
            &[(&[1, 2, 3, 2], Values::Normal)],
        ),
    ),
    (
        "Pooling",
        GradientCase::new(
            "maximum",
            r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y" pooling_param { kernel_size: 3 stride: 2 } }"#,
            APART,
        ),
    ),
    (
        "Pooling",
        GradientCase::new(
            "maximum of overlapping windows with a pad",
            r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y" pooling_param { kernel_size: 2 pad: 1 } }"#,
            APART,
        ),
    ),
    (
        "Pooling",
        GradientCase::new(
            "maximum and its mask",
            r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y" top: "mask" pooling_param { kernel_size: 2 stride: 2 } }"#,
            APART,
        )
        .tops(1),
    ),
    (
        "Pooling",
        GradientCase::new(
            "maximum of the plane",
            r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y" pooling_param { global_pooling: true } }"#,
            APART,
        ),
    ),
    (
        "Pooling",
        GradientCase::new(
            "maximum, windows of two lengths, rounded down",
            r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y" pooling_param {
                 kernel_h: 2 kernel_w: 3 stride_h: 2 stride_w: 2 pad_h: 0 pad_w: 1 round_mode: FLOOR } }"#,
            APART,
        ),
    ),
    (
        "Pooling",
        GradientCase::new(
            "mean",
            r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y" pooling_param { pool: AVE kernel_size: 3 stride: 2 } }"#,
            X,
        ),
    ),
    (
        "Pooling",
        GradientCase::new(
            "mean with a pad",
            r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y" pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 } }"#,
            X,
        ),
    ),
    (
        "Pooling",
        GradientCase::new(
            "mean of the plane",
            r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y" pooling_param { pool: AVE global_pooling: true } }"#,
            X,
        ),
    ),
    (
        "Pooling",
        GradientCase::new(
            "a random element",
            r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y" pooling_param { pool: STOCHASTIC kernel_size: 2 stride: 2 } }"#,
            POSITIVE,
        )
        .within(1e-4, 2e-3),
    ),
    (
        "Pooling",
        GradientCase::new(
            "mean over one spatial axis",
            r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y" pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 } }"#,
            &[(&[2, 2, 6], Values::Normal)],
        ),
    ),
    (
        "Pooling",
        GradientCase::new(
            "maximum over three spatial axes",
            r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y" pooling_param { kernel_size: 2 stride: 2 } }"#,
            &[(&[1, 2, 3, 2, 4], Values::Distinct(0.05))],
        ),
    ),
    (
        "Pooling",
        GradientCase::new(
            "mean over three spatial axes",
            r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y" pooling_param { pool: AVE kernel_size: 2 pad: 1 stride: 2 } }"#,
            &[(&[1, 2, 3, 2, 4], Values::Normal)],
        ),
    ),
];

pub static ERRORS: &[Mistake] = &[
    (
        r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y" convolution_param { kernel_size: 3 } }"#,
        &[(&[1, 2, 5, 5], &[])],
        r#"Field("convolution_param.num_output"): `num_output` must be given and above 0"#,
    ),
    (
        r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y" convolution_param { num_output: 3 } }"#,
        &[(&[1, 2, 5, 5], &[])],
        r#"Field("convolution_param.kernel_size"): `kernel_size` must be given"#,
    ),
    (
        r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y" convolution_param { num_output: 3 kernel_size: 0 } }"#,
        &[(&[1, 2, 5, 5], &[])],
        r#"Field("convolution_param.kernel_size"): `kernel_size` must not be 0"#,
    ),
    (
        r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y"
             convolution_param { num_output: 3 kernel_size: 3 stride: 0 } }"#,
        &[(&[1, 2, 5, 5], &[])],
        r#"Field("convolution_param.stride"): `stride` must not be 0"#,
    ),
    (
        r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y"
             convolution_param { num_output: 3 kernel_size: 3 dilation: 0 } }"#,
        &[(&[1, 2, 5, 5], &[])],
        r#"Field("convolution_param.dilation"): `dilation` must not be 0"#,
    ),
    (
        r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y"
             convolution_param { num_output: 3 kernel_size: 3 kernel_h: 3 kernel_w: 3 } }"#,
        &[(&[1, 2, 5, 5], &[])],
        r#"Field("convolution_param.kernel_size"): `kernel_size` and `kernel_h`/`kernel_w` exclude each other"#,
    ),
    (
        r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y"
             convolution_param { num_output: 3 kernel_size: 3 stride: 1 stride: 2 stride: 1 } }"#,
        &[(&[1, 2, 5, 5], &[])],
        r#"Field("convolution_param.stride"): `stride` stands 3 times for 2 spatial axes"#,
    ),
    (
        r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y"
             convolution_param { num_output: 3 kernel_h: 3 kernel_w: 3 } }"#,
        &[(&[1, 2, 5], &[])],
        r#"Field("convolution_param.kernel_h"): `kernel_h` goes with 2 spatial axes, here are 1; use `kernel_size`"#,
    ),
    (
        r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y" convolution_param { num_output: 3 kernel_h: 3 } }"#,
        &[(&[1, 2, 5, 5], &[])],
        r#"Field("convolution_param.kernel_w"): `kernel_w` must be given, as `kernel_h` is"#,
    ),
    (
        r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y" convolution_param { num_output: 3 kernel_size: 7 pad: 1 } }"#,
        &[(&[1, 2, 9, 4], &[])],
        r#"Field("convolution_param.kernel_size"): the kernel (size 7, stride 1, pad 1, dilation 1) does not fit spatial axis 1 of the bottom, 1x2x9x4"#,
    ),
    (
        r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y"
             convolution_param { num_output: 3 kernel_size: 3 dilation: 3 } }"#,
        &[(&[1, 2, 6, 9], &[])],
        r#"Field("convolution_param.kernel_size"): the kernel (size 3, stride 1, pad 0, dilation 3) does not fit spatial axis 0 of the bottom, 1x2x6x9"#,
    ),
    (
        r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y"
             convolution_param { num_output: 4 kernel_size: 3 group: 2 } }"#,
        &[(&[1, 3, 5, 5], &[])],
        r#"Field("convolution_param.group"): `group` 2 must divide the 3 channels of the bottom, 1x3x5x5, and `num_output` 4"#,
    ),
    (
        r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y"
             convolution_param { num_output: 3 kernel_size: 3 group: 2 } }"#,
        &[(&[1, 4, 5, 5], &[])],
        r#"Field("convolution_param.group"): `group` 2 must divide the 4 channels of the bottom, 1x4x5x5, and `num_output` 3"#,
    ),
    (
        r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y"
             convolution_param { num_output: 3 kernel_size: 3 group: 0 } }"#,
        &[(&[1, 4, 5, 5], &[])],
        r#"Field("convolution_param.group"): `group` must be above 0, found 0"#,
    ),
    (
        r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y" convolution_param { num_output: 3 kernel_size: 3 } }"#,
        &[(&[1, 0, 5, 5], &[])],
        r#"Bottom(0): the bottom, 1x0x5x5, has no channels"#,
    ),
    (
        r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y" convolution_param { num_output: 3 kernel_size: 3 } }"#,
        &[(&[1], &[])],
        r#"Field("convolution_param.axis"): axis 1 does not exist: the bottom has 1 axis, 1"#,
    ),
    (
        r#"layer { name: "l" type: "Convolution" bottom: "a" bottom: "b" top: "y" top: "z"
             convolution_param { num_output: 3 kernel_size: 3 } }"#,
        &[(&[1, 2, 5, 5], &[]), (&[1, 2, 5, 6], &[])],
        r#"Bottom(1): all bottoms must have one shape, found 1x2x5x5 and 1x2x5x6"#,
    ),
    (
        r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y"
             convolution_param { num_output: 4000000000 kernel_size: 4000000000 pad: 4000000000 } }"#,
        &[(&[1, 2, 5, 5], &[])],
        r#"Layer: a blob of 4000000000x2x4000000000x4000000000 is too large for this machine"#,
    ),
    (
        r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y"
             convolution_param { num_output: 3 kernel_size: 3 weight_filler { type: "bilinear" } } }"#,
        &[(&[1, 2, 5], &[])],
        r#"Field("convolution_param.weight_filler.type"): bilinear fills 4 axes, found 3x2x3"#,
    ),
    (
        r#"layer { name: "l" type: "Deconvolution" bottom: "x" top: "y" convolution_param { kernel_size: 3 } }"#,
        &[(&[1, 2, 5, 5], &[])],
        r#"Field("convolution_param.num_output"): `num_output` must be given and above 0"#,
    ),
    (
        r#"layer { name: "l" type: "Deconvolution" bottom: "x" top: "y"
             convolution_param { num_output: 2 kernel_size: 3 pad: 2 } }"#,
        &[(&[1, 2, 2, 1], &[])],
        r#"Field("convolution_param.kernel_size"): the kernel (size 3, stride 1, pad 2, dilation 1) does not fit spatial axis 0 of the bottom, 1x2x2x1"#,
    ),
    (
        r#"layer { name: "l" type: "Deconvolution" bottom: "x" top: "y"
             convolution_param { num_output: 3 kernel_size: 3 group: 2 } }"#,
        &[(&[1, 2, 5, 5], &[])],
        r#"Field("convolution_param.group"): `group` 2 must divide the 2 channels of the bottom, 1x2x5x5, and `num_output` 3"#,
    ),
    (
        r#"layer { name: "l" type: "InnerProduct" bottom: "x" top: "y" }"#,
        &[(&[2, 3], &[])],
        r#"Field("inner_product_param.num_output"): `num_output` must be given and above 0"#,
    ),
    (
        r#"layer { name: "l" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 4 axis: 2 } }"#,
        &[(&[2, 3], &[])],
        r#"Field("inner_product_param.axis"): axis 2 does not exist: the bottom has 2 axes, 2x3"#,
    ),
    (
        r#"layer { name: "l" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 4 } }"#,
        &[(&[2, 0, 3], &[])],
        r#"Bottom(0): the bottom, 2x0x3, has no elements from axis 1 on"#,
    ),
    (
        r#"layer { name: "l" type: "InnerProduct" bottom: "x" top: "y"
             inner_product_param { num_output: 4 weight_filler { type: "uniform" min: 1 max: -1 } } }"#,
        &[(&[2, 3], &[])],
        r#"Field("inner_product_param.weight_filler.min"): uniform wants min <= max, found 1 and -1"#,
    ),
    (
        r#"layer { name: "l" type: "LRN" bottom: "x" top: "y" lrn_param { local_size: 4 } }"#,
        &[(&[1, 3, 2, 2], &[])],
        r#"Field("lrn_param.local_size"): `local_size` must be odd, found 4"#,
    ),
    (
        r#"layer { name: "l" type: "LRN" bottom: "x" top: "y" }"#,
        &[(&[3], &[])],
        r#"Bottom(0): LRN wants N x C x spatial axes, the bottom is 3"#,
    ),
    (
        r#"layer { name: "l" type: "LRN" bottom: "x" top: "y" lrn_param { norm_region: WITHIN_CHANNEL } }"#,
        &[(&[3, 2], &[])],
        r#"Bottom(0): LRN wants N x C x spatial axes, the bottom is 3x2"#,
    ),
    (
        r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y" }"#,
        &[(&[1, 2, 5, 5], &[])],
        r#"Field("pooling_param.kernel_size"): `kernel_size` must be given"#,
    ),
    (
        r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y" pooling_param { kernel_size: 2 pad: 2 } }"#,
        &[(&[1, 2, 5, 5], &[])],
        r#"Field("pooling_param.pad"): `pad` must be smaller than the kernel, found pad 2 and kernel 2"#,
    ),
    (
        r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y"
             pooling_param { kernel_h: 3 kernel_w: 1 pad_h: 1 pad_w: 1 } }"#,
        &[(&[1, 2, 5, 5], &[])],
        r#"Field("pooling_param.pad"): `pad` must be smaller than the kernel, found pad 1 and kernel 1"#,
    ),
    (
        r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y" pooling_param { kernel_size: 2 stride: 0 } }"#,
        &[(&[1, 2, 5, 5], &[])],
        r#"Field("pooling_param.stride"): `stride` must not be 0"#,
    ),
    (
        r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y" pooling_param { kernel_size: 7 round_mode: FLOOR } }"#,
        &[(&[1, 2, 9, 5], &[])],
        r#"Field("pooling_param.kernel_size"): the window (size 7, stride 1, pad 0) does not fit spatial axis 1 of the bottom, 1x2x9x5"#,
    ),
    (
        r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y" pooling_param { global_pooling: true kernel_size: 3 } }"#,
        &[(&[1, 2, 5, 5], &[])],
        r#"Field("pooling_param.kernel_size"): `kernel_size` makes no sense with `global_pooling`"#,
    ),
    (
        r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y" pooling_param { global_pooling: true stride: 2 } }"#,
        &[(&[1, 2, 5, 5], &[])],
        r#"Field("pooling_param.stride"): `stride` must be 1 with `global_pooling`"#,
    ),
    (
        r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y" pooling_param { kernel_size: 3 pad_h: 1 } }"#,
        &[(&[1, 2, 5, 5], &[])],
        r#"Field("pooling_param.pad_w"): `pad_w` must be given too"#,
    ),
    (
        r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y" pooling_param { kernel_size: 3 } }"#,
        &[(&[2, 3], &[])],
        r#"Bottom(0): pooling wants N x C x spatial axes, the bottom is 2x3"#,
    ),
    (
        r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y" pooling_param { kernel_h: 3 kernel_w: 3 } }"#,
        &[(&[2, 3, 5], &[])],
        r#"Field("pooling_param.kernel_h"): the `_h`/`_w` fields go with 2 spatial axes, the bottom is 2x3x5"#,
    ),
    (
        r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y" pooling_param { pool: STOCHASTIC kernel_size: 3 pad: 1 } }"#,
        &[(&[1, 2, 5, 5], &[])],
        r#"Field("pooling_param.pad"): STOCHASTIC pooling takes no padding"#,
    ),
    (
        r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y" top: "m" pooling_param { pool: AVE kernel_size: 3 } }"#,
        &[(&[1, 2, 5, 5], &[])],
        r#"Top(1): only MAX pooling has a second top, the mask"#,
    ),
    (
        r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y" pooling_param { kernel_size: 3 stride: 2 pad: 1 } }"#,
        &[(&[1, 2, 0, 5], &[])],
        r#"Field("pooling_param.kernel_size"): the window (size 3, stride 2, pad 1) does not fit spatial axis 0 of the bottom, 1x2x0x5"#,
    ),
];
