//! What is done to each value by itself, where zero does not stay zero.

use super::epilogue::{Act, Finish};
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
            let channels = block * LANES..(block + 1) * LANES;
            let factors = &factors[channels.clone()];
            let (shifts, slopes) = (
                &finish.bias[channels.clone()],
                finish.slopes.as_ref().map(|slopes| &slopes[channels]),
            );
            self.vectorize(
                #[inline(always)]
                || {
                    for y in 0..of.h {
                        // SAFETY: every task has a block of an image of its own.
                        let mut line = unsafe { io.range(of.at(n, block, y), of.w * LANES) };
                        for x in (0..of.w * LANES).step_by(LANES) {
                            let mut pixel = [0.0; LANES];
                            pixel.copy_from_slice(&line.src()[x..x + LANES]);
                            for l in 0..LANES {
                                let mut v = pixel[l] * factors[l] + shifts[l];
                                if let Some(slopes) = slopes {
                                    v = if v > 0.0 { v } else { v * slopes[l] };
                                }
                                v = if finish.low > v { finish.low } else { v };
                                pixel[l] = if finish.high < v { finish.high } else { v };
                            }
                            let to = line.part(x..x + LANES).into_dst();
                            to.copy_from_slice(&pixel);
                        }
                        if finish.sweeps() {
                            finish.sweep(block, line.into_dst());
                        }
                    }
                },
            );
        });
    }
}
