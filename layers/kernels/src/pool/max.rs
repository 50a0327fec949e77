//! Maximum pooling.

use super::rows::{Row, load, store};
use super::{NOTHING, PoolGeometry, PoolWindow, for_each_group};
use crate::blocks::LANES;
use crate::math::pick;
use crate::shared::Shared;
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
    pick(x > max, x, max)
}

#[inline(always)]
fn plane_max(plane: &[f32]) -> f32 {
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
    for out in 0..dst.len() / w.output {
        let (plane, oh) = (out / h.output * h.input, out % h.output);
        let rows = h.span(oh);
        for column in (0..row.count()).step_by(LANES) {
            let mut max = [LOWEST; LANES];
            for ih in rows.clone() {
                let x = load(src, (plane + ih) * w.input + column);
                for l in 0..LANES {
                    max[l] = larger(max[l], x[l]);
                }
            }
            row.put(column, max);
        }
        row.finish();
        for ow in (0..w.output).step_by(LANES) {
            let mut max = row.element(0, ow);
            for j in 1..w.kernel {
                let x = row.element(j, ow);
                for l in 0..LANES {
                    max[l] = larger(max[l], x[l]);
                }
            }
            store(dst, out * w.output + ow, max);
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
    for out in 0..dst.len() / w.output {
        let (plane, oh) = (out / h.output * h.input, out % h.output);
        let rows = h.span(oh);
        for column in (0..values.count()).step_by(LANES) {
            let (mut max, mut place) = ([LOWEST; LANES], [NOTHING; LANES]);
            for ih in rows.clone() {
                let x = load(src, (plane + ih) * w.input + column);
                let first = (ih * w.input + column) as u32;
                for l in 0..LANES {
                    let wins = x[l] > max[l];
                    place[l] = pick(wins, first + l as u32, place[l]);
                    max[l] = pick(wins, x[l], max[l]);
                }
            }
            values.put(column, max);
            places.put(column, place);
        }
        values.finish();
        places.finish();
        for ow in (0..w.output).step_by(LANES) {
            let (mut max, mut place) = (values.element(0, ow), places.element(0, ow));
            for j in 1..w.kernel {
                let (x, i) = (values.element(j, ow), places.element(j, ow));
                for l in 0..LANES {
                    // Columns were merged first: of equal values the one higher up comes first.
                    let wins = (x[l] > max[l]) | ((x[l] == max[l]) & (i[l] < place[l]));
                    place[l] = pick(wins, i[l], place[l]);
                    max[l] = pick(wins, x[l], max[l]);
                }
            }
            store(dst, out * w.output + ow, max);
            store(mask, out * w.output + ow, place);
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
