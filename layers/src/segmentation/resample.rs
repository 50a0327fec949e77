//! Planes of another size, each row and column of which is read from two of the old ones.

use cortado_kernels::Write;

use crate::DiffMut;

/// Where a row or column is read: elements with their weights.
pub(crate) type Tap = [(usize, f32); 2];

/// How planes of one size are read from planes of another.
#[derive(Debug, Default)]
pub(crate) struct Resample {
    from: [usize; 2],
    rows: Vec<Tap>,
    columns: Vec<Tap>,
}

impl Resample {
    /// From heights and widths to others; `tap(i, from, to)` says where `i` of an axis is read.
    pub fn new(
        from: [usize; 2],
        to: [usize; 2],
        tap: impl Fn(usize, usize, usize) -> Tap,
    ) -> Resample {
        let axis = |a: usize| (0..to[a]).map(|i| tap(i, from[a], to[a])).collect();
        Resample { from, rows: axis(0), columns: axis(1) }
    }

    /// Calls `visit(element of the new plane, element of the old plane, weight)`.
    fn visit(&self, mut visit: impl FnMut(usize, usize, f32)) {
        let mut cell = 0;
        for row in &self.rows {
            for column in &self.columns {
                for (y, v) in row {
                    for (x, u) in column {
                        visit(cell, y * self.from[1] + x, v * u);
                    }
                }
                cell += 1;
            }
        }
    }

    fn sizes(&self) -> [usize; 2] {
        [self.from[0] * self.from[1], self.rows.len() * self.columns.len()]
    }

    /// The new planes of all the old ones.
    pub fn forward(&self, x: &[f32], y: &mut [f32]) {
        let [from, to] = self.sizes();
        y.fill(0.0);
        for (x, y) in x.chunks(from).zip(y.chunks_mut(to)) {
            self.visit(|cell, at, weight| y[cell] += weight * x[at]);
        }
    }

    /// Their diffs, in the parts with which each element was read.
    pub fn backward(&self, dy: &[f32], dx: &mut DiffMut<'_>) {
        let [from, to] = self.sizes();
        if dx.write == Write::Set {
            dx.data.fill(0.0);
        }
        for (dx, dy) in dx.data.chunks_mut(from).zip(dy.chunks(to)) {
            self.visit(|cell, at, weight| dx[at] += weight * dy[cell]);
        }
    }
}
