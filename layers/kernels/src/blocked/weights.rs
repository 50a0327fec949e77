//! The weight gradient of a convolution of blocked activations.
//!
//! For a block of 16 input and 16 output channels and one kernel element, 16 registers hold one row of
//! output channels per input channel; they run over pixels of the output, of which each is read once,
//! and meet the 16 numbers of the input's pixel one by one.

use std::ops::Range;

use super::aligned::with_buffer;
use super::lanes::{Lanes, WithLanes};
use super::layout::{Blocked, BlockedRef};
use super::pack::windows;
use super::{LANES, for_each_task, wanted};
use crate::Kernels;
use crate::blocks::for_blocks;
use crate::geometry::{ConvGeometry, Window};
use crate::shared::Shared;

/// Output pixels between two walks over the kernel's elements.
const STRIP: usize = 64;

/// Sums over images are cut into this many parts at least, where there are few blocks.
const PARTS: usize = 16;

/// Floats of a pair of blocks, for one kernel element.
const PAIR: usize = LANES * LANES;

impl Kernels {
    /// diff_weights (`oc x ic/groups x kh x kw`) += diff_dst * windows of src. The halo of `src` holds the padding that is met.
    pub fn conv_weights_blocked(
        &self,
        g: &ConvGeometry,
        src: BlockedRef<'_>,
        diff_dst: BlockedRef<'_>,
        diff_weights: &mut [f32],
    ) {
        let [down, across] = windows(g);
        let (n, taps) = (diff_dst.of.n, g.kernel_len());
        src.check([n, g.ic, down.input, across.input]);
        diff_dst.check([n, g.oc, down.output, across.output]);
        let whole = |channels: usize| (channels / g.groups).is_multiple_of(LANES);
        assert!(g.groups == 1 || whole(g.ic) && whole(g.oc), "groups end inside a block");
        assert_eq!(diff_weights.len(), g.weight_len(), "weights do not fit the geometry");
        assert!(src.of.halo >= down.pad.max(across.pad), "the halo is smaller than the padding");
        for w in [down, across] {
            let met = (w.output.max(1) - 1) * w.stride + (w.kernel.max(1) - 1) * w.dilation;
            assert!(met < w.input + 2 * w.pad, "windows reach beyond the padded input");
        }
        let icg = g.ic / g.groups;
        let (outer, inner) = (g.oc.div_ceil(LANES), icg.div_ceil(LANES));
        let pairs = outer * inner;
        let parts = PARTS.div_ceil(pairs.max(1)).min(n).max(1);
        let len = taps * PAIR;
        // Of which output blocks belong to the same group of channels.
        let of_group = outer / g.groups;
        let tiles = tiles(of_group, inner, taps, parts * g.groups);
        with_buffer(parts * pairs * len, |sums| {
            let shared = Shared::new(sums);
            let count = parts * g.groups * tiles.len();
            for_each_task(count, g.macs() as usize, |task| {
                let (part, rest) = (task / tiles.len() / g.groups, task % (tiles.len() * g.groups));
                let (group, tile) = (rest / tiles.len(), &tiles[rest % tiles.len()]);
                let images = part * n / parts..(part + 1) * n / parts;
                let of_pair = |o: usize, c: usize| {
                    let (o, c) = (tile.outer.start + o, tile.inner.start + c);
                    let pair = (part * outer + group * of_group + o) * inner + c;
                    // SAFETY: every task has pairs of its own.
                    unsafe { shared.range(pair * len, len) }
                };
                for (o, c) in tile.pairs() {
                    of_pair(o, c).fill(0.0);
                }
                let first = [group * of_group + tile.outer.start, group * inner + tile.inner.start];
                let count = [tile.outer.len(), tile.inner.len()];
                let (x, dy) = (src, diff_dst);
                let sums = of_pair;
                self.with_lanes(Pairs { down, across, x, dy, first, count, images, sums });
            });
            for_blocks(diff_weights, icg * taps, |at, row| {
                let o = at / (icg * taps);
                for (i, weight) in row.iter_mut().enumerate() {
                    let (c, tap) = (i / taps, i % taps);
                    let pair = o / LANES * inner + c / LANES;
                    let within = tap * PAIR + c % LANES * LANES + o % LANES;
                    // In the order of the images.
                    for part in 0..parts {
                        *weight += sums[(part * pairs + pair) * len + within];
                    }
                }
            });
        });
    }
}

/// Pairs of blocks that a task walks over together.
struct PairTile {
    outer: Range<usize>,
    inner: Range<usize>,
}

impl PairTile {
    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        let (outer, inner) = (self.outer.len(), self.inner.len());
        (0..outer).flat_map(move |o| (0..inner).map(move |c| (o, c)))
    }
}

/// Tiles of pairs whose sums and strips stay in the first cache; smaller ones where there would be
/// too few. How they are cut changes no sum.
fn tiles(outer: usize, inner: usize, taps: usize, times: usize) -> Vec<PairTile> {
    let (mut height, mut width) = if taps < 4 { (2, 4) } else { (1, 1) };
    let count =
        |height: usize, width: usize| times * outer.div_ceil(height) * inner.div_ceil(width);
    while width > 1 && count(height, width) < wanted() {
        (height, width) = if height > 1 { (1, width) } else { (1, width / 2) };
    }
    let cut = |len: usize, step: usize| {
        (0..len).step_by(step).map(move |first| first..len.min(first + step))
    };
    let pairs = cut(outer, height).flat_map(|o| cut(inner, width).map(move |i| (o.clone(), i)));
    pairs.map(|(outer, inner)| PairTile { outer, inner }).collect()
}

/// The sums of pairs of blocks: `[taps][16 input channels][16 output channels]` each.
struct Pairs<'a, F> {
    down: Window,
    across: Window,
    x: BlockedRef<'a>,
    dy: BlockedRef<'a>,
    /// First block of output and of input channels, and how many.
    first: [usize; 2],
    count: [usize; 2],
    images: Range<usize>,
    sums: F,
}

impl<'a, F: Fn(usize, usize) -> &'a mut [f32]> WithLanes for Pairs<'_, F> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Pairs { down, across, x, dy, first, count, images, sums } = self;
        let rows = STRIP.div_ceil(across.output.max(1)).min(down.output.max(1));
        let x_of: Blocked = x.of;
        for n in images {
            for top in (0..down.output).step_by(rows) {
                let strip = Strip {
                    rows: rows.min(down.output - top),
                    pixels: across.output,
                    x_row: down.stride * x_of.row(),
                    x_px: across.stride * LANES,
                    dy_row: dy.of.row(),
                };
                for (o, c) in (0..count[0]).flat_map(|o| (0..count[1]).map(move |c| (o, c))) {
                    let corner = x_of.at(n, x.c_offset / LANES + first[1] + c, 0)
                        - down.pad * x_of.row()
                        - across.pad * LANES
                        + top * down.stride * x_of.row();
                    let dy_at = dy.of.at(n, dy.c_offset / LANES + first[0] + o, top);
                    let sums = sums(o, c);
                    for tap in 0..down.kernel * across.kernel {
                        let (ky, kx) = (tap / across.kernel, tap % across.kernel);
                        let within = ky * down.dilation * x_of.row() + kx * across.dilation * LANES;
                        let sums = &mut sums[tap * PAIR..][..PAIR];
                        // SAFETY: `conv_weights_blocked` has checked that windows and blobs fit.
                        unsafe {
                            let x = x.data.as_ptr().add(corner + within);
                            let dy = dy.data.as_ptr().add(dy_at);
                            if L::REGISTERS >= LANES + 2 {
                                strip.add::<L, 16>(x, dy, sums.as_mut_ptr());
                            } else {
                                for lane in (0..LANES).step_by(4) {
                                    strip.add::<L, 4>(
                                        x.add(lane),
                                        dy,
                                        sums.as_mut_ptr().add(lane * LANES),
                                    );
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Some rows of output pixels.
#[derive(Clone, Copy)]
struct Strip {
    rows: usize,
    pixels: usize,
    x_row: usize,
    x_px: usize,
    dy_row: usize,
}

impl Strip {
    /// sums (`C x 16`) += products of `C` input channels and 16 output channels.
    ///
    /// # Safety
    /// The instruction set of `L` is there; all pixels lie inside their blobs.
    #[inline(always)]
    unsafe fn add<L: Lanes, const C: usize>(self, x: *const f32, dy: *const f32, sums: *mut f32) {
        // SAFETY: passed on to the caller.
        unsafe {
            let mut held = [L::splat(0.0); C];
            for (c, held) in held.iter_mut().enumerate() {
                *held = L::load(sums.add(c * LANES));
            }
            for row in 0..self.rows {
                let (mut x, mut dy) = (x.add(row * self.x_row), dy.add(row * self.dy_row));
                for _ in 0..self.pixels {
                    let diff = L::load(dy);
                    for (c, held) in held.iter_mut().enumerate() {
                        *held = held.add_product(diff, L::splat(*x.add(c)));
                    }
                    x = x.wrapping_add(self.x_px);
                    dy = dy.wrapping_add(LANES);
                }
            }
            for (c, held) in held.iter().enumerate() {
                held.store(sums.add(c * LANES));
            }
        }
    }
}
