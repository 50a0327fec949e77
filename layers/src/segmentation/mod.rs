//! Layers of nets that label each pixel.

pub mod interp;
pub mod mask_resize;
pub mod upsample;
