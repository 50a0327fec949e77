//! Random numbers that depend on what they are for, not on who came first: a stream is named by
//! seed, layer, pass and replica, so that dropout is the same on any number of threads.

use rand::SeedableRng;

/// The generator handed to layers: ChaCha with 8 rounds.
pub type Rng = rand_chacha::ChaCha8Rng;

/// Names a family of streams: one forward pass of one replica of a net.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RngKey {
    /// Seed of the run.
    pub seed: u64,
    /// Number of forward passes before this one.
    pub pass: u64,
    /// Number of the replica.
    pub replica: u64,
}

impl RngKey {
    /// The key of things done once, before any pass.
    pub fn at_start(seed: u64) -> RngKey {
        RngKey { seed, pass: u64::MAX, replica: 0 }
    }

    /// The stream of a purpose, such as a layer's name.
    pub fn stream(&self, purpose: &str) -> Rng {
        let mut state = fnv1a(purpose);
        let mut seed = [0u8; 32];
        let words = [self.seed, self.pass, self.replica, 0];
        for (chunk, word) in seed.chunks_exact_mut(8).zip(words) {
            state = splitmix(state ^ splitmix(word));
            chunk.copy_from_slice(&state.to_le_bytes());
        }
        Rng::from_seed(seed)
    }
}

/// FNV-1a, 64 bits.
pub fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, byte| {
        (h ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// One step of SplitMix64 (Steele, Lea, Flood 2014).
pub fn splitmix(x: u64) -> u64 {
    let mut z = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
