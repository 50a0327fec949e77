//! One LSTM cell.

use super::Real;

fn apply<T: Real>(x: T, f: impl Fn(f64) -> f64) -> T {
    T::from_f64(f(x.to_f64()))
}

fn one<T: Real>() -> T {
    T::from_f64(1.0)
}

/// Activations of the gates i, f, o, g; the cell; the output.
pub fn forward<T: Real>(cont: T, c_prev: T, [i, f, o, g]: [T; 4]) -> ([T; 4], T, T) {
    let sigmoid = |x: T| apply(x, |x| 1.0 / (1.0 + (-x).exp()));
    let gates = [sigmoid(i), cont * sigmoid(f), sigmoid(o), apply(g, f64::tanh)];
    let c = gates[1] * c_prev + gates[0] * gates[3];
    (gates, c, gates[2] * apply(c, f64::tanh))
}

/// Diffs of the gates before their functions, and of the previous cell.
pub fn backward<T: Real>(c_prev: T, [i, f, o, g]: [T; 4], c: T, dh: T, dc: T) -> ([T; 4], T) {
    let tanh_c = apply(c, f64::tanh);
    let cell = dc + dh * o * (one::<T>() - tanh_c * tanh_c);
    let slope = |s: T| s * (one::<T>() - s);
    let dgates = [
        cell * g * slope(i),
        cell * c_prev * slope(f),
        dh * tanh_c * slope(o),
        cell * i * (one::<T>() - g * g),
    ];
    (dgates, cell * f)
}
