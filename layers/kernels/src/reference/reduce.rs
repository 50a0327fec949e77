//! Sums, one term after the other, in f64.

use super::Real;

/// Sum of a * b
pub fn dot<T: Real>(a: &[T], b: &[T]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a.to_f64() * b.to_f64()).sum()
}

/// out\[c\] += sum of a * b over outer and inner of `[outer, c, inner]`
pub fn dot_channels<T: Real>([_, c, inner]: [usize; 3], a: &[T], b: &[T], out: &mut [f64]) {
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        out[i / inner % c] += a.to_f64() * b.to_f64();
    }
}
