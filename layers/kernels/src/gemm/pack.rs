//! Operands rewritten in the order in which the innermost loop reads them: panels of as many rows
//! (or columns) as a tile has, the reduction index running slowest inside a panel.

use super::Trans;

/// A matrix operand: `op(data)` is `rows x columns`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub data: &'a [f32],
    pub trans: Trans,
    /// Length of a row of `data` as it is stored.
    pub stride: usize,
}

impl Matrix<'_> {
    fn at(&self, row: usize, column: usize) -> usize {
        match self.trans {
            Trans::No => row * self.stride + column,
            Trans::Yes => column * self.stride + row,
        }
    }
}

/// Packs rows `rows` of A for the reduction indices `ks`, each value times `alpha`: panels
/// `[k][tile]`, rows beyond the last are zero.
pub(crate) fn pack_a(
    a: Matrix<'_>,
    rows: std::ops::Range<usize>,
    ks: std::ops::Range<usize>,
    alpha: f32,
    tile: usize,
    out: &mut [f32],
) {
    let depth = ks.len();
    for (panel, out) in out.chunks_exact_mut(depth * tile).enumerate() {
        let first = rows.start + panel * tile;
        let count = tile.min(rows.end.saturating_sub(first));
        if count < tile {
            out.fill(0.0);
        }
        match a.trans {
            Trans::Yes => {
                for (k, to) in out.chunks_exact_mut(tile).enumerate() {
                    let from = &a.data[a.at(first, ks.start + k)..][..count];
                    to.iter_mut().zip(from).for_each(|(to, &from)| *to = alpha * from);
                }
            }
            Trans::No => {
                for row in 0..count {
                    let from = &a.data[a.at(first + row, ks.start)..][..depth];
                    let to = out[row..].iter_mut().step_by(tile);
                    to.zip(from).for_each(|(to, &from)| *to = alpha * from);
                }
            }
        }
    }
}

/// Packs columns `columns` of B for the reduction indices `ks`: panels `[k][tile]`, columns beyond
/// the last are zero.
pub(crate) fn pack_b(
    b: Matrix<'_>,
    ks: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
    tile: usize,
    out: &mut [f32],
) {
    let depth = ks.len();
    for (panel, out) in out.chunks_exact_mut(depth * tile).enumerate() {
        let first = columns.start + panel * tile;
        let count = tile.min(columns.end.saturating_sub(first));
        if count < tile {
            out.fill(0.0);
        }
        match b.trans {
            Trans::No => {
                for (k, to) in out.chunks_exact_mut(tile).enumerate() {
                    let from = b.at(ks.start + k, first);
                    to[..count].copy_from_slice(&b.data[from..from + count]);
                }
            }
            Trans::Yes => {
                for column in 0..count {
                    let from = &b.data[b.at(ks.start, first + column)..][..depth];
                    let to = out[column..].iter_mut().step_by(tile);
                    to.zip(from).for_each(|(to, &from)| *to = from);
                }
            }
        }
    }
}
