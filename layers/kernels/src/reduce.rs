//! Sums. Accumulated in f64 over blocks that the shape alone fixes, and the blocks' sums added in
//! order: the number of threads decides who computes a block, never what is computed.

use crate::Kernels;
use crate::blocks::{Channels, PLANE, worth_sharing};
use crate::shared::Shared;
use crate::team::share;

/// Elements summed by one task.
const CHUNK: usize = 1 << 15;
/// Running sums kept side by side, so that a row is no chain of additions: enough of them for the
/// compiler to see a loop, and the same on every instruction set, hence the same bits.
const SUMS: usize = 64;
/// Columns one task sums when channels are neighbours.
const COLUMNS: usize = 256;

impl Kernels {
    /// Sum of x
    pub fn sum(&self, x: &[f32]) -> f64 {
        self.sum_of(x, x, |x, _| f64::from(x))
    }

    /// Sum of |x|
    pub fn asum(&self, x: &[f32]) -> f64 {
        self.sum_of(x, x, |x, _| f64::from(x.abs()))
    }

    /// Sum of x * x
    pub fn sum_sq(&self, x: &[f32]) -> f64 {
        self.sum_of(x, x, |x, _| f64::from(x) * f64::from(x))
    }

    /// Sum of a * b
    pub fn dot(&self, a: &[f32], b: &[f32]) -> f64 {
        self.sum_of(a, b, |a, b| f64::from(a) * f64::from(b))
    }

    /// out\[c\] += sum of a over outer and inner of `[outer, c, inner]`
    pub fn sum_channels(&self, outer: usize, c: usize, inner: usize, a: &[f32], out: &mut [f32]) {
        let shape = Channels::new(outer, c, inner, a.len());
        self.add_channel_sums(shape, a, a, out, |a, _| f64::from(a));
    }

    /// out\[c\] += sum of a * b over outer and inner of `[outer, c, inner]`
    pub fn dot_channels(
        &self,
        outer: usize,
        c: usize,
        inner: usize,
        a: &[f32],
        b: &[f32],
        out: &mut [f32],
    ) {
        let shape = Channels::new(outer, c, inner, a.len());
        self.add_channel_sums(shape, a, b, out, |a, b| f64::from(a) * f64::from(b));
    }

    fn sum_of(&self, a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f64 + Sync) -> f64 {
        let shape = Channels { outer: 1, c: 1, inner: a.len() };
        self.channel_sums(shape, a, b, &[0.0], |a, b, _| [f(a, b)])[0][0]
    }

    pub(crate) fn add_channel_sums(
        &self,
        shape: Channels,
        a: &[f32],
        b: &[f32],
        out: &mut [f32],
        f: impl Fn(f32, f32) -> f64 + Sync,
    ) {
        assert_eq!(out.len(), shape.c, "one sum per channel");
        let sums = self.channel_sums(shape, a, b, &vec![0.0; shape.c], |a, b, _| [f(a, b)]);
        for (out, [sum]) in out.iter_mut().zip(sums) {
            *out += sum as f32;
        }
    }

    /// For each channel the sums of f(a, b, centers\[c\]) over outer and inner.
    pub(crate) fn channel_sums<C: Copy + Sync, const N: usize>(
        &self,
        shape: Channels,
        a: &[f32],
        b: &[f32],
        centers: &[C],
        f: impl Fn(f32, f32, C) -> [f64; N] + Sync,
    ) -> Vec<[f64; N]> {
        assert_eq!(a.len(), b.len(), "operands differ in length");
        assert_eq!(centers.len(), shape.c, "one center per channel");
        if shape.inner >= PLANE || shape.c == 1 {
            self.sums_along_planes(shape, a, b, centers, f)
        } else {
            self.sums_across_channels(shape, a, b, centers, f)
        }
    }

    fn sums_along_planes<C: Copy + Sync, const N: usize>(
        &self,
        Channels { outer, c, inner }: Channels,
        a: &[f32],
        b: &[f32],
        centers: &[C],
        f: impl Fn(f32, f32, C) -> [f64; N] + Sync,
    ) -> Vec<[f64; N]> {
        if c == 1 && outer > 1 {
            let shape = Channels { outer: 1, c, inner: outer * inner };
            return self.sums_along_planes(shape, a, b, centers, f);
        }
        let inner_block = inner.clamp(1, CHUNK);
        let inner_blocks = inner.div_ceil(inner_block).max(1);
        let outer_block = (CHUNK / inner_block).clamp(1, outer.max(1));
        let blocks = inner_blocks * outer.div_ceil(outer_block).max(1);

        let task = |task: usize| {
            let (ch, block) = (task / blocks, task % blocks);
            let (o, i) = (block / inner_blocks * outer_block, block % inner_blocks * inner_block);
            let len = inner_block.min(inner - i);
            self.vectorize(
                #[inline(always)]
                || {
                    let mut sums = [[0.0; SUMS]; N];
                    for o in o..(o + outer_block).min(outer) {
                        let at = (o * c + ch) * inner + i;
                        let row = (&a[at..at + len], &b[at..at + len]);
                        add_row(row.0, row.1, centers[ch], &f, &mut sums);
                    }
                    sums.map(total)
                },
            )
        };
        let partials = in_order(c * blocks, a.len(), task);
        partials.chunks(blocks).map(add_up).collect()
    }

    fn sums_across_channels<C: Copy + Sync, const N: usize>(
        &self,
        Channels { outer, c, inner }: Channels,
        a: &[f32],
        b: &[f32],
        centers: &[C],
        f: impl Fn(f32, f32, C) -> [f64; N] + Sync,
    ) -> Vec<[f64; N]> {
        let columns = c * inner;
        let strips = columns.div_ceil(COLUMNS);
        let outer_block = (CHUNK / COLUMNS).min(outer).max(1);

        // Every task: the sums of one strip of columns over one block of rows.
        let task = |task: usize| {
            let (block, strip) = (task / strips, task % strips);
            let first = strip * COLUMNS;
            let len = COLUMNS.min(columns - first);
            let mut center = [centers[first / inner]; COLUMNS];
            for (i, center) in center[..len].iter_mut().enumerate() {
                *center = centers[(first + i) / inner];
            }
            self.vectorize(
                #[inline(always)]
                || {
                    let mut sums = [[0.0; COLUMNS]; N];
                    let rows = block * outer_block..((block + 1) * outer_block).min(outer);
                    for o in rows {
                        let at = o * columns + first;
                        let (a, b) = (&a[at..at + len], &b[at..at + len]);
                        for (i, ((&a, &b), &center)) in a.iter().zip(b).zip(&center).enumerate() {
                            let terms = f(a, b, center);
                            for n in 0..N {
                                sums[n][i] += terms[n];
                            }
                        }
                    }
                    sums
                },
            )
        };
        let partials = in_order(outer.div_ceil(outer_block) * strips, a.len(), task);

        let mut sums = vec![[0.0; N]; c];
        for (task, partial) in partials.iter().enumerate() {
            let first = task % strips * COLUMNS;
            for (n, partial) in partial.iter().enumerate() {
                for (column, term) in (first..columns).zip(partial) {
                    sums[column / inner][n] += term;
                }
            }
        }
        sums
    }
}

/// Adds f over one row to the running sums.
#[inline(always)]
fn add_row<C: Copy, const N: usize>(
    a: &[f32],
    b: &[f32],
    center: C,
    f: &impl Fn(f32, f32, C) -> [f64; N],
    sums: &mut [[f64; SUMS]; N],
) {
    // Four terms for each access to a running sum.
    let (a_whole, a_rest) = a.as_chunks::<{ 4 * SUMS }>();
    let (b_whole, b_rest) = b.as_chunks::<{ 4 * SUMS }>();
    for (a, b) in a_whole.iter().zip(b_whole) {
        for i in 0..SUMS {
            let term = |quarter: usize| f(a[i + quarter * SUMS], b[i + quarter * SUMS], center);
            let terms = [term(0), term(1), term(2), term(3)];
            for n in 0..N {
                sums[n][i] += (terms[0][n] + terms[1][n]) + (terms[2][n] + terms[3][n]);
            }
        }
    }
    for (a, b) in a_rest.chunks(SUMS).zip(b_rest.chunks(SUMS)) {
        for (n, sums) in sums.iter_mut().enumerate() {
            for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
                *sum += f(a, b, center)[n];
            }
        }
    }
}

/// The sum of the running sums.
#[inline(always)]
fn total(sums: [f64; SUMS]) -> f64 {
    let mut folded = [0.0; 8];
    for eight in sums.as_chunks::<8>().0 {
        for (folded, sum) in folded.iter_mut().zip(eight) {
            *folded += sum;
        }
    }
    folded.iter().sum()
}

/// task(0), task(1), ... in order, shared between threads when `work` elements are worth it.
fn in_order<T: Copy + Send>(count: usize, work: usize, task: impl Fn(usize) -> T + Sync) -> Vec<T> {
    if count > 1 && worth_sharing(work) {
        let mut results = vec![None; count];
        let shared = Shared::new(&mut results);
        share(count, |i| {
            // SAFETY: every task has a place of its own.
            let place = unsafe { shared.range(i, 1) };
            place[0] = Some(task(i));
        });
        results.into_iter().flatten().collect()
    } else {
        (0..count).map(task).collect()
    }
}

fn add_up<const N: usize>(partials: &[[f64; N]]) -> [f64; N] {
    let mut sums = [0.0; N];
    for partial in partials {
        for (sum, term) in sums.iter_mut().zip(partial) {
            *sum += term;
        }
    }
    sums
}
