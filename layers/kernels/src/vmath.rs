//! Functions applied to every element: any function given, the elementary ones, powers, affine.

use crate::blocks::{self, for_blocks, for_io_blocks};
use crate::math::{self, Power};
use crate::{Kernels, SrcDst, Write};

impl Kernels {
    /// y = f(x). What is built from [`crate::math`] and plain arithmetic becomes vector code, if
    /// `f` holds its constants (`move`), and a longer one is given as
    /// `#[inline(always)] move |x| ...`.
    pub fn map<F: Fn(f32) -> f32 + Copy + Sync>(&self, io: SrcDst<'_>, f: F) {
        for_io_blocks(io, |_, part| {
            self.vectorize(
                #[inline(always)]
                || blocks::map(part, f),
            );
        });
    }

    /// dx = f(dy, a), or dx += f(dy, a) when `write` says so and the two are apart.
    pub fn map2<F>(&self, diff: SrcDst<'_>, a: &[f32], write: Write, f: F)
    where
        F: Fn(f32, f32) -> f32 + Copy + Sync,
    {
        assert_eq!(diff.len(), a.len(), "operands differ in length");
        for_io_blocks(diff, |at, part| {
            let a = &a[at..at + part.len()];
            self.vectorize(
                #[inline(always)]
                || blocks::map2(part, a, write, f),
            );
        });
    }

    /// dx = f(dy, a, b), or dx += f(dy, a, b) when `write` says so and the two are apart.
    pub fn map3<F>(&self, diff: SrcDst<'_>, a: &[f32], b: &[f32], write: Write, f: F)
    where
        F: Fn(f32, f32, f32) -> f32 + Copy + Sync,
    {
        assert_eq!(diff.len(), a.len(), "operands differ in length");
        assert_eq!(diff.len(), b.len(), "operands differ in length");
        for_io_blocks(diff, |at, part| {
            let (a, b) = (&a[at..at + part.len()], &b[at..at + part.len()]);
            self.vectorize(
                #[inline(always)]
                || blocks::map3(part, a, b, write, f),
            );
        });
    }

    /// y = e^x
    pub fn exp(&self, io: SrcDst<'_>) {
        self.map(io, math::exp);
    }

    /// y = ln x; -infinity at 0, NaN below.
    pub fn ln(&self, io: SrcDst<'_>) {
        self.map(io, math::ln);
    }

    /// y = tanh x
    pub fn tanh(&self, io: SrcDst<'_>) {
        self.map(io, math::tanh);
    }

    /// y = 1 / (1 + e^-x)
    pub fn sigmoid(&self, io: SrcDst<'_>) {
        self.map(io, math::sigmoid);
    }

    /// y = sqrt x
    pub fn sqrt(&self, io: SrcDst<'_>) {
        self.map(io, f32::sqrt);
    }

    /// y = x^exponent as C's `pow` has it: 1 for exponent 0, NaN for a negative number to a
    /// fraction, the sign kept by odd integers.
    pub fn powf(&self, io: SrcDst<'_>, exponent: f32) {
        with_power(exponent, PowerMap { k: self, io });
    }

    /// y = x * scale + shift
    pub fn affine(&self, io: SrcDst<'_>, scale: f32, shift: f32) {
        self.map(io, move |x| x * scale + shift);
    }

    /// dst = v everywhere
    pub fn fill(&self, v: f32, dst: &mut [f32]) {
        for_blocks(dst, blocks::BLOCK, |_, part| part.fill(v));
    }
}

/// Something to be done with x -> x^exponent, once for each way of computing it.
pub(crate) trait WithPower {
    fn run<F: Fn(f32) -> f32 + Copy + Sync>(self, power: F);
}

struct PowerMap<'a> {
    k: &'a Kernels,
    io: SrcDst<'a>,
}

impl WithPower for PowerMap<'_> {
    fn run<F: Fn(f32) -> f32 + Copy + Sync>(self, power: F) {
        self.k.map(self.io, power);
    }
}

/// The square root as `pow` has it, which differs from `sqrt` at -0 and -infinity.
#[inline(always)]
fn half_power(x: f32) -> f32 {
    if x == f32::NEG_INFINITY { f32::INFINITY } else { x.sqrt() + 0.0 }
}

/// Hands `then` the cheapest form of x^exponent: products and roots for the exponents that
/// networks use (LRN's is -0.75), exp(exponent * ln x) for the others.
pub(crate) fn with_power(exponent: f32, then: impl WithPower) {
    if exponent == 0.0 {
        then.run(
            #[inline(always)]
            |_| 1.0,
        );
    } else if exponent == 1.0 {
        then.run(
            #[inline(always)]
            |x| x,
        );
    } else if exponent == 2.0 {
        then.run(
            #[inline(always)]
            |x| x * x,
        );
    } else if exponent == 3.0 {
        then.run(
            #[inline(always)]
            |x| x * x * x,
        );
    } else if exponent == -1.0 {
        then.run(
            #[inline(always)]
            |x| 1.0 / x,
        );
    } else if exponent == 0.5 {
        then.run(half_power);
    } else if exponent == -0.5 {
        then.run(
            #[inline(always)]
            |x| 1.0 / half_power(x),
        );
    } else if exponent == 0.75 {
        then.run(
            #[inline(always)]
            |x| half_power(x) * half_power(half_power(x)),
        );
    } else if exponent == -0.75 {
        then.run(
            #[inline(always)]
            |x| 1.0 / (half_power(x) * half_power(half_power(x))),
        );
    } else if exponent.is_finite() {
        let power = Power::new(exponent);
        then.run(
            #[inline(always)]
            move |x| power.of(x),
        );
    } else {
        then.run(
            #[inline(always)]
            move |x| x.powf(exponent),
        );
    }
}
