//! Older forms → today's, in the original's order: V0 → data transforms → V1 → `input` fields →
//! BatchNorm's three params. One file each with `needs` and `apply`; each leaves a net of the next form.

mod batch_norm;
mod input;
mod solver;
mod types;

pub(crate) use types::type_of_v1;

use crate::def::{NetDef, SolverDef};
use crate::error::{Error, ErrorKind, Errors};

/// Brings a net to today's form. Returns what was done, one sentence each; empty for a net of today.
///
/// # Errors
/// The net mixes generations, or an old field makes no sense.
pub fn net(net: &mut NetDef) -> Result<Vec<String>, Errors> {
    let mut done = Vec::new();
    if !net.param.layers.is_empty() {
        let what = "the net is written in the old form (`layers { type: ENUM }`)";
        let mut error = Error::new(ErrorKind::Conflict(what.into()));
        error.place = net.place.span_of(Some("layers[0]"));
        return Err(error.into());
    }
    if input::needs(net) {
        done.push(input::apply(net)?);
    }
    if batch_norm::needs(net) {
        done.push(batch_norm::apply(net));
    }
    Ok(done)
}

/// Brings a solver to today's form: the enum `solver_type` becomes the string `type`.
///
/// # Errors
/// Both are given, or the enum has an unknown number.
pub fn solver(solver: &mut SolverDef) -> Result<Vec<String>, Errors> {
    let mut done = Vec::new();
    if solver::needs(solver) {
        done.push(solver::apply(solver)?);
    }
    Ok(done)
}
