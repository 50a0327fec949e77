//! Eigenvalues and eigenvectors of symmetric matrices: reflections make the matrix tridiagonal,
//! rotations with shifts make that diagonal (Golub and Van Loan, Matrix Computations, chapter 8).

use rayon::prelude::*;

/// A symmetric matrix A = V · diag(values) · Vᵀ.
pub struct Eigen {
    /// The eigenvalues, in no order.
    pub values: Vec<f64>,
    /// V, row by row: column k belongs to value k.
    pub vectors: Vec<f64>,
}

/// I − factor · v vᵀ on the axes from `start` on.
struct Reflection {
    start: usize,
    v: Vec<f64>,
    factor: f64,
}

/// Rotations of the axes (k, k + 1), k from `start` on: cosine and sine.
struct Sweep {
    start: usize,
    turns: Vec<(f64, f64)>,
}

/// Rows of V that are worked out together.
const LANES: usize = 8;

/// Sweeps per eigenvalue after which there is something wrong; two or three are usual.
const MOST_SWEEPS: usize = 60;

/// Takes a symmetric matrix of `n` rows apart; `None` where a value is not finite.
pub fn eigen(mut a: Vec<f64>, n: usize) -> Option<Eigen> {
    if a.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let reflections: Vec<Reflection> =
        (0..n.saturating_sub(2)).filter_map(|k| reflect(&mut a, n, k)).collect();
    let mut d: Vec<f64> = (0..n).map(|i| a[i * n + i]).collect();
    let mut e: Vec<f64> = (1..n).map(|i| a[i * n + i - 1]).collect();
    let sweeps = diagonal(&mut d, &mut e)?;
    let mut vectors = vec![0.0; n * n];
    vectors.par_chunks_mut(LANES * n.max(1)).enumerate().for_each(|(block, out)| {
        // Several rows of V side by side, each a row of the unit matrix that is turned about.
        let mut rows = vec![[0.0; LANES]; n];
        let count = out.len() / n;
        (0..count).for_each(|lane| rows[block * LANES + lane][lane] = 1.0);
        reflections.iter().for_each(|reflection| reflection.apply(&mut rows));
        sweeps.iter().for_each(|sweep| sweep.apply(&mut rows));
        for (lane, row) in out.chunks_mut(n).enumerate() {
            row.iter_mut().zip(&rows).for_each(|(value, lanes)| *value = lanes[lane]);
        }
    });
    Some(Eigen { values: d, vectors })
}

/// Clears column `k` below the first subdiagonal, and the row likewise: A ← H A H.
fn reflect(a: &mut [f64], n: usize, k: usize) -> Option<Reflection> {
    let start = k + 1;
    let mut v: Vec<f64> = (start..n).map(|i| a[i * n + k]).collect();
    let rest: f64 = v[1..].iter().map(|x| x * x).sum();
    if rest == 0.0 {
        return None;
    }
    let length = (v[0] * v[0] + rest).sqrt();
    let to = if v[0] > 0.0 { -length } else { length };
    v[0] -= to;
    let factor = 2.0 / (v[0] * v[0] + rest);
    let row = |i: usize| (start + i) * n + start..(start + i + 1) * n;
    let shared: &[f64] = a;
    let mut w: Vec<f64> = (0..v.len())
        .into_par_iter()
        .map(|i| factor * shared[row(i)].iter().zip(&v).map(|(a, v)| a * v).sum::<f64>())
        .collect();
    let half = factor / 2.0 * w.iter().zip(&v).map(|(w, v)| w * v).sum::<f64>();
    w.iter_mut().zip(&v).for_each(|(w, v)| *w -= half * v);
    a[start * n..].par_chunks_mut(n).enumerate().for_each(|(i, row)| {
        let (vi, wi) = (v[i], w[i]);
        let values = row[start..].iter_mut().zip(v.iter().zip(&w));
        values.for_each(|(a, (v, w))| *a -= vi * w + wi * v);
    });
    a[start * n + k] = to;
    Some(Reflection { start, v, factor })
}

/// Makes a tridiagonal matrix (`d` on the diagonal, `e` beside it) diagonal.
fn diagonal(d: &mut [f64], e: &mut [f64]) -> Option<Vec<Sweep>> {
    let mut sweeps = Vec::new();
    let mut high = d.len().saturating_sub(1);
    while high > 0 {
        for k in 0..high {
            if e[k].abs() <= f64::EPSILON * (d[k].abs() + d[k + 1].abs()) {
                e[k] = 0.0;
            }
        }
        if e[high - 1] == 0.0 {
            high -= 1;
            continue;
        }
        if sweeps.len() > MOST_SWEEPS * d.len() {
            return None;
        }
        let low = (0..high).rev().find(|&k| e[k] == 0.0).map_or(0, |k| k + 1);
        sweeps.push(sweep(d, e, low, high));
    }
    Some(sweeps)
}

/// One step with the shift of Wilkinson.
fn sweep(d: &mut [f64], e: &mut [f64], low: usize, high: usize) -> Sweep {
    let (delta, last) = ((d[high - 1] - d[high]) / 2.0, e[high - 1]);
    let shift = d[high] - last * last / (delta + delta.hypot(last).copysign(delta));
    let (mut x, mut z) = (d[low] - shift, e[low]);
    let mut turns = Vec::with_capacity(high - low);
    for k in low..high {
        let length = x.hypot(z);
        let (c, s) = if length == 0.0 { (1.0, 0.0) } else { (x / length, z / length) };
        if k > low {
            e[k - 1] = length;
        }
        let (a, b, g) = (d[k], e[k], d[k + 1]);
        d[k] = c * c * a + 2.0 * c * s * b + s * s * g;
        d[k + 1] = s * s * a - 2.0 * c * s * b + c * c * g;
        e[k] = c * s * (g - a) + (c * c - s * s) * b;
        x = e[k];
        if k + 1 < high {
            z = s * e[k + 1];
            e[k + 1] *= c;
        }
        turns.push((c, s));
    }
    Sweep { start: low, turns }
}

impl Reflection {
    /// y ← y − factor · (y · v) v
    fn apply(&self, rows: &mut [[f64; LANES]]) {
        let mut product = [0.0; LANES];
        for (y, v) in rows[self.start..].iter().zip(&self.v) {
            product.iter_mut().zip(y).for_each(|(sum, y)| *sum += y * v);
        }
        for (y, v) in rows[self.start..].iter_mut().zip(&self.v) {
            let by = self.factor * v;
            y.iter_mut().zip(&product).for_each(|(y, product)| *y -= by * product);
        }
    }
}

impl Sweep {
    fn apply(&self, rows: &mut [[f64; LANES]]) {
        for (i, &(c, s)) in self.turns.iter().enumerate() {
            let k = self.start + i;
            let (first, second) = (rows[k], rows[k + 1]);
            for lane in 0..LANES {
                rows[k][lane] = c * first[lane] + s * second[lane];
                rows[k + 1][lane] = c * second[lane] - s * first[lane];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::eigen;

    #[test]
    fn vectors_and_values_give_the_matrix_again() {
        for n in [1, 2, 3, 7, 20, 33] {
            let noise = |i: usize| ((i * 2_654_435_761) % 1000) as f64 / 500.0 - 1.0;
            let mut a = vec![0.0; n * n];
            for i in 0..n {
                for j in 0..=i {
                    // The last axes are zero: values that occur several times.
                    let value = if n > 7 && i + 4 > n { 0.0 } else { noise(i * n + j + 7) };
                    (a[i * n + j], a[j * n + i]) = (value, value);
                }
            }
            let found = eigen(a.clone(), n).unwrap_or_else(|| panic!("{n}"));
            let v = |i: usize, k: usize| found.vectors[i * n + k];
            for i in 0..n {
                for j in 0..n {
                    let again: f64 = (0..n).map(|k| v(i, k) * found.values[k] * v(j, k)).sum();
                    let unit: f64 = (0..n).map(|k| v(i, k) * v(j, k)).sum();
                    assert!((again - a[i * n + j]).abs() < 1e-12 * n as f64, "{n}: {i} {j}");
                    assert!((unit - f64::from(u8::from(i == j))).abs() < 1e-12, "{n}: {i} {j}");
                }
            }
        }
        assert!(eigen(vec![f64::NAN], 1).is_none());
    }
}
