//! What is done to each value by itself, where zero does not stay zero.

use super::epilogue::{Act, Finish};
use super::lanes::{Lanes, WithLanes};
use super::layout::Blocked;
use super::{LANES, for_each_task};
use crate::blocks::SharedIo;
use crate::{Kernels, SrcDst};

impl Kernels {
    /// y = act(x · scale\[c\] + shift\[c\]), both blobs laid out alike; the halo is not touched.
    pub fn affine_blocked(
        &self,
        of: Blocked,
        io: SrcDst<'_>,
        scale: Option<&[f32]>,
        shift: Option<&[f32]>,
        act: Act<'_>,
    ) {
        assert_eq!(io.len(), of.len(), "the data is not as long as its layout says");
        if of.plain_len() == 0 {
            return;
        }
        let finish = Finish::new(of.c, shift, act);
        let mut factors = vec![1.0; of.blocks() * LANES];
        if let Some(scale) = scale {
            assert_eq!(scale.len(), of.c, "one scale per channel");
            factors[..of.c].copy_from_slice(scale);
        }
        let io = SharedIo::new(io);
        for_each_task(of.n * of.blocks(), of.len(), |task| {
            let (n, block) = (task / of.blocks(), task % of.blocks());
            let factors = &factors[block * LANES..][..LANES];
            self.with_lanes(Affine { of, n, block, io: &io, factors, finish: &finish });
        });
    }
}

/// A plane of [`Kernels::affine_blocked`].
struct Affine<'a> {
    of: Blocked,
    n: usize,
    block: usize,
    io: &'a SharedIo<'a>,
    factors: &'a [f32],
    finish: &'a Finish,
}

impl WithLanes for Affine<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Affine { of, n, block, io, factors, finish } = self;
        // SAFETY: the caller has the instruction set; every task has a block of an image of its own,
        // and pixels are 16 floats.
        unsafe {
            let (tail, factors) = (finish.tail::<L>(block), L::load(factors.as_ptr()));
            for y in 0..of.h {
                let mut line = io.range(of.at(n, block, y), of.w * LANES);
                for x in (0..of.w * LANES).step_by(LANES) {
                    let pixel = L::load(line.src()[x..x + LANES].as_ptr());
                    let to = line.part(x..x + LANES).into_dst();
                    tail.apply(pixel.mul(factors), std::ptr::null()).store(to.as_mut_ptr());
                }
                if finish.sweeps() {
                    finish.sweep(block, line.into_dst());
                }
            }
        }
    }
}
