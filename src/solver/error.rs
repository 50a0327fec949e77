//! What can go wrong with a solver beyond its nets.

use std::path::PathBuf;

use cortado_proto::{Diagnostic, Located};

/// A mistake in a solver file, a snapshot, or a run.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SolverError {
    /// A field of the solver file.
    #[error("{}", field_diagnostic(.why, .place, .notes).to_string())]
    Field {
        /// What is wrong, with the value found and the value wanted.
        why: String,
        /// Where.
        place: Option<Located>,
        /// What may help.
        notes: Vec<String>,
    },
    /// A file of a snapshot.
    #[error("cannot {doing} `{}`: {why}", path.display())]
    Snapshot {
        /// `read`, `write`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// The loss is no number any more.
    #[error("the loss of iteration {iter} is {loss}: training has diverged")]
    Diverged {
        /// The iteration.
        iter: u64,
        /// The loss.
        loss: f64,
    },
}

fn field_diagnostic(why: &str, place: &Option<Located>, notes: &[String]) -> Diagnostic {
    let mut shown = Diagnostic::error(why, place.clone());
    shown.notes = notes.to_vec();
    shown
}

impl SolverError {
    /// As something to show.
    pub fn diagnostic(&self) -> Diagnostic {
        match self {
            SolverError::Field { why, place, notes } => field_diagnostic(why, place, notes),
            other => Diagnostic::error(other.to_string(), None),
        }
    }

    pub(crate) fn field(why: impl Into<String>, place: Option<Located>) -> SolverError {
        SolverError::Field { why: why.into(), place, notes: Vec::new() }
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> SolverError {
        if let SolverError::Field { notes, .. } = &mut self {
            notes.push(note.into());
        }
        self
    }
}
