//! Layers of the family `common` that choose elements.

use cortado_layers::check::{GradientCase, Values};

use super::{Gradient, Mistake};

pub static GRADIENTS: &[Gradient] = &[
    (
        "BatchReindex",
        GradientCase::new(
            "items chosen twice and not at all",
            r#"layer { name: "l" type: "BatchReindex" bottom: "a" bottom: "b" top: "y0"  }"#,
            &[(&[4, 3, 2], Values::Normal), (&[5], Values::Given(&[3.0, 0.0, 3.0, 1.0, 0.0]))],
        ),
    ),
    (
        "Crop",
        GradientCase::new(
            "crop with an offset per axis",
            r#"layer { name: "l" type: "Crop" bottom: "a" bottom: "b" top: "y0" crop_param { axis: 1 offset: 1 offset: 0 offset: 2 } }"#,
            &[(&[2, 3, 4, 5], Values::Normal), (&[2, 2, 3, 2], Values::Normal)],
        ),
    ),
    (
        "Crop",
        GradientCase::new(
            "crop of the last axis",
            r#"layer { name: "l" type: "Crop" bottom: "a" bottom: "b" top: "y0" crop_param { axis: -1 offset: 1 } }"#,
            &[(&[2, 4], Values::Normal), (&[1, 3], Values::Normal)],
        ),
    ),
    (
        "Crop",
        GradientCase::new(
            "crop of one axis",
            r#"layer { name: "l" type: "Crop" bottom: "a" bottom: "b" top: "y0" crop_param { axis: 0 offset: 2 } }"#,
            &[(&[5], Values::Normal), (&[2], Values::Normal)],
        ),
    ),
    (
        "Filter",
        GradientCase::new(
            "filter of two bottoms",
            r#"layer { name: "l" type: "Filter" bottom: "a" bottom: "b" bottom: "c" top: "y0" top: "y1"  }"#,
            &[
                (&[4, 2], Values::Normal),
                (&[4, 1, 3], Values::Normal),
                (&[4, 1], Values::Given(&[1.0, 0.0, 0.0, -2.0])),
            ],
        ),
    ),
];

pub static ERRORS: &[Mistake] = &[
    (
        r#"layer { name: "l" type: "ArgMax" bottom: "a" top: "y0" argmax_param { top_k: 0 } }"#,
        &[(&[2, 3], &[0.0])],
        r#"Field("argmax_param.top_k"): `top_k` is at least 1, found 0"#,
    ),
    (
        r#"layer { name: "l" type: "ArgMax" bottom: "a" top: "y0" argmax_param { top_k: 4 } }"#,
        &[(&[2, 3], &[0.0])],
        r#"Field("argmax_param.top_k"): `top_k` 4 exceeds the 3 elements to choose from in 2x3"#,
    ),
    (
        r#"layer { name: "l" type: "ArgMax" bottom: "a" top: "y0" argmax_param { axis: 2 } }"#,
        &[(&[2, 3], &[0.0])],
        r#"Field("argmax_param.axis"): axis 2 does not exist: the bottom has 2 axes, 2x3"#,
    ),
    (
        r#"layer { name: "l" type: "ArgMax" bottom: "a" top: "y0" }"#,
        &[(&[], &[0.0])],
        r#"Bottom(0): a scalar has nothing to choose from"#,
    ),
    (
        r#"layer { name: "l" type: "BatchReindex" bottom: "a" bottom: "b" top: "y0" }"#,
        &[(&[2, 3], &[0.0]), (&[3], &[0.0, 1.0, 2.0])],
        r#"Bottom(1): index 2 at 2 is out of range: the batch has 2 items"#,
    ),
    (
        r#"layer { name: "l" type: "BatchReindex" bottom: "a" bottom: "b" top: "y0" }"#,
        &[(&[2, 3], &[0.0]), (&[1], &[-1.0])],
        r#"Bottom(1): index -1 at 0 is out of range: the batch has 2 items"#,
    ),
    (
        r#"layer { name: "l" type: "BatchReindex" bottom: "a" bottom: "b" top: "y0" }"#,
        &[(&[2, 3], &[0.0]), (&[3, 1], &[0.0])],
        r#"Bottom(1): the indices have one axis, found 3x1"#,
    ),
    (
        r#"layer { name: "l" type: "BatchReindex" bottom: "a" bottom: "b" top: "y0" }"#,
        &[(&[], &[0.0]), (&[3], &[0.0])],
        r#"Bottom(0): a scalar has no items to choose from"#,
    ),
    (
        r#"layer { name: "l" type: "Crop" bottom: "a" bottom: "b" top: "y0" crop_param { axis: 1 offset: 1 offset: 2 } }"#,
        &[(&[2, 3, 4, 5], &[0.0]), (&[2, 3, 4, 5], &[0.0])],
        r#"Field("crop_param.offset"): `offset` stands once or once for each of the 3 axes from 1 on, found 2 times"#,
    ),
    (
        r#"layer { name: "l" type: "Crop" bottom: "a" bottom: "b" top: "y0" crop_param { offset: 2 } }"#,
        &[(&[2, 3, 4, 5], &[0.0]), (&[2, 3, 2, 4], &[0.0])],
        r#"Field("crop_param.offset"): 4 elements from offset 2 on do not fit axis 3 of 2x3x4x5"#,
    ),
    (
        r#"layer { name: "l" type: "Crop" bottom: "a" bottom: "b" top: "y0" }"#,
        &[(&[2, 3, 4, 5], &[0.0]), (&[2, 3], &[0.0])],
        r#"Bottom(1): the reference has as many axes as 2x3x4x5, found 2x3"#,
    ),
    (
        r#"layer { name: "l" type: "Crop" bottom: "a" bottom: "b" top: "y0" crop_param { axis: 4 } }"#,
        &[(&[2, 3], &[0.0]), (&[2, 3], &[0.0])],
        r#"Field("crop_param.axis"): axis 4 does not exist: the bottom has 2 axes, 2x3"#,
    ),
    (
        r#"layer { name: "l" type: "Filter" bottom: "a" bottom: "b" bottom: "c" top: "y0" }"#,
        &[(&[2, 3], &[0.0]), (&[2], &[0.0]), (&[2], &[1.0])],
        r#"Top(0): there is one top per bottom before the selector: 2, found 1"#,
    ),
    (
        r#"layer { name: "l" type: "Filter" bottom: "a" bottom: "b" top: "y0" }"#,
        &[(&[3, 2], &[0.0]), (&[2], &[1.0])],
        r#"Bottom(0): every bottom has as many items as the selector, 2: 3x2"#,
    ),
    (
        r#"layer { name: "l" type: "Filter" bottom: "a" bottom: "b" top: "y0" }"#,
        &[(&[2, 3], &[0.0]), (&[2, 3], &[1.0])],
        r#"Bottom(1): the selector has one element per item, found 2x3"#,
    ),
];
