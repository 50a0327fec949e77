//! Layers of the family `norm`.

use super::{Gradient, Mistake};

pub static GRADIENTS: &[Gradient] = &[];

pub static ERRORS: &[Mistake] = &[];
