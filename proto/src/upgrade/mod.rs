//! Older forms → today's, in the original's order: V0 → data transforms → V1 → `input` fields →
//! BatchNorm's three params. One file each with `needs` and `apply`; each leaves a net of the next form.

mod batch_norm;
mod data;
mod input;
mod solver;
mod types;
mod v0;
mod v1;

pub(crate) use types::type_of_v1;

use crate::def::{NetDef, SolverDef};
use crate::error::Errors;

/// Brings a net to today's form. Returns what was done, one sentence each; empty for a net of today.
///
/// # Errors
/// An old field makes no sense.
pub fn net(net: &mut NetDef) -> Result<Vec<String>, Errors> {
    let mut done = Vec::new();
    // Where each layer of an older generation stood in the file.
    let mut index: Vec<usize> = (0..net.param.layers.len()).collect();
    if v0::needs(net) {
        done.push(v0::apply(net, &mut index)?);
    }
    if data::needs(net) {
        done.push(data::apply(net));
    }
    if v1::needs(net) {
        done.push(v1::apply(net, &index));
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
