//! Training in less memory: the net is cut where little crosses, only what crosses lasts, and each
//! segment runs forward again before its backward pass. Chen and others 2016, *Training deep nets with
//! sublinear memory cost*.
//!
//! What runs again gives the same bits: random numbers are those of the pass it repeats, statistics
//! are put back to where they stood before it and then on again, so that no batch counts twice.

use std::ops::Range;

use super::lend::assign;
use super::lifetimes::{Course, Place};
use super::{Net, NetError, Node};

/// Numbers of segments that are tried.
const MOST: usize = 48;

/// Layers that run forward again before their backward pass.
#[derive(Clone, Debug, Default)]
pub(super) struct Segment {
    pub layers: Range<usize>,
    /// Those of them whose tops would be missing.
    pub again: Vec<usize>,
    /// The pass in which they ran last, and what layers kept before it.
    pass: u64,
    state: Vec<f32>,
    /// Of each of `again`.
    carried: Vec<Vec<f32>>,
}

impl Node {
    /// Whether a second run in a pass would give something else: it hands out data.
    pub fn runs_once(&self) -> bool {
        self.bottoms.is_empty()
    }
}

impl Course {
    /// The segments between these cuts.
    pub fn segments(&self, cuts: &[usize]) -> Vec<Segment> {
        let ends = cuts.iter().copied().chain([self.touches.len()]);
        let starts = [0].into_iter().chain(cuts.iter().copied());
        let last = cuts.len();
        let of = |(k, (start, end))| {
            let layers = start..end;
            let again = if k == last { Vec::new() } else { self.again(&layers) };
            Segment { layers, again, ..Segment::default() }
        };
        starts.zip(ends).enumerate().map(of).collect()
    }

    /// The segments that take the least memory.
    pub fn cheapest(&self) -> Vec<Segment> {
        let all: usize = self.made().last().copied().unwrap_or(0);
        let cuts = (1..=MOST).map(|parts| self.cuts(all.div_ceil(parts)));
        let tried = cuts.map(|cuts| self.segments(&cuts));
        tried.min_by_key(|segments| self.cost(segments)).unwrap_or_default()
    }

    /// Numbers in memory, but for what lasts in any case.
    fn cost(&self, segments: &[Segment]) -> usize {
        let values = self.values(segments);
        let mut lasts: Vec<bool> = self.held.iter().map(|held| !held).collect();
        for value in &values {
            if let Place::Data(s) = value.place {
                lasts[s] = false;
            }
        }
        let lasting = self.lens.iter().zip(&lasts).filter(|(_, lasts)| **lasts).map(|(len, _)| len);
        lasting.sum::<usize>() + assign(&values).1.iter().sum::<usize>()
    }

    /// Cuts with at most so many numbers made between two, where there are such, each where the
    /// least crosses for what is saved.
    fn cuts(&self, budget: usize) -> Vec<usize> {
        let (made, crossing, whole) = (self.made(), self.crossing(), self.whole());
        let end = self.touches.len();
        let (mut cuts, mut from) = (Vec::new(), 0);
        while made[end] - made[from] > budget {
            let legal = |&p: &usize| whole[p] && made[p] > made[from];
            let within = |&p: &usize| made[p] - made[from] <= budget;
            let share = |p: usize| crossing[p] as f64 / (made[p] - made[from]) as f64;
            let best = (from + 1..end).filter(legal).filter(within);
            // The last of the best.
            let best = best.rev().min_by(|&a, &b| share(a).total_cmp(&share(b)));
            let Some(cut) = best.or_else(|| (from + 1..end).find(legal)) else { break };
            cuts.push(cut);
            from = cut;
        }
        cuts
    }

    /// Numbers that the layers before each make and that need not last.
    fn made(&self) -> Vec<usize> {
        let mut made = vec![0; self.touches.len() + 1];
        for (s, extent) in self.extents().iter().enumerate() {
            if let (Some((first, _)), false) = (extent, self.held[s]) {
                made[first + 1] += self.lens[s];
            }
        }
        for i in 1..made.len() {
            made[i] += made[i - 1];
        }
        made
    }

    /// Numbers that are made before each layer, and read by it or behind it.
    fn crossing(&self) -> Vec<usize> {
        let mut crossing = vec![0; self.touches.len() + 1];
        for (s, extent) in self.extents().iter().enumerate() {
            if let (Some((first, last)), false) = (*extent, self.held[s]) {
                crossing[first + 1..=last].iter_mut().for_each(|sum| *sum += self.lens[s]);
            }
        }
        crossing
    }

    /// Whether before each layer the net may be cut: no run is cut, and nobody behind writes over what
    /// was made before.
    fn whole(&self) -> Vec<bool> {
        let mut whole = vec![true; self.touches.len() + 1];
        let mut written: Vec<Option<(usize, usize)>> = vec![None; self.lens.len()];
        for (i, touch) in self.touches.iter().enumerate() {
            for &s in &touch.writes {
                written[s] = Some((written[s].map_or(i, |(first, _)| first), i));
            }
        }
        for (first, last) in self.runs.iter().copied().chain(written.into_iter().flatten()) {
            whole[first + 1..=last].fill(false);
        }
        whole
    }

    /// Which of these layers must run again for their backward passes.
    fn again(&self, layers: &Range<usize>) -> Vec<usize> {
        let own = self.own(layers);
        let mut writers = vec![Vec::new(); self.lens.len()];
        for i in layers.clone() {
            self.touches[i].writes.iter().for_each(|&s| writers[s].push(i));
        }
        // What is written over later has to be made from the start.
        let lost = |s: usize| own[s] || writers[s].len() > 1;
        let mut wanted = vec![false; self.lens.len()];
        let read = layers.clone().flat_map(|i| &self.touches[i].reads_back);
        read.filter(|&&s| own[s]).for_each(|&s| wanted[s] = true);
        let runs = |i: usize, wanted: &[bool]| {
            !self.once[i] && self.touches[i].writes.iter().any(|&s| wanted[s])
        };
        loop {
            let before = wanted.clone();
            for i in layers.clone().rev().filter(|&i| runs(i, &before)) {
                let reads = self.touches[i].reads.iter();
                reads.filter(|&&s| lost(s)).for_each(|&s| wanted[s] = true);
            }
            if wanted == before {
                return layers.clone().filter(|&i| runs(i, &wanted)).collect();
            }
        }
    }
}

impl Net {
    /// Names of the layers that run again in a backward pass.
    pub fn run_again(&self) -> Vec<&str> {
        let again = self.lent.segments.iter().flat_map(|segment| &segment.again);
        again.map(|&i| self.nodes[i].def.name()).collect()
    }

    /// Before a layer runs forward: where its segment begins, what it needs to run again.
    pub(super) fn begin_segment(&mut self, i: usize) {
        let mut segments = self.lent.segments.iter_mut();
        let begins = segments.find(|segment| segment.layers.start == i);
        if let Some(segment) = begins.filter(|segment| !segment.again.is_empty()) {
            segment.pass = self.passes;
            segment.state = self.store.state().to_vec();
            segment.carried = carried(&self.nodes, &segment.again);
        }
    }

    /// Before the backward passes of layers up to this one: brings back what their segment lacks.
    pub(super) fn complete_segment(&mut self, i: usize) -> Result<(), NetError> {
        let segments = &self.lent.segments;
        let Some(k) = segments.iter().position(|segment| segment.layers.contains(&i)) else {
            return Ok(());
        };
        let segment = &self.lent.segments[k];
        if segments.len() == 1 || self.has_data_for(segment.layers.start..i + 1) {
            return Ok(());
        }
        let (again, before) = (segment.again.clone(), segment.state.clone());
        let now = carried(&self.nodes, &again);
        for (&i, carried) in again.iter().zip(&segment.carried) {
            self.nodes[i].layer.carry(carried);
        }
        let passes = std::mem::replace(&mut self.passes, segment.pass);
        let state = self.store.state().to_vec();
        let debug = self.debug.take();
        self.store.set_state(&before);
        let run = again.iter().try_for_each(|&i| self.forward_node(i));
        self.store.set_state(&state);
        for (&i, carried) in again.iter().zip(&now) {
            self.nodes[i].layer.carry(carried);
        }
        self.debug = debug;
        self.passes = passes;
        run
    }
}

/// What these layers carry from pass to pass.
fn carried(nodes: &[Node], which: &[usize]) -> Vec<Vec<f32>> {
    which.iter().map(|&i| nodes[i].layer.carried()).collect()
}
