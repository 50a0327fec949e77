//! The rectifiers and Eltwise's operations.

use super::Real;

/// y = max(x, 0) + slope * min(x, 0), the slope by channel of `[outer, c, inner]`; one slope is
/// shared by all.
pub fn prelu_forward<T: Real>([_, c, inner]: [usize; 3], src: &[T], slopes: &[T], dst: &mut [T]) {
    let zero = T::from_f64(0.0);
    for (i, (d, &x)) in dst.iter_mut().zip(src).enumerate() {
        let slope = slopes[if slopes.len() == 1 { 0 } else { i / inner % c }];
        *d = if x > zero { x } else { slope * x };
    }
}

/// dx, and the sums that dslope is to be raised by.
pub fn prelu_backward<T: Real>(
    [_, c, inner]: [usize; 3],
    dy: &[T],
    x: &[T],
    slopes: &[T],
    dx: &mut [T],
    dslope: &mut [f64],
) {
    let zero = T::from_f64(0.0);
    for i in 0..x.len() {
        let ch = if slopes.len() == 1 { 0 } else { i / inner % c };
        dx[i] = if x[i] > zero { dy[i] } else { dy[i] * slopes[ch] };
        dslope[ch] += if x[i] > zero { 0.0 } else { dy[i].to_f64() * x[i].to_f64() };
    }
}

/// dst = sum of coeffs\[i\] * srcs\[i\]
pub fn eltwise_sum<T: Real>(srcs: &[&[T]], coeffs: &[T], dst: &mut [T]) {
    for (i, d) in dst.iter_mut().enumerate() {
        *d = T::from_f64(0.0);
        for (src, &coeff) in srcs.iter().zip(coeffs) {
            *d += coeff * src[i];
        }
    }
}

/// dst = product of srcs
pub fn eltwise_prod<T: Real>(srcs: &[&[T]], dst: &mut [T]) {
    for (i, d) in dst.iter_mut().enumerate() {
        *d = srcs.iter().fold(T::from_f64(1.0), |product, src| product * src[i]);
    }
}

/// dst = the largest, mask = which one: a tie of the first two goes to the second, later ones
/// must be larger.
pub fn eltwise_max<T: Real>(srcs: &[&[T]], dst: &mut [T], mask: &mut [u32]) {
    for i in 0..dst.len() {
        (dst[i], mask[i]) = (srcs[0][i], 0);
        for (which, src) in srcs.iter().enumerate().skip(1) {
            if src[i] > dst[i] || which == 1 && src[i] == dst[i] {
                (dst[i], mask[i]) = (src[i], which as u32);
            }
        }
    }
}
