//! The weight gradient of a convolution of blocked activations.
//!
//! For a block of 16 input and 16 output channels and one kernel element, 16 registers hold one row of
//! output channels per input channel; they run over pixels of the output, of which each is read once,
//! and meet the 16 numbers of the input's pixel one by one.

use super::aligned::with_buffer;
use super::lanes::{Lanes, WithLanes};
use super::layout::{Blocked, BlockedRef};
use super::pack::windows;
use super::{LANES, for_each_task};
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
    /// diff_weights (`oc x ic x kh x kw`) += diff_dst * windows of src, for one group. The halo of
    /// `src` holds the padding that is met.
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
        assert_eq!(g.groups, 1, "groups have weights of their own");
        assert_eq!(diff_weights.len(), g.weight_len(), "weights do not fit the geometry");
        assert!(src.of.halo >= down.pad.max(across.pad), "the halo is smaller than the padding");
        for w in [down, across] {
            let met = (w.output.max(1) - 1) * w.stride + (w.kernel.max(1) - 1) * w.dilation;
            assert!(met < w.input + 2 * w.pad, "windows reach beyond the padded input");
        }
        let (outer, inner) = (g.oc.div_ceil(LANES), g.ic.div_ceil(LANES));
        let pairs = outer * inner;
        let parts = PARTS.div_ceil(pairs.max(1)).min(n).max(1);
        let len = taps * PAIR;
        with_buffer(parts * pairs * len, |sums| {
            let shared = Shared::new(sums);
            for_each_task(parts * pairs, g.macs() as usize, |task| {
                let (part, pair) = (task / pairs, task % pairs);
                // SAFETY: every task has sums of its own.
                let sums = unsafe { shared.range(task * len, len) };
                sums.fill(0.0);
                let images = part * n / parts..(part + 1) * n / parts;
                let blocks = [pair / inner, pair % inner];
                let (x, dy) = (src, diff_dst);
                self.with_lanes(Pair { down, across, x, dy, blocks, images, sums });
            });
            for_blocks(diff_weights, g.ic * taps, |at, row| {
                let o = at / (g.ic * taps);
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

/// The sums of a pair of blocks: `[taps][16 input channels][16 output channels]`.
struct Pair<'a> {
    down: Window,
    across: Window,
    x: BlockedRef<'a>,
    dy: BlockedRef<'a>,
    /// Of output and of input channels.
    blocks: [usize; 2],
    images: std::ops::Range<usize>,
    sums: &'a mut [f32],
}

impl WithLanes for Pair<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Pair { down, across, x, dy, blocks: [o, c], images, sums } = self;
        let (first, block) = (x.c_offset / LANES + c, dy.c_offset / LANES + o);
        let rows = STRIP.div_ceil(across.output.max(1)).min(down.output.max(1));
        let x_of: Blocked = x.of;
        let corner = x_of.at(0, first, 0) - down.pad * x_of.row() - across.pad * LANES;
        for n in images {
            for top in (0..down.output).step_by(rows) {
                let strip = Strip {
                    rows: rows.min(down.output - top),
                    pixels: across.output,
                    x_row: down.stride * x_of.row(),
                    x_px: across.stride * LANES,
                    dy_row: dy.of.row(),
                };
                let start = corner + n * x_of.image() + top * down.stride * x_of.row();
                let dy_at = dy.of.at(n, block, top);
                for tap in 0..down.kernel * across.kernel {
                    let (ky, kx) = (tap / across.kernel, tap % across.kernel);
                    let at = start + ky * down.dilation * x_of.row() + kx * across.dilation * LANES;
                    let sums = &mut sums[tap * PAIR..][..PAIR];
                    // SAFETY: `conv_weights_blocked` has checked that windows and blobs fit.
                    unsafe {
                        let (x, dy) = (x.data.as_ptr().add(at), dy.data.as_ptr().add(dy_at));
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
