//! Layers of nets that label each pixel.

pub mod interp;
pub mod mask_resize;
mod resample;
pub mod resize;
pub mod upsample;
