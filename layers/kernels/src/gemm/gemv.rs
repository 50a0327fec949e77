//! Matrix times vector: reads the matrix once, which is all that it costs.

use super::Trans;
use crate::Kernels;
use crate::shared::Shared;
use crate::team::share;

/// Lanes of partial sums; fixed, so that a sum is the same on every instruction set width.
const LANES: usize = 32;
/// Elements of the matrix per task.
const TASK: usize = 1 << 15;

/// Sum of products in `LANES` running sums, then those in a fixed order.
#[inline(always)]
fn dot(a: &[f32], x: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    let (a_chunks, x_chunks) = (a.chunks_exact(LANES), x.chunks_exact(LANES));
    let (a_rest, x_rest) = (a_chunks.remainder(), x_chunks.remainder());
    for (a, x) in a_chunks.zip(x_chunks) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * x[lane];
        }
    }
    for (lane, (a, x)) in a_rest.iter().zip(x_rest).enumerate() {
        sums[lane] += a * x;
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
        width /= 2;
    }
    sums[0]
}

/// alpha · product + beta · y, without reading y when beta is 0.
#[inline(always)]
fn blend(alpha: f32, product: f32, beta: f32, y: f32) -> f32 {
    if beta == 0.0 { alpha * product } else { alpha * product + beta * y }
}

impl Kernels {
    /// y = alpha · op(A) · x + beta · y for A stored as `rows x columns`. With beta 0, y is not read.
    #[allow(clippy::too_many_arguments)]
    pub fn gemv(
        &self,
        ta: Trans,
        rows: usize,
        columns: usize,
        alpha: f32,
        a: &[f32],
        x: &[f32],
        beta: f32,
        y: &mut [f32],
    ) {
        assert_eq!(a.len(), rows * columns, "A is not {rows} x {columns}");
        let (inputs, outputs) = if ta == Trans::No { (columns, rows) } else { (rows, columns) };
        assert_eq!(x.len(), inputs, "x is not as long as A wants");
        assert_eq!(y.len(), outputs, "y is not as long as A wants");
        if inputs == 0 {
            match beta {
                0.0 => y.fill(0.0),
                beta => self.scale(beta, y),
            }
            return;
        }
        let serial = a.len() <= TASK || crate::team::threads() == 1;
        let per_task = match ta {
            Trans::No => (TASK / columns.max(1)).max(1),
            // Wide enough that a row's part fills cache lines.
            Trans::Yes => (TASK / rows.max(1)).max(256),
        };
        let task = |index: usize, part: &mut [f32]| {
            let first = index * per_task;
            self.vectorize(
                #[inline(always)]
                || match ta {
                    Trans::No => {
                        for (y, row) in part.iter_mut().zip(a[first * columns..].chunks(columns)) {
                            *y = blend(alpha, dot(row, x), beta, *y);
                        }
                    }
                    Trans::Yes => {
                        match beta {
                            0.0 => part.fill(0.0),
                            beta => part.iter_mut().for_each(|y| *y *= beta),
                        }
                        for (&x, row) in x.iter().zip(a.chunks(columns)) {
                            let factor = alpha * x;
                            let row = &row[first..first + part.len()];
                            part.iter_mut().zip(row).for_each(|(y, a)| *y += factor * a);
                        }
                    }
                },
            );
        };
        if serial {
            y.chunks_mut(per_task).enumerate().for_each(|(i, part)| task(i, part));
        } else {
            let (len, y) = (y.len(), Shared::new(y));
            share(len.div_ceil(per_task), |i| {
                // SAFETY: every task has a part of its own.
                task(i, unsafe { y.range(i * per_task, per_task.min(len - i * per_task)) });
            });
        }
    }
}
