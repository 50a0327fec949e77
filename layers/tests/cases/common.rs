//! Layers of the family `common`.

use cortado_layers::check::{GradientCase, Values};

use super::{Gradient, Mistake};

/// Three axes, normal values.
const X: &[(&[usize], Values)] = &[(&[2, 6, 3], Values::Normal)];

pub static GRADIENTS: &[Gradient] = &[
    (
        "Concat",
        GradientCase::new(
            "along the channels",
            r#"layer { name: "l" type: "Concat" bottom: "a" bottom: "b" bottom: "c" top: "y" }"#,
            &[
                (&[2, 3, 2], Values::Normal),
                (&[2, 1, 2], Values::Normal),
                (&[2, 2, 2], Values::Normal),
            ],
        ),
    ),
    (
        "Concat",
        GradientCase::new(
            "along the items, by the old spelling",
            r#"layer { name: "l" type: "Concat" bottom: "a" bottom: "b" top: "y"
                 concat_param { concat_dim: 0 } }"#,
            &[(&[2, 3], Values::Normal), (&[1, 3], Values::Normal)],
        ),
    ),
    (
        "Concat",
        GradientCase::new(
            "along the last axis",
            r#"layer { name: "l" type: "Concat" bottom: "a" bottom: "b" top: "y"
                 concat_param { axis: -1 } }"#,
            &[(&[2, 3, 2], Values::Normal), (&[2, 3, 4], Values::Normal)],
        ),
    ),
    (
        "Concat",
        GradientCase::new(
            "one bottom",
            r#"layer { name: "l" type: "Concat" bottom: "a" top: "y" }"#,
            X,
        ),
    ),
    (
        "Concat",
        GradientCase::new(
            "a bottom without elements",
            r#"layer { name: "l" type: "Concat" bottom: "a" bottom: "b" bottom: "c" top: "y" }"#,
            &[(&[2, 3], Values::Normal), (&[2, 0], Values::Normal), (&[2, 2], Values::Normal)],
        ),
    ),
    (
        "Eltwise",
        GradientCase::new(
            "sum",
            r#"layer { name: "l" type: "Eltwise" bottom: "a" bottom: "b" bottom: "c" top: "y" }"#,
            &[(&[2, 5], Values::Normal), (&[2, 5], Values::Normal), (&[2, 5], Values::Normal)],
        ),
    ),
    (
        "Eltwise",
        GradientCase::new(
            "sum with coefficients",
            r#"layer { name: "l" type: "Eltwise" bottom: "a" bottom: "b" top: "y"
                 eltwise_param { operation: SUM coeff: -0.5 coeff: 2 } }"#,
            &[(&[2, 5], Values::Normal), (&[2, 5], Values::Normal)],
        ),
    ),
    (
        "Eltwise",
        GradientCase::new(
            "product",
            r#"layer { name: "l" type: "Eltwise" bottom: "a" bottom: "b" bottom: "c" top: "y"
                 eltwise_param { operation: PROD } }"#,
            &[(&[2, 5], Values::Normal), (&[2, 5], Values::Normal), (&[2, 5], Values::Normal)],
        ),
    ),
    (
        "Eltwise",
        GradientCase::new(
            "product with zeros",
            r#"layer { name: "l" type: "Eltwise" bottom: "a" bottom: "b" top: "y"
                 eltwise_param { operation: PROD } }"#,
            &[(&[6], Values::Given(&[0.0, 1.5, -2.0])), (&[6], Values::Given(&[0.5, 0.0]))],
        ),
    ),
    (
        "Eltwise",
        GradientCase::new(
            "product by division",
            r#"layer { name: "l" type: "Eltwise" bottom: "a" bottom: "b" bottom: "c" top: "y"
                 eltwise_param { operation: PROD stable_prod_grad: false } }"#,
            &[
                (&[2, 4], Values::Uniform(0.5, 2.0)),
                (&[2, 4], Values::Uniform(-2.0, -0.5)),
                (&[2, 4], Values::Uniform(0.5, 2.0)),
            ],
        ),
    ),
    (
        "Eltwise",
        GradientCase::new(
            "maximum",
            r#"layer { name: "l" type: "Eltwise" bottom: "a" bottom: "b" bottom: "c" top: "y"
                 eltwise_param { operation: MAX } }"#,
            &[
                (&[2, 6], Values::Given(&[1.0, 0.0, -3.0, 2.0])),
                (&[2, 6], Values::Given(&[0.5, 1.5, -2.5])),
                (&[2, 6], Values::Given(&[-0.7, 0.7, 2.7, -2.8, -3.7])),
            ],
        ),
    ),
    (
        "Flatten",
        GradientCase::new(
            "all but the items",
            r#"layer { name: "l" type: "Flatten" bottom: "x" top: "y" }"#,
            X,
        ),
    ),
    (
        "Flatten",
        GradientCase::new(
            "the axes in the middle",
            r#"layer { name: "l" type: "Flatten" bottom: "x" top: "y"
                 flatten_param { axis: 1 end_axis: -2 } }"#,
            &[(&[2, 3, 2, 2], Values::Normal)],
        ),
    ),
    (
        "Reshape",
        GradientCase::new(
            "what remains",
            r#"layer { name: "l" type: "Reshape" bottom: "x" top: "y"
                 reshape_param { shape { dim: 0 dim: -1 } } }"#,
            X,
        ),
    ),
    (
        "Reshape",
        GradientCase::new(
            "an axis more at the end",
            r#"layer { name: "l" type: "Reshape" bottom: "x" top: "y"
                 reshape_param { axis: -1 num_axes: 0 shape { dim: 1 } } }"#,
            X,
        ),
    ),
    (
        "Silence",
        GradientCase::new(
            "two bottoms",
            r#"layer { name: "l" type: "Silence" bottom: "a" bottom: "b" }"#,
            &[(&[2, 3], Values::Normal), (&[4], Values::Normal)],
        ),
    ),
    (
        "Slice",
        GradientCase::new(
            "equal parts",
            r#"layer { name: "l" type: "Slice" bottom: "x" top: "a" top: "b" top: "c" }"#,
            X,
        ),
    ),
    (
        "Slice",
        GradientCase::new(
            "at points of the last axis",
            r#"layer { name: "l" type: "Slice" bottom: "x" top: "a" top: "b" top: "c"
                 slice_param { axis: -1 slice_point: 1 slice_point: 4 } }"#,
            &[(&[2, 3, 5], Values::Normal)],
        ),
    ),
    (
        "Slice",
        GradientCase::new(
            "the items, by the old spelling",
            r#"layer { name: "l" type: "Slice" bottom: "x" top: "a" top: "b"
                 slice_param { slice_dim: 0 slice_point: 1 } }"#,
            &[(&[3, 2, 2], Values::Normal)],
        ),
    ),
    (
        "Slice",
        GradientCase::new(
            "one part",
            r#"layer { name: "l" type: "Slice" bottom: "x" top: "a" }"#,
            X,
        ),
    ),
    (
        "Softmax",
        GradientCase::new(
            "over the channels",
            r#"layer { name: "l" type: "Softmax" bottom: "x" top: "y" }"#,
            X,
        ),
    ),
    (
        "Softmax",
        GradientCase::new(
            "over the first axis",
            r#"layer { name: "l" type: "Softmax" bottom: "x" top: "y" softmax_param { axis: 0 } }"#,
            &[(&[4, 3], Values::Normal)],
        ),
    ),
    (
        "Softmax",
        GradientCase::new(
            "over the last axis",
            r#"layer { name: "l" type: "Softmax" bottom: "x" top: "y"
                 softmax_param { axis: -1 } }"#,
            &[(&[2, 2, 5], Values::Uniform(-3.0, 3.0))],
        ),
    ),
    (
        "Softmax",
        GradientCase::new(
            "of large scores",
            r#"layer { name: "l" type: "Softmax" bottom: "x" top: "y" }"#,
            &[(&[2, 3], Values::Uniform(99.0, 101.0))],
        ),
    ),
    (
        "Split",
        GradientCase::new(
            "three readers",
            r#"layer { name: "l" type: "Split" bottom: "x" top: "a" top: "b" top: "c" }"#,
            X,
        ),
    ),
    (
        "Reduction",
        GradientCase::new(
            "sum over the trailing axes",
            r#"layer { name: "l" type: "Reduction" bottom: "a" top: "y0" reduction_param { operation: SUM axis: 1 coeff: -1.5 } }"#,
            &[(&[2, 3, 4], Values::Normal)],
        ),
    ),
    (
        "Reduction",
        GradientCase::new(
            "sumsq over the trailing axes",
            r#"layer { name: "l" type: "Reduction" bottom: "a" top: "y0" reduction_param { operation: SUMSQ axis: 1 coeff: -1.5 } }"#,
            &[(&[2, 3, 4], Values::Normal)],
        ),
    ),
    (
        "Reduction",
        GradientCase::new(
            "mean over the trailing axes",
            r#"layer { name: "l" type: "Reduction" bottom: "a" top: "y0" reduction_param { operation: MEAN axis: 1 coeff: -1.5 } }"#,
            &[(&[2, 3, 4], Values::Normal)],
        ),
    ),
    (
        "Reduction",
        GradientCase {
            kinks: &[0.0],
            ..GradientCase::new(
                "asum of the whole",
                r#"layer { name: "l" type: "Reduction" bottom: "a" top: "y0" reduction_param { operation: ASUM } }"#,
                &[(&[2, 3], Values::Normal)],
            )
        },
    ),
    (
        "Tile",
        GradientCase::new(
            "tiles of an inner axis",
            r#"layer { name: "l" type: "Tile" bottom: "a" top: "y0" tile_param { axis: 1 tiles: 3 } }"#,
            &[(&[2, 2, 3], Values::Normal)],
        ),
    ),
    (
        "Tile",
        GradientCase::new(
            "tiles of the last axis",
            r#"layer { name: "l" type: "Tile" bottom: "a" top: "y0" tile_param { axis: -1 tiles: 2 } }"#,
            &[(&[3, 2], Values::Normal)],
        ),
    ),
];

pub static ERRORS: &[Mistake] = &[
    (
        r#"layer { name: "l" type: "Concat" bottom: "a" bottom: "b" top: "y" }"#,
        &[(&[2, 3, 4], &[]), (&[2, 3, 5], &[])],
        r#"Bottom(1): bottoms may differ only in axis 1, found 2x3x4 and 2x3x5"#,
    ),
    (
        r#"layer { name: "l" type: "Concat" bottom: "a" bottom: "b" top: "y" }"#,
        &[(&[2, 3, 4], &[]), (&[2, 3], &[])],
        r#"Bottom(1): bottoms may differ only in axis 1, found 2x3x4 and 2x3"#,
    ),
    (
        r#"layer { name: "l" type: "Concat" bottom: "a" bottom: "b" top: "y"
             concat_param { axis: 2 } }"#,
        &[(&[2, 3], &[]), (&[2, 3], &[])],
        r#"Field("concat_param.axis"): axis 2 does not exist: the bottom has 2 axes, 2x3"#,
    ),
    (
        r#"layer { name: "l" type: "Concat" bottom: "a" bottom: "b" top: "y"
             concat_param { axis: 1 concat_dim: 1 } }"#,
        &[(&[2, 3], &[]), (&[2, 3], &[])],
        r#"Field("concat_param.concat_dim"): `concat_dim` and `axis` exclude each other"#,
    ),
    (
        r#"layer { name: "l" type: "Eltwise" bottom: "a" bottom: "b" top: "y" }"#,
        &[(&[2, 3], &[]), (&[3, 2], &[])],
        r#"Bottom(1): all bottoms must have one shape, found 2x3 and 3x2"#,
    ),
    (
        r#"layer { name: "l" type: "Eltwise" bottom: "a" bottom: "b" top: "y"
             eltwise_param { coeff: 1 } }"#,
        &[(&[2], &[]), (&[2], &[])],
        r#"Field("eltwise_param.coeff"): `coeff` is given once per bottom or not at all: 2 bottoms, 1 entry"#,
    ),
    (
        r#"layer { name: "l" type: "Eltwise" bottom: "a" bottom: "b" top: "y"
             eltwise_param { operation: PROD coeff: 1 coeff: 2 } }"#,
        &[(&[2], &[]), (&[2], &[])],
        r#"Field("eltwise_param.coeff"): `coeff` goes with SUM, found PROD"#,
    ),
    (
        r#"layer { name: "l" type: "Eltwise" bottom: "a" top: "y" }"#,
        &[(&[2], &[])],
        r#"Layer: 2 or more bottoms are wanted, found 1"#,
    ),
    (
        r#"layer { name: "l" type: "Flatten" bottom: "x" top: "y"
             flatten_param { axis: 2 end_axis: 1 } }"#,
        &[(&[2, 3, 4], &[])],
        r#"Field("flatten_param.end_axis"): `end_axis` 1 comes before `axis` 2"#,
    ),
    (
        r#"layer { name: "l" type: "Flatten" bottom: "x" top: "y" }"#,
        &[(&[2], &[])],
        r#"Field("flatten_param.axis"): axis 1 does not exist: the bottom has 1 axis, 2"#,
    ),
    (
        r#"layer { name: "l" type: "Flatten" bottom: "x" top: "y"
             flatten_param { end_axis: -4 } }"#,
        &[(&[2, 3, 4], &[])],
        r#"Field("flatten_param.end_axis"): axis -4 does not exist: the bottom has 3 axes, 2x3x4"#,
    ),
    (
        r#"layer { name: "l" type: "Input" top: "a" top: "b" top: "c"
             input_param { shape { dim: 1 } shape { dim: 2 } } }"#,
        &[],
        r#"Field("input_param.shape"): `shape` is given once, or once per top: 3 tops, 2 shapes"#,
    ),
    (
        r#"layer { name: "l" type: "Input" top: "a" input_param { shape { dim: 2 dim: -1 } } }"#,
        &[],
        r#"Field("input_param.shape[0]"): an axis can't have the length -1"#,
    ),
    (
        r#"layer { name: "l" type: "Input" top: "a"
             input_param { shape { dim: 9000000000 dim: 9000000000 } } }"#,
        &[],
        r#"Field("input_param.shape[0]"): 9000000000x9000000000 is too large"#,
    ),
    (
        r#"layer { name: "l" type: "Input" top: "a"
             input_param { shape { dim: 0 dim: 9000000000 dim: 9000000000 } } }"#,
        &[],
        r#"Field("input_param.shape[0]"): 0x9000000000x9000000000 is too large"#,
    ),
    (
        r#"layer { name: "l" type: "Parameter" top: "p" parameter_param { shape { dim: -3 } } }"#,
        &[],
        r#"Field("parameter_param.shape"): an axis can't have the length -3"#,
    ),
    (
        r#"layer { name: "l" type: "Reshape" bottom: "x" top: "y"
             reshape_param { shape { dim: 5 dim: 2 } } }"#,
        &[(&[3, 4], &[])],
        r#"Field("reshape_param.shape"): the bottom, 3x4, has 12 elements, 5x2 has 10"#,
    ),
    (
        r#"layer { name: "l" type: "Reshape" bottom: "x" top: "y"
             reshape_param { shape { dim: 5 dim: -1 } } }"#,
        &[(&[3, 4], &[])],
        r#"Field("reshape_param.shape"): the 12 elements of the bottom, 3x4, do not divide by 5"#,
    ),
    (
        r#"layer { name: "l" type: "Reshape" bottom: "x" top: "y"
             reshape_param { shape { dim: -1 dim: -1 } } }"#,
        &[(&[3, 4], &[])],
        r#"Field("reshape_param.shape.dim"): -1 may stand once, found 2 times"#,
    ),
    (
        r#"layer { name: "l" type: "Reshape" bottom: "x" top: "y"
             reshape_param { shape { dim: -2 } } }"#,
        &[(&[3, 4], &[])],
        r#"Field("reshape_param.shape.dim"): an axis can't have the length -2"#,
    ),
    (
        r#"layer { name: "l" type: "Reshape" bottom: "x" top: "y"
             reshape_param { shape { dim: 3 dim: 4 dim: 0 } } }"#,
        &[(&[3, 4], &[])],
        r#"Field("reshape_param.shape.dim[2]"): 0 copies axis 2, which the bottom, 3x4, lacks"#,
    ),
    (
        r#"layer { name: "l" type: "Reshape" bottom: "x" top: "y"
             reshape_param { axis: 3 shape { dim: 1 } } }"#,
        &[(&[3, 4], &[])],
        r#"Field("reshape_param.axis"): axis 3 does not exist: the bottom has 2 axes, 3x4"#,
    ),
    (
        r#"layer { name: "l" type: "Reshape" bottom: "x" top: "y"
             reshape_param { axis: 1 num_axes: 2 shape { dim: 4 } } }"#,
        &[(&[3, 4], &[])],
        r#"Field("reshape_param.num_axes"): `num_axes` 2 from axis 1 on does not fit the bottom, 3x4"#,
    ),
    (
        r#"layer { name: "l" type: "Slice" bottom: "x" top: "a" top: "b" }"#,
        &[(&[2, 3], &[])],
        r#"Field("slice_param.slice_point"): axis 1 of the bottom, 2x3, does not divide into 2 equal parts"#,
    ),
    (
        r#"layer { name: "l" type: "Slice" bottom: "x" top: "a" top: "b"
             slice_param { slice_point: 1 slice_point: 2 } }"#,
        &[(&[2, 3], &[])],
        r#"Field("slice_param.slice_point"): 2 tops want 1 slice point, found 2"#,
    ),
    (
        r#"layer { name: "l" type: "Slice" bottom: "x" top: "a" top: "b"
             slice_param { slice_point: 3 } }"#,
        &[(&[2, 3], &[])],
        r#"Field("slice_param.slice_point"): slice points must grow and lie between 0 and 3, the length of axis 1 of the bottom, 2x3; found [3]"#,
    ),
    (
        r#"layer { name: "l" type: "Slice" bottom: "x" top: "a" top: "b" top: "c"
             slice_param { slice_point: 2 slice_point: 1 } }"#,
        &[(&[2, 4], &[])],
        r#"Field("slice_param.slice_point"): slice points must grow and lie between 0 and 4, the length of axis 1 of the bottom, 2x4; found [2, 1]"#,
    ),
    (
        r#"layer { name: "l" type: "Slice" bottom: "x" top: "a" top: "b"
             slice_param { axis: -3 } }"#,
        &[(&[2, 4], &[])],
        r#"Field("slice_param.axis"): axis -3 does not exist: the bottom has 2 axes, 2x4"#,
    ),
    (
        r#"layer { name: "l" type: "Slice" bottom: "x" top: "a" top: "b"
             slice_param { slice_dim: 4000000000 } }"#,
        &[(&[2, 4], &[])],
        r#"Field("slice_param.slice_dim"): `slice_dim` is no axis: 4000000000"#,
    ),
    (
        r#"layer { name: "l" type: "Softmax" bottom: "x" top: "y" }"#,
        &[(&[4], &[])],
        r#"Field("softmax_param.axis"): axis 1 does not exist: the bottom has 1 axis, 4"#,
    ),
    (
        r#"layer { name: "l" type: "Softmax" bottom: "x" top: "y" softmax_param { axis: 0 } }"#,
        &[(&[], &[])],
        r#"Field("softmax_param.axis"): axis 0 does not exist: the bottom is a scalar"#,
    ),
    (
        r#"layer { name: "l" type: "Reduction" bottom: "a" top: "y0" reduction_param { axis: -3 } }"#,
        &[(&[2, 3], &[0.0])],
        r#"Field("reduction_param.axis"): axis -3 does not exist: the bottom has 2 axes, 2x3"#,
    ),
    (
        r#"layer { name: "l" type: "Tile" bottom: "a" top: "y0" }"#,
        &[(&[2, 3], &[0.0])],
        r#"Field("tile_param.tiles"): `tiles` must be given and above 0, found 0"#,
    ),
    (
        r#"layer { name: "l" type: "Tile" bottom: "a" top: "y0" tile_param { tiles: -2 } }"#,
        &[(&[2, 3], &[0.0])],
        r#"Field("tile_param.tiles"): `tiles` must be given and above 0, found -2"#,
    ),
    (
        r#"layer { name: "l" type: "Tile" bottom: "a" top: "y0" tile_param { axis: 2 tiles: 2 } }"#,
        &[(&[2, 3], &[0.0])],
        r#"Field("tile_param.axis"): axis 2 does not exist: the bottom has 2 axes, 2x3"#,
    ),
];
