//! From layers to items: each kind says what its layer means here.

use std::collections::HashMap;

use cortado_layers::{Layout, LowerCx, Prim, Shape, View};
use smallvec::smallvec;

use super::graph::{Graph, Item};
use crate::net::build::layer_phase;
use crate::net::{BlobId, Net, Node, ParamId, Short};

/// The first `end` layers of a net as a graph, and the parameters on which what they mean depends.
pub(super) fn lower(net: &Net, end: usize) -> (Graph<'_>, Vec<ParamId>) {
    let mut graph = Graph::new(&net.blobs);
    for blob in asked_for(net, end) {
        graph.keep(blob, net.blobs[blob].storage);
    }
    let mut sources = Vec::new();
    for (i, node) in net.nodes[..end].iter().enumerate().filter(|(_, node)| !node.kind.fed) {
        let prim = match node.alias {
            true => Some(Prim::Alias),
            false => meaning(net, node, &mut sources),
        };
        graph.push(Item {
            node: i,
            nodes: vec![i],
            prim,
            bottoms: Short::from_slice(&node.bottoms),
            tops: Short::from_slice(&node.tops),
            before: None,
            after: None,
            add: None,
            act: None,
            rules: Vec::new(),
        });
    }
    sources.sort_unstable();
    sources.dedup();
    (graph, sources)
}

/// What a layer means; the parameters on which that depends are added to `sources`.
pub(in crate::net) fn meaning(net: &Net, node: &Node, sources: &mut Vec<ParamId>) -> Option<Prim> {
    let lower = node.kind.lower?;
    let shapes = |blobs: &[BlobId]| -> Vec<Shape> {
        blobs.iter().map(|&b| net.blobs[b].shape.clone()).collect()
    };
    let (bottoms, tops) = (shapes(&node.bottoms), shapes(&node.tops));
    let params: Vec<View> = (node.params.iter().zip(&node.param_shapes))
        .map(|(&id, shape)| View { shape, layout: Layout::Nchw, data: net.store.data(id) })
        .collect();
    let phase = layer_phase(&node.def, net.state.phase);
    let cx = LowerCx::new(phase, &node.def, &bottoms, &tops, &params);
    let prim = lower(&cx);
    if prim.is_some() || cx.has_read() {
        sources.extend(&node.params);
    }
    prim
}

/// The blobs whose values must be in the net's own memory: inputs and what other sources give (they
/// can't be asked twice), outputs, losses, what the user keeps, and what layers from `end` on read.
fn asked_for(net: &Net, end: usize) -> Vec<BlobId> {
    // A value that another overwrites in place can't be seen afterwards, planned or not.
    let mut last: HashMap<usize, BlobId> = HashMap::new();
    let mut first: Vec<BlobId> = (0..net.blobs.len()).collect();
    for node in &net.nodes[..end] {
        for &top in &node.tops {
            match node.alias {
                true => first[top] = first[node.bottoms[0]],
                false => {
                    last.insert(net.blobs[top].storage, top);
                }
            }
        }
    }
    let mut asked: Short<BlobId> = smallvec![];
    for (id, blob) in net.blobs.iter().enumerate().filter(|(_, blob)| blob.maker < end) {
        let wanted = net.nodes[blob.maker].bottoms.is_empty()
            || blob.loss_weight != 0.0
            || blob.readers.iter().any(|&(reader, _)| reader >= end)
            || net.outputs.contains(&id)
            || net.kept.contains(&id);
        if wanted && last.get(&blob.storage) == Some(&first[id]) {
            asked.push(id);
        }
    }
    asked.into_vec()
}
