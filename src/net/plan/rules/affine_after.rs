//! An affine map of a product's result goes into its weights and bias.

use cortado_layers::Prim;

use super::Rule;
use crate::net::plan::graph::{Graph, Item};

pub(super) const RULE: Rule = Rule { name: "affine into product", apply };

fn apply(graph: &mut Graph<'_>, at: usize) -> bool {
    let Some(Item { prim: Some(Prim::Affine(affine)), bottoms, .. }) = graph.item(at) else {
        return false;
    };
    let (affine, bottom) = (affine.clone(), bottoms[0]);
    let Some(maker) = graph.sole_maker(bottom) else { return false };
    if !graph.item(maker).is_some_and(Item::is_bare_product) {
        return false;
    }
    let (Some(product), Some(item)) = (graph.take(maker), graph.take(at)) else { return false };
    let after = product.after.as_ref().map_or(affine.clone(), |first| first.then(&affine));
    let joined = product.then(&item, RULE.name);
    graph.put(at, Item { after: Some(after), act: item.act, ..joined });
    true
}
