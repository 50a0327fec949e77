//! How fast this machine multiplies and adds at best: what benchmarks compare with.

use crate::Kernels;
use crate::blocked::{Lanes, WithLanes};

/// Registers that hold sums which do not wait for each other: enough for any machine's latency, and
/// no more than there are.
const REGISTERS: usize = 12;

impl Kernels {
    /// Floating-point operations per second that the threads of the current pool reach together with
    /// operands in registers: the best of a few tries of `rounds` rounds.
    pub fn peak(&self, rounds: usize, tries: usize) -> f64 {
        let once = || {
            let start = std::time::Instant::now();
            let work: f64 = rayon::broadcast(|_| self.spin(rounds)).into_iter().sum();
            work / start.elapsed().as_secs_f64()
        };
        (0..tries).map(|_| once()).fold(0.0, f64::max)
    }

    /// Multiplies and adds in registers, `rounds` times; returns the floating-point operations done.
    pub fn spin(&self, rounds: usize) -> f64 {
        let mut result = [0.0; 16];
        let chains = REGISTERS / self.isa.registers_per_block();
        match chains {
            REGISTERS => self.with_lanes(Spin::<REGISTERS> { rounds, result: &mut result }),
            6 => self.with_lanes(Spin::<6> { rounds, result: &mut result }),
            _ => self.with_lanes(Spin::<3> { rounds, result: &mut result }),
        }
        std::hint::black_box(result);
        (rounds * chains * result.len() * 2) as f64
    }
}

struct Spin<'a, const CHAINS: usize> {
    rounds: usize,
    result: &'a mut [f32; 16],
}

impl<const CHAINS: usize> WithLanes for Spin<'_, CHAINS> {
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
