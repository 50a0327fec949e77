//! A sum of two where one is a product's result becomes the end of that product.

use cortado_layers::Prim;

use super::Rule;
use crate::net::plan::graph::{Graph, Item};

pub(super) const RULE: Rule = Rule { name: "sum into product", apply };

fn apply(graph: &mut Graph<'_>, at: usize) -> bool {
    let Some(Item { prim: Some(Prim::Add { coeffs }), bottoms, .. }) = graph.item(at) else {
        return false;
    };
    let &[a, b] = &bottoms[..] else { return false };
    if coeffs[..] != [1.0, 1.0] {
        return false;
    }
    let product = |blob| {
        let maker = graph.sole_maker(blob)?;
        graph.item(maker).is_some_and(Item::is_bare_product).then_some(maker)
    };
    // Of two products the later one: what it is added to has been made before.
    let (maker, other) = match (product(a), product(b)) {
        (Some(first), Some(second)) if first > second => (first, b),
        (_, Some(second)) => (second, a),
        (Some(first), None) => (first, b),
        (None, None) => return false,
    };
    let (Some(product), Some(sum)) = (graph.take(maker), graph.take(at)) else { return false };
    let joined = product.then(&sum, RULE.name);
    graph.put(at, Item { add: Some(other), act: sum.act, ..joined });
    true
}
