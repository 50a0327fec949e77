//! A net: layers wired by the names of their blobs, as the original's `net.cpp` means it.
//!
//! The way in, one file each: [`filter`] (phase, level and stage rules), [`splits`] (one reader per
//! top), [`build`] (kinds, layers, shapes, parameters), [`check`] (who needs a gradient, what may
//! run in place, which memory each blob gets), [`exec`] (the passes). [`plan`] makes nets that are
//! only used run faster; [`weights`] copies trained weights in and out.

mod assume;
mod blocks;
mod build;
mod check;
mod debug;
mod deployed;
mod error;
mod exec;
mod filter;
mod forks;
mod fuse;
mod info;
mod lend;
mod lifetimes;
mod lsuv;
mod mark;
mod outline;
mod params;
mod plan;
mod recompute;
mod shown;
mod splits;
mod storages;
pub mod threads;
mod trace;
mod unused;
mod weights;
mod weights_hdf5;
mod wiring;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cortado_layers::{
    Layer, LayerDef, LayerKind, Layout, PackCache, Phase, Registry, Shape, Tensor, View, ViewMut,
};
use cortado_proto::{Diagnostic, NetDef, caffe};
use rayon::ThreadPool;
use smallvec::SmallVec;

pub use assume::{Assumed, default_shapes};
pub use deployed::Deployed;
pub use error::{NetError, NetErrorKind, NetErrors};
pub use filter::belongs;
pub(crate) use filter::{filter, phase_of};
pub use forks::{Fork, fork_of};
pub use info::LayerInfo;
pub use mark::Mark;
pub use outline::{Outline, OutlineLayer};
pub use params::{Param, ParamId, ParamStore};
pub use plan::{StepInfo, Timing, Tuned};
pub use shown::shown;
pub use trace::{NonFinite, Pulse};
pub use weights::{CopyOptions, CopyReport, WeightsError};
pub use wiring::{Value, Wiring};

pub(crate) type Short<T> = SmallVec<[T; 4]>;

/// What the rules of a file are held against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetState {
    /// Phase.
    pub phase: Phase,
    /// Level, 0 unless said.
    pub level: i32,
    /// Stages.
    pub stages: Vec<String>,
}

impl NetState {
    /// The state of a phase, level 0, no stages.
    pub fn of(phase: Phase) -> NetState {
        NetState { phase, level: 0, stages: Vec::new() }
    }

    /// With what the `state` block of a net adds: its stages, and its level where none was given.
    pub(crate) fn and(mut self, block: Option<&caffe::NetState>) -> NetState {
        if let Some(block) = block {
            self.level = if self.level == 0 { block.level() } else { self.level };
            let new = block.stage.iter().filter(|stage| !self.stages.contains(stage));
            let new: Vec<String> = new.cloned().collect();
            self.stages.extend(new);
        }
        self
    }
}

/// How a net is built.
#[derive(Clone)]
pub struct NetOptions {
    /// Phase, level, stages.
    pub state: NetState,
    /// Layer types it may use.
    pub registry: Registry,
    /// Seed of everything random in it.
    pub seed: u64,
    /// Threads it runs on.
    pub pool: Arc<ThreadPool>,
    /// Memory the blobs and parameters of the net may take, in bytes.
    pub max_memory: u64,
    /// Whether backward may be called. Without, a net with losses can be planned and saves memory.
    pub gradients: bool,
    /// Whether forward passes are planned in phase TEST where no gradient is wanted. Results differ
    /// from those layer by layer by rounding.
    pub plan: bool,
    /// Whether plans leave out algorithms that lose a few bits (Winograd's convolution).
    pub exact: bool,
    /// Whether training keeps few activations and computes the others again in the backward pass: less
    /// memory for more time, and the same weights bit for bit.
    pub checkpoint_activations: bool,
    /// Algorithms that were timed on this machine, for plans; see [`Net::tune`].
    pub tuned: Option<Arc<Tuned>>,
}

/// Memory that a net may take unless told otherwise: what the machine has, up to 64 GiB, which is more
/// than any published Caffe network takes, and less than an absurd shape asks for.
pub fn default_memory() -> u64 {
    crate::machine::memory().min(64 << 30)
}

impl NetOptions {
    /// A phase with every layer type of the program, seed 1, one thread per core.
    pub fn new(phase: Phase) -> NetOptions {
        NetOptions {
            state: NetState::of(phase),
            registry: crate::registry(),
            seed: 1,
            pool: threads::default_pool(),
            max_memory: default_memory(),
            gradients: true,
            plan: true,
            exact: false,
            checkpoint_activations: false,
            tuned: None,
        }
    }
}

/// Number of a blob: one value made by one top. A name that is written in place is several blobs.
pub type BlobId = usize;

/// One value of the net.
pub(crate) struct Blob {
    pub name: String,
    pub shape: Shape,
    /// Index of its memory.
    pub storage: usize,
    /// Weight in the loss, 0 for none.
    pub loss_weight: f32,
    /// The node that makes it.
    pub maker: usize,
    /// The nodes (and bottoms of them) that read it.
    pub readers: Short<(usize, usize)>,
}

/// Memory of one or more blobs.
#[derive(Default)]
pub(crate) struct Storage {
    pub data: Vec<f32>,
    pub diff: Vec<f32>,
    /// How both lie.
    pub layout: Layout,
    /// Whether backward uses the diff.
    pub has_diff: bool,
    /// Whether the diff starts a backward pass at zero (and the seeds are added to it).
    pub starts_zero: bool,
    /// Whether layers that run as one bring the diff's memory with them.
    pub diff_from_run: bool,
}

/// How a node's backward writes the diff of a bottom.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum DiffTo {
    /// Nobody asks for it.
    Nobody,
    /// To the blob's memory.
    Blob(cortado_layers::Write),
    /// The memory is lent already (the same blob is read twice): to `Node::spare` of the same
    /// index, then added.
    Spare,
}

/// One layer in its place.
pub(crate) struct Node {
    pub def: LayerDef,
    pub kind: &'static LayerKind,
    pub layer: Box<dyn Layer>,
    pub bottoms: Vec<BlobId>,
    pub tops: Vec<BlobId>,
    /// For each top, whether it is the memory of the bottom of the same index.
    pub in_place: Vec<bool>,
    /// Whether the tops are the memory of bottom 0 and nothing is computed.
    pub alias: bool,
    /// Parameters in blob order, with the shapes this layer sees.
    pub params: Vec<ParamId>,
    pub param_shapes: Vec<Shape>,
    /// Indices into `params`.
    pub weights: Vec<usize>,
    pub state: Vec<usize>,
    /// Whether backward runs, and for whom.
    pub backward: bool,
    pub diff_to: Vec<DiffTo>,
    pub weight_grads: Vec<bool>,
    pub spare: Vec<Vec<f32>>,
    pub saved: Vec<Tensor>,
    pub scratch: usize,
}

/// Where a pass reports what `debug_info` asks for, line by line.
pub type DebugSink = Box<dyn FnMut(&str) + Send>;

/// A net ready to run.
pub struct Net {
    name: String,
    source: Option<String>,
    state: NetState,
    seed: u64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) blobs: Vec<Blob>,
    pub(crate) storages: Vec<Storage>,
    /// For each name, the blobs that bear it, first to last.
    by_name: BTreeMap<String, Vec<BlobId>>,
    inputs: Vec<BlobId>,
    outputs: Vec<BlobId>,
    /// Blobs that planned passes keep beside inputs and outputs.
    kept: BTreeSet<BlobId>,
    /// Number of leading layers whose tops lie in `storages`: all, unless the last pass was planned.
    filled: usize,
    /// Layers that train as one, and for each layer whether it is in such a run.
    fused: Vec<fuse::Fused>,
    parts: Vec<fuse::Part>,
    /// The options of the same names.
    planning: bool,
    exact: bool,
    tuned: Option<Arc<Tuned>>,
    plan: Option<plan::Plan>,
    /// The parameters.
    pub store: ParamStore,
    scratch: Vec<f32>,
    cache: PackCache,
    /// Diffs that the user gave for outputs.
    seeds: HashMap<BlobId, Vec<f32>>,
    passes: u64,
    pool: Arc<ThreadPool>,
    notes: Vec<Diagnostic>,
    /// Where debug lines go.
    pub debug: Option<DebugSink>,
    /// While values that are not finite are looked for: the first.
    trace: Option<Option<NonFinite>>,
    pulse: Arc<Pulse>,
    max_memory: u64,
    /// Whether layers run again in backward passes rather than keep what they made.
    recomputes: bool,
    /// What blobs lend each other in training, and whose memory lasts although nobody reads it.
    lent: lend::Lent,
    held: BTreeSet<BlobId>,
    /// While ReLUs are looked at: by layer, which channels fired in the last pass.
    fired: Option<BTreeMap<usize, Vec<bool>>>,
    /// What was shown last of a blob that lies in blocks.
    shown: Vec<f32>,
}

impl Net {
    /// Builds a net. All mistakes of the file come back together.
    pub fn build(def: NetDef, options: &NetOptions) -> Result<Net, NetErrors> {
        Net::build_on(def, options, ParamStore::default())
    }

    /// Reads and builds a net from a text file.
    pub fn from_file(path: impl AsRef<Path>, options: &NetOptions) -> Result<Net, crate::Error> {
        Ok(Net::build(NetDef::read(path.as_ref())?, options)?)
    }

    /// The net's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file it was read from.
    pub fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    /// Phase, level and stages.
    pub fn state(&self) -> &NetState {
        &self.state
    }

    /// Warnings and notes from building.
    pub fn notes(&self) -> &[Diagnostic] {
        &self.notes
    }

    /// The threads it runs on.
    pub fn pool(&self) -> &Arc<ThreadPool> {
        &self.pool
    }

    /// Names of the input blobs, in the order of the file.
    pub fn inputs(&self) -> Vec<&str> {
        self.inputs.iter().map(|&id| self.blobs[id].name.as_str()).collect()
    }

    /// Names of the output blobs, sorted as the original sorts them.
    pub fn outputs(&self) -> Vec<&str> {
        self.outputs.iter().map(|&id| self.blobs[id].name.as_str()).collect()
    }

    /// Names of all blobs, in the order in which the net makes them.
    pub fn blob_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for blob in &self.blobs {
            if self
                .by_name
                .get(&blob.name)
                .is_some_and(|ids| std::ptr::eq(&self.blobs[ids[0]], blob))
            {
                names.push(&blob.name);
            }
        }
        names
    }

    /// The layers, inserted splits included.
    pub fn layers(&self) -> impl ExactSizeIterator<Item = LayerInfo<'_>> {
        self.nodes.iter().enumerate().map(|(index, _)| LayerInfo::new(self, index))
    }

    /// One layer.
    pub fn layer(&self, index: usize) -> LayerInfo<'_> {
        LayerInfo::new(self, index)
    }

    /// Data of a blob: the last value of its name. `None` where a planned pass has left no value, or
    /// one in blocks of channels: [`Net::read`] gives it, [`Net::keep`] asks for it before the pass. In
    /// training a planned net leaves none of blobs that no backward pass reads: others have their
    /// memory ([`Net::hold`] prevents it).
    pub fn blob(&self, name: &str) -> Option<View<'_>> {
        let &id = self.by_name.get(name)?.last()?;
        let blob = &self.blobs[id];
        let data = &self.storages[blob.storage].data;
        let there = data.len() == blob.shape.count() && self.blocked(id).is_none();
        there.then_some(View { shape: &blob.shape, layout: Layout::Nchw, data })
    }

    /// Shape of a blob: that of the last value of its name.
    pub fn shape(&self, name: &str) -> Option<&Shape> {
        let &id = self.by_name.get(name)?.last()?;
        Some(&self.blobs[id].shape)
    }

    /// Diff of a blob after backward: that of the first value of its name. `None` when backward
    /// writes none, where it lies in blocks of channels ([`Net::read_diff`] gives it), and in training
    /// where others have its memory ([`Net::hold`] prevents it).
    pub fn diff(&self, name: &str) -> Option<View<'_>> {
        let &id = self.by_name.get(name)?.first()?;
        let blob = &self.blobs[id];
        let storage = &self.storages[blob.storage];
        let written = storage.has_diff && storage.diff.len() == blob.shape.count();
        let written = written && self.blocked(id).is_none();
        written.then_some(View { shape: &blob.shape, layout: Layout::Nchw, data: &storage.diff })
    }

    /// Weight of a blob in the loss, 0 for none.
    pub fn loss_weight(&self, name: &str) -> f32 {
        let id = self.by_name.get(name).and_then(|ids| ids.last());
        id.map_or(0.0, |&id| self.blobs[id].loss_weight)
    }

    /// Data of an input (or any other blob that a user fills), to write.
    pub fn input_mut(&mut self, name: &str) -> Option<ViewMut<'_>> {
        let &id = self.by_name.get(name)?.first()?;
        let blob = &self.blobs[id];
        let planes = self.storages[blob.storage].layout == Layout::Nchw;
        let data = &mut self.storages[blob.storage].data;
        let there = planes && data.len() == blob.shape.count();
        there.then_some(ViewMut { shape: &blob.shape, layout: Layout::Nchw, data })
    }

    /// Sets an input from an array of the input's shape; says both shapes when they differ.
    pub fn set_input(
        &mut self,
        name: &str,
        values: ndarray::ArrayViewD<'_, f32>,
    ) -> Result<(), NetError> {
        let Some(mut input) = self.input_mut(name) else {
            return Err(self.no_blob(name));
        };
        if values.shape() != &input.shape[..] {
            let found = Shape::new(values.shape());
            let why = format!("input `{name}` is {}, the array is {found}", input.shape);
            return Err(NetError::new(NetErrorKind::Size(why))
                .note("call `reshape_input` first to give the input another shape"));
        }
        input.array().assign(&values);
        Ok(())
    }

    /// Gives an input another shape. All shapes behind it are worked out anew.
    pub fn reshape_input(&mut self, name: &str, shape: impl Into<Shape>) -> Result<(), NetErrors> {
        let Some(&id) = self.by_name.get(name).and_then(|ids| ids.first()) else {
            return Err(self.no_blob(name).into());
        };
        if !self.inputs.contains(&id) {
            let why = format!("`{name}` is no input of the net");
            return Err(NetError::new(NetErrorKind::Rule(why)).into());
        }
        let shape = shape.into();
        if shape.checked_count().is_none() {
            return Err(NetError::new(NetErrorKind::Size(format!("{shape} is too large"))).into());
        }
        let before = std::mem::replace(&mut self.blobs[id].shape, shape);
        if let Err(errors) = self.reshape() {
            self.blobs[id].shape = before;
            self.reshape().map_err(|_| errors.clone())?;
            return Err(errors);
        }
        Ok(())
    }

    /// Gives the diff of an output, from which the next backward passes start, in place of its loss
    /// weight if it has one.
    pub fn set_diff(&mut self, name: &str, diff: &[f32]) -> Result<(), NetError> {
        let Some(&id) = self.by_name.get(name).and_then(|ids| ids.last()) else {
            return Err(self.no_blob(name));
        };
        if !self.outputs.contains(&id) {
            let why = format!("`{name}` is no output of the net: its diff comes from its readers");
            return Err(NetError::new(NetErrorKind::Rule(why)));
        }
        let shape = &self.blobs[id].shape;
        if shape.count() != diff.len() {
            let why = format!("`{name}` is {shape}, the diff has {} elements", diff.len());
            return Err(NetError::new(NetErrorKind::Size(why)));
        }
        self.seeds.insert(id, diff.to_vec());
        Ok(())
    }

    /// Number of forward passes so far; random numbers depend on it.
    pub fn passes(&self) -> u64 {
        self.passes
    }

    /// Goes on after so many forward passes.
    pub fn set_passes(&mut self, passes: u64) {
        self.passes = passes;
    }

    /// Changes the seed of everything random in coming passes.
    pub fn set_seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    /// Where each source of data stands, by layer name.
    pub fn positions(&self) -> Vec<(String, u64)> {
        let of = |node: &Node| Some((node.def.name().to_owned(), node.layer.position()?));
        self.nodes.iter().filter_map(of).collect()
    }

    /// How long passes have waited for the sources of data, in all.
    pub fn waited(&self) -> Duration {
        self.nodes.iter().map(|node| node.layer.waited()).sum()
    }

    /// Items of a pass: the first axis of the first blob.
    pub fn batch_size(&self) -> usize {
        self.blobs.first().and_then(|blob| blob.shape.first().copied()).unwrap_or(0)
    }

    /// Lets the sources of data of these names go on at these positions.
    pub fn seek(&mut self, positions: &[(String, u64)]) -> Result<(), NetError> {
        for node in &mut self.nodes {
            let wanted = positions.iter().find(|(name, _)| name == node.def.name());
            if let (Some((_, position)), Some(_)) = (wanted, node.layer.position()) {
                let sought = node.layer.seek(self.seed, *position);
                sought.map_err(|e| NetError::from_layer(&node.def, e))?;
            }
        }
        Ok(())
    }

    /// Lets the layers that write files write what they still hold. What a net that is dropped
    /// without this can't write is only printed.
    pub fn close(&mut self) -> Result<(), NetError> {
        for node in &mut self.nodes {
            node.layer.close().map_err(|e| NetError::from_layer(&node.def, e))?;
        }
        Ok(())
    }

    fn no_blob(&self, name: &str) -> NetError {
        let names = self.by_name.keys().map(String::as_str);
        NetError::new(NetErrorKind::Rule(format!("the net has no blob `{name}`")))
            .similar(cortado_proto::schema::similar(name, names))
    }
}
