//! Tall nets in columns, and inputs that are read far below them.

use std::ops::Range;

use super::order::{Item, Ranks};
use super::{Graph, Look};

/// A line of an input over more boxes than this becomes a tag at its reader.
const FAR: usize = 4;
/// Wanted width of a picture, in heights.
const ASPECT: f64 = 1.5;

/// Ranks that stand below each other.
#[derive(Debug)]
pub struct Column {
    /// The ranks.
    pub ranks: Range<usize>,
    /// The outermost places in it.
    pub left: f64,
    pub right: f64,
    /// Where the blob that ends the column before comes in.
    pub enters: Option<f64>,
}

/// The graph with tags in place of the long lines of inputs.
pub fn without_far_inputs(graph: &Graph) -> Graph {
    let mut near = graph.clone();
    let first = |from: usize| {
        let readers = graph.edges.iter().filter(|e| e.from == from).map(|e| e.to);
        readers.min().unwrap_or(from)
    };
    let far = |edge: &super::Edge| {
        let data = graph.nodes[edge.from].look == Look::Data;
        data && edge.to > first(edge.from) + FAR
    };
    near.edges.retain(|edge| !far(edge));
    for edge in graph.edges.iter().filter(|edge| far(edge)) {
        let name = graph.nodes[edge.from].tops[edge.top].name.clone();
        near.nodes[edge.to].named.push(name);
    }
    near
}

/// Cuts the ranks into columns where one box feeds all that follows.
pub fn columns(
    graph: &Graph,
    ranks: &Ranks,
    x: &[f64],
    half: &[f64],
    heights: &[f64],
    gap: f64,
) -> Vec<Column> {
    let edge = |rows: &[Vec<usize>], sign: f64| {
        let ends = rows.iter().flatten().map(|&i| sign * (x[i] + sign * half[i]));
        sign * ends.fold(f64::MIN, f64::max)
    };
    let count = heights.len();
    let tall: f64 = heights.iter().map(|h| h + gap).sum();
    let wide = edge(&ranks.rows, 1.0) - edge(&ranks.rows, -1.0) + 66.0;
    let wanted = (ASPECT * tall / wide.max(1.0)).sqrt().round().max(1.0);
    let mut columns = Vec::new();
    let (mut start, mut height) = (0, 0.0);
    for rank in 0..count {
        height += heights[rank] + gap;
        let rest: f64 = heights[rank + 1..].iter().map(|h| h + gap).sum();
        let enough = height >= 0.93 * tall / wanted && rest > 0.2 * tall / wanted;
        if rank + 1 == count || (enough && feeds_all(graph, ranks, rank)) {
            let rows = &ranks.rows[start..=rank];
            let enters = (start > 0).then(|| x[ranks.rows[start - 1][0]]);
            let (left, right) = (edge(rows, -1.0), edge(rows, 1.0));
            let left = enters.map_or(left, |e| left.min(e));
            let right = enters.map_or(right, |e| right.max(e));
            columns.push(Column { ranks: start..rank + 1, left, right, enters });
            (start, height) = (rank + 1, 0.0);
        }
    }
    columns
}

/// Whether a rank is one box with one blob.
fn feeds_all(graph: &Graph, ranks: &Ranks, rank: usize) -> bool {
    match ranks.rows[rank][..] {
        [item] => {
            matches!(ranks.items[item], Item::Node(n) if graph.nodes[n].tops.len() == 1)
                && !ranks.below[item].is_empty()
        }
        _ => false,
    }
}
