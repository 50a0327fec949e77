//! The innermost loop: a tile of C from a packed panel of A and a packed panel of B.

use crate::lanes::{Lanes, Plain};
use crate::table::Isa;

/// Rows and columns of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TileShape {
    pub rows: usize,
    pub columns: usize,
}

/// The largest tile of any instruction set, for buffers at the edges.
pub(crate) const MAX_TILE: usize = 14 * 32;

impl Isa {
    /// As many accumulators as the registers hold beside the operands.
    pub(crate) fn tile(self) -> TileShape {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => TileShape { rows: 14, columns: 32 },
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => TileShape { rows: 6, columns: 16 },
            Isa::Portable => TileShape { rows: 4, columns: 8 },
        }
    }

    /// C (rows x columns, stride `ldc`) = or += panel a (k x rows) · panel b (k x columns).
    ///
    /// # Safety
    /// This instruction set is there; `a` and `b` hold `k` rows and columns of the tile; `c` is good
    /// for the whole tile.
    #[inline]
    pub(crate) unsafe fn multiply(
        self,
        k: usize,
        a: *const f32,
        b: *const f32,
        c: *mut f32,
        ldc: usize,
        add: bool,
    ) {
        // SAFETY: the caller promises what the tiles want.
        unsafe {
            match self {
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 => avx512(k, a, b, c, ldc, add),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => avx2(k, a, b, c, ldc, add),
                Isa::Portable => tile::<Plain, 4, 2>(k, a, b, c, ldc, add),
            }
        }
    }
}

/// `M` rows x `V` registers.
///
/// # Safety
/// As `Isa::multiply`, with M rows and V · N columns.
#[inline(always)]
unsafe fn tile<L: Lanes, const M: usize, const V: usize>(
    k: usize,
    mut a: *const f32,
    mut b: *const f32,
    c: *mut f32,
    ldc: usize,
    add: bool,
) {
    // SAFETY: the panels hold k times M and V · N floats, c a tile of that size.
    unsafe {
        let mut acc = [[L::zero(); V]; M];
        for _ in 0..k {
            let mut columns = [L::zero(); V];
            for (v, column) in columns.iter_mut().enumerate() {
                *column = L::load(b.add(v * L::N));
            }
            for (m, row) in acc.iter_mut().enumerate() {
                let value = L::splat(*a.add(m));
                for (sum, &column) in row.iter_mut().zip(&columns) {
                    *sum = sum.add_product(value, column);
                }
            }
            a = a.add(M);
            b = b.add(V * L::N);
        }
        for (m, row) in acc.iter().enumerate() {
            for (v, &sum) in row.iter().enumerate() {
                let at = c.add(m * ldc + v * L::N);
                let sum = if add { L::load(at).add(sum) } else { sum };
                sum.store(at);
            }
        }
    }
}

/// # Safety
/// As `tile`, on a machine with AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(k: usize, a: *const f32, b: *const f32, c: *mut f32, ldc: usize, add: bool) {
    // SAFETY: passed on.
    unsafe { tile::<std::arch::x86_64::__m256, 6, 2>(k, a, b, c, ldc, add) }
}

/// # Safety
/// As `tile`, on a machine with AVX-512.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
unsafe fn avx512(k: usize, a: *const f32, b: *const f32, c: *mut f32, ldc: usize, add: bool) {
    // SAFETY: passed on.
    unsafe { tile::<std::arch::x86_64::__m512, 14, 2>(k, a, b, c, ldc, add) }
}
