//! Average pooling.

use super::max::is_global;
use super::rows::{Row, load, store};
use super::{PoolGeometry, PoolWindow, for_each_group};
use crate::blocks::{LANES, lanes};
use crate::shared::Shared;
use crate::{Kernels, Write};

impl Kernels {
    /// dst = sum of each window / its length, where padding counts, but nothing beyond it (Caffe's
    /// rule). A window over nothing gives 0.
    pub fn ave_pool_forward(&self, g: &PoolGeometry, src: &[f32], dst: &mut [f32]) {
        assert_eq!(src.len(), g.input_len(), "source of another shape");
        assert_eq!(dst.len(), g.output_len(), "destination of another shape");
        if dst.is_empty() {
            return;
        }
        let (plane_in, plane_out) = (g.plane_in(), g.plane_out());
        let two_axes = g.as_two_axes();
        let dst = Shared::new(dst);
        for_each_group(g, |planes| {
            let src = &src[planes.start * plane_in..planes.end * plane_in];
            // SAFETY: every group has planes of its own.
            let dst = unsafe { dst.range(planes.start * plane_out, planes.len() * plane_out) };
            match &two_axes {
                Some((h, w)) => self.vectorize(
                    #[inline(always)]
                    || match is_global(h, w) {
                        true => {
                            let divisor = (h.divisor(0) * w.divisor(0)).max(1) as f64;
                            for (plane, d) in src.chunks_exact(plane_in.max(1)).zip(dst) {
                                *d = (plane_sum(plane) / divisor) as f32;
                            }
                        }
                        false => planes_average(h, w, src, dst),
                    },
                ),
                None => average_any_axes(g, src, dst),
            }
        });
    }

    /// diff_src = each element's sum of diff_dst / length over the windows that hold it.
    pub fn ave_pool_backward(
        &self,
        g: &PoolGeometry,
        diff_dst: &[f32],
        write: Write,
        diff_src: &mut [f32],
    ) {
        assert_eq!(diff_src.len(), g.input_len(), "source of another shape");
        assert_eq!(diff_dst.len(), g.output_len(), "destination of another shape");
        if diff_src.is_empty() {
            return;
        }
        let (plane_in, plane_out) = (g.plane_in(), g.plane_out());
        let two_axes = g.as_two_axes();
        let diff_src = Shared::new(diff_src);
        for_each_group(g, |planes| {
            let diff_dst = &diff_dst[planes.start * plane_out..planes.end * plane_out];
            // SAFETY: every group has planes of its own.
            let diff_src =
                unsafe { diff_src.range(planes.start * plane_in, planes.len() * plane_in) };
            if write == Write::Set {
                diff_src.fill(0.0);
            }
            match &two_axes {
                Some((h, w)) => self.vectorize(
                    #[inline(always)]
                    || spread_planes(h, w, diff_dst, diff_src),
                ),
                None => spread_any_axes(g, diff_dst, diff_src),
            }
        });
    }
}

#[inline(always)]
fn plane_sum(plane: &[f32]) -> f64 {
    let (whole, rest) = plane.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for chunk in whole {
        for (sum, &x) in lanes.iter_mut().zip(chunk) {
            *sum += f64::from(x);
        }
    }
    lanes.into_iter().chain(rest.iter().map(|&x| f64::from(x))).sum()
}

/// What the windows of an axis are divided by, at least 1 (over nothing the sum is 0 anyway), up
/// to whole lanes.
fn divisors(w: &PoolWindow) -> Vec<f32> {
    let rest = (0..LANES).map(|_| 1.0);
    (0..w.output).map(|o| w.divisor(o).max(1) as f32).chain(rest).collect()
}

#[inline(always)]
fn planes_average(h: &PoolWindow, w: &PoolWindow, src: &[f32], dst: &mut [f32]) {
    let mut row = Row::new(w, 0.0);
    let widths = divisors(w);
    for out in 0..dst.len() / w.output {
        let (plane, oh) = (out / h.output * h.input, out % h.output);
        let (rows, height) = (h.span(oh), h.divisor(oh).max(1) as f32);
        for column in (0..row.count()).step_by(LANES) {
            let mut sum = [0.0; LANES];
            for ih in rows.clone() {
                let x = load(src, (plane + ih) * w.input + column);
                for l in 0..LANES {
                    sum[l] += x[l];
                }
            }
            row.put(column, sum);
        }
        row.finish();
        for ow in (0..w.output).step_by(LANES) {
            let mut sum = row.element(0, ow);
            for j in 1..w.kernel {
                let x = row.element(j, ow);
                for l in 0..LANES {
                    sum[l] += x[l];
                }
            }
            let width = lanes(&widths, ow);
            for l in 0..LANES {
                sum[l] /= height * width[l];
            }
            store(dst, out * w.output + ow, sum);
        }
    }
}

/// The transpose of [`planes_average`].
#[inline(always)]
fn spread_planes(h: &PoolWindow, w: &PoolWindow, diff_dst: &[f32], diff_src: &mut [f32]) {
    if diff_dst.is_empty() {
        return;
    }
    let mut row = Row::new(w, 0.0);
    let widths = divisors(w);
    let mut shares = vec![0.0; w.output];
    for (out, diff_dst) in diff_dst.chunks_exact(w.output).enumerate() {
        let (plane, oh) = (out / h.output * h.input, out % h.output);
        let height = h.divisor(oh).max(1) as f32;
        for ((share, &dy), &width) in shares.iter_mut().zip(diff_dst).zip(&widths) {
            *share = dy / (height * width);
        }
        row.scatter(&shares);
        for ih in h.span(oh) {
            for (dx, &d) in diff_src[(plane + ih) * w.input..].iter_mut().zip(row.inside()) {
                *dx += d;
            }
        }
    }
}

fn average_any_axes(g: &PoolGeometry, src: &[f32], dst: &mut [f32]) {
    let plane_out = g.plane_out();
    g.for_each_window(|window, divisor, under| {
        for (plane, src) in src.chunks_exact(g.plane_in().max(1)).enumerate() {
            let sum: f64 = under.iter().map(|&i| f64::from(src[i])).sum();
            dst[plane * plane_out + window] = (sum / divisor.max(1) as f64) as f32;
        }
    });
}

fn spread_any_axes(g: &PoolGeometry, diff_dst: &[f32], diff_src: &mut [f32]) {
    let plane_out = g.plane_out();
    g.for_each_window(|window, divisor, under| {
        for (plane, diff_src) in diff_src.chunks_exact_mut(g.plane_in().max(1)).enumerate() {
            let share = diff_dst[plane * plane_out + window] / divisor.max(1) as f32;
            for &i in under {
                diff_src[i] += share;
            }
        }
    });
}
