//! Elementary functions of one number, written so that a loop around them becomes vector code.
//!
//! No branch, no table, no fused multiply-add: selects and plain products only, hence every
//! instruction set gives the same bits. Polynomials after Cody & Waite's *Software Manual for the
//! Elementary Functions* with the coefficients of Moshier's Cephes library. Relative errors over
//! the whole range of f32: [`exp`] and [`ln`] below 2e-7, [`tanh`] and [`sigmoid`] below 4e-7,
//! [`powf`] below 4e-7 while |exponent| <= 4. Limits at 0 and infinity are exact, NaN comes through.

/// 1.5 * 2^23: added to a small float it leaves the nearest integer in the low mantissa bits.
const ROUND: f32 = 12_582_912.0;
/// 1.5 * 2^52: the same for f64.
const ROUND_F64: f64 = 6_755_399_441_055_744.0;
/// ln 2 = LN2_HI + LN2_LO; LN2_HI is 355/512, so that n * LN2_HI is exact for every exponent n.
const LN2_HI: f32 = 0.693_359_4;
const LN2_LO: f32 = -2.121_944_4e-4;

/// `a` or `b`, both computed: never a branch, nor a store under a mask.
#[inline(always)]
pub fn pick<T>(condition: bool, a: T, b: T) -> T {
    std::hint::select_unpredictable(condition, a, b)
}

/// e^r for |r| <= ln(2)/2.
#[inline(always)]
fn exp_reduced(r: f32) -> f32 {
    let mut p = 1.987_569_1e-4_f32;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    (p * r * r + r) + 1.0
}

/// p * 2^n in two steps, so that results below the normal range are rounded, not cut.
#[inline(always)]
fn scale_by_power_of_two(p: f32, n: i32) -> f32 {
    let half = n >> 1;
    let rest = n.wrapping_sub(half);
    let power = |e: i32| f32::from_bits((e.wrapping_add(127) << 23) as u32);
    p * power(half) * power(rest)
}

/// x held within [low, high]; NaN stays NaN.
#[inline(always)]
fn hold(x: f32, low: f32, high: f32) -> f32 {
    let x = pick(x > high, high, x);
    pick(x < low, low, x)
}

/// e^x.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Beyond these the result is infinity or 0 all the same, and n stays in reach of two powers.
    let x = hold(x, -104.0, 89.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN2_HI) - n * LN2_LO;
    let n = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    scale_by_power_of_two(exp_reduced(r), n)
}

/// A positive finite x as m * 2^e with m in [sqrt(1/2), sqrt(2)); returns (m - 1, e).
#[inline(always)]
fn split(x: f32) -> (f32, i32) {
    let tiny = x < f32::MIN_POSITIVE;
    let x = pick(tiny, x * 33_554_432.0, x);
    let bits = x.to_bits() as i32;
    // Counting exponents from sqrt(1/2) puts the mantissa in the wanted interval at once.
    const SQRT_HALF: i32 = 0x3f35_04f3;
    let above = bits.wrapping_sub(SQRT_HALF);
    let e = above >> 23;
    let m = f32::from_bits((above & 0x007f_ffff).wrapping_add(SQRT_HALF) as u32);
    (m - 1.0, e - 25 * i32::from(tiny))
}

/// ln(1 + f) - f for 1 + f in [sqrt(1/2), sqrt(2)).
#[inline(always)]
fn ln_tail(f: f32) -> f32 {
    let z = f * f;
    let mut p = 7.037_683_6e-2_f32;
    p = p * f - 1.151_461e-1;
    p = p * f + 1.167_699_9e-1;
    p = p * f - 1.242_014_1e-1;
    p = p * f + 1.424_932_3e-1;
    p = p * f - 1.666_805_8e-1;
    p = p * f + 2.000_071_5e-1;
    p = p * f - 2.499_999_4e-1;
    p = p * f + 3.333_333e-1;
    p * f * z - 0.5 * z
}

/// Natural logarithm: -infinity at 0, NaN below.
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    let (f, e) = split(x);
    let e = e as f32;
    let y = (f + (ln_tail(f) + e * LN2_LO)) + e * LN2_HI;
    let y = pick(x > 0.0, y, f32::NAN);
    let y = pick(x == 0.0, f32::NEG_INFINITY, y);
    pick(x == f32::INFINITY, x, y)
}

/// Hyperbolic tangent.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let z = x * x;
    let mut p = -5.704_988_7e-3_f32;
    p = p * z + 2.063_909e-2;
    p = p * z - 5.373_971_6e-2;
    p = p * z + 1.333_144_2e-1;
    p = p * z - 3.333_328e-1;
    let small = p * z * x + x;
    let size = x.abs();
    let large = 1.0 - 2.0 / (exp(size + size) + 1.0);
    pick(size < 0.625, small, large).copysign(x)
}

/// 1 / (1 + e^-x).
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    // e^-|x| never overflows, so both tails keep their relative accuracy.
    let z = exp(-x.abs());
    let d = 1.0 + z;
    pick(x >= 0.0, 1.0, z) / d
}

/// `x` to a power that is the same for many `x`: what depends on the exponent alone is kept here.
#[derive(Clone, Copy, Debug)]
pub struct Power {
    exponent: f64,
    at_zero: f32,
    at_infinity: f32,
    /// Sign of the result below zero: -1 for odd integers, 1 for even ones, NaN for fractions.
    below_zero: f32,
    /// The same for -0 and -infinity, which fractions take for positive.
    below_zero_at_edge: f32,
}

impl Power {
    /// For a finite exponent other than 0.
    pub fn new(exponent: f32) -> Self {
        let integer = exponent.trunc() == exponent;
        let odd = integer && (exponent / 2.0).trunc() != exponent / 2.0;
        let grows = exponent > 0.0;
        Power {
            exponent: f64::from(exponent),
            at_zero: if grows { 0.0 } else { f32::INFINITY },
            at_infinity: if grows { f32::INFINITY } else { 0.0 },
            below_zero: match (integer, odd) {
                (true, true) => -1.0,
                (true, false) => 1.0,
                _ => f32::NAN,
            },
            below_zero_at_edge: if odd { -1.0 } else { 1.0 },
        }
    }

    /// |x| to the exponent, with C's results at 0, infinity and below 0.
    #[inline(always)]
    pub fn of(self, x: f32) -> f32 {
        let size = x.abs();
        let (f, e) = split(size);
        // The exponent of x and the product are exact enough in f64 for any exponent in use.
        let log2 = f64::from(e) + (f64::from(f) + f64::from(ln_tail(f))) * std::f64::consts::LOG2_E;
        let y = self.exponent * log2;
        let y = pick(y > 160.0, 160.0, y);
        let y = pick(y < -160.0, -160.0, y);
        let shifted = y + ROUND_F64;
        let n = shifted.to_bits() as i32;
        let r = (y - (shifted - ROUND_F64)) * std::f64::consts::LN_2;
        let power = scale_by_power_of_two(exp_reduced(r as f32), n);
        let power = pick(size == 0.0, self.at_zero, power);
        let power = pick(size == f32::INFINITY, self.at_infinity, power);
        let edge = (size == 0.0) | (size == f32::INFINITY);
        let sign = pick(edge, self.below_zero_at_edge, self.below_zero);
        let power = power * pick(x.is_sign_negative(), sign, 1.0);
        pick(x.is_nan(), x, power)
    }
}
