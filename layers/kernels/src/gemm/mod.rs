//! Matrix multiplication with packed operands (Goto and van de Geijn 2008): the reduction is cut into
//! chunks of a fixed depth, whose products are added to C one after the other, so that an element of
//! C is the same sum whoever computes it.

mod gemv;
mod pack;
pub(crate) mod tile;

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use crate::Kernels;
use crate::shared::Shared;
use crate::table::Isa;
pub(crate) use pack::{Matrix, pack_a, pack_b};
use tile::MAX_TILE;

/// Whether an operand is used as it is stored or transposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trans {
    /// As stored.
    No,
    /// Transposed.
    Yes,
}

/// Depth of a chunk of the reduction: a panel of B stays in the first cache.
pub(crate) const DEPTH: usize = 256;

/// Columns of B packed at once: the block stays in the second cache.
pub(crate) const COLUMNS: usize = 192;

/// Multiply-adds below which a second thread does not pay.
const SERIAL: usize = 1 << 16;

thread_local! {
    static A_BLOCK: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    static B_BLOCK: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Runs `f` with a buffer of this thread that is at least `len` long, of unknown content.
fn with_buffer<R>(
    key: &'static std::thread::LocalKey<RefCell<Vec<f32>>>,
    len: usize,
    f: impl FnOnce(&mut [f32]) -> R,
) -> R {
    key.with(|cell| {
        // Taken out, so that work stolen by this thread meanwhile finds the cell free.
        let mut buffer = cell.take();
        if buffer.len() < len {
            buffer.resize(len, 0.0);
        }
        let result = f(&mut buffer[..len]);
        cell.replace(buffer);
        result
    })
}

/// A matrix packed once as the left operand of many products.
#[derive(Clone, Debug)]
pub struct PackedA {
    pub(crate) isa: Isa,
    /// Rows.
    pub(crate) m: usize,
    /// Columns.
    pub(crate) k: usize,
    /// Chunk after chunk of the reduction, each all panels of rows.
    data: Vec<f32>,
}

impl PackedA {
    /// Rows of the matrix.
    pub fn rows(&self) -> usize {
        self.m
    }

    /// Columns of the matrix.
    pub fn columns(&self) -> usize {
        self.k
    }

    /// The panels `panels` of the chunk of the reduction that begins at `ks`.
    fn panels(&self, ks: &Range<usize>, panels: Range<usize>) -> &[f32] {
        let tile = self.isa.tile().rows;
        let padded = self.m.div_ceil(tile) * tile;
        let depth = ks.len() * tile;
        &self.data[ks.start * padded..][panels.start * depth..panels.end * depth]
    }
}

/// The left operand of a product.
#[derive(Clone, Copy)]
pub(crate) enum Left<'a> {
    Packed(&'a PackedA),
    Plain(Matrix<'a>, f32),
}

/// Chunks of the reduction.
pub(crate) fn chunks(k: usize) -> impl Iterator<Item = Range<usize>> {
    (0..k).step_by(DEPTH).map(move |start| start..k.min(start + DEPTH))
}

/// A part of C: rows, columns, and its memory.
pub(crate) struct Part {
    pub rows: Range<usize>,
    pub columns: Range<usize>,
    /// Row stride of C.
    pub stride: usize,
}

/// C part += A rows · B, B packed by `pack(ks, buffer)` chunk by chunk; the first chunk overwrites
/// unless `add`.
///
/// # Safety
/// `part` lies inside `c`, and nobody else uses it meanwhile; `rows.start` is a multiple of the
/// tile's rows when A is packed.
pub(crate) unsafe fn multiply_part(
    isa: Isa,
    left: Left<'_>,
    k: usize,
    part: &Part,
    add: bool,
    c: Shared<'_>,
    pack: &(dyn Fn(Range<usize>, &mut [f32]) + Sync),
) {
    let tile = isa.tile();
    let b_panels = part.columns.len().div_ceil(tile.columns);
    let a_panels = part.rows.len().div_ceil(tile.rows);
    let b_len = b_panels * tile.columns * DEPTH.min(k);
    let a_len = match left {
        Left::Packed(_) => 0,
        Left::Plain(..) => a_panels * tile.rows * DEPTH.min(k),
    };
    with_buffer(&B_BLOCK, b_len, |b_block| {
        with_buffer(&A_BLOCK, a_len, |a_block| {
            for (index, ks) in chunks(k).enumerate() {
                let depth = ks.len();
                let b_block = &mut b_block[..b_panels * tile.columns * depth];
                pack(ks.clone(), b_block);
                let a_block = match left {
                    Left::Packed(packed) => {
                        let first = part.rows.start / tile.rows;
                        packed.panels(&ks, first..first + a_panels)
                    }
                    Left::Plain(a, alpha) => {
                        let block = &mut a_block[..a_panels * tile.rows * depth];
                        pack_a(a, part.rows.clone(), ks, alpha, tile.rows, block);
                        block
                    }
                };
                // SAFETY: passed on.
                unsafe { multiply_blocks(isa, depth, a_block, b_block, part, add || index > 0, c) }
            }
        });
    });
}

/// # Safety
/// As `multiply_part`; the blocks hold whole panels of depth `depth`.
unsafe fn multiply_blocks(
    isa: Isa,
    depth: usize,
    a_block: &[f32],
    b_block: &[f32],
    part: &Part,
    add: bool,
    c: Shared<'_>,
) {
    let tile = isa.tile();
    for (j, b) in b_block.chunks_exact(depth * tile.columns).enumerate() {
        let column = part.columns.start + j * tile.columns;
        let columns = tile.columns.min(part.columns.end - column);
        for (i, a) in a_block.chunks_exact(depth * tile.rows).enumerate() {
            let row = part.rows.start + i * tile.rows;
            let rows = tile.rows.min(part.rows.end - row);
            let (a, b) = (a.as_ptr(), b.as_ptr());
            if rows == tile.rows && columns == tile.columns {
                // SAFETY: the whole tile lies inside the part, which is ours; a table of this
                // instruction set exists only where it is there.
                unsafe {
                    isa.multiply(depth, a, b, c.at(row * part.stride + column), part.stride, add)
                }
            } else {
                let mut edge = [0.0; MAX_TILE];
                // SAFETY: the buffer holds the largest tile.
                unsafe { isa.multiply(depth, a, b, edge.as_mut_ptr(), tile.columns, false) }
                for r in 0..rows {
                    let from = &edge[r * tile.columns..][..columns];
                    // SAFETY: these elements lie inside the part, which is ours.
                    let to = unsafe { c.range((row + r) * part.stride + column, columns) };
                    match add {
                        true => to.iter_mut().zip(from).for_each(|(to, from)| *to += from),
                        false => to.copy_from_slice(from),
                    }
                }
            }
        }
    }
}

/// Cuts `m x n` into parts: blocks of columns first, rows as well while there are fewer parts than
/// threads want. The cut never changes a result.
pub(crate) fn parts(isa: Isa, m: usize, n: usize, others: usize, stride: usize) -> Vec<Part> {
    let tile = isa.tile();
    let wanted = 2 * crate::team::threads();
    let width = |tasks: usize| n.div_ceil(tasks.max(1)).next_multiple_of(tile.columns);
    let spread = wanted.div_ceil(others.max(1));
    let columns = COLUMNS.min(width(spread)).max(tile.columns * 4).min(n.max(1));
    let column_blocks = n.div_ceil(columns);
    let row_blocks = spread.div_ceil(column_blocks).clamp(1, m.div_ceil(4 * tile.rows).max(1));
    let rows = m.div_ceil(row_blocks).next_multiple_of(tile.rows);
    let mut parts = Vec::new();
    for column in (0..n).step_by(columns) {
        for row in (0..m).step_by(rows.max(1)) {
            let (rows, columns) = (row..m.min(row + rows), column..n.min(column + columns));
            parts.push(Part { rows, columns, stride });
        }
    }
    parts
}

/// Runs the tasks, on several threads if the work is worth it.
pub(crate) fn run_tasks<T: Sync>(tasks: &[T], work: usize, run: impl Fn(&T) + Sync + Send) {
    if work < SERIAL || tasks.len() < 2 || crate::team::threads() == 1 {
        tasks.iter().for_each(run);
    } else {
        crate::team::share(tasks.len(), |i| run(&tasks[i]));
    }
}

impl Kernels {
    /// C (m x n) = alpha · op(A) (m x k) · op(B) (k x n) + beta · C, all row-major. With beta 0, C is
    /// not read.
    #[allow(clippy::too_many_arguments)]
    pub fn gemm(
        &self,
        ta: Trans,
        tb: Trans,
        m: usize,
        n: usize,
        k: usize,
        alpha: f32,
        a: &[f32],
        b: &[f32],
        beta: f32,
        c: &mut [f32],
    ) {
        assert_eq!(a.len(), m * k, "A is not {m} x {k}");
        assert_eq!(b.len(), k * n, "B is not {k} x {n}");
        assert_eq!(c.len(), m * n, "C is not {m} x {n}");
        if n == 1 {
            let (rows, columns) = if ta == Trans::No { (m, k) } else { (k, m) };
            return self.gemv(ta, rows, columns, alpha, a, b, beta, c);
        }
        if m == 1 {
            let (tb, rows, columns) =
                if tb == Trans::No { (Trans::Yes, k, n) } else { (Trans::No, n, k) };
            return self.gemv(tb, rows, columns, alpha, b, a, beta, c);
        }
        let a = Matrix { data: a, trans: ta, stride: if ta == Trans::No { k } else { m } };
        let b = Matrix { data: b, trans: tb, stride: if tb == Trans::No { n } else { k } };
        self.multiply(Left::Plain(a, alpha), b, m, n, k, beta, c);
    }

    /// Packs op(A) (m x k) for many products.
    pub fn pack_a(&self, ta: Trans, m: usize, k: usize, a: &[f32]) -> PackedA {
        assert_eq!(a.len(), m * k, "A is not {m} x {k}");
        let a = Matrix { data: a, trans: ta, stride: if ta == Trans::No { k } else { m } };
        self.pack_matrix(a, m, k)
    }

    pub(crate) fn pack_matrix(&self, a: Matrix<'_>, m: usize, k: usize) -> PackedA {
        let tile = self.isa.tile().rows;
        let padded = m.div_ceil(tile) * tile;
        let mut data = vec![0.0; padded * k];
        if padded > 0 {
            data.par_chunks_mut(padded * DEPTH).zip(chunks(k).collect::<Vec<_>>()).for_each(
                |(block, ks)| {
                    self.vectorize(
                        #[inline(always)]
                        || pack_a(a, 0..m, ks, 1.0, tile, block),
                    );
                },
            );
        }
        PackedA { isa: self.isa, m, k, data }
    }

    /// C (m x n) = alpha · A · op(B) (k x n) + beta · C for a packed A. `alpha` must be 1 unless the
    /// caller scales by itself.
    pub fn gemm_packed(
        &self,
        a: &PackedA,
        tb: Trans,
        n: usize,
        b: &[f32],
        beta: f32,
        c: &mut [f32],
    ) {
        assert_eq!(a.isa, self.isa, "packed for another instruction set");
        assert_eq!(b.len(), a.k * n, "B is not {} x {n}", a.k);
        assert_eq!(c.len(), a.m * n, "C is not {} x {n}", a.m);
        let b = Matrix { data: b, trans: tb, stride: if tb == Trans::No { n } else { a.k } };
        self.multiply(Left::Packed(a), b, a.m, n, a.k, beta, c);
    }

    #[allow(clippy::too_many_arguments)]
    fn multiply(
        &self,
        left: Left<'_>,
        b: Matrix<'_>,
        m: usize,
        n: usize,
        k: usize,
        beta: f32,
        c: &mut [f32],
    ) {
        if beta == 0.0 && k == 0 {
            c.fill(0.0);
        } else if beta != 0.0 && beta != 1.0 {
            self.scale(beta, c);
        }
        if m == 0 || n == 0 || k == 0 {
            return;
        }
        let parts = parts(self.isa, m, n, 1, n);
        let tile = self.isa.tile().columns;
        let shared = Shared::new(c);
        run_tasks(&parts, m * n * k, |part| {
            let pack = |ks: Range<usize>, block: &mut [f32]| {
                self.vectorize(
                    #[inline(always)]
                    || pack_b(b, ks, part.columns.clone(), tile, block),
                );
            };
            // SAFETY: the parts lie inside C and do not overlap.
            unsafe { multiply_part(self.isa, left, k, part, beta != 0.0, shared, &pack) }
        });
    }
}
