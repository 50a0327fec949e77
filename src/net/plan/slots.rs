//! Memory by lifetime: a value's slot is free again after its last reader.

use std::collections::HashMap;

use cortado_kernels::Blocked;

use super::step::{Buffer, Step};

/// The memory of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Home {
    /// The net's own, which outlives the pass.
    Storage(usize),
    /// A slot of the plan.
    Slot(usize),
}

/// A piece of memory that holds one value after the other.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub len: usize,
    /// With a halo of zeros, which nobody writes: only values of this very layout share it.
    pub halo: Option<Blocked>,
}

/// Gives each buffer its memory.
pub(super) fn assign(steps: &[Step], buffers: &[Buffer]) -> (Vec<Home>, Vec<Slot>) {
    let mut last: HashMap<usize, usize> = HashMap::new();
    for (at, step) in steps.iter().enumerate() {
        step.reads().chain(&step.dsts).for_each(|place| {
            last.insert(place.buffer, at);
        });
    }
    let mut homes: Vec<Option<Home>> =
        buffers.iter().map(|buffer| buffer.storage.map(Home::Storage)).collect();
    let mut slots: Vec<Slot> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        if let Some(home) = in_place(step, at, &homes, buffers, &last) {
            homes[step.dsts[0].buffer] = Some(home);
        }
        for place in &step.dsts {
            if homes[place.buffer].is_none() {
                let slot = choose(&buffers[place.buffer], &mut slots, &mut free);
                homes[place.buffer] = Some(Home::Slot(slot));
            }
        }
        let mut dying: Vec<usize> = step.reads().chain(&step.dsts).map(|p| p.buffer).collect();
        dying.retain(|buffer| last[buffer] == at);
        for buffer in dying {
            let passed_on = step.dsts.iter().any(|to| {
                to.buffer != buffer && homes[to.buffer] == homes[buffer] && last[&to.buffer] > at
            });
            if let Some(Home::Slot(slot)) = homes[buffer]
                && !free.contains(&slot)
                && !passed_on
            {
                free.push(slot);
            }
        }
    }
    // A buffer that no step touches needs no memory.
    let homes = homes.into_iter().map(|home| home.unwrap_or(Home::Slot(usize::MAX))).collect();
    (homes, slots)
}

/// The memory of what a pointwise step reads for the last time.
fn in_place(
    step: &Step,
    at: usize,
    homes: &[Option<Home>],
    buffers: &[Buffer],
    last: &HashMap<usize, usize>,
) -> Option<Home> {
    let ([src], [dst]) = (&step.srcs[..], &step.dsts[..]) else { return None };
    let fits = step.is_pointwise()
        && last[&src.buffer] == at
        && homes[dst.buffer].is_none()
        && src.form == dst.form
        && buffers[src.buffer].len == buffers[dst.buffer].len;
    homes[src.buffer].filter(|home| fits && matches!(home, Home::Slot(_)))
}

/// A free slot: the smallest that is large enough, or the largest, which grows.
fn choose(buffer: &Buffer, slots: &mut Vec<Slot>, free: &mut Vec<usize>) -> usize {
    let fits = |&(_, &slot): &(usize, &usize)| slots[slot].halo == buffer.halo;
    let by_len = |&(_, &slot): &(usize, &usize)| slots[slot].len;
    let enough = free
        .iter()
        .enumerate()
        .filter(fits)
        .filter(|&(_, &slot)| slots[slot].len >= buffer.len)
        .min_by_key(by_len);
    let found = enough.or_else(|| free.iter().enumerate().filter(fits).max_by_key(by_len));
    match found.map(|(at, _)| at) {
        Some(at) => {
            let slot = free.swap_remove(at);
            slots[slot].len = slots[slot].len.max(buffer.len);
            slot
        }
        None => {
            slots.push(Slot { len: buffer.len, halo: buffer.halo });
            slots.len() - 1
        }
    }
}
