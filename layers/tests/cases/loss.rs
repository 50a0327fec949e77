//! Layers of the family `loss`.

use super::{Gradient, Mistake};

pub static GRADIENTS: &[Gradient] = &[];

pub static ERRORS: &[Mistake] = &[];
