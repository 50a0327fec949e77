//! One error over all rooms.

use cortado_proto::Errors;

use crate::net::{NetError, NetErrors, WeightsError};
use crate::solver::SolverError;

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
    /// A solver file or a snapshot.
    #[error("{}", joined(.0))]
    Solver(Vec<SolverError>),
    /// A tool that makes or looks into files of data.
    #[error(transparent)]
    Tool(#[from] crate::tools::ToolError),
}

fn joined(errors: &[SolverError]) -> String {
    errors.iter().map(SolverError::to_string).collect::<Vec<_>>().join("\n\n")
}

impl From<SolverError> for Error {
    fn from(error: SolverError) -> Error {
        Error::Solver(vec![error])
    }
}

impl From<cortado_proto::Error> for Error {
    fn from(error: cortado_proto::Error) -> Error {
        Error::Proto(error.into())
    }
}
