//! Plans: how a net that is used (phase TEST, no gradient wanted) runs faster than layer by layer.
//!
//! [`lower`] asks every layer what it means; [`rules`] rewrite meanings (statistics into weights,
//! sums and activations into the products before them, copies away); [`layout`] chooses what runs in
//! blocks of 16 channels; [`emit`] makes steps of it, with the reorders between the layouts;
//! [`slots`] gives every value memory for as long as it is read; [`exec`] runs the steps; [`print`]
//! shows them. A plan holds until shapes, parameters or the blobs asked for change; the packed
//! weights outlive it.
//!
//! Only inputs, outputs, losses and blobs named by [`Net::keep`] are in the net's memory after a
//! planned pass; [`Net::blob`] gives `None` for all others, [`Net::read`] computes them.

mod emit;
mod exec;
mod graph;
mod images;
mod layout;
mod lower;
mod pack;
mod print;
mod read;
mod rules;
mod slots;
mod step;
mod tuned;
mod work;

use cortado_kernels::AlignedVec;
use cortado_layers::Phase;

use super::{BlobId, Net, NetError, ParamId};
use emit::Emitter;
use layout::Layouts;
pub(in crate::net) use lower::meaning;
use pack::{Choice, Packer};
pub use print::StepInfo;
use slots::{Home, Slot};
use step::{Buffer, Step};
pub use tuned::{Timing, Tuned};

/// How the first layers of a net run.
pub(super) struct Plan {
    steps: Vec<Step>,
    buffers: Vec<Buffer>,
    homes: Vec<Home>,
    slots: Vec<Slot>,
    memory: Vec<AlignedVec>,
    /// For each run of steps that goes image by image the memory of each thread.
    arenas: Vec<Vec<Vec<AlignedVec>>>,
    /// Parameters that went into it, with their versions.
    sources: Vec<(ParamId, u64)>,
    /// Layers from this one on run as they are: shapes depend on values there.
    end: usize,
    /// Whether the net's memory has the sizes that the plan wants.
    prepared: bool,
}

impl Net {
    /// Keeps these blobs in planned passes, so that [`Net::blob`] finds them.
    pub fn keep(&mut self, names: &[&str]) -> Result<(), NetError> {
        for name in names {
            let Some(&id) = self.by_name.get(*name).and_then(|ids| ids.last()) else {
                return Err(self.no_blob(name));
            };
            self.kept.insert(id);
        }
        self.forget_plan();
        self.choose_memory()
    }

    /// Keeps every blob: the net runs layer by layer.
    pub fn keep_all(&mut self) {
        (self.planning, self.recomputes) = (false, false);
        self.forget_plan();
        // Where memory does not suffice, the next pass says so.
        let _ = self.choose_memory();
    }

    /// In training, how blobs lie and what lasts, anew.
    fn choose_memory(&mut self) -> Result<(), NetError> {
        if self.state.phase == Phase::Train {
            self.choose_layouts();
            self.lend();
            self.fill()?;
        }
        Ok(())
    }

    /// Whether forward passes are planned.
    pub fn is_planned(&self) -> bool {
        self.planning
            && self.state.phase == Phase::Test
            && self.debug.is_none()
            && !self.nodes.iter().any(|node| node.backward)
            && self.nodes[..self.fixed()].iter().any(|node| !node.kind.fed)
            && self.blobs.iter().all(|blob| blob.maker >= self.fixed() || blob.shape.count() > 0)
    }

    /// Why forward passes are not planned, and what helps.
    pub fn why_unplanned(&self) -> String {
        let dynamic = self.nodes.get(self.fixed()).filter(|_| self.planning);
        match dynamic {
            Some(node) => format!(
                "the net runs layer by layer: what `{}` ({}) gives may change its shape from pass to pass; \
                 take the deploy net, whose inputs stand (`cortado deploy` makes one)",
                node.def.name(),
                node.def.r#type()
            ),
            None => "the net runs layer by layer: there is no plan".to_owned(),
        }
    }

    /// Number of layers before the first whose tops' shapes depend on values.
    fn fixed(&self) -> usize {
        self.nodes.iter().position(|node| node.kind.dynamic).unwrap_or(self.nodes.len())
    }

    /// What was planned is no longer so.
    pub(super) fn forget_plan(&mut self) {
        self.plan = None;
    }

    /// Makes the plan, unless one is there that still holds. Whether there is one.
    pub(super) fn ready_plan(&mut self) -> bool {
        self.ready(false)
    }

    /// The same; with `release`, a new plan keeps only the packed form of the weights that it packs.
    pub(super) fn ready(&mut self, release: bool) -> bool {
        if !self.is_planned() {
            self.forget_plan();
            return false;
        }
        let version = |id: ParamId| self.store.params()[id].version;
        let holds = |plan: &Plan| plan.sources.iter().all(|&(id, at)| version(id) == at);
        if !self.plan.as_ref().is_some_and(holds) {
            let memory = self.plan.take().map(|plan| plan.memory).unwrap_or_default();
            let mut cache = std::mem::take(&mut self.cache);
            let pool = self.pool.clone();
            self.plan = Some(pool.install(|| self.make_plan(&mut cache, memory, release)));
            self.cache = cache;
        }
        true
    }

    fn make_plan(
        &mut self,
        cache: &mut cortado_layers::PackCache,
        memory: Vec<AlignedVec>,
        release: bool,
    ) -> Plan {
        let end = self.fixed();
        let (mut graph, sources) = lower::lower(self, end);
        rules::apply(&mut graph);
        let layouts = Layouts::choose(&graph, self.blobs.len());
        let mut emitter = Emitter::new(&graph, &layouts);
        emitter.run();
        let Emitter { mut steps, buffers, products, .. } = emitter;
        let choose = Choice {
            exact: self.exact,
            tuned: self.tuned.as_deref(),
            threads: self.pool.current_num_threads(),
        };
        let packer = Packer { nodes: &self.nodes, choose, store: &mut self.store, cache };
        packer.fill(&mut steps, &products, release);
        let (steps, arenas) = images::join(steps, &buffers, self.pool.current_num_threads());
        let (homes, slots) = slots::assign(&steps, &buffers);
        let version = |id: ParamId| (id, self.store.params()[id].version);
        let sources = sources.into_iter().map(version).collect();
        let memory = made_ready(memory, &slots);
        Plan { steps, buffers, homes, slots, memory, arenas, sources, end, prepared: false }
    }

    /// The net's memory that a planned pass uses: where steps write, and all of the layers that run
    /// as they are.
    fn used_storages(&self, plan: &Plan) -> Vec<bool> {
        let mut used = vec![false; self.storages.len()];
        for home in &plan.homes {
            if let Home::Storage(storage) = *home {
                used[storage] = true;
            }
        }
        let outside = |b: &BlobId| {
            let maker = self.blobs[*b].maker;
            maker >= plan.end || self.nodes[maker].kind.fed
        };
        for b in (0..self.blobs.len()).filter(outside) {
            used[self.blobs[b].storage] = true;
        }
        used
    }
}

/// Memory for the slots, from what there was before.
fn made_ready(mut memory: Vec<AlignedVec>, slots: &[Slot]) -> Vec<AlignedVec> {
    memory.resize_with(slots.len(), AlignedVec::default);
    for (memory, slot) in memory.iter_mut().zip(slots) {
        if memory.len() < slot.len || slot.halo.is_some() {
            *memory = AlignedVec::zeros(slot.len);
        }
    }
    memory
}
