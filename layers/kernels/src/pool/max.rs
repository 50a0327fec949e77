//! Maximum pooling.

use super::rows::{Row, merge};
use super::{NOTHING, PoolGeometry, PoolWindow, for_each_group};
use crate::blocks::Shared;
use crate::{Kernels, Write};

/// What Caffe starts a window's maximum from: nothing below it, and no NaN, is ever chosen.
const LOWEST: f32 = f32::MIN;

impl Kernels {
    /// dst = the largest element of each window; mask = its index inside the source plane, the
    /// first one on a tie. A window over nothing gives `f32::MIN` and `u32::MAX`.
    pub fn max_pool_forward(
        &self,
        g: &PoolGeometry,
        src: &[f32],
        dst: &mut [f32],
        mask: Option<&mut [u32]>,
    ) {
        assert_eq!(src.len(), g.input_len(), "source of another shape");
        assert_eq!(dst.len(), g.output_len(), "destination of another shape");
        if dst.is_empty() {
            return;
        }
        assert!(mask.as_ref().is_none_or(|mask| mask.len() == dst.len()), "mask of another shape");
        let (plane_in, plane_out) = (g.plane_in(), g.plane_out());
        let two_axes = g.as_two_axes();
        let (dst, mask) = (Shared::new(dst), mask.map(Shared::new));
        for_each_group(g, |planes| {
            let len = planes.len();
            let src = &src[planes.start * plane_in..planes.end * plane_in];
            // SAFETY: every group has planes of its own.
            let dst = unsafe { dst.range(planes.start * plane_out, len * plane_out) };
            // SAFETY: as above.
            let mask =
                mask.as_ref().map(|m| unsafe { m.range(planes.start * plane_out, dst.len()) });
            match (&two_axes, mask) {
                (Some((h, w)), mask) => self.vectorize(
                    #[inline(always)]
                    || match mask {
                        _ if is_global(h, w) && mask.is_none() => {
                            for (plane, d) in src.chunks_exact(plane_in).zip(dst) {
                                *d = plane_max(plane);
                            }
                        }
                        None => planes_max(h, w, src, dst),
                        Some(mask) => planes_max_with_mask(h, w, src, dst, mask),
                    },
                ),
                (None, mask) => max_any_axes(g, src, dst, mask),
            }
        });
    }

    /// diff_src = each element's sum of diff_dst over the windows that chose it; also the
    /// gradient of stochastic pooling.
    pub fn max_pool_backward(
        &self,
        g: &PoolGeometry,
        diff_dst: &[f32],
        mask: &[u32],
        write: Write,
        diff_src: &mut [f32],
    ) {
        assert_eq!(diff_src.len(), g.input_len(), "source of another shape");
        assert_eq!(diff_dst.len(), g.output_len(), "destination of another shape");
        assert_eq!(mask.len(), diff_dst.len(), "mask of another shape");
        let (plane_in, plane_out) = (g.plane_in(), g.plane_out());
        if diff_src.is_empty() {
            return;
        }
        let diff_src = Shared::new(diff_src);
        for_each_group(g, |planes| {
            for plane in planes {
                // SAFETY: every group has planes of its own.
                let to = unsafe { diff_src.range(plane * plane_in, plane_in) };
                if write == Write::Set {
                    to.fill(0.0);
                }
                let out = plane * plane_out..(plane + 1) * plane_out;
                for (&dy, &index) in diff_dst[out.clone()].iter().zip(&mask[out]) {
                    if let Some(dx) = to.get_mut(index as usize) {
                        *dx += dy;
                    }
                }
            }
        });
    }
}

/// Whether one window holds the whole plane.
pub(super) fn is_global(h: &PoolWindow, w: &PoolWindow) -> bool {
    [h, w].iter().all(|w| w.output == 1 && w.span(0) == (0..w.input))
}

#[inline(always)]
fn larger(max: f32, x: f32) -> f32 {
    if x > max { x } else { max }
}

#[inline(always)]
fn plane_max(plane: &[f32]) -> f32 {
    const LANES: usize = 16;
    let (whole, rest) = plane.as_chunks::<LANES>();
    let mut lanes = [LOWEST; LANES];
    for chunk in whole {
        for (max, &x) in lanes.iter_mut().zip(chunk) {
            *max = larger(*max, x);
        }
    }
    lanes.iter().chain(rest).copied().fold(LOWEST, larger)
}

#[inline(always)]
fn planes_max(h: &PoolWindow, w: &PoolWindow, src: &[f32], dst: &mut [f32]) {
    let mut row = Row::new(w, LOWEST);
    let planes = src.chunks_exact(h.input * w.input).zip(dst.chunks_exact_mut(h.output * w.output));
    for (src, dst) in planes {
        for (oh, dst) in dst.chunks_exact_mut(w.output).enumerate() {
            let count = row.count();
            let inside = row.inside();
            inside.fill(LOWEST);
            merge(inside, h.span(oh).map(|ih| &src[ih * w.input..][..count]), larger);
            row.gather(dst, larger);
        }
    }
}

#[inline(always)]
fn planes_max_with_mask(
    h: &PoolWindow,
    w: &PoolWindow,
    src: &[f32],
    dst: &mut [f32],
    mask: &mut [u32],
) {
    let (mut values, mut places) = (Row::new(w, LOWEST), Row::new(w, NOTHING));
    let planes = src
        .chunks_exact(h.input * w.input)
        .zip(dst.chunks_exact_mut(h.output * w.output))
        .zip(mask.chunks_exact_mut(h.output * w.output));
    for ((src, dst), mask) in planes {
        let rows = dst.chunks_exact_mut(w.output).zip(mask.chunks_exact_mut(w.output));
        for (oh, (dst, mask)) in rows.enumerate() {
            let (value, place) = (values.inside(), places.inside());
            value.fill(LOWEST);
            place.fill(NOTHING);
            for ih in h.span(oh) {
                let first = (ih * w.input) as u32;
                let row = value.iter_mut().zip(place.iter_mut()).zip(&src[ih * w.input..]);
                for (i, ((max, place), &x)) in (first..).zip(row) {
                    *place = if x > *max { i } else { *place };
                    *max = larger(*max, x);
                }
            }
            values.cut();
            places.cut();
            dst.copy_from_slice(&values.element(0)[..dst.len()]);
            mask.copy_from_slice(&places.element(0)[..dst.len()]);
            for j in 1..w.kernel {
                let elements = values.element(j).iter().zip(places.element(j));
                for ((max, place), (&x, &i)) in dst.iter_mut().zip(mask.iter_mut()).zip(elements) {
                    // Columns were merged first: of equal values the one higher up comes first.
                    let wins = (x > *max) | ((x == *max) & (i < *place));
                    *place = if wins { i } else { *place };
                    *max = if wins { x } else { *max };
                }
            }
        }
    }
}

fn max_any_axes(g: &PoolGeometry, src: &[f32], dst: &mut [f32], mask: Option<&mut [u32]>) {
    let (plane_in, plane_out) = (g.plane_in(), g.plane_out());
    let mut nowhere = Vec::new();
    let mask = mask.unwrap_or_else(|| {
        nowhere.resize(dst.len(), NOTHING);
        &mut nowhere
    });
    g.for_each_window(|window, _, under| {
        for (plane, src) in src.chunks_exact(plane_in.max(1)).enumerate() {
            let (mut max, mut place) = (LOWEST, NOTHING);
            for &i in under {
                if src[i] > max {
                    (max, place) = (src[i], i as u32);
                }
            }
            dst[plane * plane_out + window] = max;
            mask[plane * plane_out + window] = place;
        }
    });
}
