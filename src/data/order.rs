//! Which record comes when: one after the other and from the start again, or in a new order for
//! every pass over the data.

use cortado_layers::{Rng, RngKey};
use rand::Rng as _;

/// The order in which the records of a source are handed out. A pure function of what it is made
/// from: any position can be asked for at any time.
pub struct Order {
    records: u64,
    skip: u64,
    seed: u64,
    shuffle: Option<Shuffle>,
}

struct Shuffle {
    purpose: String,
    epoch: u64,
    /// Order of the records in `epoch`; empty before the first question.
    permutation: Vec<u64>,
}

impl Order {
    /// The order of `records` (at least one) for the layer `name`.
    ///
    /// `rand_skip` above 0 starts after a number of records drawn from `0..rand_skip`.
    pub fn new(records: u64, name: &str, seed: u64, shuffle: bool, rand_skip: u32) -> Order {
        let skip = match rand_skip {
            0 => 0,
            limit => {
                below(&mut RngKey::at_start(seed).stream(&format!("{name}/skip")), limit.into())
            }
        };
        let purpose = format!("{name}/order");
        let shuffle = shuffle.then_some(Shuffle { purpose, epoch: 0, permutation: Vec::new() });
        Order { records: records.max(1), skip, seed, shuffle }
    }

    /// The record that is handed out after `position` others.
    pub fn record(&mut self, position: u64) -> u64 {
        let at = self.skip.wrapping_add(position);
        let (epoch, index) = (at / self.records, at % self.records);
        let Some(shuffle) = &mut self.shuffle else { return index };
        if shuffle.permutation.is_empty() || shuffle.epoch != epoch {
            let key = RngKey { seed: self.seed, pass: epoch, replica: 0 };
            shuffle.permutation = permutation(self.records, &mut key.stream(&shuffle.purpose));
            shuffle.epoch = epoch;
        }
        shuffle.permutation[index as usize]
    }
}

/// The numbers `0..n` in random order (Fisher and Yates).
fn permutation(n: u64, rng: &mut Rng) -> Vec<u64> {
    let mut order: Vec<u64> = (0..n).collect();
    for i in (1..order.len()).rev() {
        order.swap(i, below(rng, i as u64 + 1) as usize);
    }
    order
}

/// A number from `0..n`, for `n` above 0. Its own arithmetic, so that a newer random number package
/// does not change what a seed means.
pub(super) fn below(rng: &mut Rng, n: u64) -> u64 {
    ((u128::from(rng.next_u64()) * u128::from(n)) >> 64) as u64
}
