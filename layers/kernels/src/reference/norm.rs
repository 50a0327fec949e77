//! Normalisation, element by element over `[outer, c, inner]`.

use super::Real;

/// mean and biased variance of each channel, in two passes.
pub fn moments<T: Real>([outer, c, inner]: [usize; 3], src: &[T], mean: &mut [T], var: &mut [T]) {
    for ch in 0..c {
        let elements =
            || (0..outer * inner).map(|i| src[(i / inner * c + ch) * inner + i % inner].to_f64());
        let count = (outer * inner) as f64;
        let m = elements().sum::<f64>() / count;
        mean[ch] = T::from_f64(m);
        var[ch] = T::from_f64(elements().map(|x| (x - m) * (x - m)).sum::<f64>() / count);
    }
}

/// y = x * scale\[c\] + shift\[c\]
pub fn affine_channels<T: Real>(
    [_, c, inner]: [usize; 3],
    src: &[T],
    scale: &[T],
    shift: &[T],
    dst: &mut [T],
) {
    for (i, (d, &x)) in dst.iter_mut().zip(src).enumerate() {
        let ch = i / inner % c;
        *d = x * scale[ch] + shift[ch];
    }
}

/// dx = (dy - mean(dy) - mean(dy * x_norm) * x_norm) * inv_std\[c\]
pub fn batch_norm_backward<T: Real>(
    [outer, c, inner]: [usize; 3],
    x_norm: &[T],
    inv_std: &[T],
    dy: &[T],
    dx: &mut [T],
) {
    for (ch, inv_std) in inv_std.iter().enumerate() {
        let places: Vec<usize> =
            (0..outer * inner).map(|i| (i / inner * c + ch) * inner + i % inner).collect();
        let count = places.len() as f64;
        let mean_dy = places.iter().map(|&i| dy[i].to_f64()).sum::<f64>() / count;
        let mean_dy_x =
            places.iter().map(|&i| dy[i].to_f64() * x_norm[i].to_f64()).sum::<f64>() / count;
        for i in places {
            let centered = dy[i].to_f64() - mean_dy - mean_dy_x * x_norm[i].to_f64();
            dx[i] = T::from_f64(centered * inv_std.to_f64());
        }
    }
}

/// y = relu(γ · (x − mean) / σ + β) and, from dy, dx, dγ and dβ: layer by layer.
#[allow(clippy::too_many_arguments)]
pub fn normalize<T: Real>(
    shape: [usize; 3],
    [mean, inv_std, gamma, beta]: [&[T]; 4],
    relu: bool,
    x: &[T],
    dy: &[T],
    y: &mut [T],
    dx: &mut [T],
    [dgamma, dbeta]: [&mut [T]; 2],
) {
    let [_, c, inner] = shape;
    let mut x_norm = x.to_vec();
    let mut dz = dy.to_vec();
    for i in 0..x.len() {
        let ch = i / inner % c;
        x_norm[i] = (x[i] - mean[ch]) * inv_std[ch];
        y[i] = gamma[ch] * x_norm[i] + beta[ch];
        if relu && y[i] <= T::from_f64(0.0) {
            (y[i], dz[i]) = (T::from_f64(0.0), T::from_f64(0.0));
        }
        dgamma[ch] += dz[i] * x_norm[i];
        dbeta[ch] += dz[i];
    }
    let dx_norm: Vec<T> = dz.iter().enumerate().map(|(i, &dz)| dz * gamma[i / inner % c]).collect();
    batch_norm_backward(shape, &x_norm, inv_std, &dx_norm, dx);
}
