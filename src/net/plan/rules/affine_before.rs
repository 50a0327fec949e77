//! An affine map of a product's input goes into its weights and bias; where zeros are padded that
//! would have to be mapped as well, only if it adds nothing.

use cortado_layers::{Affine, Prim};

use super::Rule;
use crate::net::plan::graph::{Graph, Item};

pub(super) const RULE: Rule = Rule { name: "affine before product", apply };

fn apply(graph: &mut Graph<'_>, at: usize) -> bool {
    let Some(item) = graph.item(at) else { return false };
    if item.before.is_some() {
        return false;
    }
    let Some(maker) = item.bottoms.first().and_then(|&bottom| graph.sole_maker(bottom)) else {
        return false;
    };
    let Some(Item { prim: Some(Prim::Affine(affine)), act: None, .. }) = graph.item(maker) else {
        return false;
    };
    if !fits(item, affine) {
        return false;
    }
    let affine = affine.clone();
    let (Some(maker), Some(product)) = (graph.take(maker), graph.take(at)) else { return false };
    let joined = maker.clone().then(&product, RULE.name);
    let (nodes, rules) = (joined.nodes, joined.rules);
    let bottoms = maker.bottoms;
    graph.put(at, Item { before: Some(affine), nodes, rules, bottoms, ..product });
    true
}

fn fits(product: &Item, affine: &Affine) -> bool {
    match &product.prim {
        Some(Prim::Conv(g)) => {
            let padded = g.windows.iter().any(|w| w.pad > 0);
            !padded || affine.shift.iter().all(|&shift| shift == 0.0)
        }
        Some(Prim::Gemm { k, .. }) => k.is_multiple_of(affine.scale.len()),
        _ => false,
    }
}
