//! Which blobs lie in blocks of channels while a net trains.
//!
//! Convolutions read and write blobs either way and are faster in blocks; layers that go element by
//! element, poolings and runs of layers want the same on both sides; all others want planes. So
//! blobs fall into sets that lie alike, and a set lies in blocks if a convolution likes it and
//! nobody minds.

use cortado_kernels::{Blocked, BlockedRef, kernels};
use cortado_layers::{Layout, Layouts, Phase, Prim};

use super::{BlobId, Net, Node};

/// Channels of a block.
const BLOCK: usize = 16;

const BLOCKS: Layout = Layout::Nchw16c { halo: 0 };

/// How the storages hang together.
struct Sets {
    parent: Vec<usize>,
    planes: Vec<bool>,
    liked: Vec<bool>,
}

impl Sets {
    fn root(&self, mut storage: usize) -> usize {
        while self.parent[storage] != storage {
            storage = self.parent[storage];
        }
        storage
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.parent[b] = a;
        self.planes[a] |= self.planes[b];
        self.liked[a] |= self.liked[b];
    }

    fn want_planes(&mut self, storage: usize) {
        let root = self.root(storage);
        self.planes[root] = true;
    }

    fn like(&mut self, storage: usize) {
        let root = self.root(storage);
        self.liked[root] = true;
    }
}

impl Net {
    /// Decides for each storage how it lies. To be called when shapes are known.
    pub(super) fn choose_layouts(&mut self) {
        self.storages.iter_mut().for_each(|storage| storage.layout = Layout::Nchw);
        let unknown = self.shapes_depend_on_values();
        if self.state.phase != Phase::Train || !self.planning || unknown {
            return;
        }
        let count = self.storages.len();
        let mut sets = Sets {
            parent: (0..count).collect(),
            planes: vec![false; count],
            liked: vec![false; count],
        };
        let seen = self.inputs.iter().chain(&self.outputs).chain(&self.kept);
        seen.for_each(|&b| sets.want_planes(self.blobs[b].storage));
        let mut shapes = vec![None; count];
        for blob in &self.blobs {
            let shape = shapes[blob.storage].get_or_insert(&blob.shape);
            let flat = !matches!(blob.shape[..], [_, c, h, w] if c % BLOCK == 0 && h * w > 1);
            if flat || *shape != &blob.shape || blob.loss_weight != 0.0 {
                sets.want_planes(blob.storage);
            }
        }
        for i in 0..self.nodes.len() {
            self.join_around(i, &mut sets);
        }
        for storage in 0..count {
            let root = sets.root(storage);
            if sets.liked[root] && !sets.planes[root] {
                self.storages[storage].layout = BLOCKS;
            }
        }
    }

    /// Names of the blobs that lie in blocks.
    pub fn in_blocks(&self) -> Vec<&str> {
        let lies = |name: &&str| {
            let ids = self.by_name.get(*name);
            ids.and_then(|ids| ids.last()).is_some_and(|&id| self.blocked(id).is_some())
        };
        self.blob_names().into_iter().filter(lies).collect()
    }

    /// What a layer wants of the blobs around it.
    fn join_around(&self, i: usize, sets: &mut Sets) {
        let node = &self.nodes[i];
        let storage = |&b: &BlobId| self.blobs[b].storage;
        let around = || node.bottoms.iter().chain(&node.tops).map(storage);
        let mut alike = || {
            let all: Vec<usize> = around().collect();
            all.windows(2).for_each(|pair| sets.join(pair[0], pair[1]));
        };
        if self.run_of(i).is_some() || node.kind.layouts == Layouts::Elementwise {
            return alike();
        }
        // Of one shape, or it wants planes anyway.
        if node.alias {
            return;
        }
        match self.meaning_in_blocks(node, i) {
            Some(Prim::Conv(g)) if g.likes_blocks() => around().for_each(|s| sets.like(s)),
            Some(Prim::Pool(g, _)) if g.windows.len() == 2 => {
                // What is one pixel lies alike both ways.
                if g.windows.iter().any(|w| w.output > 1) {
                    alike();
                }
            }
            Some(Prim::Concat { axis: 1 }) => alike(),
            _ => around().for_each(|s| sets.want_planes(s)),
        }
    }

    fn meaning_in_blocks(&self, node: &Node, i: usize) -> Option<Prim> {
        (node.kind.layouts == Layouts::Blocked).then(|| self.meaning(i))?
    }

    /// How the memory of a blob lies, if in blocks.
    pub(super) fn blocked(&self, id: BlobId) -> Option<Blocked> {
        let blob = &self.blobs[id];
        self.storages[blob.storage].layout.blocked(&blob.shape)
    }

    /// `values` of a blob, channel by channel, whichever way they lie.
    pub(super) fn planes(&self, id: BlobId, values: &[f32]) -> Vec<f32> {
        let Some(of) = self.blocked(id) else { return values.to_vec() };
        let mut planes = vec![0.0; values.len()];
        kernels().from_blocked(BlockedRef::new(values, of), of.c, &mut planes);
        planes
    }
}
