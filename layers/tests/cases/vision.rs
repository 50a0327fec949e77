//! Layers of the family `vision`.

use super::{Gradient, Mistake};

pub static GRADIENTS: &[Gradient] = &[];

pub static ERRORS: &[Mistake] = &[];
