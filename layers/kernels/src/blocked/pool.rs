//! Pooling of blocked activations by Caffe's rules.

use super::epilogue::Output;
use super::lanes::{Lanes, WithLanes};
use super::layout::{BlockedMut, BlockedRef};
use super::{LANES, for_each_task};
use crate::Kernels;
use crate::pool::{PoolGeometry, PoolWindow};

impl Kernels {
    /// dst = the largest of each window.
    pub fn max_pool_blocked(&self, g: &PoolGeometry, src: BlockedRef<'_>, dst: BlockedMut<'_>) {
        self.pool(g, src, dst, true);
    }

    /// dst = the sum of each window / its length (see `ave_pool_forward`).
    pub fn ave_pool_blocked(&self, g: &PoolGeometry, src: BlockedRef<'_>, dst: BlockedMut<'_>) {
        self.pool(g, src, dst, false);
    }

    fn pool(&self, g: &PoolGeometry, src: BlockedRef<'_>, dst: BlockedMut<'_>, max: bool) {
        let [down, across] = &*g.windows else { panic!("a blocked pooling has two spatial axes") };
        src.check([g.n, g.c, down.input, across.input]);
        let output = Output::new(dst, [g.n, g.c, down.output, across.output]);
        let blocks = g.c.div_ceil(LANES);
        let work = g.n * blocks * LANES * down.output * across.output * 4;
        for_each_task(g.n * blocks * down.output, work, |task| {
            let (plane, row) = (task / down.output, task % down.output);
            let (n, block) = (plane / blocks, plane % blocks);
            let at = output.of.at(n, output.block + block, row);
            // SAFETY: every task has a row of its own.
            let line = unsafe { output.data.range(at, across.output * LANES) };
            let job = Row { down, across, src, n, block, row, line };
            match max {
                true => self.with_lanes(Max(job, LANES.min(g.c - block * LANES))),
                false => self.with_lanes(Average(job)),
            }
        });
    }
}

/// A row of results.
struct Row<'a> {
    down: &'a PoolWindow,
    across: &'a PoolWindow,
    src: BlockedRef<'a>,
    n: usize,
    block: usize,
    row: usize,
    line: &'a mut [f32],
}

impl Row<'_> {
    /// For every window: `f(column, result, pixel)` over its pixels, from `start`.
    ///
    /// # Safety
    /// The instruction set is there.
    #[inline(always)]
    unsafe fn fold<L: Lanes>(
        &mut self,
        start: f32,
        f: impl Fn(L, L) -> L,
        finish: impl Fn(usize, L) -> L,
    ) {
        let of = self.src.of;
        let plane = of.at(self.n, self.src.c_offset / LANES + self.block, 0);
        let rows = self.down.span(self.row);
        for (column, to) in self.line.chunks_exact_mut(LANES).enumerate() {
            let columns = self.across.span(column);
            // SAFETY: the spans are inside the plane.
            unsafe {
                let mut result = L::splat(start);
                for y in rows.clone() {
                    let from = plane + y * of.row();
                    for x in columns.clone() {
                        let pixel = &self.src.data[from + x * LANES..][..LANES];
                        result = f(result, L::load(pixel.as_ptr()));
                    }
                }
                finish(column, result).store(to.as_mut_ptr());
            }
        }
    }
}

/// With the lanes that hold channels.
struct Max<'a>(Row<'a>, usize);

impl WithLanes for Max<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(mut self) {
        // SAFETY: the instruction set is there.
        unsafe { self.0.fold::<L>(f32::MIN, |max, x| max.max(x), |_, max| max) }
        if self.1 < LANES {
            // A window over nothing has no zero.
            self.0.line.chunks_exact_mut(LANES).for_each(|pixel| pixel[self.1..].fill(0.0));
        }
    }
}

struct Average<'a>(Row<'a>);

impl WithLanes for Average<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(mut self) {
        let Row { down, across, row, .. } = self.0;
        let height = down.divisor(row).max(1) as f32;
        // SAFETY: the instruction set is there.
        unsafe {
            let mean = |column: usize, sum: L| {
                sum.mul(L::splat(1.0 / (height * across.divisor(column).max(1) as f32)))
            };
            self.0.fold::<L>(0.0, |sum, x| sum.add(x), mean);
        }
    }
}
