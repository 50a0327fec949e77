//! The truth: each operation as its formula reads, one element after the other, for f32 and f64.
//! Every fast kernel is tested against its twin here.

pub mod conv;
pub mod eltwise;
pub mod gemm;
pub mod lrn;
pub mod lstm;
pub mod norm;
pub mod pool;
pub mod reduce;
pub mod softmax;
pub mod update;
pub mod vmath;

use std::ops::{Add, AddAssign, Div, Mul, Sub};

/// f32 or f64.
pub trait Real:
    Copy
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + AddAssign
{
    /// The nearest value.
    fn from_f64(x: f64) -> Self;
    /// The same value in f64.
    fn to_f64(self) -> f64;
}

impl Real for f32 {
    fn from_f64(x: f64) -> f32 {
        x as f32
    }
    fn to_f64(self) -> f64 {
        self.into()
    }
}

impl Real for f64 {
    fn from_f64(x: f64) -> f64 {
        x
    }
    fn to_f64(self) -> f64 {
        self
    }
}
