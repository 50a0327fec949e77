//! What can go wrong with a solver beyond its nets.

use std::path::PathBuf;

use cortado_proto::{Diagnostic, Located};

use crate::net::NonFinite;

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
    /// Numbers are no numbers any more.
    #[error("{}", diverged(*.iter, *.loss, .first.as_ref()))]
    Diverged {
        /// The iteration, which was not counted as done.
        iter: u64,
        /// Its loss.
        loss: f64,
        /// Where it begins.
        first: Option<NonFinite>,
    },
}

fn diverged(iter: u64, loss: f64, first: Option<&NonFinite>) -> String {
    let what = match (loss.is_finite(), first) {
        (false, _) => format!("the loss is {}", super::shown(loss)),
        (true, Some(first)) if first.what.starts_with("parameter") => {
            "the weights are not finite".to_owned()
        }
        (true, _) => "the gradient is not finite".to_owned(),
    };
    let advice = match first {
        Some(first) if first.what.starts_with("parameter") => {
            "an earlier update made the weights so: a lower base_lr, warmup_iter or clip_gradients help"
        }
        Some(first) if first.what.starts_with("bottom") => {
            "the data itself holds it: look at the items and at what transform_param makes of them"
        }
        _ => "a lower base_lr, warmup_iter, clip_gradients or data of mean 0 and variance 1 help",
    };
    let first = match first {
        Some(first) => format!("it begins in {first}"),
        None => "it did not show again when the pass was run again".to_owned(),
    };
    let off = "`--no-guard nan` trains on regardless";
    format!("training has diverged in iteration {iter}: {what}; {first}\n  = {advice}\n  = {off}")
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
