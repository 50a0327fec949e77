//! What the original's tools do: making databases of pictures, means, features; looking into files.
//! The commands of the same names are thin shells around these functions.

pub mod cifar;
pub mod dbs;
mod eigen;
pub mod ensemble;
pub mod features;
pub mod imageset;
pub mod log_line;
pub mod mean;
pub mod mnist;
pub mod npy;
pub mod training_log;
pub mod weights;
pub mod whitening;

use cortado_layers::LayerError;

pub use log_line::LogLine;
pub use mean::MeanSum;
pub use training_log::TrainingLog;

/// Why a tool stopped: one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ToolError(pub String);

impl From<String> for ToolError {
    fn from(why: String) -> ToolError {
        ToolError(why)
    }
}

impl From<LayerError> for ToolError {
    fn from(error: LayerError) -> ToolError {
        ToolError(match error.help {
            Some(help) => format!("{}; {help}", error.why),
            None => error.why,
        })
    }
}

/// Told after each step: steps done, and steps in all where that is known.
pub type Tell<'a> = dyn FnMut(u64, Option<u64>) + 'a;
