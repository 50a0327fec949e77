//! Layers over spatial axes, and the linear ones.

mod conv_shape;
pub mod convolution;
pub mod deconvolution;
pub mod inner_product;
pub mod lrn;
pub mod pooling;
