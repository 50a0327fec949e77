//! Softmax over the channels of `[outer, c, inner]`.

use super::Real;

/// The places of the channels above one column.
fn columns([outer, c, inner]: [usize; 3]) -> impl Iterator<Item = Vec<usize>> {
    (0..outer * inner).map(move |column| {
        let first = column / inner * c * inner + column % inner;
        (0..c).map(|ch| first + ch * inner).collect()
    })
}

/// y = e^x / sum of e^x
pub fn softmax_forward<T: Real>(shape: [usize; 3], src: &[T], dst: &mut [T]) {
    for column in columns(shape) {
        let max = column.iter().map(|&i| src[i].to_f64()).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = column.iter().map(|&i| (src[i].to_f64() - max).exp()).sum();
        for i in column {
            dst[i] = T::from_f64((src[i].to_f64() - max).exp() / sum);
        }
    }
}

/// dx = y * (dy - sum of dy * y)
pub fn softmax_backward<T: Real>(shape: [usize; 3], y: &[T], dy: &[T], dx: &mut [T]) {
    for column in columns(shape) {
        let dot: f64 = column.iter().map(|&i| dy[i].to_f64() * y[i].to_f64()).sum();
        for i in column {
            dx[i] = T::from_f64(y[i].to_f64() * (dy[i].to_f64() - dot));
        }
    }
}
