//! The solvers' rules for one weight: `(w, history) -> (w, history)`.

use super::Real;

fn sqrt<T: Real>(x: T) -> T {
    T::from_f64(x.to_f64().sqrt())
}

/// Gradient descent with momentum.
pub fn sgd<T: Real>(w: T, g: T, v: T, rate: T, momentum: T) -> (T, T) {
    let v = momentum * v + rate * g;
    (w - v, v)
}

/// Nesterov's accelerated gradient.
pub fn nesterov<T: Real>(w: T, g: T, v: T, rate: T, momentum: T) -> (T, T) {
    let next = momentum * v + rate * g;
    (w - (next + momentum * next - momentum * v), next)
}

/// Duchi et al. 2011.
pub fn adagrad<T: Real>(w: T, g: T, h: T, rate: T, delta: T) -> (T, T) {
    let h = h + g * g;
    (w - rate * g / (sqrt(h) + delta), h)
}

/// Tieleman & Hinton 2012.
pub fn rmsprop<T: Real>(w: T, g: T, h: T, rate: T, decay: T, delta: T) -> (T, T) {
    let h = decay * h + (T::from_f64(1.0) - decay) * g * g;
    (w - rate * g / (sqrt(h) + delta), h)
}

/// Zeiler 2012.
pub fn adadelta<T: Real>(w: T, g: T, [hg, hu]: [T; 2], rate: T, m: T, delta: T) -> (T, [T; 2]) {
    let one = T::from_f64(1.0);
    let hg = m * hg + (one - m) * g * g;
    let u = g * sqrt((hu + delta) / (hg + delta));
    (w - rate * u, [hg, m * hu + (one - m) * u * u])
}

/// Kingma & Ba 2014; `rate` carries the correction for the number of steps.
pub fn adam<T: Real>(
    w: T,
    g: T,
    [m, v]: [T; 2],
    rate: T,
    [beta1, beta2]: [T; 2],
    delta: T,
) -> (T, [T; 2]) {
    let one = T::from_f64(1.0);
    let m = beta1 * m + (one - beta1) * g;
    let v = beta2 * v + (one - beta2) * g * g;
    (w - rate * m / (sqrt(v) + delta), [m, v])
}
