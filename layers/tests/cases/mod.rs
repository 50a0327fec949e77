//! The tables, one file per family or a part of one.

use cortado_layers::check::GradientCase;

mod choose;
mod common;
mod detection;
mod forks;
mod linear;
mod loss;
mod neuron;
mod norm;
mod recurrent;
mod rest;
mod vision;

/// Type and case.
pub type Gradient = (&'static str, GradientCase);

/// A layer, the shape and (repeated) values of its bottoms, and the error it must give: `At: why`.
pub type Mistake = (&'static str, &'static [(&'static [usize], &'static [f32])], &'static str);

/// All gradient cases.
pub fn gradients() -> impl Iterator<Item = &'static Gradient> {
    let tables = [
        choose::GRADIENTS,
        common::GRADIENTS,
        detection::GRADIENTS,
        forks::GRADIENTS,
        linear::GRADIENTS,
        loss::GRADIENTS,
        neuron::GRADIENTS,
        norm::GRADIENTS,
        recurrent::GRADIENTS,
        rest::GRADIENTS,
        vision::GRADIENTS,
    ];
    tables.into_iter().flatten()
}

/// All mistakes.
pub fn errors() -> impl Iterator<Item = &'static Mistake> {
    let tables = [
        choose::ERRORS,
        common::ERRORS,
        detection::ERRORS,
        forks::ERRORS,
        linear::ERRORS,
        loss::ERRORS,
        neuron::ERRORS,
        norm::ERRORS,
        recurrent::ERRORS,
        rest::ERRORS,
        vision::ERRORS,
    ];
    tables.into_iter().flatten()
}
