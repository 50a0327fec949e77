//! An affine map of an affine map is one: BatchNorm, Scale, Bias.

use cortado_layers::Prim;

use super::Rule;
use crate::net::plan::graph::{Graph, Item};

pub(super) const RULE: Rule = Rule { name: "affine into affine", apply };

fn apply(graph: &mut Graph<'_>, at: usize) -> bool {
    let Some(Item { prim: Some(Prim::Affine(second)), bottoms, .. }) = graph.item(at) else {
        return false;
    };
    let (second, bottom) = (second.clone(), bottoms[0]);
    let Some(maker) = graph.sole_maker(bottom) else { return false };
    let Some(Item { prim: Some(Prim::Affine(first)), act: None, .. }) = graph.item(maker) else {
        return false;
    };
    let both = first.then(&second);
    let (Some(maker), Some(item)) = (graph.take(maker), graph.take(at)) else { return false };
    let joined = maker.then(&item, RULE.name);
    graph.put(at, Item { prim: Some(Prim::Affine(both)), act: item.act, ..joined });
    true
}
