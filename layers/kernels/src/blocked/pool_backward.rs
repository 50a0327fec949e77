//! Pooling of blocked activations in training: where the maxima stood, and the gradients. Blobs have
//! no halo.

use super::lanes::{Lanes, WithLanes};
use super::layout::{Blocked, BlockedMut, BlockedRef, for_each_plane};
use super::{LANES, for_each_task};
use crate::math::pick;
use crate::pool::{NOTHING, PoolGeometry, PoolWindow};
use crate::shared::Shared;
use crate::{Kernels, Write};

/// What Caffe starts a window's maximum from: nothing below it, and no NaN, is ever chosen.
const LOWEST: f32 = f32::MIN;

/// Source and destination of a pooling in blocks.
fn layouts(g: &PoolGeometry) -> (&PoolWindow, &PoolWindow, [Blocked; 2]) {
    let [down, across] = &*g.windows else { panic!("a blocked pooling has two spatial axes") };
    let of = |h, w| Blocked { n: g.n, c: g.c, h, w, halo: 0 };
    (down, across, [of(down.input, across.input), of(down.output, across.output)])
}

impl Kernels {
    /// dst = the largest of each window; mask = where it stands in the source's plane, counted as in
    /// [`Kernels::max_pool_forward`].
    pub fn max_pool_blocked_mask(
        &self,
        g: &PoolGeometry,
        src: &[f32],
        dst: &mut [f32],
        mask: &mut [u32],
    ) {
        let (down, across, [from, to]) = layouts(g);
        assert_eq!(src.len(), from.len(), "source of another shape");
        assert_eq!(dst.len(), to.len(), "destination of another shape");
        assert_eq!(mask.len(), to.len(), "mask of another shape");
        let (dst, mask) = (Shared::new(dst), Shared::new(mask));
        let rows = to.n * to.blocks() * to.h;
        for_each_task(rows, 4 * to.len(), |task| {
            let (plane, row) = (task / to.h, task % to.h);
            let src = &src[plane * from.plane()..][..from.plane()];
            let src: &[[f32; LANES]] = src.as_chunks().0;
            let at = plane * to.plane() + row * to.row();
            // SAFETY: every task has a row of its own.
            let (dst, mask) = unsafe { (dst.range(at, to.row()), mask.range(at, to.row())) };
            self.vectorize(
                #[inline(always)]
                || {
                    let outputs = dst.as_chunks_mut::<LANES>().0.iter_mut();
                    let masks = mask.as_chunks_mut::<LANES>().0.iter_mut();
                    for (column, (dst, mask)) in outputs.zip(masks).enumerate() {
                        let (mut max, mut place) = ([LOWEST; LANES], [NOTHING; LANES]);
                        for y in down.span(row) {
                            for x in across.span(column) {
                                let at = y * from.w + x;
                                let value = &src[at];
                                for l in 0..LANES {
                                    let wins = value[l] > max[l];
                                    place[l] = pick(wins, at as u32, place[l]);
                                    max[l] = pick(wins, value[l], max[l]);
                                }
                            }
                        }
                        (*dst, *mask) = (max, place);
                    }
                },
            );
        });
    }

    /// dst = the sum of each window / its length.
    pub fn ave_pool_in_blocks(&self, g: &PoolGeometry, src: &[f32], dst: &mut [f32]) {
        let (_, _, [from, to]) = layouts(g);
        self.ave_pool_blocked(g, BlockedRef::new(src, from), BlockedMut::new(dst, to));
    }

    /// diff_src = or += the gradient of each window, where its maximum stood.
    pub fn max_pool_blocked_backward(
        &self,
        g: &PoolGeometry,
        diff_dst: &[f32],
        mask: &[u32],
        write: Write,
        diff_src: &mut [f32],
    ) {
        let (_, _, [from, to]) = layouts(g);
        assert_eq!(diff_dst.len(), to.len(), "destination of another shape");
        assert_eq!(mask.len(), to.len(), "mask of another shape");
        assert_eq!(diff_src.len(), from.len(), "source of another shape");
        for_each_plane(from, diff_src, |image, block, plane| {
            if write == Write::Set {
                plane.fill(0.0);
            }
            let range = to.at(image, block, 0)..to.at(image, block, 0) + to.plane();
            let pixels: &mut [[f32; LANES]] = plane.as_chunks_mut().0;
            let masks = mask[range.clone()].as_chunks::<LANES>().0;
            for (dy, mask) in diff_dst[range].as_chunks::<LANES>().0.iter().zip(masks) {
                for l in 0..LANES {
                    if let Some(pixel) = pixels.get_mut(mask[l] as usize) {
                        pixel[l] += dy[l];
                    }
                }
            }
        });
    }

    /// diff_src = or += each element's sum of diff_dst / length over the windows that hold it.
    pub fn ave_pool_blocked_backward(
        &self,
        g: &PoolGeometry,
        diff_dst: &[f32],
        write: Write,
        diff_src: &mut [f32],
    ) {
        let (down, across, [from, to]) = layouts(g);
        assert_eq!(diff_dst.len(), to.len(), "destination of another shape");
        assert_eq!(diff_src.len(), from.len(), "source of another shape");
        for_each_plane(from, diff_src, |image, block, plane| {
            if write == Write::Set {
                plane.fill(0.0);
            }
            let range = to.at(image, block, 0)..to.at(image, block, 0) + to.plane();
            self.with_lanes(Share { axes: [down, across], dy: &diff_dst[range], plane });
        });
    }
}

/// The gradient of means over a plane.
struct Share<'a> {
    axes: [&'a PoolWindow; 2],
    dy: &'a [f32],
    plane: &'a mut [f32],
}

impl WithLanes for Share<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Share { axes: [down, across], dy, plane } = self;
        let pixels: &mut [[f32; LANES]] = plane.as_chunks_mut().0;
        for (i, dy) in dy.as_chunks::<LANES>().0.iter().enumerate() {
            let (row, column) = (i / across.output, i % across.output);
            let size = down.divisor(row).max(1) * across.divisor(column).max(1);
            let share = dy.map(|dy| dy / size as f32);
            // SAFETY: the caller has the instruction set; pixels are 16 floats.
            unsafe {
                let share = L::load(share.as_ptr());
                for y in down.span(row) {
                    for pixel in &mut pixels[y * across.input..][across.span(column)] {
                        L::load(pixel.as_ptr()).add(share).store(pixel.as_mut_ptr());
                    }
                }
            }
        }
    }
}
