//! Memory of diffs that live only from the first layer that writes them to the one that made the
//! blob: it goes from blob to blob of the same size.

use std::collections::HashMap;
use std::mem::take;

use cortado_layers::Phase;

use super::Net;

/// Memory that nobody uses just now, by its length.
#[derive(Default)]
pub(super) struct SpareDiffs(HashMap<usize, Vec<Vec<f32>>>);

impl SpareDiffs {
    /// So many numbers of any value.
    pub fn lend(&mut self, len: usize) -> Vec<f32> {
        self.0.get_mut(&len).and_then(Vec::pop).unwrap_or_else(|| vec![0.0; len])
    }

    fn give_back(&mut self, diff: Vec<f32>) {
        if !diff.is_empty() {
            self.0.entry(diff.len()).or_default().push(diff);
        }
    }
}

impl Net {
    /// Decides which diffs are lent: in training those that the user does not see.
    pub(super) fn choose_lent_diffs(&mut self) {
        self.spare_diffs = SpareDiffs::default();
        let lends = self.state.phase == Phase::Train && self.planning;
        for storage in &mut self.storages {
            storage.diff_lent_until = None;
        }
        if !lends {
            return;
        }
        for blob in self.blobs.iter().filter(|blob| !self.nodes[blob.maker].alias) {
            let until = &mut self.storages[blob.storage].diff_lent_until;
            *until = Some(until.map_or(blob.maker, |first: usize| first.min(blob.maker)));
        }
        for &b in self.inputs.iter().chain(&self.outputs).chain(&self.kept) {
            self.storages[self.blobs[b].storage].diff_lent_until = None;
        }
        for storage in self.storages.iter_mut().filter(|storage| storage.starts_zero) {
            storage.diff_lent_until = None;
        }
        // The bottom of a run gets the memory of its top's diff, which wants it back.
        for run in &self.fused {
            let [from, to] = [run.top, run.bottom].map(|b| self.blobs[b].storage);
            if self.storages[from].diff_lent_until.is_none() {
                self.storages[to].diff_lent_until = None;
            }
        }
    }

    /// After the backward pass of a layer: nobody reads the diffs of what it made any more.
    pub(super) fn give_back_diffs(&mut self, node: usize) {
        for &top in &self.nodes[node].tops {
            let storage = &mut self.storages[self.blobs[top].storage];
            if storage.diff_lent_until == Some(node) {
                self.spare_diffs.give_back(take(&mut storage.diff));
            }
        }
    }
}
