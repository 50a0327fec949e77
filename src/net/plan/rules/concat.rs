//! A concatenation along the channels is written where it belongs by the items that make its parts:
//! those that can write a range of blocks of a larger blob.

use cortado_layers::Prim;

use crate::net::BlobId;
use crate::net::plan::graph::{Graph, Item};

pub(in crate::net::plan) const NAME: &str = "concat in place";

/// For each bottom of the concatenation at `at`, run in blocks: whether its value is made inside.
/// `blocked` tells which items run in blocks.
pub(in crate::net::plan) fn parts_inside(
    graph: &Graph<'_>,
    at: usize,
    blocked: &[bool],
) -> Vec<bool> {
    let Some(Item { bottoms, .. }) = graph.item(at) else { return Vec::new() };
    let inside = |&bottom: &BlobId| {
        graph.sole_maker(bottom).is_some_and(|maker| {
            let prim = graph.item(maker).and_then(|item| item.prim.as_ref());
            blocked[maker] && matches!(prim, Some(Prim::Conv(_) | Prim::Pool(..)))
        })
    };
    bottoms.iter().map(inside).collect()
}

/// The first channel of each part, if all begin at the beginning of a block.
pub(in crate::net::plan) fn offsets(graph: &Graph<'_>, bottoms: &[BlobId]) -> Option<Vec<usize>> {
    let mut offset = 0;
    let mut offsets = Vec::with_capacity(bottoms.len());
    for &bottom in bottoms {
        offsets.push(offset);
        offset += graph.shape(bottom).get(1)?;
    }
    offsets.iter().all(|offset| offset.is_multiple_of(16)).then_some(offsets)
}
