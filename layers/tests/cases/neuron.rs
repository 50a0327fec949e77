//! Layers of the family `neuron`.

use cortado_layers::check::{GradientCase, Values};

use super::{Gradient, Mistake};

pub static GRADIENTS: &[Gradient] = &[(
    "ReLU",
    GradientCase {
        kinks: &[0.0],
        ..GradientCase::new(
            "relu with a slope",
            r#"layer { name: "l" type: "ReLU" bottom: "x" top: "y" relu_param { negative_slope: 0.1 } }"#,
            &[(&[2, 3, 4], Values::Normal)],
        )
    },
)];

pub static ERRORS: &[Mistake] = &[];
