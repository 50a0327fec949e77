//! The parameters of a net: three flat slabs (weights, their diffs, state) and who owns which part.

use std::collections::{HashMap, HashSet, TryReserveError};
use std::ops::Range;

use cortado_layers::{ParamKind, Shape};
use rayon::ThreadPool;
use rayon::prelude::*;

/// Floats that a thread clears at once.
const CHUNK: usize = 1 << 16;

/// Number of a parameter in its store.
pub type ParamId = usize;

/// One parameter: a part of a slab.
#[derive(Clone, Debug)]
pub struct Param {
    /// Weights lie in one slab (with diffs), state in another.
    pub kind: ParamKind,
    /// Where in the slab.
    pub range: Range<usize>,
    /// The owner's shape.
    pub shape: Shape,
    /// The layer that made it, and the index among its blobs.
    pub owner: (String, usize),
    /// Factor of the learning rate.
    pub lr_mult: f32,
    /// Factor of the weight decay.
    pub decay_mult: f32,
    /// Whether the file gave lr_mult and decay_mult (sharers must agree).
    pub(crate) given: (bool, bool),
    /// Whether the first training pass is to scale it (filler `lsuv`); not when it has been given
    /// other values before.
    pub(crate) unscaled: bool,
    /// Goes up with every change, so that packed copies know they are old.
    pub version: u64,
}

/// The parameters of one net, or of several that train and test the same weights.
#[derive(Clone, Debug, Default)]
pub struct ParamStore {
    params: Vec<Param>,
    weights: Vec<f32>,
    diffs: Vec<f32>,
    state: Vec<f32>,
    released: bool,
    /// How many belong to the net that was built first, once it is.
    trained: Option<usize>,
    /// By a layer's name, its number among the layers of this name and with parameters, blob index.
    pub(crate) by_layer: HashMap<(String, usize, usize), ParamId>,
    pub(crate) by_name: HashMap<String, ParamId>,
}

impl ParamStore {
    /// Makes room for the values of one more parameter.
    pub(crate) fn reserve(&mut self, kind: ParamKind, count: usize) -> Result<(), TryReserveError> {
        match kind {
            ParamKind::Weight => self.weights.try_reserve(count),
            ParamKind::State => self.state.try_reserve(count),
        }
    }

    pub(crate) fn add(&mut self, mut param: Param, values: Vec<f32>) -> ParamId {
        let slab = match param.kind {
            ParamKind::Weight => &mut self.weights,
            ParamKind::State => &mut self.state,
        };
        param.range = slab.len()..slab.len() + values.len();
        slab.extend(values);
        self.params.push(param);
        self.params.len() - 1
    }

    /// All parameters, in the order of the layers: the original's order of learnable parameters.
    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// Those of the net that trains, which was built first: the nets that test may have others beside
    /// them, which stay as they are.
    pub fn trained(&self) -> &[Param] {
        &self.params[..self.trained.unwrap_or(self.params.len())]
    }

    /// A net has been built; its parameters are those that are trained, if it is the first.
    pub(crate) fn built(&mut self) {
        self.trained.get_or_insert(self.params.len());
    }

    /// Number of weights (state not counted).
    pub fn weight_count(&self) -> usize {
        self.weights.len()
    }

    /// The parameter of a layer.
    pub fn of_layer(&self, layer: &str, index: usize) -> Option<ParamId> {
        self.by_layer.get(&(layer.to_owned(), 0, index)).copied()
    }

    pub(crate) fn param_mut(&mut self, id: ParamId) -> &mut Param {
        &mut self.params[id]
    }

    /// Values of a parameter.
    pub fn data(&self, id: ParamId) -> &[f32] {
        let param = &self.params[id];
        match param.kind {
            ParamKind::Weight => &self.weights[param.range.clone()],
            ParamKind::State => &self.state[param.range.clone()],
        }
    }

    /// Values of a parameter, to write.
    pub fn data_mut(&mut self, id: ParamId) -> &mut [f32] {
        let param = &mut self.params[id];
        param.version += 1;
        param.unscaled = false;
        match param.kind {
            ParamKind::Weight => &mut self.weights[param.range.clone()],
            ParamKind::State => &mut self.state[param.range.clone()],
        }
    }

    /// Diff of a weight; empty for state, and before the first backward.
    pub fn diff(&self, id: ParamId) -> &[f32] {
        let param = &self.params[id];
        match param.kind {
            ParamKind::Weight => self.diffs.get(param.range.clone()).unwrap_or(&[]),
            ParamKind::State => &[],
        }
    }

    /// All weights, their diffs and the parameters that say what is where: for the solver, the only
    /// one who changes weights in training. All packed copies become old.
    pub fn for_update(&mut self) -> (&[Param], &mut [f32], &mut [f32]) {
        self.make_diffs();
        self.params.iter_mut().for_each(|param| param.version += 1);
        (&self.params, &mut self.weights, &mut self.diffs)
    }

    /// Sets all diffs to zero.
    pub fn clear_diffs(&mut self) {
        self.diffs.fill(0.0);
    }

    /// The same on the threads of a pool: one alone does not keep the memory busy.
    pub(crate) fn clear_diffs_on(&mut self, pool: &ThreadPool) {
        pool.install(|| self.diffs.par_chunks_mut(CHUNK).for_each(|part| part.fill(0.0)));
    }

    /// Sets the diff of one parameter to zero.
    pub(crate) fn clear_diff(&mut self, id: ParamId) {
        if self.params[id].kind == ParamKind::Weight && !self.diffs.is_empty() {
            self.diffs[self.params[id].range.clone()].fill(0.0);
        }
    }

    /// Says that parameters change.
    pub(crate) fn touch(&mut self, ids: impl Iterator<Item = ParamId>) {
        ids.for_each(|id| self.params[id].version += 1);
    }

    /// What the layers keep themselves.
    pub(crate) fn state(&self) -> &[f32] {
        &self.state
    }

    /// Goes back to an earlier state; that of another store is none.
    pub(crate) fn set_state(&mut self, state: &[f32]) {
        if state.len() == self.state.len() {
            self.state.copy_from_slice(state);
            let kept = self.params.iter_mut().filter(|param| param.kind == ParamKind::State);
            kept.for_each(|param| param.version += 1);
        }
    }

    /// Whether all weights and all state are finite.
    pub fn is_finite(&self) -> bool {
        self.weights.iter().chain(&self.state).all(|v| v.is_finite())
    }

    /// All diffs, before the first backward none.
    pub(crate) fn diffs(&self) -> &[f32] {
        &self.diffs
    }

    pub(crate) fn make_diffs(&mut self) {
        self.diffs.resize(self.weights.len(), 0.0);
    }

    /// The slabs as a pass lends them: weights to read, diffs and state to write.
    pub(crate) fn lend(&mut self) -> (&[Param], &[f32], &mut [f32], &mut [f32]) {
        (&self.params, &self.weights, &mut self.diffs, &mut self.state)
    }
}

/// A store that gives weights back, from its end to its beginning.
pub(crate) struct Releasing<'a> {
    store: &'a mut ParamStore,
    /// The weights that are given back.
    gone: HashSet<ParamId>,
    /// Copies of the others from `next` on.
    kept: HashMap<ParamId, Vec<f32>>,
    next: ParamId,
}

impl ParamStore {
    /// Whether weights were given back: their values are empty.
    pub fn is_released(&self) -> bool {
        self.released
    }

    pub(crate) fn releasing(&mut self, gone: HashSet<ParamId>) -> Releasing<'_> {
        let next = self.params.len();
        Releasing { store: self, gone, kept: HashMap::new(), next }
    }
}

impl Releasing<'_> {
    /// Values of a parameter that has not been given back.
    pub fn data(&self, id: ParamId) -> &[f32] {
        match self.kept.get(&id) {
            Some(values) => values,
            None => self.store.data(id),
        }
    }

    pub fn version(&self, id: ParamId) -> u64 {
        self.store.params[id].version
    }

    /// Nobody wants the parameters from `id` on any more, unless they are kept.
    pub fn down_to(&mut self, id: ParamId) {
        if self.gone.is_empty() {
            return;
        }
        while self.next > id {
            self.next -= 1;
            let Param { kind: ParamKind::Weight, range, .. } = &self.store.params[self.next] else {
                continue;
            };
            let range = range.clone();
            if !self.gone.contains(&self.next) {
                self.kept.insert(self.next, self.store.weights[range.clone()].to_vec());
            }
            self.store.weights.truncate(range.start);
            self.store.weights.shrink_to_fit();
        }
        if id == 0 {
            self.settle();
        }
    }

    /// Puts together what was kept.
    fn settle(&mut self) {
        for (id, param) in self.store.params.iter_mut().enumerate() {
            if param.kind == ParamKind::Weight {
                let start = self.store.weights.len();
                self.store.weights.extend(self.kept.remove(&id).unwrap_or_default());
                param.range = start..self.store.weights.len();
            }
        }
        self.store.diffs = Vec::new();
        self.store.released = true;
    }
}
