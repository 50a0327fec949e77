//! Layers of the family `neuron`.

use cortado_layers::check::{GradientCase, Values};

use super::{Gradient, Mistake};

/// N x C x H x W, normal values.
const X: &[(&[usize], Values)] = &[(&[2, 3, 2, 4], Values::Normal)];
/// Values above 0.
const POSITIVE: &[(&[usize], Values)] = &[(&[3, 4], Values::Uniform(0.2, 3.0))];

pub static GRADIENTS: &[Gradient] = &[
    (
        "APL",
        GradientCase::new(
            "two hinges, far from x",
            r#"layer { name: "l" type: "APL" bottom: "x" top: "y" apl_param { sums: 2
                 slope_filler { type: "gaussian" } offset_filler { type: "constant" value: 0.5 } } }"#,
            &[(&[3, 2, 2], Values::Normal)],
        )
        .kinks(&[0.0, 0.5]),
    ),
    (
        "CReLU",
        GradientCase::new(
            "both signs",
            r#"layer { name: "l" type: "CReLU" bottom: "x" top: "y" }"#,
            &[(&[2, 3, 2], Values::Normal)],
        )
        .kinks(&[0.0]),
    ),
    (
        "Mish",
        GradientCase::new(
            "on both sides of 0",
            r#"layer { name: "l" type: "Mish" bottom: "x" top: "y" }"#,
            &[(&[4, 6], Values::Uniform(-5.0, 5.0))],
        ),
    ),
    (
        "RReLU",
        GradientCase::new(
            "slopes drawn",
            r#"layer { name: "l" type: "RReLU" bottom: "x" top: "y" rrelu_param { lb: 2 ub: 4 } }"#,
            &[(&[4, 6], Values::Normal)],
        )
        .kinks(&[0.0]),
    ),
    (
        "RReLU",
        GradientCase::new(
            "the mean slope",
            r#"layer { name: "l" type: "RReLU" bottom: "x" top: "y" }"#,
            &[(&[4, 6], Values::Normal)],
        )
        .kinks(&[0.0])
        .test(),
    ),
    (
        "SpatialDropout",
        GradientCase::new(
            "half of the channels",
            r#"layer { name: "l" type: "SpatialDropout" bottom: "x" top: "y" }"#,
            &[(&[3, 4, 2], Values::Normal)],
        ),
    ),
    (
        "AbsVal",
        GradientCase::new("abs", r#"layer { name: "l" type: "AbsVal" bottom: "x" top: "y" }"#, X)
            .kinks(&[0.0]),
    ),
    (
        "BNLL",
        GradientCase::new("bnll", r#"layer { name: "l" type: "BNLL" bottom: "x" top: "y" }"#, X)
            .other_in_place(),
    ),
    (
        "BNLL",
        GradientCase::new(
            "bnll far from 0, where e^x is large or nothing",
            r#"layer { name: "l" type: "BNLL" bottom: "x" top: "y" }"#,
            &[(&[7], Values::Given(&[-60.0, -20.0, -5.0, 5.0, 20.0, 49.0, 60.0]))],
        )
        .other_in_place(),
    ),
    (
        "Clip",
        GradientCase::new(
            "clip",
            r#"layer { name: "l" type: "Clip" bottom: "x" top: "y"
                 clip_param { min: -0.5 max: 0.8 } }"#,
            X,
        )
        .kinks(&[-0.5, 0.8]),
    ),
    (
        "Dropout",
        GradientCase::new(
            "dropout keeps what it kept",
            r#"layer { name: "l" type: "Dropout" bottom: "x" top: "y" }"#,
            X,
        ),
    ),
    (
        "Dropout",
        GradientCase::new(
            "dropout of a fifth",
            r#"layer { name: "l" type: "Dropout" bottom: "x" top: "y"
                 dropout_param { dropout_ratio: 0.2 } }"#,
            X,
        ),
    ),
    (
        "Dropout",
        GradientCase::new(
            "dropout of nothing",
            r#"layer { name: "l" type: "Dropout" bottom: "x" top: "y"
                 dropout_param { dropout_ratio: 0 } }"#,
            X,
        ),
    ),
    (
        "Dropout",
        GradientCase::new(
            "dropout in TEST",
            r#"layer { name: "l" type: "Dropout" bottom: "x" top: "y" }"#,
            X,
        )
        .test(),
    ),
    (
        "Dropout",
        GradientCase::new(
            "dropout that leaves what it keeps",
            r#"layer { name: "l" type: "Dropout" bottom: "x" top: "y"
                 dropout_param { dropout_ratio: 0.2 scale_train: false } }"#,
            X,
        ),
    ),
    (
        "Dropout",
        GradientCase::new(
            "dropout that scales in TEST",
            r#"layer { name: "l" type: "Dropout" bottom: "x" top: "y"
                 dropout_param { dropout_ratio: 0.2 scale_train: false } }"#,
            X,
        )
        .test(),
    ),
    (
        "Dropout",
        GradientCase::new(
            "dropout that drops in TEST",
            r#"layer { name: "l" type: "Dropout" bottom: "x" top: "y"
                 dropout_param { dropout_ratio: 0.2 sample_weights_test: true } }"#,
            X,
        )
        .test(),
    ),
    (
        "ELU",
        GradientCase::new("elu", r#"layer { name: "l" type: "ELU" bottom: "x" top: "y" }"#, X)
            .kinks(&[0.0]),
    ),
    (
        "ELU",
        GradientCase::new(
            "elu with alpha",
            r#"layer { name: "l" type: "ELU" bottom: "x" top: "y" elu_param { alpha: 0.3 } }"#,
            X,
        )
        .kinks(&[0.0]),
    ),
    ("Exp", GradientCase::new("e^x", r#"layer { name: "l" type: "Exp" bottom: "x" top: "y" }"#, X)),
    (
        "Exp",
        GradientCase::new(
            "2^(1 + x/2)",
            r#"layer { name: "l" type: "Exp" bottom: "x" top: "y"
                 exp_param { base: 2 scale: 0.5 shift: 1 } }"#,
            X,
        ),
    ),
    (
        "Exp",
        GradientCase::new(
            "base below 1",
            r#"layer { name: "l" type: "Exp" bottom: "x" top: "y"
                 exp_param { base: 0.5 shift: -1 } }"#,
            X,
        ),
    ),
    (
        "Exp",
        GradientCase::new(
            "base 1 is a constant",
            r#"layer { name: "l" type: "Exp" bottom: "x" top: "y" exp_param { base: 1 } }"#,
            X,
        ),
    ),
    (
        "Log",
        GradientCase::new(
            "ln x",
            r#"layer { name: "l" type: "Log" bottom: "x" top: "y" }"#,
            POSITIVE,
        ),
    ),
    (
        "Log",
        GradientCase::new(
            "log2(3 - x/2)",
            r#"layer { name: "l" type: "Log" bottom: "x" top: "y"
                 log_param { base: 2 scale: -0.5 shift: 3 } }"#,
            POSITIVE,
        ),
    ),
    (
        "Log",
        GradientCase::new(
            "log base one tenth",
            r#"layer { name: "l" type: "Log" bottom: "x" top: "y"
                 log_param { base: 0.1 shift: 0.5 } }"#,
            POSITIVE,
        ),
    ),
    (
        "PReLU",
        GradientCase::new(
            "prelu, a slope per channel",
            r#"layer { name: "l" type: "PReLU" bottom: "x" top: "y"
                 prelu_param { filler { type: "uniform" min: -0.5 max: 0.9 } } }"#,
            X,
        )
        .kinks(&[0.0]),
    ),
    (
        "PReLU",
        GradientCase::new(
            "prelu, one slope",
            r#"layer { name: "l" type: "PReLU" bottom: "x" top: "y"
                 prelu_param { channel_shared: true } }"#,
            X,
        )
        .kinks(&[0.0]),
    ),
    (
        "PReLU",
        GradientCase::new(
            "prelu without spatial axes",
            r#"layer { name: "l" type: "PReLU" bottom: "x" top: "y" }"#,
            &[(&[4, 3], Values::Normal)],
        )
        .kinks(&[0.0]),
    ),
    (
        "Power",
        GradientCase::new(
            "identity",
            r#"layer { name: "l" type: "Power" bottom: "x" top: "y" }"#,
            X,
        )
        .other_in_place(),
    ),
    (
        "Power",
        GradientCase::new(
            "linear",
            r#"layer { name: "l" type: "Power" bottom: "x" top: "y"
                 power_param { scale: -0.7 shift: 2 } }"#,
            X,
        )
        .other_in_place(),
    ),
    (
        "Power",
        GradientCase::new(
            "square of anything",
            r#"layer { name: "l" type: "Power" bottom: "x" top: "y"
                 power_param { power: 2 scale: 0.5 shift: 0.1 } }"#,
            X,
        )
        .other_in_place(),
    ),
    (
        "Power",
        GradientCase::new(
            "cube of anything",
            r#"layer { name: "l" type: "Power" bottom: "x" top: "y" power_param { power: 3 } }"#,
            X,
        )
        .other_in_place(),
    ),
    (
        "Power",
        GradientCase::new(
            "root",
            r#"layer { name: "l" type: "Power" bottom: "x" top: "y"
                 power_param { power: 0.5 scale: 2 shift: 1 } }"#,
            POSITIVE,
        )
        .other_in_place(),
    ),
    (
        "Power",
        GradientCase::new(
            "power -1.7",
            r#"layer { name: "l" type: "Power" bottom: "x" top: "y"
                 power_param { power: -1.7 shift: 1 } }"#,
            POSITIVE,
        )
        .other_in_place(),
    ),
    (
        "Power",
        GradientCase::new(
            "power 0",
            r#"layer { name: "l" type: "Power" bottom: "x" top: "y" power_param { power: 0 } }"#,
            X,
        )
        .other_in_place(),
    ),
    (
        "Power",
        GradientCase::new(
            "scale 0",
            r#"layer { name: "l" type: "Power" bottom: "x" top: "y"
                 power_param { power: 2 scale: 0 shift: 3 } }"#,
            X,
        )
        .other_in_place(),
    ),
    (
        "ReLU",
        GradientCase::new("relu", r#"layer { name: "l" type: "ReLU" bottom: "x" top: "y" }"#, X)
            .kinks(&[0.0]),
    ),
    (
        "ReLU",
        GradientCase::new(
            "relu with a slope",
            r#"layer { name: "l" type: "ReLU" bottom: "x" top: "y"
                 relu_param { negative_slope: 0.1 } }"#,
            X,
        )
        .kinks(&[0.0]),
    ),
    (
        "ReLU",
        GradientCase::new(
            "relu with a falling slope",
            r#"layer { name: "l" type: "ReLU" bottom: "x" top: "y"
                 relu_param { negative_slope: -0.3 } }"#,
            X,
        )
        .kinks(&[0.0]),
    ),
    (
        "Sigmoid",
        GradientCase::new(
            "sigmoid",
            r#"layer { name: "l" type: "Sigmoid" bottom: "x" top: "y" }"#,
            X,
        ),
    ),
    (
        "Swish",
        GradientCase::new("swish", r#"layer { name: "l" type: "Swish" bottom: "x" top: "y" }"#, X),
    ),
    (
        "Swish",
        GradientCase::new(
            "swish with beta",
            r#"layer { name: "l" type: "Swish" bottom: "x" top: "y" swish_param { beta: -1.7 } }"#,
            X,
        ),
    ),
    (
        "TanH",
        GradientCase::new("tanh", r#"layer { name: "l" type: "TanH" bottom: "x" top: "y" }"#, X),
    ),
];

pub static ERRORS: &[Mistake] = &[
    (
        r#"layer { name: "l" type: "APL" bottom: "x" top: "y" apl_param { sums: 0 } }"#,
        &[(&[2], &[])],
        "Field(\"apl_param.sums\"): `sums` is from 1 to 1024, found 0",
    ),
    (
        r#"layer { name: "l" type: "RReLU" bottom: "x" top: "y" rrelu_param { lb: 4 ub: 2 } }"#,
        &[(&[2], &[])],
        "Field(\"rrelu_param.lb\"): `lb` is above 0 and at most `ub`, found 4 and 2",
    ),
    (
        r#"layer { name: "l" type: "SpatialDropout" bottom: "x" top: "y"
             spatial_dropout_param { dropout_ratio: 1 } }"#,
        &[(&[2, 2], &[])],
        "Field(\"spatial_dropout_param.dropout_ratio\"): `dropout_ratio` is at least 0 and below 1, found 1",
    ),
    (
        r#"layer { name: "l" type: "Clip" bottom: "x" top: "y" }"#,
        &[(&[2], &[])],
        r#"Layer: `clip_param { min: … max: … }` must be given"#,
    ),
    (
        r#"layer { name: "l" type: "Clip" bottom: "x" top: "y" clip_param { min: 3 max: 1 } }"#,
        &[(&[2], &[])],
        r#"Field("clip_param.max"): `max` is at least `min`, found min 3 and max 1"#,
    ),
    (
        r#"layer { name: "l" type: "Dropout" bottom: "x" top: "y"
             dropout_param { dropout_ratio: 1 } }"#,
        &[(&[2], &[])],
        r#"Field("dropout_param.dropout_ratio"): `dropout_ratio` is at least 0 and below 1, found 1"#,
    ),
    (
        r#"layer { name: "l" type: "Dropout" bottom: "x" top: "y"
             dropout_param { dropout_ratio: -0.5 } }"#,
        &[(&[2], &[])],
        r#"Field("dropout_param.dropout_ratio"): `dropout_ratio` is at least 0 and below 1, found -0.5"#,
    ),
    (
        r#"layer { name: "l" type: "Exp" bottom: "x" top: "y" exp_param { base: 0 } }"#,
        &[(&[2], &[])],
        r#"Field("exp_param.base"): `base` is above 0, or -1 for e; found 0"#,
    ),
    (
        r#"layer { name: "l" type: "Log" bottom: "x" top: "y" log_param { base: -2 } }"#,
        &[(&[2], &[])],
        r#"Field("log_param.base"): `base` is above 0, or -1 for e; found -2"#,
    ),
    (
        r#"layer { name: "l" type: "Log" bottom: "x" top: "y" log_param { base: 1 } }"#,
        &[(&[2], &[])],
        r#"Field("log_param.base"): `base` must not be 1: there is no logarithm to it"#,
    ),
    (
        r#"layer { name: "l" type: "PReLU" bottom: "x" top: "y" }"#,
        &[(&[3], &[])],
        r#"Bottom(0): PReLU wants at least N x C, the bottom is 3"#,
    ),
    (
        r#"layer { name: "l" type: "PReLU" bottom: "x" top: "y"
             prelu_param { filler { type: "gausian" } } }"#,
        &[(&[2, 3], &[])],
        r#"Field("prelu_param.filler.type"): there is no filler `gausian`"#,
    ),
];
