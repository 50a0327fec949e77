//! Layers over spatial axes, and the linear ones.

mod conv_shape;
pub mod convolution;
pub mod deconvolution;
pub mod depthwise;
pub mod embed;
pub mod gated_max_ave;
pub mod im2col;
pub mod inner_product;
pub mod local;
pub mod lrn;
pub mod margin_inner_product;
mod pool;
pub mod pooling;
pub mod pooling_nd;
pub mod spp;
pub mod treepool_kernel;
mod windows;

use crate::LayerError;

/// `num_output` of this message.
fn num_output(given: Option<u32>, message: &str) -> Result<usize, LayerError> {
    let why = match given {
        None => "`num_output` must be given",
        Some(0) => "`num_output` must be above 0, found 0",
        Some(outputs) => return Ok(outputs as usize),
    };
    Err(LayerError::field(format!("{message}.num_output"), why))
}

/// The slope of the ReLU that Intel's form of this message has in the layer itself.
fn own_relu(relu: bool, slope: f32, message: &str) -> Result<Option<f32>, LayerError> {
    if relu && !(slope >= 0.0) {
        let why = format!("`negative_slope` is at least 0, found {slope}");
        return Err(LayerError::field(format!("{message}.negative_slope"), why)
            .help("a ReLU layer behind this one takes any slope"));
    }
    Ok(relu.then_some(slope))
}
