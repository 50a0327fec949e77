//! How fast this machine multiplies and adds at best: what benchmarks compare with.

use crate::Kernels;
use crate::blocked::{Lanes, WithLanes};

/// Sums that do not wait for each other: more than any machine's latency times its units.
const CHAINS: usize = 12;

impl Kernels {
    /// Multiplies and adds in registers, `rounds` times; returns the floating-point operations done.
    pub fn spin(&self, rounds: usize) -> f64 {
        let mut result = [0.0; 16];
        self.with_lanes(Spin { rounds, result: &mut result });
        std::hint::black_box(result);
        (rounds * CHAINS * result.len() * 2) as f64
    }
}

struct Spin<'a> {
    rounds: usize,
    result: &'a mut [f32; 16],
}

impl WithLanes for Spin<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        // SAFETY: the caller has the instruction set; the result holds 16 floats.
        unsafe {
            let factor = L::splat(std::hint::black_box(0.5));
            let mut sums = [factor; CHAINS];
            for _ in 0..self.rounds {
                for sum in &mut sums {
                    *sum = factor.add_product(*sum, factor);
                }
            }
            sums.into_iter().fold(factor, |a, b| a.add(b)).store(self.result.as_mut_ptr());
        }
    }
}
