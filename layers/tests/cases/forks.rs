//! Types of Caffe's forks that move, scale and activate.

use cortado_layers::check::{GradientCase, Values};

use super::{Gradient, Mistake};

/// N x C x H x W, normal values.
const X: &[(&[usize], Values)] = &[(&[2, 4, 3, 2], Values::Normal)];

pub static GRADIENTS: &[Gradient] = &[
    (
        "Resize",
        GradientCase::new(
            "larger and smaller, between pixels",
            r#"layer { name: "l" type: "Resize" bottom: "x" top: "y" resize_param { height: 5 width: 3 } }"#,
            &[(&[2, 2, 3, 4], Values::Normal)],
        ),
    ),
    (
        "Resize",
        GradientCase::new(
            "whole pixels",
            r#"layer { name: "l" type: "Resize" bottom: "x" top: "y"
                 resize_param { is_pyramid_test: true out_height_scale: 1.5 out_width_scale: 0.5 type: NEAREST } }"#,
            &[(&[2, 2, 3, 4], Values::Normal)],
        ),
    ),
    (
        "Local",
        GradientCase::new(
            "weights of each place",
            r#"layer { name: "l" type: "Local" bottom: "x" top: "y"
                 local_param { num_output: 2 kernel_size: 2 stride: 2 pad: 1
                   weight_filler { type: "gaussian" } bias_filler { type: "gaussian" } } }"#,
            &[(&[2, 2, 3, 4], Values::Normal)],
        ),
    ),
    (
        "Axpy",
        GradientCase::new(
            "a gate of four axes",
            r#"layer { name: "l" type: "Axpy" bottom: "a" bottom: "x" bottom: "y" top: "z" }"#,
            &[
                (&[2, 3, 1, 1], Values::Normal),
                (&[2, 3, 2, 2], Values::Normal),
                (&[2, 3, 2, 2], Values::Normal),
            ],
        ),
    ),
    (
        "Axpy",
        GradientCase::new(
            "a gate of two axes",
            r#"layer { name: "l" type: "Axpy" bottom: "a" bottom: "x" bottom: "y" top: "z" }"#,
            &[
                (&[2, 3], Values::Normal),
                (&[2, 3, 4], Values::Normal),
                (&[2, 3, 4], Values::Normal),
            ],
        ),
    ),
    (
        "BN",
        GradientCase::new(
            "segnet's, which learns",
            r#"layer { name: "l" type: "BN" bottom: "x" top: "y"
                 bn_param { scale_filler { type: "gaussian" } shift_filler { type: "gaussian" } } }"#,
            X,
        ),
    ),
    (
        "BN",
        GradientCase::new(
            "segnet's learns from the batch in TEST too",
            r#"layer { name: "l" type: "BN" bottom: "x" top: "y" bn_param { bn_mode: LEARN } }"#,
            X,
        )
        .test(),
    ),
    (
        "BN",
        GradientCase::new(
            "segnet's with statistics folded in",
            r#"layer { name: "l" type: "BN" bottom: "x" top: "y"
                 bn_param { bn_mode: INFERENCE scale_filler { type: "gaussian" } } }"#,
            X,
        ),
    ),
    (
        "BN",
        GradientCase::new(
            "pspnet's of the batch",
            r#"layer { name: "l" type: "BN" bottom: "x" top: "y"
                 bn_param { slope_filler { type: "gaussian" } momentum: 0.5 } }"#,
            X,
        ),
    ),
    (
        "BN",
        GradientCase::new(
            "pspnet's of kept statistics",
            r#"layer { name: "l" type: "BN" bottom: "x" top: "y"
                 bn_param { slope_filler { type: "gaussian" } eps: 0.1 } }"#,
            X,
        )
        .state(&[&[0.5, -1.0], &[2.0, 0.5]])
        .test(),
    ),
    (
        "BN",
        GradientCase::new(
            "ducha-aiki's of kept statistics",
            r#"layer { name: "l" type: "BN" bottom: "x" top: "y" bn_param { decay: 0.9 } }"#,
            X,
        )
        .state(&[&[0.5, -1.0], &[2.0, 0.5]])
        .test(),
    ),
    (
        "BN",
        GradientCase::new(
            "ducha-aiki's of the batch",
            r#"layer { name: "l" type: "BN" bottom: "x" top: "y"
                 param { lr_mult: 1 } param { lr_mult: 1 } param { lr_mult: 0 } param { lr_mult: 0 } }"#,
            X,
        ),
    ),
    (
        "ConvolutionDepthwise",
        GradientCase::new(
            "a window per channel, whatever group says",
            r#"layer { name: "l" type: "ConvolutionDepthwise" bottom: "x" top: "y"
                 convolution_param { num_output: 3 kernel_size: 3 pad: 1 stride: 2
                   weight_filler { type: "gaussian" } bias_filler { type: "gaussian" } } }"#,
            &[(&[2, 3, 5, 4], Values::Normal)],
        ),
    ),
    (
        "DepthwiseConvolution",
        GradientCase::new(
            "two windows per channel",
            r#"layer { name: "l" type: "DepthwiseConvolution" bottom: "x" top: "y"
                 convolution_param { num_output: 6 kernel_size: 2 bias_term: false group: 1
                   weight_filler { type: "gaussian" } } }"#,
            &[(&[2, 3, 3, 4], Values::Normal)],
        ),
    ),
    (
        "Interp",
        GradientCase::new(
            "larger",
            r#"layer { name: "l" type: "Interp" bottom: "x" top: "y" interp_param { height: 5 width: 7 } }"#,
            X,
        ),
    ),
    (
        "Interp",
        GradientCase::new(
            "shrunk and zoomed, cropped first",
            r#"layer { name: "l" type: "Interp" bottom: "x" top: "y"
                 interp_param { shrink_factor: 2 zoom_factor: 3 pad_beg: -1 pad_end: -1 } }"#,
            &[(&[1, 2, 7, 6], Values::Normal)],
        ),
    ),
    (
        "Interp",
        GradientCase::new(
            "to the size of another blob",
            r#"layer { name: "l" type: "Interp" bottom: "x" bottom: "size" top: "y" }"#,
            &[(&[1, 2, 3, 3], Values::Normal), (&[1, 1, 2, 5], Values::Normal)],
        ),
    ),
    (
        "Normalize",
        GradientCase::new(
            "each position, one scale",
            r#"layer { name: "l" type: "Normalize" bottom: "x" top: "y"
                 norm_param { across_spatial: false scale_filler { value: 2 } } }"#,
            X,
        ),
    ),
    (
        "Normalize",
        GradientCase::new(
            "each position, equal scales",
            r#"layer { name: "l" type: "Normalize" bottom: "x" top: "y"
                 norm_param { across_spatial: false channel_shared: false eps: 0.5 scale_filler { value: 3 } } }"#,
            X,
        ),
    ),
    (
        "Normalize",
        GradientCase::new(
            "each item",
            r#"layer { name: "l" type: "Normalize" bottom: "x" top: "y" }"#,
            &[(&[3, 5], Values::Normal)],
        ),
    ),
    (
        "Permute",
        GradientCase::new(
            "channels last",
            r#"layer { name: "l" type: "Permute" bottom: "x" top: "y"
                 permute_param { order: 0 order: 2 order: 3 order: 1 } }"#,
            X,
        ),
    ),
    (
        "Permute",
        GradientCase::new(
            "one axis named",
            r#"layer { name: "l" type: "Permute" bottom: "x" top: "y" permute_param { order: 2 } }"#,
            &[(&[2, 3, 4], Values::Normal)],
        ),
    ),
    (
        "ReLU6",
        GradientCase::new(
            "below, between and above",
            r#"layer { name: "l" type: "ReLU6" bottom: "x" top: "y" }"#,
            &[(&[4, 6], Values::Uniform(-4.0, 10.0))],
        )
        .kinks(&[0.0, 6.0]),
    ),
    (
        "Reorg",
        GradientCase::new(
            "pixels to channels",
            r#"layer { name: "l" type: "Reorg" bottom: "x" top: "y" reorg_param { stride: 2 } }"#,
            &[(&[2, 4, 2, 4], Values::Normal)],
        ),
    ),
    (
        "Reorg",
        GradientCase::new(
            "channels to pixels",
            r#"layer { name: "l" type: "Reorg" bottom: "x" top: "y"
                 reorg_param { stride: 2 reverse: true } }"#,
            &[(&[2, 8, 3, 2], Values::Normal)],
        ),
    ),
    (
        "ShuffleChannel",
        GradientCase::new(
            "two groups of three",
            r#"layer { name: "l" type: "ShuffleChannel" bottom: "x" top: "y"
                 shuffle_channel_param { group: 2 } }"#,
            &[(&[2, 6, 2, 2], Values::Normal)],
        ),
    ),
    (
        "Upsample",
        GradientCase::new(
            "where the maxima stood",
            r#"layer { name: "l" type: "Upsample" bottom: "x" bottom: "mask" top: "y" }"#,
            &[
                (&[1, 2, 2, 2], Values::Normal),
                (&[1, 2, 2, 2], Values::Given(&[1.0, 6.0, 12.0, 11.0, 0.0, 7.0, 9.0, 15.0])),
            ],
        ),
    ),
    (
        "Upsample",
        GradientCase::new(
            "pixels repeated",
            r#"layer { name: "l" type: "Upsample" bottom: "x" top: "y"
                 upsample_param { scale_h: 2 scale_w: 3 pad_out_w: true } }"#,
            &[(&[1, 2, 2, 3], Values::Normal)],
        ),
    ),
];

pub static ERRORS: &[Mistake] = &[
    (
        r#"layer { name: "l" type: "Resize" bottom: "x" top: "y" resize_param { height: 5 } }"#,
        &[(&[1, 1, 2, 2], &[])],
        "Field(\"resize_param.width\"): `width` must be given and above 0, found none",
    ),
    (
        r#"layer { name: "l" type: "Resize" bottom: "x" top: "y"
             resize_param { is_pyramid_test: true out_height_scale: 0.4 out_width_scale: 1 } }"#,
        &[(&[1, 1, 2, 2], &[])],
        "Bottom(0): nothing of the bottom, 1x1x2x2, is left at 0 x 2",
    ),
    (
        r#"layer { name: "l" type: "Local" bottom: "x" top: "y" local_param { num_output: 2 } }"#,
        &[(&[1, 1, 2, 2], &[])],
        "Field(\"local_param.kernel_size\"): `kernel_size` must be above 0, found 0",
    ),
    (
        r#"layer { name: "l" type: "Local" bottom: "x" top: "y" local_param { num_output: 2 kernel_size: 3 } }"#,
        &[(&[1, 1, 2, 2], &[])],
        "Field(\"local_param.kernel_size\"): the kernel (size 3, stride 1, pad 0) does not fit the bottom, \
         1x1x2x2",
    ),
    (
        r#"layer { name: "l" type: "Axpy" bottom: "a" bottom: "x" bottom: "y" top: "z" }"#,
        &[(&[2, 3, 2], &[]), (&[2, 3, 2], &[]), (&[2, 3, 2], &[])],
        "Bottom(0): a has one element per item and channel of x, 2x3x2; found 2x3x2",
    ),
    (
        r#"layer { name: "l" type: "Axpy" bottom: "a" bottom: "x" bottom: "y" top: "z" }"#,
        &[(&[2, 3], &[]), (&[2, 3, 2], &[]), (&[2, 3], &[])],
        "Bottom(2): y has the shape of x, 2x3x2; found 2x3",
    ),
    (
        r#"layer { name: "l" type: "Interp" bottom: "x" top: "y" interp_param { pad_beg: 1 height: 2 width: 2 } }"#,
        &[(&[1, 1, 2, 2], &[])],
        "Field(\"interp_param.pad_beg\"): `pad_beg` crops with numbers up to 0, found 1",
    ),
    (
        r#"layer { name: "l" type: "Interp" bottom: "x" top: "y" interp_param { height: 2 } }"#,
        &[(&[1, 1, 2, 2], &[])],
        "Field(\"interp_param.height\"): the size of the top must be given and above 0: `height` and \
         `width`, `zoom_factor`, `shrink_factor` or a second bottom",
    ),
    (
        r#"layer { name: "l" type: "Interp" bottom: "x" top: "y" interp_param { zoom_factor: 0 } }"#,
        &[(&[1, 1, 2, 2], &[])],
        "Field(\"interp_param.zoom_factor\"): `zoom_factor` is at least 1, found 0",
    ),
    (
        r#"layer { name: "l" type: "Permute" bottom: "x" top: "y" permute_param { order: 0 order: 3 } }"#,
        &[(&[2, 3, 4], &[])],
        "Field(\"permute_param.order\"): `order` names axes below 3, those of the bottom, 2x3x4; found 3",
    ),
    (
        r#"layer { name: "l" type: "Permute" bottom: "x" top: "y" permute_param { order: 1 order: 1 } }"#,
        &[(&[2, 3, 4], &[])],
        "Field(\"permute_param.order\"): `order` names each axis once, found 1 twice",
    ),
    (
        r#"layer { name: "l" type: "Reorg" bottom: "x" top: "y" }"#,
        &[(&[1, 4, 2, 2], &[])],
        "Field(\"reorg_param.stride\"): `stride` must be given",
    ),
    (
        r#"layer { name: "l" type: "Reorg" bottom: "x" top: "y" reorg_param { stride: 2 } }"#,
        &[(&[1, 4, 2, 3], &[])],
        "Field(\"reorg_param.stride\"): `stride` 2 must divide height and width, and its square the \
         channels, of the bottom, 1x4x2x3",
    ),
    (
        r#"layer { name: "l" type: "ShuffleChannel" bottom: "x" top: "y" shuffle_channel_param { group: 4 } }"#,
        &[(&[1, 6, 2], &[])],
        "Field(\"shuffle_channel_param.group\"): `group` 4 must divide the 6 channels of the bottom, 1x6x2",
    ),
    (
        r#"layer { name: "l" type: "ShuffleChannel" bottom: "x" top: "y" shuffle_channel_param { group: 0 } }"#,
        &[(&[1, 6, 2], &[])],
        "Field(\"shuffle_channel_param.group\"): `group` must be above 0, found 0",
    ),
    (
        r#"layer { name: "l" type: "Upsample" bottom: "x" bottom: "mask" top: "y" }"#,
        &[(&[1, 1, 2, 2], &[]), (&[1, 1, 2, 2], &[16.0])],
        "Bottom(1): the mask points into planes of 4x4, below 16; found 16 at 0",
    ),
    (
        r#"layer { name: "l" type: "Upsample" bottom: "x" bottom: "mask" top: "y" }"#,
        &[(&[1, 1, 2, 2], &[]), (&[1, 1, 2, 1], &[])],
        "Bottom(1): the mask has the shape of the first bottom, 1x1x2x2; found 1x1x2x1",
    ),
    (
        r#"layer { name: "l" type: "Upsample" bottom: "x" top: "y" upsample_param { scale: 0 } }"#,
        &[(&[1, 1, 2, 2], &[])],
        "Field(\"upsample_param.scale\"): `scale` must be above 0, found 0",
    ),
    (
        r#"layer { name: "l" type: "ConvolutionDepthwise" bottom: "x" top: "y"
             convolution_param { num_output: 4 kernel_size: 1 } }"#,
        &[(&[1, 3, 2, 2], &[])],
        "Field(\"convolution_param.group\"): `group` 3 must divide the 3 channels of the bottom, 1x3x2x2, \
         and `num_output` 4",
    ),
];
