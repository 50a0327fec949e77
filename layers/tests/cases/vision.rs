//! Layers of the family `vision`: those without weights.

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
            r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y"
                 pooling_param { kernel_size: 3 stride: 2 } }"#,
            APART,
        ),
    ),
    (
        "Pooling",
        GradientCase::new(
            "maximum of overlapping windows with a pad",
            r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y"
                 pooling_param { kernel_size: 2 pad: 1 } }"#,
            APART,
        ),
    ),
    (
        "Pooling",
        GradientCase::new(
            "maximum and its mask",
            r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y" top: "mask"
                 pooling_param { kernel_size: 2 stride: 2 } }"#,
            APART,
        )
        .tops(1),
    ),
    (
        "Pooling",
        GradientCase::new(
            "maximum of the plane",
            r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y"
                 pooling_param { global_pooling: true } }"#,
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
            r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y"
                 pooling_param { pool: AVE kernel_size: 3 stride: 2 } }"#,
            X,
        ),
    ),
    (
        "Pooling",
        GradientCase::new(
            "mean with a pad",
            r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y"
                 pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 } }"#,
            X,
        ),
    ),
    (
        "Pooling",
        GradientCase::new(
            "mean of the plane",
            r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y"
                 pooling_param { pool: AVE global_pooling: true } }"#,
            X,
        ),
    ),
    (
        "Pooling",
        GradientCase::new(
            "a random element",
            r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y"
                 pooling_param { pool: STOCHASTIC kernel_size: 2 stride: 2 } }"#,
            POSITIVE,
        )
        .within(1e-4, 2e-3),
    ),
    (
        "Pooling",
        GradientCase::new(
            "mean over one spatial axis",
            r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y"
                 pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 } }"#,
            &[(&[2, 2, 6], Values::Normal)],
        ),
    ),
    (
        "Pooling",
        GradientCase::new(
            "maximum over three spatial axes",
            r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y"
                 pooling_param { kernel_size: 2 stride: 2 } }"#,
            &[(&[1, 2, 3, 2, 4], Values::Distinct(0.05))],
        ),
    ),
    (
        "Pooling",
        GradientCase::new(
            "mean over three spatial axes",
            r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y"
                 pooling_param { pool: AVE kernel_size: 2 pad: 1 stride: 2 } }"#,
            &[(&[1, 2, 3, 2, 4], Values::Normal)],
        ),
    ),
    (
        "Im2col",
        GradientCase::new(
            "columns in one dimension",
            r#"layer { name: "l" type: "Im2col" bottom: "a" top: "y0" convolution_param { kernel_size: 3 stride: 2 pad: 1 } }"#,
            &[(&[2, 2, 7], Values::Normal)],
        ),
    ),
    (
        "Im2col",
        GradientCase::new(
            "columns in two dimensions",
            r#"layer { name: "l" type: "Im2col" bottom: "a" top: "y0" convolution_param { kernel_h: 2 kernel_w: 3 pad: 1 dilation: 2 } }"#,
            &[(&[1, 2, 5, 6], Values::Normal)],
        ),
    ),
    (
        "Im2col",
        GradientCase::new(
            "columns in three dimensions, axis 2",
            r#"layer { name: "l" type: "Im2col" bottom: "a" top: "y0" convolution_param { axis: 2 kernel_size: 2 stride: 1 stride: 2 stride: 1 } }"#,
            &[(&[2, 1, 2, 3, 3, 2], Values::Normal)],
        ),
    ),
    (
        "SPP",
        GradientCase::new(
            "maxima of a pyramid",
            r#"layer { name: "l" type: "SPP" bottom: "a" top: "y0" spp_param { pyramid_height: 3 } }"#,
            &[(&[2, 2, 7, 10], Values::Distinct(0.1))],
        ),
    ),
    (
        "SPP",
        GradientCase::new(
            "means of a pyramid in three dimensions",
            r#"layer { name: "l" type: "SPP" bottom: "a" top: "y0" spp_param { pyramid_height: 2 pool: AVE } }"#,
            &[(&[1, 2, 3, 2, 5], Values::Normal)],
        ),
    ),
    (
        "SPP",
        GradientCase::new(
            "a pyramid of one level",
            r#"layer { name: "l" type: "SPP" bottom: "a" top: "y0" spp_param { pyramid_height: 1 pool: AVE } }"#,
            &[(&[2, 2, 3], Values::Normal)],
        ),
    ),
    (
        "SPP",
        GradientCase {
            step: 1e-3,
            ..GradientCase::new(
                "random elements of a pyramid",
                r#"layer { name: "l" type: "SPP" bottom: "a" top: "y0" spp_param { pyramid_height: 2 pool: STOCHASTIC } }"#,
                &[(&[2, 2, 4, 6], Values::Uniform(0.5, 1.5))],
            )
        },
    ),
    (
        "Pooling",
        GradientCase::new(
            "maxima of one axis",
            r#"layer { name: "l" type: "Pooling" bottom: "a" top: "y0" pooling_param { kernel_size: 3 stride: 2 pad: 1 } }"#,
            &[(&[2, 2, 8], Values::Distinct(0.1))],
        ),
    ),
    (
        "Pooling",
        GradientCase::new(
            "maxima of three axes",
            r#"layer { name: "l" type: "Pooling" bottom: "a" top: "y0" pooling_param { kernel_size: 2 stride: 2 } }"#,
            &[(&[1, 2, 3, 4, 3], Values::Distinct(0.1))],
        ),
    ),
    (
        "Pooling",
        GradientCase::new(
            "means of one axis",
            r#"layer { name: "l" type: "Pooling" bottom: "a" top: "y0" pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 } }"#,
            &[(&[2, 2, 8], Values::Normal)],
        ),
    ),
    (
        "Pooling",
        GradientCase::new(
            "means of three axes",
            r#"layer { name: "l" type: "Pooling" bottom: "a" top: "y0" pooling_param { pool: AVE kernel_size: 2 stride: 1 pad: 1 round_mode: FLOOR } }"#,
            &[(&[1, 2, 3, 2, 3], Values::Normal)],
        ),
    ),
    (
        "Pooling",
        GradientCase::new(
            "the mean of the whole of three axes",
            r#"layer { name: "l" type: "Pooling" bottom: "a" top: "y0" pooling_param { pool: AVE global_pooling: true } }"#,
            &[(&[2, 2, 2, 3, 2], Values::Normal)],
        ),
    ),
    (
        "Pooling",
        GradientCase {
            step: 1e-3,
            ..GradientCase::new(
                "random elements of 1 axes",
                r#"layer { name: "l" type: "Pooling" bottom: "a" top: "y0" pooling_param { pool: STOCHASTIC kernel_size: 2 stride: 2 } }"#,
                &[(&[2, 2, 6], Values::Uniform(0.5, 1.5))],
            )
        },
    ),
    (
        "Pooling",
        GradientCase {
            step: 1e-3,
            ..GradientCase::new(
                "random elements of 2 axes",
                r#"layer { name: "l" type: "Pooling" bottom: "a" top: "y0" pooling_param { pool: STOCHASTIC kernel_size: 2 stride: 2 } }"#,
                &[(&[2, 2, 4, 4], Values::Uniform(0.5, 1.5))],
            )
        },
    ),
    (
        "Pooling",
        GradientCase {
            step: 1e-3,
            ..GradientCase::new(
                "random elements of 3 axes",
                r#"layer { name: "l" type: "Pooling" bottom: "a" top: "y0" pooling_param { pool: STOCHASTIC kernel_size: 2 stride: 2 } }"#,
                &[(&[1, 2, 2, 4, 3], Values::Uniform(0.5, 1.5))],
            )
        },
    ),
    (
        "LRN",
        GradientCase::new(
            "lrn over channels with 2 axes",
            r#"layer { name: "l" type: "LRN" bottom: "a" top: "y0" lrn_param { local_size: 3 alpha: 0.5 k: 2 } }"#,
            &[(&[3, 5], Values::Normal)],
        ),
    ),
    (
        "LRN",
        GradientCase::new(
            "lrn over channels with 3 axes",
            r#"layer { name: "l" type: "LRN" bottom: "a" top: "y0" lrn_param { local_size: 3 alpha: 0.5 k: 2 } }"#,
            &[(&[2, 5, 3], Values::Normal)],
        ),
    ),
    (
        "LRN",
        GradientCase::new(
            "lrn over channels with 5 axes",
            r#"layer { name: "l" type: "LRN" bottom: "a" top: "y0" lrn_param { local_size: 3 alpha: 0.5 k: 2 } }"#,
            &[(&[1, 4, 2, 2, 2], Values::Normal)],
        ),
    ),
    (
        "LRN",
        GradientCase::new(
            "lrn within channels with 3 axes",
            r#"layer { name: "l" type: "LRN" bottom: "a" top: "y0" lrn_param { local_size: 3 alpha: 0.5 norm_region: WITHIN_CHANNEL } }"#,
            &[(&[2, 2, 5], Values::Normal)],
        ),
    ),
    (
        "LRN",
        GradientCase::new(
            "lrn within channels with 5 axes",
            r#"layer { name: "l" type: "LRN" bottom: "a" top: "y0" lrn_param { local_size: 3 alpha: 0.5 norm_region: WITHIN_CHANNEL } }"#,
            &[(&[1, 2, 3, 3, 2], Values::Normal)],
        ),
    ),
];

pub static ERRORS: &[Mistake] = &[
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
        r#"layer { name: "l" type: "LRN" bottom: "x" top: "y"
             lrn_param { norm_region: WITHIN_CHANNEL } }"#,
        &[(&[3, 2], &[])],
        r#"Bottom(0): LRN wants N x C x spatial axes, the bottom is 3x2"#,
    ),
    (
        r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y" }"#,
        &[(&[1, 2, 5, 5], &[])],
        r#"Field("pooling_param.kernel_size"): `kernel_size` must be given"#,
    ),
    (
        r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y"
             pooling_param { kernel_size: 2 pad: 2 } }"#,
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
        r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y"
             pooling_param { kernel_size: 2 round_mode: FLOOR ceil_mode: true } }"#,
        &[(&[1, 2, 5, 5], &[])],
        r#"Field("pooling_param.ceil_mode"): `ceil_mode: true` says the opposite of `round_mode: FLOOR`; one of them is enough"#,
    ),
    (
        r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y"
             pooling_param { kernel_size: 2 avg_include_pad: false } }"#,
        &[(&[1, 2, 5, 5], &[])],
        r#"Field("pooling_param.avg_include_pad"): `avg_include_pad: false` asks for windows of a fork, which are not built here; without it they are Caffe's own"#,
    ),
    (
        r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y"
             pooling_param { kernel_size: 2 stride: 0 } }"#,
        &[(&[1, 2, 5, 5], &[])],
        r#"Field("pooling_param.stride"): `stride` must not be 0"#,
    ),
    (
        r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y"
             pooling_param { kernel_size: 7 round_mode: FLOOR } }"#,
        &[(&[1, 2, 9, 5], &[])],
        r#"Field("pooling_param.kernel_size"): the window (size 7, stride 1, pad 0) does not fit spatial axis 1 of the bottom, 1x2x9x5"#,
    ),
    (
        r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y"
             pooling_param { global_pooling: true kernel_size: 3 } }"#,
        &[(&[1, 2, 5, 5], &[])],
        r#"Field("pooling_param.kernel_size"): `kernel_size` makes no sense with `global_pooling`"#,
    ),
    (
        r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y"
             pooling_param { global_pooling: true stride: 2 } }"#,
        &[(&[1, 2, 5, 5], &[])],
        r#"Field("pooling_param.stride"): `stride` must be 1 with `global_pooling`, found 2"#,
    ),
    (
        r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y"
             pooling_param { kernel_size: 3 pad_h: 1 } }"#,
        &[(&[1, 2, 5, 5], &[])],
        r#"Field("pooling_param.pad_w"): `pad_w` must be given, as `pad_h` is"#,
    ),
    (
        r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y"
             pooling_param { kernel_size: 3 } }"#,
        &[(&[2, 3], &[])],
        r#"Bottom(0): pooling wants N x C x spatial axes, the bottom is 2x3"#,
    ),
    (
        r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y"
             pooling_param { kernel_h: 3 kernel_w: 3 } }"#,
        &[(&[2, 3, 5], &[])],
        r#"Field("pooling_param.kernel_h"): the `_h`/`_w` fields go with 2 spatial axes, the bottom is 2x3x5"#,
    ),
    (
        r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y"
             pooling_param { pool: STOCHASTIC kernel_size: 3 pad: 1 } }"#,
        &[(&[1, 2, 5, 5], &[])],
        r#"Field("pooling_param.pad"): STOCHASTIC pooling takes no padding, found 1 and 1"#,
    ),
    (
        r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y" top: "m"
             pooling_param { pool: AVE kernel_size: 3 } }"#,
        &[(&[1, 2, 5, 5], &[])],
        r#"Top(1): only MAX pooling has a second top, the mask; found AVE"#,
    ),
    (
        r#"layer { name: "l" type: "Pooling" bottom: "x" top: "y"
             pooling_param { kernel_size: 3 stride: 2 pad: 1 } }"#,
        &[(&[1, 2, 0, 5], &[])],
        r#"Field("pooling_param.kernel_size"): the window (size 3, stride 2, pad 1) does not fit spatial axis 0 of the bottom, 1x2x0x5"#,
    ),
    (
        r#"layer { name: "l" type: "Im2col" bottom: "a" top: "y0" }"#,
        &[(&[1, 2, 3, 4], &[0.0])],
        r#"Field("convolution_param.kernel_size"): `kernel_size` must be given"#,
    ),
    (
        r#"layer { name: "l" type: "Im2col" bottom: "a" top: "y0" convolution_param { kernel_size: 1 } }"#,
        &[(&[2, 3], &[0.0])],
        r#"Bottom(0): Im2col wants a spatial axis behind axis 1: 2x3"#,
    ),
    (
        r#"layer { name: "l" type: "SPP" bottom: "a" top: "y0" }"#,
        &[(&[1, 2, 3, 4], &[0.0])],
        r#"Field("spp_param.pyramid_height"): `pyramid_height` must be given and above 0"#,
    ),
    (
        r#"layer { name: "l" type: "SPP" bottom: "a" top: "y0" spp_param { pyramid_height: 2 } }"#,
        &[(&[2, 3], &[0.0])],
        r#"Bottom(0): SPP wants N x C x spatial axes, the bottom is 2x3"#,
    ),
    (
        r#"layer { name: "l" type: "SPP" bottom: "a" top: "y0" spp_param { pyramid_height: 4 } }"#,
        &[(&[1, 2, 8, 17], &[0.0])],
        r#"Field("spp_param.pyramid_height"): level 3 cuts spatial axis 1, of length 17, into 2^3 bins, which needs more padding than MAX pooling allows"#,
    ),
    (
        r#"layer { name: "l" type: "SPP" bottom: "a" top: "y0" spp_param { pyramid_height: 4000000000 } }"#,
        &[(&[1, 2, 8, 8], &[0.0])],
        r#"Field("spp_param.pyramid_height"): level 4 cuts spatial axis 0, of length 8, into 2^4 bins, which needs more padding than MAX pooling allows"#,
    ),
];
