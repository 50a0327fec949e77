//! Layers of the family `vision`: the linear ones.

use cortado_layers::check::{GradientCase, Values};

use super::{Gradient, Mistake};

/// N x C x H x W, normal values.
const X: &[(&[usize], Values)] = &[(&[2, 4, 5, 4], Values::Normal)];

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
            r#"layer { name: "l" type: "Convolution" bottom: "a" bottom: "b" top: "y" top: "z"
                 convolution_param {
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
            r#"layer { name: "l" type: "Deconvolution" bottom: "a" bottom: "b" top: "y" top: "z"
                 convolution_param {
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
        "InnerProduct",
        GradientCase::new(
            "Intel's ReLU behind the bias",
            r#"layer { name: "l" type: "InnerProduct" bottom: "x" top: "y" inner_product_param {
                 num_output: 4 relu: true negative_slope: 0.25 weight_filler { type: "gaussian" }
                 bias_filler { type: "gaussian" } } }"#,
            &[(&[3, 5], Values::Normal)],
        ),
    ),
    (
        "Convolution",
        GradientCase::new(
            "Intel's ReLU behind the bias, two bottoms",
            r#"layer { name: "l" type: "Convolution" bottom: "a" bottom: "b" top: "c" top: "d"
                 convolution_param { num_output: 2 kernel_size: 2 relu: true negative_slope: 0.25
                   weight_filler { type: "gaussian" } bias_filler { type: "gaussian" } } }"#,
            &[(&[1, 2, 3, 3], Values::Normal), (&[1, 2, 3, 3], Values::Normal)],
        ),
    ),
    (
        "Embed",
        GradientCase::new(
            "rows with a bias",
            r#"layer { name: "l" type: "Embed" bottom: "a" top: "y0" embed_param { input_dim: 4 num_output: 3 weight_filler { type: "gaussian" } } }"#,
            &[(&[2, 3], Values::Whole(4))],
        ),
    ),
    (
        "Embed",
        GradientCase::new(
            "rows without a bias",
            r#"layer { name: "l" type: "Embed" bottom: "a" top: "y0" embed_param { input_dim: 3 num_output: 2 bias_term: false } }"#,
            &[(&[4], Values::Whole(3))],
        ),
    ),
];

pub static ERRORS: &[Mistake] = &[
    (
        r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y"
             convolution_param { num_output: 1 kernel_size: 1 relu: true negative_slope: -0.5 } }"#,
        &[(&[1, 1, 1, 1], &[])],
        r#"Field("convolution_param.negative_slope"): `negative_slope` is at least 0, found -0.5"#,
    ),
    (
        r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y"
             convolution_param { kernel_size: 3 } }"#,
        &[(&[1, 2, 5, 5], &[])],
        r#"Field("convolution_param.num_output"): `num_output` must be given"#,
    ),
    (
        r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y"
             convolution_param { num_output: 3 } }"#,
        &[(&[1, 2, 5, 5], &[])],
        r#"Field("convolution_param.kernel_size"): `kernel_size` must be given"#,
    ),
    (
        r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y"
             convolution_param { num_output: 3 kernel_size: 0 } }"#,
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
        r#"Field("convolution_param.stride"): `stride` is given once or once per spatial axis, found 3 for 2 axes"#,
    ),
    (
        r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y"
             convolution_param { num_output: 3 kernel_h: 3 kernel_w: 3 } }"#,
        &[(&[1, 2, 5], &[])],
        r#"Field("convolution_param.kernel_h"): `kernel_h` goes with 2 spatial axes, found 1; use `kernel_size`"#,
    ),
    (
        r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y"
             convolution_param { num_output: 3 kernel_h: 3 } }"#,
        &[(&[1, 2, 5, 5], &[])],
        r#"Field("convolution_param.kernel_w"): `kernel_w` must be given, as `kernel_h` is"#,
    ),
    (
        r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y"
             convolution_param { num_output: 3 kernel_size: 7 pad: 1 } }"#,
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
        r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y"
             convolution_param { num_output: 3 kernel_size: 3 } }"#,
        &[(&[1, 0, 5, 5], &[])],
        r#"Bottom(0): the bottom, 1x0x5x5, has no channels"#,
    ),
    (
        r#"layer { name: "l" type: "Convolution" bottom: "x" top: "y"
             convolution_param { num_output: 3 kernel_size: 3 } }"#,
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
        r#"layer { name: "l" type: "Deconvolution" bottom: "x" top: "y"
             convolution_param { kernel_size: 3 } }"#,
        &[(&[1, 2, 5, 5], &[])],
        r#"Field("convolution_param.num_output"): `num_output` must be given"#,
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
        r#"Field("inner_product_param.num_output"): `num_output` must be given"#,
    ),
    (
        r#"layer { name: "l" type: "InnerProduct" bottom: "x" top: "y"
             inner_product_param { num_output: 4 axis: 2 } }"#,
        &[(&[2, 3], &[])],
        r#"Field("inner_product_param.axis"): axis 2 does not exist: the bottom has 2 axes, 2x3"#,
    ),
    (
        r#"layer { name: "l" type: "InnerProduct" bottom: "x" top: "y"
             inner_product_param { num_output: 4 } }"#,
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
        r#"layer { name: "l" type: "InnerProduct" bottom: "x" top: "y"
             inner_product_param { num_output: 0 } }"#,
        &[(&[2, 3], &[])],
        r#"Field("inner_product_param.num_output"): `num_output` must be above 0, found 0"#,
    ),
    (
        r#"layer { name: "l" type: "Embed" bottom: "a" top: "y0" embed_param { input_dim: 4 } }"#,
        &[(&[2], &[0.0])],
        r#"Field("embed_param.num_output"): `num_output` must be given"#,
    ),
    (
        r#"layer { name: "l" type: "Embed" bottom: "a" top: "y0" embed_param { num_output: 4 } }"#,
        &[(&[2], &[0.0])],
        r#"Field("embed_param.input_dim"): `input_dim` must be given and above 0"#,
    ),
    (
        r#"layer { name: "l" type: "Embed" bottom: "a" top: "y0" embed_param { num_output: 2 input_dim: 3 } }"#,
        &[(&[2], &[0.0, 3.0])],
        r#"Bottom(0): index 3 at 1 is out of range: with input_dim 3 indices are 0 to 2"#,
    ),
];
