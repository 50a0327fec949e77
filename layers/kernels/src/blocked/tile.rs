//! The innermost loop of all products: a tile of pixels times one or two blocks of output channels.
//!
//! The reduction is a list of runs: places where consecutive floats of the source meet consecutive
//! weights. That covers kernels of any size and dilation, groups, and interleaved first layers.

use super::LANES;
use super::lanes::{Lanes, Plain};
use crate::table::Isa;

/// What all tiles of a convolution have in common. Distances are in floats.
pub(super) struct Tile<'a> {
    /// Where the runs of `full_len` begin, counted from the tile's first pixel.
    pub full: &'a [usize],
    pub full_len: usize,
    /// The runs that follow, of `rest_len`.
    pub rest: &'a [usize],
    pub rest_len: usize,
    /// From one source pixel to the next, and from one row of pixels to the next.
    pub px: usize,
    pub row: usize,
    pub dst_px: usize,
    pub dst_row: usize,
    pub dst_block: usize,
    pub add_px: usize,
    pub add_row: usize,
    pub add_block: usize,
    /// Results are held between these.
    pub low: f32,
    pub high: f32,
}

/// Where a tile lies.
pub(super) struct At {
    pub src: *const f32,
    /// `[runs][16 · blocks]`
    pub weights: *const f32,
    /// `[16 · blocks]`
    pub bias: *const f32,
    /// As bias, or null.
    pub slopes: *const f32,
    /// Null if nothing is added.
    pub add: *const f32,
    pub dst: *mut f32,
}

/// Computes a tile.
///
/// # Safety
/// The instruction set is there and all places lie inside their memory; nobody else uses the tile's
/// part of the destination meanwhile.
pub(super) type Kernel = unsafe fn(&Tile<'_>, &At);

/// `B` blocks of output channels x `R` rows x `W` pixels; neighbouring source pixels are `PX` floats
/// apart, or `tile.px` if that is 0.
///
/// # Safety
/// See [`Kernel`].
#[inline(always)]
unsafe fn compute<L: Lanes, const B: usize, const R: usize, const W: usize, const PX: usize>(
    tile: &Tile<'_>,
    at: &At,
) {
    let px = if PX == 0 { tile.px } else { PX };
    // SAFETY: the caller promises that all these places are inside.
    unsafe {
        let mut bias = [L::splat(0.0); B];
        for (b, bias) in bias.iter_mut().enumerate() {
            *bias = L::load(at.bias.add(b * LANES));
        }
        let mut sums = [[bias; W]; R];
        let mut weights = at.weights;
        for (runs, len) in [(tile.full, tile.full_len), (tile.rest, tile.rest_len)] {
            for &run in runs {
                let mut src = at.src.add(run);
                for _ in 0..len {
                    let mut w = [L::splat(0.0); B];
                    for (b, w) in w.iter_mut().enumerate() {
                        *w = L::load(weights.add(b * LANES));
                    }
                    for (r, sums) in sums.iter_mut().enumerate() {
                        for (x, sums) in sums.iter_mut().enumerate() {
                            let value = L::splat(*src.add(r * tile.row + x * px));
                            for (sum, &w) in sums.iter_mut().zip(&w) {
                                *sum = sum.add_product(w, value);
                            }
                        }
                    }
                    src = src.add(1);
                    weights = weights.add(B * LANES);
                }
            }
        }
        if !at.add.is_null() {
            for (r, sums) in sums.iter_mut().enumerate() {
                for (x, sums) in sums.iter_mut().enumerate() {
                    for (b, sum) in sums.iter_mut().enumerate() {
                        let from = r * tile.add_row + x * tile.add_px + b * tile.add_block;
                        *sum = sum.add(L::load(at.add.add(from)));
                    }
                }
            }
        }
        if !at.slopes.is_null() {
            let zero = L::splat(0.0);
            for sums in &mut sums {
                for sums in sums {
                    for (b, sum) in sums.iter_mut().enumerate() {
                        let slope = L::load(at.slopes.add(b * LANES));
                        *sum = sum.max(zero).add_product(slope, sum.min(zero));
                    }
                }
            }
        }
        let (low, high) = (L::splat(tile.low), L::splat(tile.high));
        for (r, sums) in sums.iter().enumerate() {
            for (x, sums) in sums.iter().enumerate() {
                for (b, sum) in sums.iter().enumerate() {
                    let to = r * tile.dst_row + x * tile.dst_px + b * tile.dst_block;
                    sum.max(low).min(high).store(at.dst.add(to));
                }
            }
        }
    }
}

/// # Safety
/// See [`Kernel`].
unsafe fn portable<const B: usize, const R: usize, const W: usize, const PX: usize>(
    tile: &Tile<'_>,
    at: &At,
) {
    // SAFETY: passed on.
    unsafe { compute::<Plain, B, R, W, PX>(tile, at) }
}

/// # Safety
/// See [`Kernel`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<const B: usize, const R: usize, const W: usize, const PX: usize>(
    tile: &Tile<'_>,
    at: &At,
) {
    // SAFETY: passed on.
    unsafe { compute::<super::lanes::x86::Two, B, R, W, PX>(tile, at) }
}

/// # Safety
/// See [`Kernel`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
unsafe fn avx512<const B: usize, const R: usize, const W: usize, const PX: usize>(
    tile: &Tile<'_>,
    at: &At,
) {
    // SAFETY: passed on.
    unsafe { compute::<std::arch::x86_64::__m512, B, R, W, PX>(tile, at) }
}

/// The kernel of a width.
macro_rules! by_width {
    ($kernel:ident, $blocks:literal, $rows:literal, $px:expr, $width:expr, [$($w:literal)*]) => {
        match ($px, $width) {
            $((LANES, $w) => $kernel::<$blocks, $rows, $w, LANES>,)*
            $((_, $w) => $kernel::<$blocks, $rows, $w, 0>,)*
            (_, width) => unreachable!("no tile is {width} wide"),
        }
    };
}

impl Isa {
    /// Blocks of output channels of a panel. With `tile_width`, as many sums as the registers hold
    /// beside the operands.
    pub(super) fn tile_blocks(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => 2,
            _ => 1,
        }
    }

    /// Registers that hold a block of channels.
    pub(crate) fn registers_per_block(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => 1,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => 2,
            Isa::Portable => 4,
        }
    }

    /// Pixels of the widest tile.
    pub(super) fn tile_width(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => 14,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => 6,
            // 12 registers of 4 floats hold it.
            Isa::Portable => 3,
        }
    }

    /// Rows of a tile where rows have `width` pixels.
    pub(super) fn tile_rows(self, width: usize) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 if width <= 7 => 2,
            _ => 1,
        }
    }

    /// The kernel for a tile, source pixels `px` floats apart.
    pub(super) fn kernel(self, blocks: usize, rows: usize, width: usize, px: usize) -> Kernel {
        match (self, blocks, rows) {
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512, 1, 1) => {
                by_width!(avx512, 1, 1, px, width, [1 2 3 4 5 6 7 8 9 10 11 12 13 14])
            }
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512, 1, _) => by_width!(avx512, 1, 2, px, width, [1 2 3 4 5 6 7]),
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512, _, 1) => {
                by_width!(avx512, 2, 1, px, width, [1 2 3 4 5 6 7 8 9 10 11 12 13 14])
            }
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512, ..) => by_width!(avx512, 2, 2, px, width, [1 2 3 4 5 6 7]),
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx2, ..) => by_width!(avx2, 1, 1, px, width, [1 2 3 4 5 6]),
            (Isa::Portable, ..) => by_width!(portable, 1, 1, px, width, [1 2 3]),
        }
    }
}
