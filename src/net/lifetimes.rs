//! From when to when each piece of a training net's memory is in use, told by its layers alone.

use std::ops::Range;

use super::recompute::Segment;
use super::{BlobId, DiffTo, Net, Short};
use cortado_layers::Write;

/// A storage's data or its diff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Data(usize),
    Diff(usize),
}

/// What a layer does with memory, by storage. Layers that compute nothing do nothing; a run reads and
/// writes at its first layer, and back at its last.
#[derive(Debug, Default)]
pub(super) struct Touch {
    /// Data that forward reads, and that it writes.
    pub reads: Short<usize>,
    pub writes: Short<usize>,
    /// Data that backward reads.
    pub reads_back: Short<usize>,
    /// Diffs that backward wants to find, and those that it begins.
    pub finds: Short<usize>,
    pub begins: Short<usize>,
}

/// A value, and the spans of time in which it is in use, both ends included.
#[derive(Debug)]
pub(super) struct Value {
    pub place: Place,
    pub len: usize,
    pub spans: Short<(usize, usize)>,
}

/// What a training step does with memory, layer by layer.
#[derive(Debug, Default)]
pub(super) struct Course {
    pub touches: Vec<Touch>,
    /// Layers that may not run twice in a pass.
    pub once: Vec<bool>,
    /// Layers that go together, first and last.
    pub runs: Vec<(usize, usize)>,
    /// Numbers in each storage.
    pub lens: Vec<usize>,
    /// Storages whose data lasts.
    pub held: Vec<bool>,
    /// For each storage the one whose diff is the same memory (or itself); `None` if the diff lasts.
    pub diffs: Vec<Option<usize>>,
}

impl Net {
    /// What a training step does with memory.
    pub(super) fn course(&self) -> Course {
        let mut course = Course {
            touches: (0..self.nodes.len()).map(|i| self.touch(i)).collect(),
            once: self.nodes.iter().map(|node| node.runs_once()).collect(),
            runs: self.fused.iter().map(|run| (run.first, run.last)).collect(),
            lens: vec![0; self.storages.len()],
            held: vec![false; self.storages.len()],
            diffs: (0..self.storages.len()).map(Some).collect(),
        };
        for blob in &self.blobs {
            course.lens[blob.storage] = blob.shape.count();
        }
        self.hold_seen(&mut course);
        course
    }

    /// What the user and the guards see, and what a pass starts from, lasts.
    fn hold_seen(&self, course: &mut Course) {
        let storage = |b: BlobId| self.blobs[b].storage;
        let mut lasting = vec![false; self.storages.len()];
        let seen = self.inputs.iter().chain(&self.outputs).chain(&self.kept).chain(&self.held);
        for &b in seen {
            course.held[storage(b)] = true;
            lasting[storage(b)] = true;
            // The diff of a name is that of its first value.
            if let Some(&first) = self.by_name.get(&self.blobs[b].name).and_then(|ids| ids.first())
            {
                lasting[storage(first)] = true;
            }
        }
        for node in &self.nodes {
            if node.runs_once() || node.kind.loss {
                node.tops.iter().for_each(|&b| course.held[storage(b)] = true);
            }
            if node.kind.loss {
                node.bottoms.iter().for_each(|&b| course.held[storage(b)] = true);
            }
        }
        for blob in self.blobs.iter().filter(|blob| blob.loss_weight != 0.0) {
            course.held[blob.storage] = true;
        }
        // A run's diff goes through it in one memory.
        for run in self.fused.iter().rev() {
            let [top, bottom] = [run.top, run.bottom].map(storage);
            course.diffs[bottom] = course.diffs[top];
        }
        for (s, lasting) in lasting.iter_mut().enumerate() {
            *lasting |= self.storages[s].starts_zero || !self.storages[s].has_diff;
        }
        let roots = course.diffs.clone();
        let lasts = |root: usize| (0..lasting.len()).any(|s| lasting[s] && roots[s] == Some(root));
        for root in &mut course.diffs {
            *root = root.filter(|&root| !lasts(root));
        }
    }

    fn touch(&self, i: usize) -> Touch {
        let node = &self.nodes[i];
        let storage = |&b: &BlobId| self.blobs[b].storage;
        let mut touch = Touch::default();
        if let Some(run) = self.run_of(i).map(|run| &self.fused[run]) {
            let [bottom, top] = [run.bottom, run.top].map(|b| storage(&b));
            if run.first == i {
                touch.reads.push(bottom);
                touch.writes.push(top);
            }
            if run.last == i {
                touch.reads_back.push(bottom);
                touch.finds.push(top);
            }
            return touch;
        }
        if node.alias {
            return touch;
        }
        touch.reads = node.bottoms.iter().map(storage).collect();
        touch.writes = node.tops.iter().map(storage).collect();
        if !node.backward {
            return touch;
        }
        let needs = (node.kind.needs)(&node.def);
        let in_place = |j: usize| node.in_place.get(j) == Some(&true);
        if needs.bottom {
            let apart = node.bottoms.iter().enumerate().filter(|&(j, _)| !in_place(j));
            touch.reads_back.extend(apart.map(|(_, b)| storage(b)));
        }
        if needs.top {
            touch.reads_back.extend(node.tops.iter().map(storage));
        }
        let with_diff = node.tops.iter().map(storage).filter(|&s| self.storages[s].has_diff);
        touch.finds.extend(with_diff);
        for (j, b) in node.bottoms.iter().enumerate() {
            match node.diff_to[j] {
                DiffTo::Blob(Write::Set) if !in_place(j) => touch.begins.push(storage(b)),
                DiffTo::Blob(_) => touch.finds.push(storage(b)),
                DiffTo::Nobody | DiffTo::Spare => {}
            }
        }
        touch
    }
}

/// Lengthens a span up to a time.
fn reach(span: &mut Option<(usize, usize)>, now: usize) {
    let from = span.map_or(now, |(from, _)| from);
    *span = Some((from, now));
}

impl Course {
    /// For each storage the first and the last layer that touch its data.
    pub fn extents(&self) -> Vec<Option<(usize, usize)>> {
        let mut extents = vec![None; self.lens.len()];
        for (i, touch) in self.touches.iter().enumerate() {
            let all = touch.reads.iter().chain(&touch.writes).chain(&touch.reads_back);
            all.for_each(|&s| reach(&mut extents[s], i));
        }
        extents
    }

    /// For each storage whether only these layers touch its data, and it does not last.
    pub fn own(&self, layers: &Range<usize>) -> Vec<bool> {
        let inside =
            |(first, last): (usize, usize)| layers.contains(&first) && layers.contains(&last);
        let extents = self.extents().into_iter();
        extents.zip(&self.held).map(|(e, held)| !held && e.is_some_and(inside)).collect()
    }

    /// The values that give their memory on, if the step runs by these segments. In a step of one
    /// segment, data that backward reads lasts.
    pub fn values(&self, segments: &[Segment]) -> Vec<Value> {
        let count = self.lens.len();
        let mut made = vec![None; count];
        let mut made_again = vec![None; count];
        let mut diffs = vec![None; count];
        let mut lasts = self.held.clone();
        let mut now = 0;
        for touch in &self.touches {
            touch.reads.iter().chain(&touch.writes).for_each(|&s| reach(&mut made[s], now));
            now += 1;
        }
        for (k, segment) in segments.iter().enumerate().rev() {
            let runs_again = k + 1 < segments.len();
            let own = if runs_again { self.own(&segment.layers) } else { vec![false; count] };
            let mut used = |s: usize, now: usize| {
                reach(if own[s] { &mut made_again[s] } else { &mut made[s] }, now);
            };
            for touch in segment.again.iter().map(|&i| &self.touches[i]) {
                touch.reads.iter().chain(&touch.writes).for_each(|&s| used(s, now));
                now += 1;
            }
            for touch in self.touches[segment.layers.clone()].iter().rev() {
                for &s in &touch.reads_back {
                    used(s, now);
                    lasts[s] |= segments.len() == 1;
                }
                let roots = touch.finds.iter().chain(&touch.begins).filter_map(|&s| self.diffs[s]);
                roots.for_each(|root| reach(&mut diffs[root], now));
                now += 1;
            }
        }
        let of = |place, s: usize, spans: [Option<(usize, usize)>; 2]| Value {
            place,
            len: self.lens[s],
            spans: spans.into_iter().flatten().collect(),
        };
        let data = (0..count).filter(|&s| !lasts[s]);
        let data = data.map(|s| of(Place::Data(s), s, [made[s], made_again[s]]));
        let diffs = diffs.iter().enumerate().filter(|(_, span)| span.is_some());
        let diffs = diffs.map(|(s, &span)| of(Place::Diff(s), s, [span, None]));
        data.chain(diffs).filter(|value| !value.spans.is_empty() && value.len > 0).collect()
    }
}
