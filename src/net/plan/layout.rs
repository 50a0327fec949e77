//! Which items run in blocks of 16 channels, and with which halo.

use cortado_kernels::Blocked;
use cortado_layers::{Prim, Shape};

use super::graph::{Graph, Item};
use super::rules::concat;
use crate::net::BlobId;

/// A wider padding is copied by the convolution that wants it.
pub(super) const MAX_HALO: usize = 4;

/// The layouts of a graph.
pub(super) struct Layouts {
    /// For each item, whether it runs in blocks.
    pub blocked: Vec<bool>,
    /// For each concatenation in blocks, which parts are made inside.
    pub inside: Vec<Vec<bool>>,
    /// For each value, the zeros around its planes, where it lies in blocks.
    halo: Vec<usize>,
}

/// The layout of a shape in blocks.
pub(super) fn blocked_of(shape: &Shape, halo: usize) -> Option<Blocked> {
    match shape[..] {
        [n, c, h, w] => Some(Blocked { n, c, h, w, halo }),
        _ => None,
    }
}

impl Layouts {
    pub fn choose(graph: &Graph<'_>, blobs: usize) -> Layouts {
        let mut layouts = Layouts {
            blocked: vec![false; graph.len()],
            inside: vec![Vec::new(); graph.len()],
            halo: vec![0; blobs],
        };
        for (at, item) in graph.items() {
            layouts.blocked[at] = layouts.runs_in_blocks(graph, item);
        }
        for (at, item) in graph.items() {
            if layouts.blocked[at] && matches!(item.prim, Some(Prim::Concat { .. })) {
                layouts.inside[at] = concat::parts_inside(graph, at, &layouts.blocked);
            }
        }
        layouts.choose_halos(graph);
        layouts
    }

    /// The value of a blob in blocks.
    pub fn of(&self, graph: &Graph<'_>, blob: BlobId) -> Option<Blocked> {
        let value = graph.value(blob);
        blocked_of(graph.shape(value), self.halo[value])
    }

    /// Whether the item that makes a value makes it in blocks.
    pub fn made_in_blocks(&self, graph: &Graph<'_>, blob: BlobId) -> bool {
        graph.maker(blob).is_some_and(|maker| self.blocked[maker])
    }

    /// Convolutions do. What can do both follows its bottoms.
    fn runs_in_blocks(&self, graph: &Graph<'_>, item: &Item) -> bool {
        let four = |blob: &BlobId| graph.shape(*blob).len() == 4;
        if !item.tops.iter().chain(&item.bottoms).all(four) {
            return false;
        }
        let follows = || {
            item.bottoms.iter().all(|&b| graph.as_made(b))
                && item.bottoms.iter().any(|&b| self.made_in_blocks(graph, b))
        };
        match &item.prim {
            Some(Prim::Conv(_)) => item.add.is_none_or(|b| graph.as_made(b)),
            Some(Prim::Pool(..) | Prim::Lrn { .. } | Prim::Affine(_) | Prim::Act(_)) => follows(),
            Some(Prim::Add { .. } | Prim::Mul | Prim::Max) => follows(),
            Some(Prim::Concat { axis: 1 }) => {
                follows() && concat::offsets(graph, &item.bottoms).is_some()
            }
            _ => false,
        }
    }

    /// Values get the padding of the convolutions that read them. Items that walk memory as if it
    /// were flat want one halo for all that they read and write.
    fn choose_halos(&mut self, graph: &Graph<'_>) {
        for (at, item) in graph.items().filter(|(at, _)| self.blocked[*at]) {
            let Some(Prim::Conv(g)) = &item.prim else { continue };
            let pad = g.windows.iter().map(|w| w.pad).max().unwrap_or(0);
            let value = graph.value(item.bottoms[0]);
            if pad <= MAX_HALO && graph.as_made(item.bottoms[0]) && self.blocked[at] {
                self.halo[value] = self.halo[value].max(pad);
            }
        }
        let tied = |at: usize, item: &Item| -> Vec<BlobId> {
            let bottoms = item.bottoms.iter().enumerate();
            let with = |pick: &dyn Fn(usize) -> bool| {
                let picked = bottoms.clone().filter(|(j, _)| pick(*j)).map(|(_, &b)| b);
                picked.chain(item.tops.iter().copied()).map(|b| graph.value(b)).collect()
            };
            match &item.prim {
                Some(Prim::Conv(_) | Prim::Pool(..)) => Vec::new(),
                Some(Prim::Concat { .. }) => with(&|j| self.inside[at][j]),
                _ => with(&|_| true),
            }
        };
        let groups: Vec<Vec<BlobId>> = (graph.items())
            .filter(|(at, _)| self.blocked[*at])
            .map(|(at, item)| tied(at, item))
            .filter(|group| group.len() > 1)
            .collect();
        let mut changed = true;
        while changed {
            changed = false;
            for group in &groups {
                let most = group.iter().map(|&value| self.halo[value]).max().unwrap_or(0);
                for &value in group {
                    changed |= self.halo[value] != most;
                    self.halo[value] = most;
                }
            }
        }
    }
}
