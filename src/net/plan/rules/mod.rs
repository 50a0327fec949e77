//! The rewrites, as rows of a table. Each joins the item at a place with the one that makes what it
//! reads, under the condition of [`Graph::sole_maker`].

mod act;
mod affine_after;
mod affine_before;
mod affines;
mod alias;
pub(super) mod concat;
mod sum;

use super::graph::Graph;

/// A rewrite.
pub(super) struct Rule {
    /// As plans are printed.
    pub name: &'static str,
    /// Tries it at a place; whether something changed.
    pub apply: fn(&mut Graph<'_>, usize) -> bool,
}

/// All rewrites, in the order in which they are tried.
static RULES: &[Rule] =
    &[alias::RULE, affines::RULE, affine_after::RULE, affine_before::RULE, sum::RULE, act::RULE];

/// Rewrites the graph, front to back, until no rule fits.
pub(super) fn apply(graph: &mut Graph<'_>) {
    for at in 0..graph.len() {
        while RULES.iter().any(|rule| (rule.apply)(graph, at)) {}
    }
}
