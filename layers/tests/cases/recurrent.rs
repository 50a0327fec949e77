//! Layers of the family `recurrent`.

use cortado_layers::check::{GradientCase, Values};

use super::{Gradient, Mistake};

/// Sequences begin at the first step (nothing is carried between the passes of a check), and one
/// begins anew at the third.
const CONT: Values = Values::Given(&[0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0]);

pub static GRADIENTS: &[Gradient] = &[
    (
        "LSTM",
        GradientCase::new(
            "two sequences of four steps",
            r#"layer { name: "l" type: "LSTM" bottom: "x" bottom: "cont" top: "h" recurrent_param {
               num_output: 3 weight_filler { type: "gaussian" std: 0.5 }
               bias_filler { type: "gaussian" std: 0.5 } } }"#,
            &[(&[4, 2, 5], Values::Normal), (&[4, 2], CONT)],
        ),
    ),
    (
        "LSTM",
        GradientCase::new(
            "with an input that is the same at every step",
            r#"layer { name: "l" type: "LSTM" bottom: "x" bottom: "cont" bottom: "xs" top: "h"
               recurrent_param { num_output: 2 weight_filler { type: "gaussian" std: 0.5 } } }"#,
            &[(&[4, 2, 3, 2], Values::Normal), (&[4, 2], CONT), (&[2, 2, 2], Values::Normal)],
        ),
    ),
    (
        "LSTM",
        GradientCase::new(
            "one step",
            r#"layer { name: "l" type: "LSTM" bottom: "x" bottom: "cont" top: "h" recurrent_param {
               num_output: 4 weight_filler { type: "gaussian" std: 0.5 } } }"#,
            &[(&[1, 3, 2], Values::Normal), (&[1, 3], Values::Given(&[0.0]))],
        ),
    ),
    (
        "LSTMUnit",
        GradientCase::new(
            "sequences that go on and one that begins",
            r#"layer { name: "l" type: "LSTMUnit" bottom: "c0" bottom: "gates" bottom: "cont"
               top: "c" top: "h" }"#,
            &[
                (&[1, 3, 4], Values::Normal),
                (&[1, 3, 16], Values::Normal),
                (&[1, 3], Values::Given(&[1.0, 0.0, 1.0])),
            ],
        ),
    ),
    (
        "RNN",
        GradientCase::new(
            "two sequences of four steps",
            r#"layer { name: "l" type: "RNN" bottom: "x" bottom: "cont" top: "o" recurrent_param {
               num_output: 3 weight_filler { type: "gaussian" std: 0.5 }
               bias_filler { type: "gaussian" std: 0.5 } } }"#,
            &[(&[4, 2, 5], Values::Normal), (&[4, 2], CONT)],
        ),
    ),
    (
        "RNN",
        GradientCase::new(
            "with an input that is the same at every step",
            r#"layer { name: "l" type: "RNN" bottom: "x" bottom: "cont" bottom: "xs" top: "o"
               recurrent_param { num_output: 2 weight_filler { type: "gaussian" std: 0.5 } } }"#,
            &[(&[4, 2, 3], Values::Normal), (&[4, 2], CONT), (&[2, 4], Values::Normal)],
        ),
    ),
];

macro_rules! lstm {
    ($more:literal, $param:literal) => {
        concat!(
            r#"layer { name: "l" type: "LSTM" bottom: "x" bottom: "cont" top: "h" "#,
            $more,
            " recurrent_param { ",
            $param,
            " } }"
        )
    };
}

const X: (&[usize], &[f32]) = (&[2, 3, 4], &[1.0]);
const ONES: (&[usize], &[f32]) = (&[2, 3], &[1.0]);

pub static ERRORS: &[Mistake] = &[
    (
        lstm!("", ""),
        &[X, ONES],
        "Field(\"recurrent_param.num_output\"): `num_output` must be given and above 0",
    ),
    (
        lstm!("", "num_output: 2"),
        &[X, (&[2, 2], &[1.0])],
        "Bottom(1): cont, 2x3 as the steps and sequences of x, is wanted, the bottom is 2x2",
    ),
    (
        lstm!("", "num_output: 2"),
        &[X, (&[2, 3, 1], &[1.0])],
        "Bottom(1): cont, 2x3 as the steps and sequences of x, is wanted, the bottom is 2x3x1",
    ),
    (
        lstm!("", "num_output: 2"),
        &[X, (&[2, 3], &[1.0, 1.0, 1.0, 1.0, f32::NAN, 1.0])],
        "Bottom(1): cont is NaN at step 1 of sequence 1: 0 (a new sequence begins) or 1 is wanted",
    ),
    (
        lstm!("", "num_output: 2"),
        &[(&[5], &[1.0]), ONES],
        "Bottom(0): time steps x sequences x … are wanted, the bottom is 5",
    ),
    (
        lstm!("", "num_output: 2"),
        &[(&[0, 3, 4], &[]), (&[0, 3], &[])],
        "Bottom(0): time steps x sequences x 4 numbers is wanted, the bottom is 0x3x4",
    ),
    (
        lstm!(r#"bottom: "xs""#, "num_output: 2"),
        &[X, ONES, (&[2, 5], &[1.0])],
        "Bottom(2): 3 sequences x 5 numbers is wanted, the bottom is 2x5",
    ),
    (
        lstm!("", "num_output: 2 expose_hidden: true"),
        &[X, ONES],
        "Layer: with `expose_hidden` it takes 4 or 5 bottoms and 3 tops, found 2 and 1",
    ),
    (
        lstm!(r#"bottom: "a" bottom: "b""#, "num_output: 2"),
        &[X, ONES],
        "Layer: without `expose_hidden` it takes 2 or 3 bottoms and 1 tops, found 4 and 1",
    ),
    (
        lstm!(
            r#"bottom: "h0" bottom: "c0" top: "hT" top: "cT""#,
            "num_output: 2 expose_hidden: true"
        ),
        &[X, ONES, (&[1, 3, 2], &[0.0]), (&[3, 2], &[0.0])],
        "Bottom(3): a state of 1x3x2 is wanted, the bottom is 3x2",
    ),
    (
        r#"layer { name: "l" type: "RNN" bottom: "x" bottom: "cont" bottom: "h0" top: "o" top: "hT"
           recurrent_param { num_output: 2 expose_hidden: true } }"#,
        &[X, ONES, (&[1, 3, 3], &[0.0])],
        "Bottom(2): a state of 1x3x2 is wanted, the bottom is 1x3x3",
    ),
    (
        r#"layer { name: "l" type: "LSTMUnit" bottom: "c" bottom: "g" bottom: "k" top: "d" top: "h" }"#,
        &[(&[2, 3, 4], &[0.0]), (&[2, 3, 16], &[0.0]), (&[2, 3], &[0.0])],
        "Bottom(0): 1 x N x H is wanted, the bottom is 2x3x4",
    ),
    (
        r#"layer { name: "l" type: "LSTMUnit" bottom: "c" bottom: "g" bottom: "k" top: "d" top: "h" }"#,
        &[(&[1, 3, 4], &[0.0]), (&[1, 3, 12], &[0.0]), (&[1, 3], &[0.0])],
        "Bottom(1): 1x3x16, four gates per cell, is wanted, the bottom is 1x3x12",
    ),
    (
        r#"layer { name: "l" type: "LSTMUnit" bottom: "c" bottom: "g" bottom: "k" top: "d" top: "h" }"#,
        &[(&[1, 3, 4], &[0.0]), (&[1, 3, 16], &[0.0]), (&[3], &[0.0])],
        "Bottom(2): 1x3, a number per sequence, is wanted, the bottom is 3",
    ),
];
