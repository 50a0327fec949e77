//! Layers of the family `common`.

use super::{Gradient, Mistake};

pub static GRADIENTS: &[Gradient] = &[];

pub static ERRORS: &[Mistake] = &[];
