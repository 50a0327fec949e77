//! Layers that compute each element by itself.

pub mod absval;
pub mod apl;
pub mod bnll;
pub mod clip;
pub mod crelu;
pub mod dropout;
pub mod elu;
pub mod exp;
pub mod log;
pub mod mish;
mod pointwise;
pub mod power;
pub mod prelu;
pub mod relu;
pub mod relu6;
pub mod rrelu;
pub mod scale_tanh;
pub mod sigmoid;
pub mod spatial_dropout;
pub mod swish;
pub mod tanh;
pub mod threshold;

pub use pointwise::{Neuron, Pointwise};

use crate::LayerDef;

use crate::LayerError;

/// The natural logarithm of a base; −1 stands for e.
fn ln_base(base: f32, field: &str) -> Result<f32, LayerError> {
    match base {
        -1.0 => Ok(1.0),
        base if base > 0.0 => Ok(base.ln()),
        base => {
            Err(LayerError::field(field, format!("`base` is above 0, or -1 for e; found {base}")))
        }
    }
}

/// Whether the file runs the layer in place. The original's backward then sees y where it wants x.
fn overwrites(def: &LayerDef) -> bool {
    def.bottom.first() == def.top.first()
}
