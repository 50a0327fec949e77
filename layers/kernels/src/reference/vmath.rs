//! The elementary functions, by way of the standard library's in f64.

use super::Real;

/// e^x
pub fn exp<T: Real>(x: T) -> T {
    T::from_f64(x.to_f64().exp())
}

/// ln x
pub fn ln<T: Real>(x: T) -> T {
    T::from_f64(x.to_f64().ln())
}

/// tanh x
pub fn tanh<T: Real>(x: T) -> T {
    T::from_f64(x.to_f64().tanh())
}

/// 1 / (1 + e^-x)
pub fn sigmoid<T: Real>(x: T) -> T {
    T::from_f64(1.0 / (1.0 + (-x.to_f64()).exp()))
}

/// x^exponent
pub fn powf<T: Real>(x: T, exponent: f32) -> T {
    T::from_f64(x.to_f64().powf(f64::from(exponent)))
}
