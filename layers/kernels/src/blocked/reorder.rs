//! Ways into and out of the blocked layout.

use super::lanes::{Lanes, WithLanes};
use super::layout::{Blocked, BlockedRef, for_each_plane};
use super::{LANES, for_each_task};
use crate::Kernels;
use crate::shared::Shared;

impl Kernels {
    /// dst = src (NCHW), halo and spare lanes zero.
    pub fn to_blocked(&self, src: &[f32], to: Blocked, dst: &mut [f32]) {
        assert_eq!(src.len(), to.plain_len(), "source of another shape");
        assert_eq!(dst.len(), to.len(), "destination of another shape");
        let spatial = to.h * to.w;
        for_each_plane(to, dst, |n, block, plane| {
            let channel = n * to.c + block * LANES;
            let src = &src[channel * spatial..][..to.lanes(block) * spatial];
            if to.halo > 0 {
                plane.fill(0.0);
            }
            for (pixels, at) in stretches(to) {
                let pixels = &mut plane[pixels..];
                self.with_lanes(Interleave { src, spatial, at, pixels, len: stretch(to) });
            }
        });
    }

    /// dst (NCHW) = src.
    pub fn from_blocked(&self, src: BlockedRef<'_>, c: usize, dst: &mut [f32]) {
        let of = src.of;
        src.check([of.n, c, of.h, of.w]);
        assert_eq!(dst.len(), of.n * c * of.h * of.w, "destination of another shape");
        let (first, blocks, spatial) = (src.c_offset / LANES, c.div_ceil(LANES), of.h * of.w);
        let shared = Shared::new(dst);
        for_each_task(of.n * blocks, of.n * c * spatial, |task| {
            let (n, block) = (task / blocks, task % blocks);
            let (channel, lanes) = (n * c + block * LANES, LANES.min(c - block * LANES));
            // SAFETY: every task has channels of its own.
            let dst = unsafe { shared.range(channel * spatial, lanes * spatial) };
            let plane = &src.data[n * of.image() + (first + block) * of.plane()..][..of.plane()];
            for (pixels, at) in stretches(of) {
                let pixels = &plane[pixels..][..stretch(of) * LANES];
                self.with_lanes(Separate { pixels, spatial, at, dst });
            }
        });
    }
}

/// Pixels that follow each other in both layouts.
fn stretch(of: Blocked) -> usize {
    if of.halo == 0 { of.h * of.w } else { of.w }
}

/// For every stretch where it begins in a blocked plane and in a plain one.
fn stretches(of: Blocked) -> impl Iterator<Item = (usize, usize)> {
    let count = if of.halo == 0 { 1 } else { of.h };
    (0..count).map(move |y| (of.at(0, 0, y), y * of.w))
}

/// Calls `f(first, count)` for groups of 16 pixels or, where there are fewer, single ones; the last
/// group may overlap the one before.
#[inline(always)]
fn groups(len: usize, mut f: impl FnMut(usize, usize)) {
    if len < LANES {
        return (0..len).for_each(|x| f(x, 1));
    }
    for x in (0..len).step_by(LANES) {
        f(x.min(len - LANES), LANES);
    }
}

/// # Safety
/// The instruction set is there.
#[inline(always)]
unsafe fn transpose<L: Lanes>(mut rows: [L; LANES]) -> [L; LANES] {
    // Four perfect shuffles turn row and column around.
    for _ in 0..4 {
        let from = rows;
        for i in 0..LANES / 2 {
            // SAFETY: passed on.
            [rows[2 * i], rows[2 * i + 1]] = unsafe { from[i].zip(from[i + LANES / 2]) };
        }
    }
    rows
}

/// Pixels from the planes of up to 16 channels.
struct Interleave<'a> {
    src: &'a [f32],
    spatial: usize,
    at: usize,
    pixels: &'a mut [f32],
    len: usize,
}

impl WithLanes for Interleave<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Interleave { src, spatial, at, pixels, len } = self;
        groups(
            len,
            #[inline(always)]
            |x: usize, count: usize| {
                let pixels = &mut pixels[x * LANES..][..count * LANES];
                let planes = src.chunks_exact(spatial);
                if count == 1 {
                    pixels.fill(0.0);
                    pixels.iter_mut().zip(planes).for_each(|(to, plane)| *to = plane[at + x]);
                    return;
                }
                // SAFETY: the caller has the instruction set; the slices hold 16 floats.
                unsafe {
                    let mut rows = [L::splat(0.0); LANES];
                    for (row, plane) in rows.iter_mut().zip(planes) {
                        *row = L::load(plane[at + x..][..LANES].as_ptr());
                    }
                    let rows = transpose(rows);
                    for (row, to) in rows.iter().zip(pixels.chunks_exact_mut(LANES)) {
                        row.store(to.as_mut_ptr());
                    }
                }
            },
        );
    }
}

/// The planes of up to 16 channels from their pixels.
struct Separate<'a> {
    pixels: &'a [f32],
    spatial: usize,
    at: usize,
    dst: &'a mut [f32],
}

impl WithLanes for Separate<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Separate { pixels, spatial, at, dst } = self;
        groups(
            pixels.len() / LANES,
            #[inline(always)]
            |x: usize, count: usize| {
                let pixels = &pixels[x * LANES..][..count * LANES];
                let planes = dst.chunks_exact_mut(spatial);
                if count == 1 {
                    planes.zip(pixels).for_each(|(plane, &from)| plane[at + x] = from);
                    return;
                }
                // SAFETY: the caller has the instruction set; the slices hold 16 floats.
                unsafe {
                    let mut rows = [L::splat(0.0); LANES];
                    for (row, from) in rows.iter_mut().zip(pixels.chunks_exact(LANES)) {
                        *row = L::load(from.as_ptr());
                    }
                    let rows = transpose(rows);
                    for (row, plane) in rows.iter().zip(planes) {
                        row.store(plane[at + x..][..LANES].as_mut_ptr());
                    }
                }
            },
        );
    }
}
