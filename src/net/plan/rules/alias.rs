//! What passes its bottom on computes nothing: Split, Flatten, Reshape, Dropout in TEST, a Concat of
//! one.

use cortado_layers::Prim;

use super::Rule;
use crate::net::plan::graph::Graph;

pub(super) const RULE: Rule = Rule { name: "alias", apply };

fn apply(graph: &mut Graph<'_>, at: usize) -> bool {
    let Some(Prim::Alias) = graph.item(at).and_then(|item| item.prim.as_ref()) else {
        return false;
    };
    let Some(mut item) = graph.take(at) else { return false };
    let of = item.bottoms[0];
    let before = item.tops.len();
    let refused: Vec<_> = item.tops.iter().copied().filter(|&top| !graph.join(top, of)).collect();
    let changed = refused.len() < before;
    if !refused.is_empty() {
        item.tops = refused.into();
        graph.put(at, item);
    }
    changed
}
