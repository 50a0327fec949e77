//! Layers of nets that label each pixel.

pub mod interp;
pub mod upsample;
