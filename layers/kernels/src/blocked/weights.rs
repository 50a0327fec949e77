//! The weight gradient of a convolution of blocked activations.
//!
//! Registers hold sums of 16 output channels, a row for each of some input elements that follow each
//! other in memory: the channels of a block that one kernel element meets, or a whole kernel row of an
//! interleaved source. They run over pixels of the output, in two blocks at once where there are
//! registers enough, and meet the input's numbers one by one.

use std::ops::Range;

use super::aligned::with_buffer;
use super::conv::Input;
use super::lanes::{Lanes, WithLanes, prefetch};
use super::layout::{BlockedRef, Source};
use super::pack::windows;
use super::{LANES, for_each_task, wanted};
use crate::Kernels;
use crate::geometry::{ConvGeometry, Window};
use crate::shared::Shared;

/// Output pixels between two walks over the kernel's elements.
const STRIP: usize = 112;

/// Sums over images are cut into this many parts at least, where there are few blocks.
const PARTS: usize = 16;

/// Blocks of 16 x 16 sums (1 KiB) that a task works on.
const CACHED: usize = 256;

/// Whether planes are interleaved pixel by pixel, so that one run is a kernel row, not a few channels.
fn interleaves(g: &ConvGeometry) -> bool {
    g.groups == 1 && g.ic < LANES
}

impl Kernels {
    /// diff_weights (`oc x ic/groups x kh x kw`) += diff_dst * windows of src.
    pub fn conv_weights_blocked(
        &self,
        g: &ConvGeometry,
        src: Source<'_>,
        diff_dst: BlockedRef<'_>,
        diff_weights: &mut [f32],
    ) {
        let axes = windows(g);
        diff_dst.check([g.n, g.oc, axes[0].output, axes[1].output]);
        let whole = |channels: usize| (channels / g.groups).is_multiple_of(LANES);
        assert!(g.groups == 1 || whole(g.ic) && whole(g.oc), "groups end inside a block");
        assert_eq!(diff_weights.len(), g.weight_len(), "weights do not fit the geometry");
        for w in axes {
            let met = (w.output.max(1) - 1) * w.stride + (w.kernel.max(1) - 1) * w.dilation;
            assert!(met < w.input + 2 * w.pad, "windows reach beyond the padded input");
        }
        self.with_input(g, src, interleaves(g), |x| self.pairs(g, &x, diff_dst, diff_weights));
    }

    fn pairs(&self, g: &ConvGeometry, x: &Input<'_>, dy: BlockedRef<'_>, diff_weights: &mut [f32]) {
        let [down, across] = windows(g);
        let (n, taps, icg) = (g.n, g.kernel_len(), g.ic / g.groups);
        // Input channels of a pair.
        let width = x.px.min(icg);
        let (outer, inner) = (g.oc.div_ceil(LANES), icg.div_ceil(LANES));
        let pairs = outer * inner;
        // Few sums are taken image by image, so that tasks need not share what they read.
        let few = 2 * CACHED / (pairs * taps).max(1);
        let parts = PARTS.div_ceil(pairs.max(1)).max(few).min(n).max(1);
        let len = taps * width * LANES;
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
                    ((part * outer + group * of_group + o) * inner + c) * len
                };
                for (o, c) in tile.pairs() {
                    // SAFETY: every task has pairs of its own.
                    unsafe { shared.range(of_pair(o, c), len) }.fill(0.0);
                }
                let first = [group * of_group + tile.outer.start, group * inner + tile.inner.start];
                let count = [tile.outer.len(), tile.inner.len()];
                let last = (group + 1) * inner - 1;
                let run = |block: usize| match interleaved_rows(&across, x.px) {
                    true => across.kernel * icg,
                    false if block == last => icg - (inner - 1) * LANES,
                    false => width,
                };
                let sums = |o: usize, c: usize| shared.part(of_pair(o, c), len).at(0);
                let tap = width * LANES;
                self.with_lanes(Pairs {
                    down,
                    across,
                    x,
                    dy,
                    first,
                    count,
                    images,
                    run,
                    tap,
                    sums,
                });
            });
            let row = icg * taps;
            let (total, to) = (diff_weights.len(), Shared::new(diff_weights));
            for_each_task(pairs, total, |pair| {
                let (o, c) = (pair / inner * LANES, pair % inner * LANES);
                let channels = LANES.min(icg - c);
                for lane in 0..LANES.min(g.oc - o) {
                    // SAFETY: every task has the weights of a pair of blocks.
                    let to = unsafe { to.range((o + lane) * row + c * taps, channels * taps) };
                    // In the order of the images.
                    for sums in sums.chunks_exact(pairs * len) {
                        let sums = &sums[pair * len + lane..(pair + 1) * len];
                        for (channel, to) in to.chunks_exact_mut(taps).enumerate() {
                            let sums = sums[channel * LANES..].iter().step_by(width * LANES);
                            to.iter_mut().zip(sums).for_each(|(to, sum)| *to += sum);
                        }
                    }
                }
            });
        });
    }
}

/// Whether the elements that a kernel row meets follow each other.
fn interleaved_rows(across: &Window, px: usize) -> bool {
    px != LANES && across.dilation == 1
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

/// Tiles of pairs whose sums stay in the second cache; smaller ones where there would be too few. A
/// tile reads its strips of both blobs once, so it is as square as can be. How they are cut changes no
/// sum.
fn tiles(outer: usize, inner: usize, taps: usize, times: usize) -> Vec<PairTile> {
    let [mut height, mut width] = [outer, inner].map(|len| len.max(1));
    let count =
        |height: usize, width: usize| times * outer.div_ceil(height) * inner.div_ceil(width);
    while height * width > 1 && (height * width * taps > CACHED || count(height, width) < wanted())
    {
        match height > width {
            true => height = height.div_ceil(2),
            false => width = width.div_ceil(2),
        }
    }
    let cut = |len: usize, step: usize| {
        (0..len).step_by(step).map(move |first| first..len.min(first + step))
    };
    let pairs = cut(outer, height).flat_map(|o| cut(inner, width).map(move |i| (o.clone(), i)));
    pairs.map(|(outer, inner)| PairTile { outer, inner }).collect()
}

/// The sums of pairs of blocks: `[taps][input channels][16 output channels]` each.
struct Pairs<'a, R, F> {
    down: Window,
    across: Window,
    x: &'a Input<'a>,
    dy: BlockedRef<'a>,
    /// First block of output and of input channels, and how many.
    first: [usize; 2],
    count: [usize; 2],
    images: Range<usize>,
    /// Elements that follow each other, in a block of input channels.
    run: R,
    /// Floats of the sums of one kernel element.
    tap: usize,
    /// Where those of a pair of the tile begin.
    sums: F,
}

impl<R, F> WithLanes for Pairs<'_, R, F>
where
    R: Fn(usize) -> usize,
    F: Fn(usize, usize) -> *mut f32,
{
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Pairs { down, across, x, dy, first, count, images, run, tap, sums } = self;
        let rows = (STRIP / across.output.max(1)).clamp(1, down.output.max(1));
        let per_run = if interleaved_rows(&across, x.px) { across.kernel } else { 1 };
        let together = if L::REGISTERS >= LANES + 3 { 2 } else { 1 };
        let dy_first = dy.c_offset / LANES + first[0];
        for n in images {
            for top in (0..down.output).step_by(rows) {
                let strip = Strip {
                    rows: rows.min(down.output - top),
                    pixels: across.output,
                    x_row: down.stride * x.row,
                    x_px: across.stride * x.px,
                    dy_row: dy.of.row(),
                    x_ahead: rows * down.stride * x.row,
                    dy_ahead: rows * dy.of.row(),
                }
                .merged();
                let steps = (0..count[0]).step_by(together);
                for (o, c) in steps.flat_map(|o| (0..count[1]).map(move |c| (o, c))) {
                    let corner = x.first + n * x.image + (first[1] + c) * x.block;
                    let corner = corner + top * down.stride * x.row;
                    let outer = together.min(count[0] - o);
                    let last = o + outer - 1;
                    let dy_at = [o, last].map(|o| dy.of.at(n, dy_first + o, top));
                    let (sums, len) = ([o, last].map(|o| sums(o, c)), run(first[1] + c));
                    for at in (0..down.kernel * across.kernel).step_by(per_run) {
                        let (ky, kx) = (at / across.kernel, at % across.kernel);
                        let within = ky * down.dilation * x.row + kx * across.dilation * x.px;
                        // SAFETY: `conv_weights_blocked` has checked that windows and blobs fit, and
                        // the sums of a kernel element are `tap` floats.
                        unsafe {
                            let x = x.data.as_ptr().add(corner + within);
                            let dy = dy_at.map(|at| dy.data.as_ptr().add(at));
                            let sums = sums.map(|sums| sums.add(at * tap));
                            match outer {
                                1 => strip.add_run::<L, 1>(len, x, [dy[0]], [sums[0]]),
                                _ => strip.add_run::<L, 2>(len, x, dy, sums),
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
    /// Floats to the next strip, which is asked for meanwhile.
    x_ahead: usize,
    dy_ahead: usize,
}

impl Strip {
    /// The same pixels as one row, where rows follow each other.
    fn merged(self) -> Strip {
        let follow = self.x_row == self.pixels * self.x_px && self.dy_row == self.pixels * LANES;
        match follow {
            true => Strip { rows: 1, pixels: self.rows * self.pixels, ..self },
            false => self,
        }
    }

    /// sums (`len x 16` each) += products of `len` input elements and `O` blocks of output channels.
    ///
    /// # Safety
    /// See [`Strip::add`].
    #[inline(always)]
    unsafe fn add_run<L: Lanes, const O: usize>(
        self,
        len: usize,
        x: *const f32,
        dy: [*const f32; O],
        sums: [*mut f32; O],
    ) {
        // As many sums as registers hold beside the operands, as equal as possible.
        let most = if L::REGISTERS >= LANES + 3 { LANES / O } else { 6 };
        let chunks = len.div_ceil(most);
        let mut first = 0;
        for i in 0..chunks {
            let count = (len - first).div_ceil(chunks - i);
            // SAFETY: passed on to the caller.
            unsafe {
                let (x, sums) = (x.add(first), sums.map(|sums| sums.add(first * LANES)));
                match count {
                    1 => self.add::<L, O, 1>(x, dy, sums),
                    2 => self.add::<L, O, 2>(x, dy, sums),
                    3 => self.add::<L, O, 3>(x, dy, sums),
                    4 => self.add::<L, O, 4>(x, dy, sums),
                    5 => self.add::<L, O, 5>(x, dy, sums),
                    6 => self.add::<L, O, 6>(x, dy, sums),
                    7 => self.add::<L, O, 7>(x, dy, sums),
                    9 if O == 1 => self.add::<L, O, 9>(x, dy, sums),
                    10 if O == 1 => self.add::<L, O, 10>(x, dy, sums),
                    11 if O == 1 => self.add::<L, O, 11>(x, dy, sums),
                    12 if O == 1 => self.add::<L, O, 12>(x, dy, sums),
                    13 if O == 1 => self.add::<L, O, 13>(x, dy, sums),
                    14 if O == 1 => self.add::<L, O, 14>(x, dy, sums),
                    15 if O == 1 => self.add::<L, O, 15>(x, dy, sums),
                    16 if O == 1 => self.add::<L, O, 16>(x, dy, sums),
                    _ => self.add::<L, O, 8>(x, dy, sums),
                }
            }
            first += count;
        }
    }

    /// sums (`C x 16` each) += products of `C` input channels and `O` blocks of output channels.
    ///
    /// # Safety
    /// The instruction set of `L` is there; all pixels lie inside their blobs.
    #[inline(always)]
    unsafe fn add<L: Lanes, const O: usize, const C: usize>(
        self,
        x: *const f32,
        dy: [*const f32; O],
        sums: [*mut f32; O],
    ) {
        // SAFETY: passed on to the caller.
        unsafe {
            let mut held = [[L::splat(0.0); C]; O];
            for (held, sums) in held.iter_mut().zip(sums) {
                for (c, held) in held.iter_mut().enumerate() {
                    *held = L::load(sums.add(c * LANES));
                }
            }
            for row in 0..self.rows {
                let mut x = x.add(row * self.x_row);
                let mut dy = dy.map(|dy| dy.add(row * self.dy_row));
                for _ in 0..self.pixels {
                    let diff = dy.map(|dy| L::load(dy));
                    prefetch(x.wrapping_add(self.x_ahead));
                    for dy in dy {
                        prefetch(dy.wrapping_add(self.dy_ahead));
                    }
                    for c in 0..C {
                        let x = L::splat(*x.add(c));
                        for (held, diff) in held.iter_mut().zip(diff) {
                            held[c] = held[c].add_product(diff, x);
                        }
                    }
                    x = x.wrapping_add(self.x_px);
                    dy = dy.map(|dy| dy.wrapping_add(LANES));
                }
            }
            for (held, sums) in held.iter().zip(sums) {
                for (c, held) in held.iter().enumerate() {
                    held.store(sums.add(c * LANES));
                }
            }
        }
    }
}
