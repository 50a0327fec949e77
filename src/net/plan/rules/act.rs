//! An activation becomes the end of the item that makes its input.

use cortado_layers::Prim;

use super::Rule;
use crate::net::plan::graph::{Graph, Item};

pub(super) const RULE: Rule = Rule { name: "act into maker", apply };

fn apply(graph: &mut Graph<'_>, at: usize) -> bool {
    let Some(Item { prim: Some(Prim::Act(act)), bottoms, .. }) = graph.item(at) else {
        return false;
    };
    let (act, bottom) = (act.clone(), bottoms[0]);
    let Some(maker) = graph.sole_maker(bottom) else { return false };
    let fits = graph.item(maker).is_some_and(|maker| {
        let end = matches!(
            maker.prim,
            Some(
                Prim::Conv(_)
                    | Prim::Deconv(_)
                    | Prim::Gemm { .. }
                    | Prim::Affine(_)
                    | Prim::Add { .. }
            )
        );
        end && maker.act.is_none()
    });
    if !fits {
        return false;
    }
    let (Some(maker), Some(item)) = (graph.take(maker), graph.take(at)) else { return false };
    let joined = maker.then(&item, RULE.name);
    graph.put(at, Item { act: Some(act), ..joined });
    true
}
