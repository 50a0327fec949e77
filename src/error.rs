//! One error over all rooms.

use cortado_proto::Errors;

use crate::net::{NetError, NetErrors, WeightsError};

/// Anything that can go wrong with what a user gave.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A text or binary file.
    #[error(transparent)]
    Proto(#[from] Errors),
    /// A net that can't be built.
    #[error(transparent)]
    Net(#[from] NetErrors),
    /// A pass that failed.
    #[error(transparent)]
    Run(#[from] NetError),
    /// A weight file that does not fit.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}
