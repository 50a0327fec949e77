//! What the wiring alone does not tell: who needs a gradient, what may run in place, and which
//! memory each blob gets.

use std::collections::HashSet;

use cortado_layers::Write;

use super::{Blob, BlobId, DiffTo, Net, NetError, NetErrorKind, NetErrors, Node, Short, Storage};

impl Net {
    pub(crate) fn check(&mut self, gradients: bool, force: bool) -> Result<(), NetErrors> {
        let (mut wanted, errors) = wanted_gradients(&mut self.nodes, &self.blobs, force);
        if gradients {
            NetErrors::check(errors)?;
        } else {
            self.nodes.iter_mut().for_each(|node| node.backward = false);
            wanted.iter_mut().for_each(|bottoms| bottoms.fill(false));
        }
        self.find_fused(&wanted);
        self.assign_storage();
        self.assign_diffs(&wanted);
        Ok(())
    }

    /// Each blob its memory: an alias and a layer in place use the bottom's. In place is refused
    /// (the top gets memory of its own under the same name) where somebody still reads the value
    /// that would be overwritten: a later layer, a backward pass, or the user.
    fn assign_storage(&mut self) {
        // The blobs whose value each storage holds at this point of the walk.
        let mut holds: Vec<Short<BlobId>> = Vec::new();
        for i in 0..self.nodes.len() {
            let tops = self.nodes[i].tops.clone();
            for (j, &top) in tops.iter().enumerate() {
                let node = &self.nodes[i];
                let shared = if node.alias { node.bottoms.first() } else { None };
                if let Some(&bottom) = shared {
                    let storage = self.blobs[bottom].storage;
                    self.blobs[top].storage = storage;
                    holds[storage].push(top);
                    self.mark_in_place(i, j, false);
                    continue;
                }
                // What is run again until its weights have their scale keeps its bottom.
                let asked = node.in_place.get(j) == Some(&true)
                    && node.kind.in_place
                    && !self.is_unscaled(i)
                    && !(self.recomputes && node.runs_once())
                    && !self.starts_run(i);
                let storage = asked.then(|| self.blobs[node.bottoms[j]].storage);
                if let Some(storage) = storage.filter(|&s| self.may_overwrite(i, j, &holds[s])) {
                    self.blobs[top].storage = storage;
                    holds[storage] = Short::from_slice(&[top]);
                    self.mark_in_place(i, j, true);
                } else {
                    self.blobs[top].storage = holds.len();
                    holds.push(Short::from_slice(&[top]));
                    self.mark_in_place(i, j, false);
                }
            }
        }
        self.storages = (0..holds.len()).map(|_| Storage::default()).collect();
        for run in &self.fused {
            self.storages[self.blobs[run.bottom].storage].diff_from_run = true;
        }
    }

    fn mark_in_place(&mut self, node: usize, top: usize, in_place: bool) {
        let flags = &mut self.nodes[node].in_place;
        flags.resize(flags.len().max(top + 1), false);
        flags[top] = in_place;
    }

    /// Whether node `i` may write its top `j` over the value that the blobs `held` share.
    fn may_overwrite(&self, i: usize, j: usize, held: &[BlobId]) -> bool {
        let own = self.nodes[i].bottoms[j];
        held.iter().all(|&b| {
            let blob = &self.blobs[b];
            let maker = &self.nodes[blob.maker];
            let read_by_maker =
                !maker.alias && maker.backward && (maker.kind.needs)(&maker.def).top;
            // What is computed again begins where data comes from.
            let source = maker.kind.fed || (self.recomputes && maker.runs_once());
            let seen_by_user = blob.readers.is_empty() || source;
            let read_by_others = blob.readers.iter().any(|&(reader, bottom)| {
                let own_read = reader == i && bottom == j && b == own;
                let node = &self.nodes[reader];
                let later = reader >= i;
                let backward = !node.alias && node.backward && (node.kind.needs)(&node.def).bottom;
                !own_read && (later || backward)
            });
            !read_by_maker && !seen_by_user && !read_by_others
        })
    }

    /// Walks backward and decides for each bottom diff whether it is written or added to.
    fn assign_diffs(&mut self, wanted: &[Vec<bool>]) {
        let mut touched = vec![false; self.storages.len()];
        let losses = (0..self.blobs.len()).filter(|&b| self.blobs[b].loss_weight != 0.0);
        for b in losses.chain(self.outputs.iter().copied()) {
            let storage = self.blobs[b].storage;
            self.storages[storage].starts_zero = true;
            touched[storage] = true;
        }
        for (node, wanted) in self.nodes.iter_mut().zip(wanted).rev() {
            node.diff_to = vec![DiffTo::Nobody; node.bottoms.len()];
            node.spare = vec![Vec::new(); node.bottoms.len()];
            if !node.backward {
                continue;
            }
            if node.alias {
                self.storages[self.blobs[node.bottoms[0]].storage].has_diff = true;
                continue;
            }
            // Diffs that are read but never written start at zero.
            for &top in &node.tops {
                let storage = self.blobs[top].storage;
                self.storages[storage].has_diff = true;
                if !touched[storage] {
                    self.storages[storage].starts_zero = true;
                    touched[storage] = true;
                }
            }
            let mut lent: Short<usize> = Short::new();
            for (j, &bottom) in node.bottoms.iter().enumerate() {
                if !wanted[j] {
                    continue;
                }
                let storage = self.blobs[bottom].storage;
                self.storages[storage].has_diff = true;
                let in_place = node.in_place.get(j) == Some(&true);
                node.diff_to[j] = if lent.contains(&storage) {
                    DiffTo::Spare
                } else if in_place || !touched[storage] {
                    DiffTo::Blob(Write::Set)
                } else {
                    DiffTo::Blob(Write::Add)
                };
                touched[storage] = true;
                lent.push(storage);
            }
        }
    }
}

/// Which layers run backward, and to which bottoms: those between something learned and a loss
/// (the original's rules, `propagate_down` and `force_backward` included); and the layers that can't.
pub(super) fn wanted_gradients(
    nodes: &mut [Node],
    blobs: &[Blob],
    force: bool,
) -> (Vec<Vec<bool>>, Vec<NetError>) {
    let mut errors = Vec::new();
    let mut blob_needs = vec![false; blobs.len()];
    let mut wanted: Vec<Vec<bool>> = Vec::with_capacity(nodes.len());
    for node in nodes.iter_mut() {
        let lr = |i: usize| node.def.param.param.get(i).map_or(1.0, |spec| spec.lr_mult());
        node.weight_grads = node.weights.iter().map(|&i| force || lr(i) != 0.0).collect();
        let down = &node.def.propagate_down;
        let bottoms = node.bottoms.iter().enumerate();
        wanted.push(bottoms.map(|(j, &b)| down.get(j).copied().unwrap_or(blob_needs[b])).collect());
        node.backward =
            node.bottoms.iter().any(|&b| blob_needs[b]) || node.weight_grads.contains(&true);
        for &top in &node.tops {
            blob_needs[top] = node.backward;
        }
    }
    let mut under_loss = vec![false; blobs.len()];
    let mut skipped: HashSet<BlobId> = HashSet::new();
    for (i, node) in nodes.iter_mut().enumerate().rev() {
        let is_loss = |&b: &BlobId| blobs[b].loss_weight != 0.0 || under_loss[b];
        let contributes = node.tops.iter().any(is_loss);
        let all_skipped = node.tops.iter().all(|b| skipped.contains(b));
        if !contributes || all_skipped {
            node.backward = false;
            wanted[i].fill(false);
        }
        for (j, &bottom) in node.bottoms.iter().enumerate() {
            under_loss[bottom] |= contributes;
            if !wanted[i][j] {
                skipped.insert(bottom);
            }
        }
    }
    for (node, wanted) in nodes.iter_mut().zip(&mut wanted) {
        if force {
            node.backward = true;
            for (j, wanted) in wanted.iter_mut().enumerate() {
                *wanted |= node.kind.grads.allows(j, node.bottoms.len());
            }
        }
        for (j, wanted) in wanted.iter_mut().enumerate() {
            if !*wanted || node.kind.grads.allows(j, node.bottoms.len()) {
                continue;
            }
            *wanted = false;
            let explicit = node.def.propagate_down.get(j) == Some(&true);
            let learned = blob_needs[node.bottoms[j]] && node.def.propagate_down.is_empty();
            if node.backward && !node.kind.ends_gradients && (explicit || learned) {
                let blob = &blobs[node.bottoms[j]].name;
                let why = format!(
                    "{} can't pass a gradient to its bottom {j}, `{blob}`",
                    node.kind.type_name
                );
                let field = format!("bottom[{j}]");
                let error = NetError::at(&node.def, Some(&field), NetErrorKind::Rule(why));
                errors.push(error.note(
                    "something learned stands behind this bottom; `propagate_down: false` for it \
                     stops the gradient there",
                ));
            }
        }
        node.backward &= wanted.contains(&true) || node.weight_grads.contains(&true);
    }
    (wanted, errors)
}
