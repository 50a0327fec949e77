//! Matrix multiplication as its definition reads.

use super::Real;

/// alpha · op(A) (m x k) · op(B) (k x n) + beta · C, row-major.
#[allow(clippy::too_many_arguments)]
pub fn gemm<T: Real>(
    (ta, tb): (bool, bool),
    (m, n, k): (usize, usize, usize),
    alpha: T,
    a: &[T],
    b: &[T],
    beta: T,
    c: &mut [T],
) {
    for i in 0..m {
        for j in 0..n {
            let mut sum = T::from_f64(0.0);
            for p in 0..k {
                let a = if ta { a[p * m + i] } else { a[i * k + p] };
                let b = if tb { b[j * k + p] } else { b[p * n + j] };
                sum += a * b;
            }
            let before = if beta.to_f64() == 0.0 { beta } else { beta * c[i * n + j] };
            c[i * n + j] = alpha * sum + before;
        }
    }
}
