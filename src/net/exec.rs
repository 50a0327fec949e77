//! The passes. For each node the net takes the memory of the tops out of its arena, lends the
//! bottoms, calls the layer, and puts the memory back.

use std::mem::take;
use std::ops::Range;

use cortado_kernels::kernels;
use cortado_layers::{
    Backward, DiffMut, Forward, Layout, Measure, PackCache, Packs, Phase, Reshape, RngKey, Shape,
    View, ViewMut, Write,
};

use super::build::layer_phase;
use super::{
    Blob, DiffTo, Net, NetError, NetErrorKind, NetErrors, Node, ParamStore, Short, Storage, threads,
};

impl Net {
    /// Works out all shapes anew and gives every blob its memory (planned nets: those alone that the
    /// user fills or asks for).
    pub fn reshape(&mut self) -> Result<(), NetErrors> {
        self.forget_plan();
        let mut kept = 0u64;
        for i in 0..self.nodes.len() {
            self.reshape_node(i).map_err(NetErrors::from)?;
            let saved = self.nodes[i].saved.iter().map(|tensor| tensor.data().len() as u64);
            kept += 4 * saved.sum::<u64>();
            self.limit_kept(i, kept)?;
        }
        self.choose_layouts();
        self.lend();
        self.limit_memory(self.max_memory)?;
        match self.is_planned() {
            true => {
                self.filled = 0;
                let seen: Vec<usize> = (self.inputs.iter().chain(&self.outputs).chain(&self.kept))
                    .map(|&b| self.blobs[b].storage)
                    .collect();
                self.size_storages(|storage| seen.contains(&storage))?;
            }
            false => self.fill()?,
        }
        Ok(())
    }

    fn reshape_node(&mut self, i: usize) -> Result<(), NetError> {
        let alone = self.run_of(i).is_none();
        let mut node = &mut self.nodes[i];
        let bottoms: Short<Shape> =
            node.bottoms.iter().map(|&b| self.blobs[b].shape.clone()).collect();
        let mut tops: Short<Shape> =
            node.tops.iter().map(|&b| self.blobs[b].shape.clone()).collect();
        if !node.kind.fed {
            let mut cx = Reshape {
                phase: layer_phase(&node.def, self.state.phase),
                backward: node.backward,
                bottoms: &bottoms,
                tops: &mut tops,
                in_place: &node.in_place,
                params: &node.param_shapes,
                saved: Vec::new(),
                scratch: 0,
            };
            node.layer.reshape(&mut cx).map_err(|e| NetError::from_layer(&node.def, e))?;
            let (mut saved, scratch) = (cx.saved, cx.scratch);
            if !alone {
                // The run keeps what it wants itself.
                saved.clear();
            }
            let values = |shape: &Shape| shape.checked_count().map_or(u64::MAX, |n| n as u64);
            let own = saved.iter().map(values).fold(scratch as u64, u64::saturating_add);
            self.limit_kept(i, own.saturating_mul(4))?;
            node = &mut self.nodes[i];
            node.saved.resize_with(saved.len(), Default::default);
            node.saved.iter_mut().zip(&saved).for_each(|(tensor, shape)| tensor.resize(shape));
            node.scratch = scratch;
        }
        for (&b, shape) in node.tops.iter().zip(tops) {
            if shape.checked_count().is_none() {
                let why = format!("top `{}` of {shape} is too large", self.blobs[b].name);
                return Err(NetError::at(&node.def, None, NetErrorKind::Size(why)));
            }
            self.blobs[b].shape = shape;
        }
        Ok(())
    }

    /// One forward pass. Gives the loss: the sum over all tops of weight times value. Nets that are
    /// only used run by their plan (see [`Net::keep`] about blobs in between).
    pub fn forward(&mut self) -> Result<f64, NetError> {
        self.forward_watched(&mut |_| {})
    }

    /// One forward pass; where it is planned, `watch` is told after each step.
    pub fn forward_watched(
        &mut self,
        watch: &mut (dyn FnMut(usize) + Send),
    ) -> Result<f64, NetError> {
        match self.ready_plan() {
            true => self.forward_planned(watch),
            false => self.forward_layers(),
        }
    }

    /// One forward pass layer by layer; every blob is there afterwards, in training those that have
    /// lent nobody their memory.
    pub fn forward_layers(&mut self) -> Result<f64, NetError> {
        self.forward_range(0..self.nodes.len())
    }

    /// The forward pass of some layers only, layer by layer, as a pass of its own. Layers before
    /// them whose blobs are not there, since the last pass was planned, run first.
    pub fn forward_range(&mut self, range: Range<usize>) -> Result<f64, NetError> {
        let pool = self.pool.clone();
        let missing = self.filled.min(range.start)..range.start;
        if self.filled < range.end {
            self.size_storages(|_| true)?;
            self.filled = range.end;
        }
        let loss = threads::pass(&pool, || {
            self.run_layers(missing)?;
            self.run_layers(range)
        });
        self.pulse.rest();
        self.passes += 1;
        loss
    }

    /// Runs some layers and gives their loss.
    pub(super) fn run_layers(&mut self, range: Range<usize>) -> Result<f64, NetError> {
        let mut loss = 0.0;
        let mut moved = false;
        for i in range {
            if moved {
                self.reshape_node(i)?;
                self.scratch.resize(self.scratch.len().max(self.nodes[i].scratch), 0.0);
                self.size_tops(i);
            }
            if self.nodes[i].kind.dynamic && self.measure(i)? {
                match self.state.phase == Phase::Train && !self.shapes_depend_on_values() {
                    true => self.reshape_behind(i)?,
                    false => moved = true,
                }
            }
            self.begin_segment(i);
            self.forward_node(i)?;
            if self.state.phase == Phase::Train && self.is_unscaled(i) {
                self.scale_to_unit_variance(i)?;
            }
            loss += self.loss_of(i);
        }
        Ok(loss)
    }

    /// Whether more layers than the sources of data make shapes from values, so that no pass knows
    /// them before.
    pub(super) fn shapes_depend_on_values(&self) -> bool {
        let mut behind = self.nodes.iter().skip_while(|node| node.bottoms.is_empty());
        behind.any(|node| node.kind.dynamic)
    }

    /// A source gives a batch of another shape: works out all that follows.
    fn reshape_behind(&mut self, source: usize) -> Result<(), NetError> {
        (source + 1..self.nodes.len()).try_for_each(|i| self.reshape_node(i))?;
        self.choose_layouts();
        self.lend();
        self.fill()?;
        (0..source).for_each(|i| self.begin_segment(i));
        Ok(())
    }

    /// Gives the tops of a layer the memory of their shapes.
    fn size_tops(&mut self, i: usize) {
        for &b in &self.nodes[i].tops {
            let blob = &self.blobs[b];
            let storage = &mut self.storages[blob.storage];
            storage.data.resize(blob.shape.count(), 0.0);
            if storage.has_diff && !storage.diff_from_run {
                storage.diff.resize(blob.shape.count(), 0.0);
            }
        }
    }

    /// Asks a dynamic layer for the shapes of its tops. Whether one changed.
    fn measure(&mut self, i: usize) -> Result<bool, NetError> {
        self.pulse.begin(i);
        let node = &mut self.nodes[i];
        let bottoms: Vec<View> =
            node.bottoms.iter().map(|&b| view(&self.blobs[b], &self.storages)).collect();
        let phase = layer_phase(&node.def, self.state.phase);
        let mut cx = Measure { phase, bottoms: &bottoms };
        let shapes = node.layer.measure(&mut cx).map_err(|e| NetError::from_layer(&node.def, e))?;
        drop(bottoms);
        let mut moved = false;
        for (&b, shape) in node.tops.iter().zip(shapes) {
            let blob = &mut self.blobs[b];
            if blob.shape != shape {
                moved = true;
                blob.shape = shape;
            }
        }
        if moved {
            self.size_tops(i);
        }
        Ok(moved)
    }

    pub(super) fn forward_node(&mut self, i: usize) -> Result<(), NetError> {
        self.pulse.begin(i);
        self.lend_forward(i)?;
        if let Some(run) = self.run_of(i) {
            if self.fused[run].first == i {
                self.forward_fused(run);
                self.look_forward(self.fused[run].last);
            }
            return Ok(());
        }
        let Net { nodes, blobs, storages, store, cache, scratch, .. } = self;
        let node = &mut nodes[i];
        if node.alias || node.kind.fed {
            return Ok(());
        }
        let mut taken: Short<Vec<f32>> =
            node.tops.iter().map(|&b| take(&mut storages[blobs[b].storage].data)).collect();
        let layouts: Short<Layout> =
            node.tops.iter().map(|&b| storages[blobs[b].storage].layout).collect();
        let result = {
            let bottoms: Short<Option<View>> = (0..node.bottoms.len())
                .map(|j| {
                    let in_place = node.in_place.get(j) == Some(&true);
                    (!in_place).then(|| view(&blobs[node.bottoms[j]], storages))
                })
                .collect();
            let mut tops: Short<ViewMut> = node
                .tops
                .iter()
                .zip(&mut taken)
                .zip(&layouts)
                .map(|((&b, data), &layout)| ViewMut { shape: &blobs[b].shape, layout, data })
                .collect();
            let phase = layer_phase(&node.def, self.state.phase);
            let key = RngKey { seed: self.seed, pass: self.passes, replica: 0 };
            Lender { phase, key, store, cache, scratch }.forward(node, &bottoms, &mut tops)
        };
        for (&b, data) in node.tops.iter().zip(taken) {
            storages[blobs[b].storage].data = data;
        }
        result?;
        self.look_forward(i);
        Ok(())
    }

    /// What is to be seen of a layer's values while they are there.
    fn look_forward(&mut self, i: usize) {
        if self.trace == Some(None) {
            self.trace_forward(i);
        }
        if self.debug.is_some() {
            self.debug_forward(i);
        }
        self.look_at_relu(i);
    }

    pub(super) fn loss_of(&self, i: usize) -> f64 {
        let tops = self.nodes[i].tops.iter().map(|&b| &self.blobs[b]);
        tops.filter(|blob| blob.loss_weight != 0.0)
            .map(|blob| {
                let data = &self.storages[blob.storage].data;
                f64::from(blob.loss_weight) * data.iter().map(|&v| f64::from(v)).sum::<f64>()
            })
            .sum()
    }

    /// One backward pass, from the loss weights (and the diffs given by `set_diff`) to the diffs of
    /// blobs and weights; weight diffs are added to.
    pub fn backward(&mut self) -> Result<(), NetError> {
        self.seed_diffs();
        self.backward_range(0..self.nodes.len())?;
        if self.debug.is_some() {
            self.debug_params();
        }
        Ok(())
    }

    /// Puts the loss weights and the given diffs in place: what a backward pass starts from.
    pub fn seed_diffs(&mut self) {
        self.store.make_diffs();
        self.place_fused_diffs();
        for storage in self.storages.iter_mut().filter(|s| s.starts_zero && s.has_diff) {
            storage.diff.fill(0.0);
        }
        for (id, blob) in self.blobs.iter().enumerate() {
            if blob.loss_weight != 0.0 && !self.seeds.contains_key(&id) {
                self.storages[blob.storage].diff.iter_mut().for_each(|d| *d += blob.loss_weight);
            }
        }
        for (&id, seed) in &self.seeds {
            let diff = &mut self.storages[self.blobs[id].storage].diff;
            diff.iter_mut().zip(seed).for_each(|(d, s)| *d += s);
        }
    }

    /// The backward pass of some layers only, last to first.
    pub fn backward_range(&mut self, range: Range<usize>) -> Result<(), NetError> {
        let pool = self.pool.clone();
        let done = threads::pass(&pool, || {
            range.rev().try_for_each(|i| {
                self.complete_segment(i)?;
                self.backward_node(i)
            })
        });
        self.pulse.rest();
        done
    }

    fn backward_node(&mut self, i: usize) -> Result<(), NetError> {
        self.lend_backward(i)?;
        if let Some(run) = self.run_of(i) {
            if self.fused[run].last == i {
                self.backward_fused(run);
                if self.trace == Some(None) {
                    self.trace_backward(self.fused[run].first);
                }
            }
            return Ok(());
        }
        let Net { nodes, blobs, storages, store, cache, scratch, .. } = self;
        let node = &mut nodes[i];
        if !node.backward || node.alias {
            return Ok(());
        }
        self.pulse.begin(i);
        let mut taken: Short<Vec<f32>> = (0..node.bottoms.len())
            .map(|j| match node.diff_to[j] {
                DiffTo::Nobody => Vec::new(),
                DiffTo::Blob(_) => take(&mut storages[blobs[node.bottoms[j]].storage].diff),
                DiffTo::Spare => {
                    let mut spare = take(&mut node.spare[j]);
                    spare.resize(blobs[node.bottoms[j]].shape.count(), 0.0);
                    spare
                }
            })
            .collect();
        let result = {
            let in_place = |j: usize| node.in_place.get(j) == Some(&true);
            let bottoms: Vec<Option<View>> = (0..node.bottoms.len())
                .map(|j| (!in_place(j)).then(|| view(&blobs[node.bottoms[j]], storages)))
                .collect();
            let tops: Vec<View> = node.tops.iter().map(|&b| view(&blobs[b], storages)).collect();
            let top_diffs: Vec<Option<View>> = node
                .tops
                .iter()
                .enumerate()
                .map(|(j, &b)| {
                    let lent = in_place(j) && matches!(node.diff_to.get(j), Some(DiffTo::Blob(_)));
                    let Storage { diff, layout, .. } = &storages[blobs[b].storage];
                    (!lent).then(|| View { shape: &blobs[b].shape, layout: *layout, data: diff })
                })
                .collect();
            let mut bottom_diffs: Vec<Option<DiffMut>> = taken
                .iter_mut()
                .enumerate()
                .map(|(j, data)| {
                    let shape = &blobs[node.bottoms[j]].shape;
                    let write = match node.diff_to[j] {
                        DiffTo::Nobody => return None,
                        DiffTo::Blob(write) => write,
                        DiffTo::Spare => Write::Set,
                    };
                    let layout = storages[blobs[node.bottoms[j]].storage].layout;
                    Some(DiffMut { shape, layout, data, write })
                })
                .collect();
            let (params, weight_slab, diff_slab, state_slab) = store.lend();
            let range = |p: usize| params[node.params[p]].range.clone();
            let versions: Short<(usize, u64)> = node
                .weights
                .iter()
                .map(|&p| (node.params[p], params[node.params[p]].version))
                .collect();
            let of = |slab, p: usize| View {
                shape: &node.param_shapes[p],
                layout: Layout::Nchw,
                data: slab,
            };
            let weights: Vec<View> =
                node.weights.iter().map(|&p| of(&weight_slab[range(p)], p)).collect();
            let state: Vec<View> =
                node.state.iter().map(|&p| of(&state_slab[range(p)], p)).collect();
            let ranges: Short<_> = node.weights.iter().map(|&p| range(p)).collect();
            let mut weight_diffs: Vec<Option<ViewMut>> = disjoint(diff_slab, &ranges)
                .into_iter()
                .zip(node.weights.iter().zip(&node.weight_grads))
                .map(|(data, (&p, &wanted))| {
                    let shape = &node.param_shapes[p];
                    wanted.then_some(ViewMut { shape, layout: Layout::Nchw, data })
                })
                .collect();
            node.layer.backward(&mut Backward {
                phase: layer_phase(&node.def, self.state.phase),
                k: kernels(),
                bottoms: &bottoms,
                tops: &tops,
                top_diffs: &top_diffs,
                bottom_diffs: &mut bottom_diffs,
                weights: &weights,
                weight_diffs: &mut weight_diffs,
                state: &state,
                saved: &mut node.saved,
                scratch: &mut scratch[..node.scratch],
                packs: Packs::new(cache, &versions),
            })
        };
        for (j, data) in taken.into_iter().enumerate() {
            let storage = blobs[node.bottoms[j]].storage;
            match node.diff_to[j] {
                DiffTo::Nobody => {}
                DiffTo::Blob(_) => storages[storage].diff = data,
                DiffTo::Spare => {
                    let diff = &mut storages[storage].diff;
                    diff.iter_mut().zip(&data).for_each(|(d, s)| *d += s);
                    node.spare[j] = data;
                }
            }
        }
        result.map_err(|e| NetError::from_layer(&node.def, e))?;
        if self.trace == Some(None) {
            self.trace_backward(i);
        }
        if self.debug.is_some() {
            self.debug_backward(i);
        }
        Ok(())
    }
}

/// What a forward pass lends to every layer.
pub(super) struct Lender<'a> {
    pub phase: Phase,
    pub key: RngKey,
    pub store: &'a mut ParamStore,
    pub cache: &'a mut PackCache,
    pub scratch: &'a mut [f32],
}

impl Lender<'_> {
    /// Runs a layer on these blobs.
    pub fn forward(
        &mut self,
        node: &mut Node,
        bottoms: &[Option<View<'_>>],
        tops: &mut [ViewMut<'_>],
    ) -> Result<(), NetError> {
        if self.phase == Phase::Train {
            self.store.touch(node.state.iter().map(|&p| node.params[p]));
        }
        let mut rng = self.key.stream(node.def.name());
        // Lent for this call only, as everything else.
        let mut tops: Vec<ViewMut> = tops
            .iter_mut()
            .map(|top| ViewMut { shape: top.shape, layout: top.layout, data: &mut *top.data })
            .collect();
        let (params, weight_slab, _, state_slab) = self.store.lend();
        let versions: Short<(usize, u64)> = node
            .weights
            .iter()
            .map(|&p| (node.params[p], params[node.params[p]].version))
            .collect();
        let weights: Vec<View> = node
            .weights
            .iter()
            .map(|&p| {
                let data = &weight_slab[params[node.params[p]].range.clone()];
                View { shape: &node.param_shapes[p], layout: Layout::Nchw, data }
            })
            .collect();
        let ranges: Short<_> =
            node.state.iter().map(|&p| params[node.params[p]].range.clone()).collect();
        let mut state: Vec<ViewMut> = disjoint(state_slab, &ranges)
            .into_iter()
            .zip(&node.state)
            .map(|(data, &p)| ViewMut { shape: &node.param_shapes[p], layout: Layout::Nchw, data })
            .collect();
        let result = node.layer.forward(&mut Forward {
            phase: self.phase,
            backward: node.backward,
            k: kernels(),
            rng: &mut rng,
            bottoms,
            tops: &mut tops,
            weights: &weights,
            state: &mut state,
            saved: &mut node.saved,
            scratch: &mut self.scratch[..node.scratch],
            packs: Packs::new(self.cache, &versions),
        });
        result.map_err(|e| NetError::from_layer(&node.def, e))
    }
}

fn view<'a>(blob: &'a Blob, storages: &'a [Storage]) -> View<'a> {
    let Storage { data, layout, .. } = &storages[blob.storage];
    View { shape: &blob.shape, layout: *layout, data }
}

/// Parts of a slab that do not overlap, all to write at once, in the order of `ranges`.
pub(super) fn disjoint<'a>(slab: &'a mut [f32], ranges: &[Range<usize>]) -> Short<&'a mut [f32]> {
    let mut order: Short<usize> = (0..ranges.len()).collect();
    order.sort_by_key(|&i| ranges[i].start);
    let mut parts: Short<Option<&mut [f32]>> = ranges.iter().map(|_| None).collect();
    let (mut rest, mut offset) = (slab, 0);
    for i in order {
        let range = &ranges[i];
        let (_, tail) = rest.split_at_mut(range.start - offset);
        let (part, tail) = tail.split_at_mut(range.len());
        parts[i] = Some(part);
        (rest, offset) = (tail, range.end);
    }
    parts.into_iter().flatten().collect()
}
