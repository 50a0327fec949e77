//! The elementary functions against f64, at their limits, and the maps around them.

mod support;

use cortado_kernels::{Kernels, SrcDst, Write, available, math, reference};
use support::*;

/// Every `step`th float.
fn floats(step: usize) -> Vec<f32> {
    (0..=u32::MAX).step_by(step).map(f32::from_bits).filter(|x| !x.is_nan()).collect()
}

/// The largest relative error over all numbers whose result is a normal float.
fn worst(actual: &[f32], xs: &[f32], f: impl Fn(f64) -> f64) -> (f64, f32) {
    let mut worst = (0.0, 0.0);
    for (&a, &x) in actual.iter().zip(xs) {
        let e = f(f64::from(x));
        if e.is_nan() {
            assert!(a.is_nan(), "f({x}) = {a}");
        } else if (e as f32).is_infinite() {
            // The last rounding before overflow may go either way.
            assert!(a == e as f32 || a.abs() > 3.4e38, "f({x}) = {a}");
        } else if (e as f32).abs() < f32::MIN_POSITIVE {
            assert!((f64::from(a) - e).abs() <= 2.0 * f64::from(f32::from_bits(1)), "f({x}) = {a}");
        } else {
            let error = ((f64::from(a) - e) / e).abs();
            if error > worst.0 {
                worst = (error, x);
            }
        }
    }
    worst
}

fn check(limit: f64, run: impl Fn(&Kernels, SrcDst<'_>), f: impl Fn(f64) -> f64 + Copy) {
    let xs = floats(4001);
    for k in available() {
        let mut y = vec![0.0; xs.len()];
        run(k, SrcDst::Apart(&xs, &mut y));
        let (error, x) = worst(&y, &xs, f);
        assert!(error <= limit, "{}: relative error {error:e} at {x}", k.isa());
        let mut in_place = xs.clone();
        run(k, SrcDst::InPlace(&mut in_place));
        assert_same_bits(&in_place, &y);
    }
}

#[test]
fn exp_is_accurate_over_all_floats() {
    check(2e-7, |k, io| k.exp(io), f64::exp);
}

#[test]
fn ln_is_accurate_over_all_floats() {
    check(2e-7, |k, io| k.ln(io), f64::ln);
}

#[test]
fn tanh_is_accurate_over_all_floats() {
    check(4e-7, |k, io| k.tanh(io), f64::tanh);
}

#[test]
fn sigmoid_is_accurate_over_all_floats() {
    check(4e-7, |k, io| k.sigmoid(io), reference::vmath::sigmoid::<f64>);
}

#[test]
fn sqrt_is_exact() {
    check(6e-8, |k, io| k.sqrt(io), f64::sqrt);
}

#[test]
fn powers_are_accurate_over_all_floats() {
    for exponent in
        [0.0, 1.0, 2.0, 3.0, -1.0, 0.5, -0.5, 0.75, -0.75, 1.5, -2.0, 1.0 / 3.0, 4.0, 5.0]
    {
        check(4e-7, |k, io| k.powf(io, exponent), |x| reference::vmath::powf(x, exponent));
    }
}

#[test]
fn limits_are_exact() {
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    type Case<'a> = (fn(f32) -> f32, &'a [(f32, f32)]);
    let cases: [Case<'_>; 4] = [
        (math::exp, &[(0.0, 1.0), (-0.0, 1.0), (inf, inf), (-inf, 0.0), (1e9, inf), (-1e9, 0.0)]),
        (math::ln, &[(1.0, 0.0), (0.0, -inf), (-0.0, -inf), (inf, inf), (-1.0, nan), (-inf, nan)]),
        (math::tanh, &[(0.0, 0.0), (inf, 1.0), (-inf, -1.0), (50.0, 1.0), (-50.0, -1.0)]),
        (math::sigmoid, &[(0.0, 0.5), (inf, 1.0), (-inf, 0.0), (200.0, 1.0), (-200.0, 0.0)]),
    ];
    for (f, pairs) in cases {
        assert!(f(nan).is_nan());
        for &(x, y) in pairs {
            assert!(f(x) == y || (f(x).is_nan() && y.is_nan()), "f({x}) = {}, not {y}", f(x));
        }
    }
}

#[test]
fn powers_have_the_signs_and_limits_of_c() {
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    let xs = [0.0, -0.0, 1.0, -1.0, 2.5, -2.5, inf, -inf, nan, 1e-40, -1e-40, 3e38, -3e38];
    let exponents =
        [0.0, 1.0, 2.0, 3.0, 4.0, 7.0, -1.0, -2.0, -3.0, 0.5, -0.5, 0.75, -0.75, 0.3, -2.7, inf];
    for k in available() {
        for exponent in exponents {
            let mut y = [0.0; 13];
            k.powf(SrcDst::Apart(&xs, &mut y), exponent);
            for (&x, &y) in xs.iter().zip(&y) {
                let e = x.powf(exponent);
                let near = (y - e).abs() <= 1e-6 * e.abs() || y == e || (y.is_nan() && e.is_nan());
                assert!(near, "{x}^{exponent} = {y}, not {e}");
                assert!(
                    y.is_nan() || y.is_sign_negative() == e.is_sign_negative(),
                    "sign of {x}^{exponent} = {y}"
                );
            }
        }
    }
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    let xs = floats(20_011);
    let all: Vec<Vec<f32>> = available()
        .iter()
        .map(|k| {
            let mut y = xs.clone();
            k.tanh(SrcDst::InPlace(&mut y));
            k.powf(SrcDst::InPlace(&mut y), -0.3);
            y
        })
        .collect();
    for other in &all[1..] {
        let nan_free = |y: &[f32]| y.iter().map(|&y| if y.is_nan() { 0.0 } else { y }).collect();
        let (a, b): (Vec<f32>, Vec<f32>) = (nan_free(&all[0]), nan_free(other));
        assert_same_bits(&a, &b);
    }
}

#[test]
fn maps_reach_every_element_set_or_add() {
    for k in available() {
        for n in [0, 1, 7, 8, 9, 100, 16_384, 16_385, 50_001] {
            let (x, a, b) = (integers(n, 1), integers(n, 2), integers(n, 3));
            let f = |x: f32, a: f32, b: f32| x * a + b;
            let expected: Vec<f32> = (0..n).map(|i| f(x[i], a[i], b[i])).collect();
            let raised: Vec<f32> = expected.iter().map(|y| y + 1.0).collect();

            let mut y = vec![1.0; n];
            k.map3(SrcDst::Apart(&x, &mut y), &a, &b, Write::Add, f);
            assert_same_bits(&y, &raised);
            k.map3(SrcDst::Apart(&x, &mut y), &a, &b, Write::Set, f);
            assert_same_bits(&y, &expected);
            let mut y = x.clone();
            k.map3(SrcDst::InPlace(&mut y), &a, &b, Write::Set, f);
            assert_same_bits(&y, &expected);

            let f = |x: f32, a: f32| x - a;
            let expected: Vec<f32> = (0..n).map(|i| f(x[i], a[i])).collect();
            let raised: Vec<f32> = expected.iter().map(|y| y + 1.0).collect();
            let mut y = vec![1.0; n];
            k.map2(SrcDst::Apart(&x, &mut y), &a, Write::Add, f);
            assert_same_bits(&y, &raised);
            k.map2(SrcDst::Apart(&x, &mut y), &a, Write::Set, f);
            assert_same_bits(&y, &expected);
            let mut y = x.clone();
            k.map2(SrcDst::InPlace(&mut y), &a, Write::Set, f);
            assert_same_bits(&y, &expected);

            let mut y = x.clone();
            k.affine(SrcDst::InPlace(&mut y), 2.0, -1.0);
            let expected: Vec<f32> = x.iter().map(|x| x * 2.0 - 1.0).collect();
            assert_same_bits(&y, &expected);
            k.fill(3.0, &mut y);
            assert!(y.iter().all(|&y| y == 3.0));
        }
    }
}

#[test]
fn threads_do_not_matter() {
    let x = numbers(200_003, 5);
    for k in available() {
        assert_threads_do_not_matter(|| {
            let mut y = vec![0.0; x.len()];
            k.sigmoid(SrcDst::Apart(&x, &mut y));
            k.powf(SrcDst::InPlace(&mut y), 0.4);
            y
        });
    }
}
