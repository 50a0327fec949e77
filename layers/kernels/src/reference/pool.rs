//! Pooling, window by window, as Caffe's loops define it.

use super::Real;
use crate::{PoolGeometry, PoolWindow};

/// The coordinates of element `index` of a row-major array.
fn coordinates(mut index: usize, lengths: &[usize]) -> Vec<usize> {
    let mut at = vec![0; lengths.len()];
    for (at, &length) in at.iter_mut().zip(lengths).rev() {
        *at = index % length;
        index /= length;
    }
    at
}

fn lengths(g: &PoolGeometry, f: impl Fn(&PoolWindow) -> usize) -> Vec<usize> {
    g.windows.iter().map(f).collect()
}

/// Whether the source element lies under the window.
fn holds(g: &PoolGeometry, window: &[usize], element: &[usize]) -> bool {
    g.windows.iter().zip(window).zip(element).all(|((w, &o), &i)| {
        let place = i + w.pad;
        place >= o * w.stride && place < o * w.stride + w.kernel
    })
}

/// For every window its plane, its place in the output, the elements under it and the divisor of
/// its average.
fn windows(g: &PoolGeometry) -> Vec<(usize, usize, Vec<usize>, f64)> {
    let (inputs, outputs) = (lengths(g, |w| w.input), lengths(g, |w| w.output));
    let (plane_in, plane_out): (usize, usize) = (inputs.iter().product(), outputs.iter().product());
    let mut all = Vec::new();
    for plane in 0..g.n * g.c {
        for out in 0..plane_out {
            let window = coordinates(out, &outputs);
            let under =
                (0..plane_in).filter(|&i| holds(g, &window, &coordinates(i, &inputs))).collect();
            let mut divisor = 1.0;
            for (w, &o) in g.windows.iter().zip(&window) {
                let start = (o * w.stride) as f64 - w.pad as f64;
                let end = (start + w.kernel as f64).min((w.input + w.pad) as f64);
                divisor *= (end - start).max(0.0);
            }
            all.push((plane, plane * plane_out + out, under, divisor));
        }
    }
    all
}

fn plane_in(g: &PoolGeometry) -> usize {
    g.windows.iter().map(|w| w.input).product()
}

/// dst and mask of maximum pooling.
pub fn max_pool_forward<T: Real>(g: &PoolGeometry, src: &[T], dst: &mut [T], mask: &mut [u32]) {
    for (plane, out, under, _) in windows(g) {
        dst[out] = T::from_f64(f64::from(f32::MIN));
        mask[out] = u32::MAX;
        for i in under {
            let x = src[plane * plane_in(g) + i];
            if x > dst[out] {
                dst[out] = x;
                mask[out] = i as u32;
            }
        }
    }
}

/// diff_src += diff_dst at the masked places.
pub fn max_pool_backward<T: Real>(
    g: &PoolGeometry,
    diff_dst: &[T],
    mask: &[u32],
    diff_src: &mut [T],
) {
    for (plane, out, ..) in windows(g) {
        if mask[out] != u32::MAX {
            diff_src[plane * plane_in(g) + mask[out] as usize] += diff_dst[out];
        }
    }
}

/// dst of average pooling.
pub fn ave_pool_forward<T: Real>(g: &PoolGeometry, src: &[T], dst: &mut [T]) {
    for (plane, out, under, divisor) in windows(g) {
        let sum: f64 = under.iter().map(|&i| src[plane * plane_in(g) + i].to_f64()).sum();
        dst[out] = T::from_f64(if divisor == 0.0 { 0.0 } else { sum / divisor });
    }
}

/// diff_src += the shares of diff_dst.
pub fn ave_pool_backward<T: Real>(g: &PoolGeometry, diff_dst: &[T], diff_src: &mut [T]) {
    for (plane, out, under, divisor) in windows(g) {
        for i in under {
            diff_src[plane * plane_in(g) + i] += diff_dst[out] / T::from_f64(divisor);
        }
    }
}

/// dst of stochastic pooling in the test phase.
pub fn stochastic_pool_test<T: Real>(g: &PoolGeometry, src: &[T], dst: &mut [T]) {
    for (plane, out, under, _) in windows(g) {
        let elements = || under.iter().map(|&i| src[plane * plane_in(g) + i].to_f64());
        let (sum, squares) = (elements().sum::<f64>(), elements().map(|x| x * x).sum::<f64>());
        dst[out] = T::from_f64(if sum > 0.0 { squares / sum } else { 0.0 });
    }
}
