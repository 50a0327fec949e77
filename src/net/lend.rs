//! Memory that goes from blob to blob while a net trains: that of data which no backward pass reads,
//! from the layer that makes it to its last reader; that of diffs, from the first layer that writes
//! one to the layer that made the blob. Who shares with whom is fixed when shapes are known
//! (`lifetimes.rs`). A value that begins takes the memory from the one that had it last, so that
//! whatever is there is of the last pass, and what is not there is gone.

use std::mem::take;

use cortado_layers::Phase;

use super::lifetimes::{Course, Place, Value};
use super::recompute::Segment;
use super::{Net, NetError, NetErrorKind, Short};

/// Memory that is lent, and to whom.
#[derive(Default)]
pub(super) struct Lent {
    course: Course,
    pub segments: Vec<Segment>,
    /// For each storage the slot of its data, and of its diff, if lent.
    data: Vec<Option<usize>>,
    diffs: Vec<Option<usize>>,
    slots: Vec<Slot>,
}

/// A piece of memory.
#[derive(Debug)]
struct Slot {
    len: usize,
    /// Who has it; nobody before the first pass.
    owner: Option<Place>,
}

impl Lent {
    fn slot(&self, place: Place) -> Option<usize> {
        let (list, storage) = match place {
            Place::Data(storage) => (&self.data, storage),
            Place::Diff(storage) => (&self.diffs, storage),
        };
        list.get(storage).copied().flatten()
    }

    /// Whether a storage's data or diff comes and goes.
    pub fn lends(&self, place: Place) -> bool {
        self.slot(place).is_some()
    }

    /// Numbers in all slots.
    fn total(&self) -> usize {
        self.slots.iter().map(|slot| slot.len).sum()
    }
}

impl Net {
    /// Keeps the memory of these blobs from one pass to the next in training, so that [`Net::read`] and
    /// [`Net::read_diff`] find them. Unlike [`Net::keep`] it changes nothing else.
    pub fn hold(&mut self, names: &[&str]) -> Result<(), NetError> {
        for name in names {
            let Some(&id) = self.by_name.get(*name).and_then(|ids| ids.last()) else {
                return Err(self.no_blob(name));
            };
            self.held.insert(id);
        }
        if self.state.phase == Phase::Train {
            self.lend();
            self.fill()?;
        }
        Ok(())
    }

    /// Decides what is lent. To be called when shapes are known; what was lent before is gone.
    pub(super) fn lend(&mut self) {
        self.drop_lent();
        self.lent = Lent::default();
        let wanted = self.planning || self.recomputes;
        if self.state.phase != Phase::Train || !wanted || self.shapes_depend_on_values() {
            return;
        }
        let course = self.course();
        let cut = if self.recomputes { course.cheapest() } else { course.segments(&[]) };
        let values = course.values(&cut);
        let (homes, lens) = assign(&values);
        let mut lent = Lent {
            segments: cut,
            data: vec![None; course.lens.len()],
            diffs: vec![None; course.lens.len()],
            slots: lens.into_iter().map(|len| Slot { len, owner: None }).collect(),
            course,
        };
        for (value, slot) in values.iter().zip(homes) {
            match value.place {
                Place::Data(s) => lent.data[s] = Some(slot),
                Place::Diff(root) => {
                    let alike =
                        (0..lent.diffs.len()).filter(|&s| lent.course.diffs[s] == Some(root));
                    alike.collect::<Vec<_>>().into_iter().for_each(|s| lent.diffs[s] = Some(slot));
                }
            }
        }
        self.lent = lent;
        self.drop_lent();
    }

    fn drop_lent(&mut self) {
        for s in 0..self.storages.len() {
            for place in [Place::Data(s), Place::Diff(s)] {
                if self.lent.lends(place) {
                    *self.memory(place) = Vec::new();
                }
            }
        }
    }

    /// Bytes of all blobs and diffs.
    pub(super) fn blob_bytes(&self) -> u64 {
        let mut lens = vec![0u64; self.storages.len()];
        for blob in &self.blobs {
            lens[blob.storage] = blob.shape.checked_count().map_or(u64::MAX, |n| n as u64);
        }
        let copies = |s: usize| {
            let diff = self.storages[s].has_diff && !self.storages[s].diff_from_run;
            let lasts = |place, is_there| u64::from(is_there && !self.lent.lends(place));
            lasts(Place::Data(s), true) + lasts(Place::Diff(s), diff)
        };
        let own = lens.iter().enumerate().map(|(s, &len)| len.saturating_mul(copies(s)));
        own.fold(self.lent.total() as u64, u64::saturating_add).saturating_mul(4)
    }

    fn memory(&mut self, place: Place) -> &mut Vec<f32> {
        match place {
            Place::Data(s) => &mut self.storages[s].data,
            Place::Diff(s) => &mut self.storages[s].diff,
        }
    }

    fn is_there(&self, place: Place) -> bool {
        match place {
            Place::Data(s) => self.storages[s].data.len() == self.lent.course.lens[s],
            Place::Diff(s) => self.storages[s].diff.len() == self.lent.course.lens[s],
        }
    }

    /// Gives a value that begins its memory.
    fn claim(&mut self, place: Place) {
        let Some(slot) = self.lent.slot(place) else { return };
        if self.is_there(place) {
            return;
        }
        let (Place::Data(s) | Place::Diff(s)) = place;
        let len = self.lent.course.lens[s];
        let mut memory = match self.lent.slots[slot].owner.replace(place) {
            Some(before) => take(self.memory(before)),
            None => Vec::with_capacity(self.lent.slots[slot].len),
        };
        memory.resize(len, 0.0);
        if cfg!(debug_assertions) {
            // Whoever reads before he writes is found.
            memory.fill(f32::NAN);
        }
        *self.memory(place) = memory;
    }

    /// Before a forward pass of a layer: what it reads is there, what it writes has memory.
    pub(super) fn lend_forward(&mut self, i: usize) -> Result<(), NetError> {
        let Some(touch) = self.lent.course.touches.get(i) else { return Ok(()) };
        let missing = touch.reads.iter().find(|&&s| !self.is_there(Place::Data(s)));
        if let Some(&s) = missing {
            return Err(self.gone(i, Place::Data(s)));
        }
        let writes = touch.writes.clone();
        writes.into_iter().for_each(|s| self.claim(Place::Data(s)));
        Ok(())
    }

    /// The same before its backward pass.
    pub(super) fn lend_backward(&mut self, i: usize) -> Result<(), NetError> {
        let Some(touch) = self.lent.course.touches.get(i) else { return Ok(()) };
        let data = touch.reads_back.iter().map(|&s| Place::Data(s));
        let mut wanted = data.chain(touch.finds.iter().map(|&s| Place::Diff(s)));
        if let Some(place) = wanted.find(|&place| !self.is_there(place)) {
            return Err(self.gone(i, place));
        }
        let begins = touch.begins.clone();
        begins.into_iter().for_each(|s| self.claim(Place::Diff(s)));
        Ok(())
    }

    /// Whether all that these layers' backward passes read is there.
    pub(super) fn has_data_for(&self, layers: std::ops::Range<usize>) -> bool {
        let touches = &self.lent.course.touches[layers];
        touches.iter().flat_map(|touch| &touch.reads_back).all(|&s| self.is_there(Place::Data(s)))
    }

    /// A run's diff has gone from its top to its bottom, in one memory.
    pub(super) fn hand_on_diff(&mut self, from: usize, to: usize) {
        let diff = take(&mut self.storages[from].diff);
        let before = std::mem::replace(&mut self.storages[to].diff, diff);
        match self.lent.slot(Place::Diff(to)) {
            Some(slot) => self.lent.slots[slot].owner = Some(Place::Diff(to)),
            None => self.storages[from].diff = before,
        }
    }

    fn gone(&self, i: usize, place: Place) -> NetError {
        let (what, storage, note) = match place {
            Place::Data(s) => ("", s, "run the layers before it first"),
            Place::Diff(s) => {
                ("diff of ", s, "run the backward pass of the layers behind it first")
            }
        };
        let named = self.blobs.iter().find(|blob| blob.storage == storage);
        let name = named.map_or("", |blob| &blob.name);
        let why = format!("the {what}blob `{name}` is not there: other blobs have its memory");
        NetError::at(&self.nodes[i].def, None, NetErrorKind::Rule(why)).note(note)
    }
}

/// A slot for each value, no two in use at a time in one, and the length of each: the largest values
/// first, each into the smallest slot that has room for it.
pub(super) fn assign(values: &[Value]) -> (Vec<usize>, Vec<usize>) {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by_key(|&v| std::cmp::Reverse(values[v].len));
    let mut homes = vec![0; values.len()];
    let mut slots: Vec<(usize, Short<usize>)> = Vec::new();
    for v in order {
        let apart = |&other: &usize| {
            let overlap = |&(a, b): &(usize, usize), &(c, d): &(usize, usize)| a <= d && c <= b;
            !values[v].spans.iter().any(|x| values[other].spans.iter().any(|y| overlap(x, y)))
        };
        // Slots come in falling length.
        let free = slots.iter().rposition(|(_, holds)| holds.iter().all(apart));
        homes[v] = free.unwrap_or(slots.len());
        match free {
            Some(slot) => slots[slot].1.push(v),
            None => slots.push((values[v].len, Short::from_slice(&[v]))),
        }
    }
    (homes, slots.into_iter().map(|(len, _)| len).collect())
}

#[cfg(test)]
mod tests {
    use super::super::lifetimes::{Place, Value};
    use super::assign;

    #[test]
    fn values_share_memory_where_their_times_do_not_touch() {
        let of = |len: usize, spans: &[(usize, usize)]| Value {
            place: Place::Data(0),
            len,
            spans: spans.into(),
        };
        let values = [
            of(4, &[(0, 3)]),
            of(9, &[(2, 5)]),
            of(4, &[(4, 6)]),
            of(9, &[(0, 1), (6, 9)]),
            of(2, &[(7, 7)]),
        ];
        let (homes, lens) = assign(&values);
        assert_eq!(homes, [1, 0, 1, 0, 1]);
        assert_eq!(lens, [9, 4]);
    }
}
