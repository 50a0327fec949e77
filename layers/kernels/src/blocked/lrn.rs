//! Local response normalisation across channels (see `lrn_across_forward`), pixel by pixel.

use super::aligned::with_buffer;
use super::layout::Blocked;
use super::{LANES, for_each_task};
use crate::Kernels;
use crate::blocks::lanes;
use crate::shared::Shared;
use crate::vmath::{WithPower, with_power};

/// Pixels whose squares are kept at once.
const STRIP: usize = 16;

impl Kernels {
    /// dst = src · (k + alpha / size · sum of x² over `size` channels around)^-beta, both blobs laid
    /// out alike; the halo is not touched.
    #[allow(clippy::too_many_arguments)]
    pub fn lrn_blocked(
        &self,
        of: Blocked,
        size: usize,
        alpha: f32,
        beta: f32,
        k: f32,
        src: &[f32],
        dst: &mut [f32],
    ) {
        assert!(src.len() == of.len() && dst.len() == of.len(), "lengths differ");
        let before = size.saturating_sub(1) / 2;
        let alpha = alpha / size as f32;
        let dst = Shared::new(dst);
        with_power(-beta, Lrn { kernels: self, of, size, before, alpha, base: k, src, dst });
    }
}

struct Lrn<'a> {
    kernels: &'a Kernels,
    of: Blocked,
    size: usize,
    /// Channels of a window before its own.
    before: usize,
    alpha: f32,
    base: f32,
    src: &'a [f32],
    dst: Shared<'a>,
}

impl WithPower for Lrn<'_> {
    fn run<F: Fn(f32) -> f32 + Copy + Sync>(self, power: F) {
        let Lrn { kernels, of, size, before, alpha, base, src, dst } = self;
        let blocks = of.blocks();
        // Squares of all channels of a pixel, with zeros where windows reach beyond them.
        let front = before.next_multiple_of(LANES);
        let line = front + blocks * LANES + size.next_multiple_of(LANES);
        for_each_task(of.n * of.h, of.len(), |task| {
            let (n, y) = (task / of.h, task % of.h);
            with_buffer(STRIP * line, |squares| {
                squares.fill(0.0);
                for first in (0..of.w).step_by(STRIP) {
                    let count = STRIP.min(of.w - first);
                    for block in 0..blocks {
                        let at = of.at(n, block, y) + first * LANES;
                        let (pixels, _) = src[at..at + count * LANES].as_chunks::<LANES>();
                        for (pixel, squares) in pixels.iter().zip(squares.chunks_exact_mut(line)) {
                            let to = &mut squares[front + block * LANES..][..LANES];
                            to.iter_mut().zip(pixel).for_each(|(to, x)| *to = x * x);
                        }
                    }
                    for block in 0..blocks {
                        let at = of.at(n, block, y) + first * LANES;
                        // SAFETY: every task has a row of an image of its own.
                        let to = unsafe { dst.range(at, count * LANES) };
                        let window = front + block * LANES - before;
                        kernels.vectorize(
                            #[inline(always)]
                            || {
                                let (sums, _) = to.as_chunks_mut::<LANES>();
                                for (sum, squares) in sums.iter_mut().zip(squares.chunks(line)) {
                                    *sum = [0.0; LANES];
                                    for j in window..window + size {
                                        let x = lanes(squares, j);
                                        for l in 0..LANES {
                                            sum[l] += x[l];
                                        }
                                    }
                                }
                                for (to, x) in to.iter_mut().zip(&src[at..at + count * LANES]) {
                                    *to = x * power(base + alpha * *to);
                                }
                            },
                        );
                    }
                }
            });
        });
    }
}
