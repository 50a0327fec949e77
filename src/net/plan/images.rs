//! Batches, a few images at a time.
//!
//! Where the images of a batch have nothing to do with each other and a run of steps needs few
//! weights, every thread takes a few images through all steps of the run before it takes the next:
//! what a step makes is still in the cache when the next one reads it, and memory is wanted for the
//! images that are on their way only.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use cortado_kernels::{AlignedVec, Blocked};
use cortado_layers::Prim;

use super::slots::{self, Home};
use super::step::{Buffer, Form, Place, Step, Weights, Work};
use crate::net::Short;

/// Weights that are read once for all images instead: they do not stay in a thread's cache.
const MAX_WEIGHTS: usize = 1 << 20;

/// Bytes of a value that stay in a thread's cache.
const CACHED: usize = 256 << 10;

/// A run of steps for some of the images.
#[derive(Debug)]
pub(super) struct Images {
    /// The steps, for `at_once` images.
    pub steps: Vec<Step>,
    pub at_once: usize,
    /// Those that are read from outside first, then those that are left for outside, then those that
    /// live within the run.
    pub buffers: Vec<Buffer>,
    pub homes: Vec<Home>,
}

/// Joins runs of steps that can go image by image; gives the memory that each thread needs for each
/// run.
pub(super) fn join(
    steps: Vec<Step>,
    buffers: &[Buffer],
    threads: usize,
) -> (Vec<Step>, Vec<Vec<Vec<AlignedVec>>>) {
    let (mut joined, mut arenas) = (Vec::new(), Vec::new());
    let users = users(&steps);
    let mut at = 0;
    while at < steps.len() {
        let end = run_from(&steps, at);
        match Images::new(&steps, at..end, buffers, &users, threads) {
            Some((step, memory)) => {
                joined.push(Step { work: Work::Images(Arc::new(step.0), arenas.len()), ..step.1 });
                arenas.push(memory);
                at = end;
            }
            None => {
                let end = end.max(at + 1);
                joined.extend_from_slice(&steps[at..end]);
                at = end;
            }
        }
    }
    (joined, arenas)
}

/// First and last step that touches each buffer.
fn users(steps: &[Step]) -> HashMap<usize, (usize, usize)> {
    let mut users = HashMap::new();
    for (at, step) in steps.iter().enumerate() {
        for place in step.reads().chain(&step.dsts) {
            users.entry(place.buffer).or_insert((at, at)).1 = at;
        }
    }
    users
}

/// Images of a step whose images have nothing to do with each other.
fn images(step: &Step) -> Option<usize> {
    let by_image = match &step.work {
        Work::Layer(_) | Work::Images(..) => false,
        Work::Copy | Work::ToBlocked | Work::ToPlain => true,
        Work::Prim(_) => true,
        Work::Product { prim: Prim::Conv(g), weights: Weights::Blocked(packed, _), .. } => {
            g.n > 0 && packed.bytes() <= MAX_WEIGHTS
        }
        Work::Product { .. } => false,
    };
    let n = *step.dsts.first().filter(|_| by_image)?.shape.first()?;
    step.reads().chain(&step.dsts).all(|place| place.shape.first() == Some(&n)).then_some(n)
}

/// Where the run ends that begins at a step.
fn run_from(steps: &[Step], at: usize) -> usize {
    let Some(n) = images(&steps[at]) else { return at };
    let end = steps[at..].iter().position(|step| images(step) != Some(n));
    at + end.unwrap_or(steps.len() - at)
}

/// How many images are taken at once: as many as share a cache, but all threads get some.
fn at_once(n: usize, bytes: usize, threads: usize) -> usize {
    let most = (CACHED * n / bytes.max(1)).clamp(1, n.div_ceil(threads));
    (1..=most).rev().find(|images| n.is_multiple_of(*images)).unwrap_or(1)
}

impl Images {
    #[allow(clippy::type_complexity)]
    fn new(
        steps: &[Step],
        run: Range<usize>,
        buffers: &[Buffer],
        users: &HashMap<usize, (usize, usize)>,
        threads: usize,
    ) -> Option<((Images, Step), Vec<Vec<AlignedVec>>)> {
        let steps = &steps[run.clone()];
        let n = images(steps.first()?)?;
        // With few images more threads than those would stand idle.
        if n < 2 || steps.len() < 2 || !(n.is_multiple_of(threads) || n >= 4 * threads) {
            return None;
        }
        let inside = |b: usize| {
            buffers[b].storage.is_none() && run.contains(&users[&b].0) && run.contains(&users[&b].1)
        };
        let (mut reads, mut writes): (Vec<Place>, Vec<Place>) = (Vec::new(), Vec::new());
        let mut within: Vec<usize> = Vec::new();
        let known = |list: &[Place], b: usize| list.iter().any(|place| place.buffer == b);
        for place in steps.iter().flat_map(|step| &step.dsts) {
            match inside(place.buffer) {
                true if !within.contains(&place.buffer) => within.push(place.buffer),
                false if !known(&writes, place.buffer) => writes.push(place.clone()),
                _ => {}
            }
        }
        for place in steps.iter().flat_map(Step::reads) {
            let b = place.buffer;
            if !inside(b) && !known(&writes, b) && !known(&reads, b) {
                reads.push(place.clone());
            }
        }
        let outside = reads.iter().chain(&writes).map(|place| place.buffer);
        let order: Vec<usize> = outside.chain(within).collect();
        if !order.iter().all(|&b| buffers[b].len.is_multiple_of(n)) {
            return None;
        }
        let largest = order.iter().map(|&b| buffers[b].len * size_of::<f32>()).max()?;
        let at_once = at_once(n, largest, threads);
        let few = Few { n, at_once, order: &order };
        let storages = reads.len() + writes.len();
        let own: Vec<Buffer> = (order.iter().enumerate())
            .map(|(i, &b)| Buffer {
                len: buffers[b].len / n * at_once,
                halo: buffers[b].halo.map(|of| Blocked { n: at_once, ..of }),
                storage: (i < storages).then_some(i),
            })
            .collect();
        let inner: Vec<Step> = steps.iter().map(|step| few.step(step)).collect();
        let (homes, slots) = slots::assign(&inner, &own);
        let groups = threads.min(n / at_once);
        let arena = || slots.iter().map(|slot| AlignedVec::zeros(slot.len)).collect();
        let arenas = (0..groups).map(|_| arena()).collect();
        let mut nodes: Vec<usize> = steps.iter().flat_map(|step| step.nodes.clone()).collect();
        nodes.sort_unstable();
        let step = Step {
            nodes,
            work: Work::Copy,
            srcs: reads.into(),
            add: None,
            act: None,
            dsts: writes.into(),
            rules: vec!["image by image"],
        };
        Some(((Images { steps: inner, at_once, buffers: own, homes }, step), arenas))
    }
}

/// From steps for all images to steps for a few.
struct Few<'a> {
    n: usize,
    at_once: usize,
    /// The buffers in their new order.
    order: &'a [usize],
}

impl Few<'_> {
    fn place(&self, place: &Place) -> Place {
        let buffer = self.order.iter().position(|&b| b == place.buffer);
        let of = |of: Blocked| Blocked { n: self.at_once, ..of };
        Place {
            buffer: buffer.expect("every buffer of the run is in its list"),
            form: match place.form {
                Form::Plain => Form::Plain,
                Form::Blocked(blocked) => Form::Blocked(of(blocked)),
                Form::Both(blocked) => Form::Both(of(blocked)),
            },
            c_offset: place.c_offset,
            shape: place.shape.with_axis(0, self.at_once),
        }
    }

    fn step(&self, step: &Step) -> Step {
        let places = |places: &Short<Place>| places.iter().map(|place| self.place(place)).collect();
        Step {
            nodes: step.nodes.clone(),
            work: self.work(&step.work),
            srcs: places(&step.srcs),
            add: step.add.as_ref().map(|place| self.place(place)),
            act: step.act.clone(),
            dsts: places(&step.dsts),
            rules: step.rules.clone(),
        }
    }

    fn work(&self, work: &Work) -> Work {
        let mut work = work.clone();
        match &mut work {
            Work::Product { prim: Prim::Conv(g), .. } => g.n = g.n / self.n * self.at_once,
            Work::Prim(Prim::Pool(g, _)) => g.n = g.n / self.n * self.at_once,
            _ => {}
        }
        work
    }
}
