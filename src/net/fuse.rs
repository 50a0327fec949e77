//! Runs of layers that train as one: a normalisation by the batch's statistics, its scale and shift,
//! and the rectifier behind them, all in place. Layer by layer they sweep over memory a dozen times
//! and keep three copies of the blob; as one they sweep five times and keep what comes in and what
//! goes out.
//!
//! The layers one by one (`NetOptions { plan: false }`) are what the tests hold it against: the same
//! outputs, state and gradients.

use std::mem::take;

use cortado_kernels::{Normalizer, kernels};
use cortado_layers::norm::batch_norm::follow;
use cortado_layers::{Act, Phase, Prim};

use super::lifetimes::Place;
use super::plan::meaning;
use super::{BlobId, Net, ParamId, Short};

/// Planes shorter than this are better normalised layer by layer.
const SHORT: usize = 8;

/// Layers that run as one.
#[derive(Debug)]
pub(super) struct Fused {
    /// First and last.
    pub first: usize,
    pub last: usize,
    /// The blob that comes in, and the one that goes out; they lie in memories of their own.
    pub bottom: BlobId,
    pub top: BlobId,
    relu: bool,
    fraction: f32,
    eps: f32,
    /// Mean and 1/σ of the batch.
    mean: Vec<f32>,
    inv_std: Vec<f32>,
}

/// What a node is to the runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Nothing: it runs by itself.
    Alone,
    /// One of this run.
    Of(usize),
}

impl Net {
    /// Finds the runs; `wanted` tells which bottoms want gradients. Before memory is assigned.
    pub(super) fn find_fused(&mut self, wanted: &[Vec<bool>]) {
        self.parts = vec![Part::Alone; self.nodes.len()];
        if self.state.phase != Phase::Train || !self.planning {
            return;
        }
        for first in 0..self.nodes.len() {
            if let Some(run) = self.run_at(first, wanted) {
                for i in run.first..=run.last {
                    self.parts[i] = Part::Of(self.fused.len());
                }
                self.fused.push(run);
            }
        }
    }

    /// Names of the layers that train as one, run by run.
    pub fn runs(&self) -> Vec<Vec<&str>> {
        let name = |i: usize| self.nodes[i].def.name();
        self.fused.iter().map(|run| (run.first..=run.last).map(name).collect()).collect()
    }

    /// The run of which a node is a part.
    pub(super) fn run_of(&self, node: usize) -> Option<usize> {
        match self.parts.get(node) {
            Some(&Part::Of(run)) => Some(run),
            _ => None,
        }
    }

    fn run_at(&self, first: usize, wanted: &[Vec<bool>]) -> Option<Fused> {
        let node = self.nodes.get(first)?;
        let Prim::Normalize { fraction, eps } = self.meaning(first)? else { return None };
        let (&[bottom], &[normal]) = (&node.bottoms[..], &node.tops[..]) else { return None };
        let shape = &self.blobs[bottom].shape;
        let inner = if shape.len() > 2 { shape.count_from(2) } else { 1 };
        let maker = &self.nodes[self.blobs[bottom].maker];
        let alone = self.blobs[bottom].readers.len() == 1 && !maker.alias && !maker.kind.fed;
        if !alone || inner < SHORT || wanted[first] != [true] || !self.named_alike(bottom, normal) {
            return None;
        }
        let scaled = self.follower(normal)?;
        let scale = &self.nodes[scaled];
        let own = scale.params.len() == 2 && scale.weights.len() == 2;
        if !own || !matches!(self.meaning(scaled)?, Prim::Affine(_)) || !scale.backward {
            return None;
        }
        let scaled_top = scale.tops[0];
        let rectifier = self.follower(scaled_top).filter(|&i| {
            self.nodes[i].backward
                && matches!(self.meaning(i), Some(Prim::Act(Act::Relu(slope))) if slope == 0.0)
        });
        let (last, top) = match rectifier {
            Some(i) => (i, self.nodes[i].tops[0]),
            None => (scaled, scaled_top),
        };
        // Nothing may stand between them that is not of them.
        let members = if rectifier.is_some() { 3 } else { 2 };
        let seen = [normal, scaled_top].iter().all(|&b| self.blobs[b].loss_weight == 0.0);
        (seen && last - first + 1 == members).then_some(Fused {
            first,
            last,
            bottom,
            top,
            relu: rectifier.is_some(),
            fraction,
            eps,
            mean: Vec::new(),
            inv_std: Vec::new(),
        })
    }

    /// The only reader of a blob, if it writes over it.
    fn follower(&self, blob: BlobId) -> Option<usize> {
        let &[(reader, 0)] = &self.blobs[blob].readers[..] else { return None };
        let node = &self.nodes[reader];
        let (&[bottom], &[top]) = (&node.bottoms[..], &node.tops[..]) else { return None };
        (bottom == blob && self.named_alike(bottom, top)).then_some(reader)
    }

    fn named_alike(&self, a: BlobId, b: BlobId) -> bool {
        self.blobs[a].name == self.blobs[b].name
    }

    /// What a layer means here.
    pub(super) fn meaning(&self, i: usize) -> Option<Prim> {
        meaning(self, &self.nodes[i], &mut Vec::new())
    }

    /// The forward pass of a run.
    pub(super) fn forward_fused(&mut self, run: usize) {
        let Net { nodes, blobs, storages, store, fused, .. } = self;
        let run = &mut fused[run];
        let shape = &blobs[run.bottom].shape;
        let dims: [usize; 3] = shape.around(1).into();
        let [outer, c, inner] = dims;
        let mut y = take(&mut storages[blobs[run.top].storage].data);
        let x = &storages[blobs[run.bottom].storage].data[..];
        let k = kernels();
        run.mean.resize(c, 0.0);
        run.inv_std.resize(c, 0.0);
        let blocked = storages[blobs[run.bottom].storage].layout.blocked(shape);
        match blocked {
            Some(of) => k.moments_blocked(of, x, &mut run.mean, &mut run.inv_std),
            None => k.moments(outer, c, inner, x, &mut run.mean, &mut run.inv_std),
        }
        let (norm, scale) = (&nodes[run.first], &nodes[run.first + 1]);
        store.touch(norm.state.iter().map(|&p| norm.params[p]));
        let ids: Short<ParamId> = norm.state.iter().map(|&p| norm.params[p]).collect();
        let (params, weights, _, state) = store.lend();
        let ranges: Short<_> = ids.iter().map(|&id| params[id].range.clone()).collect();
        let parts: Result<[&mut [f32]; 3], _> =
            super::exec::disjoint(state, &ranges).into_vec().try_into();
        if let Ok(parts) = parts {
            follow(parts, &run.mean, &run.inv_std, outer * inner, run.fraction);
        }
        run.inv_std.iter_mut().for_each(|var| *var = 1.0 / (*var + run.eps).sqrt());
        let [gamma, beta] = [0, 1].map(|p| &weights[params[scale.params[p]].range.clone()]);
        let (mean, inv_std, relu) = (&run.mean[..], &run.inv_std[..], run.relu);
        let of_run = Normalizer { mean, inv_std, gamma, beta, relu };
        match blocked {
            Some(of) => k.normalize_blocked(of, of_run, x, &mut y),
            None => k.normalize(dims, of_run, x, &mut y),
        }
        storages[blobs[run.top].storage].data = y;
    }

    /// The backward pass of a run: the top's diff becomes the bottom's, in the same memory.
    pub(super) fn backward_fused(&mut self, run: usize) {
        let Net { nodes, blobs, storages, store, fused, .. } = self;
        let run = &mut fused[run];
        let dims: [usize; 3] = blobs[run.bottom].shape.around(1).into();
        // Before any forward pass there are none.
        run.mean.resize(dims[1], 0.0);
        run.inv_std.resize(dims[1], 0.0);
        let [from, to] = [run.top, run.bottom].map(|b| blobs[b].storage);
        let mut diff = take(&mut storages[from].diff);
        let x = &storages[to].data[..];
        let scale = &nodes[run.first + 1];
        let (params, weights, diffs, _) = store.lend();
        let ranges: Short<_> = scale.params.iter().map(|&id| params[id].range.clone()).collect();
        let [gamma, beta] = [0, 1].map(|p| &weights[ranges[p].clone()]);
        let mut parts = super::exec::disjoint(diffs, &ranges).into_vec().into_iter();
        let wanted = |p: usize, part: Option<_>| part.filter(|_| scale.weight_grads[p]);
        let sums = [0, 1].map(|p| wanted(p, parts.next()));
        let (mean, inv_std, relu) = (&run.mean[..], &run.inv_std[..], run.relu);
        let of_run = Normalizer { mean, inv_std, gamma, beta, relu };
        match storages[to].layout.blocked(&blobs[run.bottom].shape) {
            Some(of) => kernels().normalize_backward_blocked(of, of_run, x, &mut diff, sums),
            None => kernels().normalize_backward(dims, of_run, x, &mut diff, sums),
        }
        storages[from].diff = diff;
        self.hand_on_diff(from, to);
    }

    /// Before a backward pass: the diffs of runs are where those who read their tops write them.
    pub(super) fn place_fused_diffs(&mut self) {
        for run in &self.fused {
            let [from, to] = [run.top, run.bottom].map(|b| self.blobs[b].storage);
            if self.storages[from].diff.is_empty() && !self.lent.lends(Place::Diff(from)) {
                self.storages[from].diff = take(&mut self.storages[to].diff);
            }
        }
    }

    /// Whether a top must have memory of its own although it could be its bottom's.
    pub(super) fn starts_run(&self, node: usize) -> bool {
        self.run_of(node).is_some_and(|run| self.fused[run].first == node)
    }
}
