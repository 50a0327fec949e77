//! Rectifiers, Eltwise's operations, vector arithmetic.

mod support;

use cortado_kernels::{SrcDst, Write, available, reference};
use proptest::prelude::*;
use support::*;

fn check_prelu(outer: usize, c: usize, inner: usize, shared: bool) {
    let (n, shape) = (outer * c * inner, [outer, c, inner]);
    let (x, dy) = (integers(n, 1), integers(n, 2));
    let slopes: Vec<f32> =
        numbers(if shared { 1 } else { c }, 3).iter().map(|x| (x * 8.0).round() / 8.0).collect();
    let (mut y_e, mut dx_e, mut dslope_e) =
        (vec![0.0; n], vec![0.0; n], vec![1.0_f64; slopes.len()]);
    reference::eltwise::prelu_forward(shape, &x, &slopes, &mut y_e);
    reference::eltwise::prelu_backward(shape, &dy, &x, &slopes, &mut dx_e, &mut dslope_e);
    let raised: Vec<f32> = dx_e.iter().map(|x| x + 1.0).collect();
    for k in available() {
        let mut y = vec![f32::NAN; n];
        k.prelu_forward(outer, c, inner, SrcDst::Apart(&x, &mut y), &slopes);
        assert_eq!(y, y_e);
        y.copy_from_slice(&x);
        k.prelu_forward(outer, c, inner, SrcDst::InPlace(&mut y), &slopes);
        assert_eq!(y, y_e);

        let mut dx = vec![1.0; n];
        let diff = SrcDst::Apart(&dy, &mut dx);
        k.prelu_backward_data(outer, c, inner, diff, &x, &slopes, Write::Add);
        assert_eq!(dx, raised);
        dx.copy_from_slice(&dy);
        let diff = SrcDst::InPlace(&mut dx);
        k.prelu_backward_data(outer, c, inner, diff, &x, &slopes, Write::Set);
        assert_eq!(dx, dx_e);

        let mut dslope = vec![1.0; slopes.len()];
        k.prelu_backward_slope(outer, c, inner, &dy, &x, &mut dslope);
        assert!(dslope.iter().zip(&dslope_e).all(|(&a, &e)| f64::from(a) == e));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn prelu_agrees(outer in 0..5_usize, c in 1..300_usize, inner in 0..20_usize, shared: bool) {
        check_prelu(outer, c, inner, shared);
    }

    #[test]
    fn eltwise_operations_agree(n in 0..5000_usize, count in 1..5_usize, seed in 0..1000_u64) {
        let data: Vec<Vec<f32>> = (0..count as u64).map(|i| integers(n, seed + i)).collect();
        let srcs: Vec<&[f32]> = data.iter().map(Vec::as_slice).collect();
        let coeffs = &[1.0, -2.0, 0.5, 3.0][..count];
        let mut expected = vec![0.0; n];
        let mut mask_e = vec![9; n];
        for k in available() {
            let (mut dst, mut mask) = (vec![f32::NAN; n], vec![9; n]);
            k.eltwise_sum(&srcs, coeffs, &mut dst);
            reference::eltwise::eltwise_sum(&srcs, coeffs, &mut expected);
            prop_assert_eq!(&dst, &expected);
            k.eltwise_prod(&srcs, &mut dst);
            reference::eltwise::eltwise_prod(&srcs, &mut expected);
            prop_assert_eq!(&dst, &expected);
            k.eltwise_max(&srcs, &mut dst, Some(&mut mask));
            reference::eltwise::eltwise_max(&srcs, &mut expected, &mut mask_e);
            prop_assert_eq!(&dst, &expected);
            prop_assert_eq!(&mask, &mask_e);
            dst.fill(f32::NAN);
            k.eltwise_max(&srcs, &mut dst, None);
            prop_assert_eq!(&dst, &expected);
        }
    }

    #[test]
    fn vector_arithmetic_agrees(n in 0..2000_usize, seed in 0..1000_u64) {
        let (x, y) = (integers(n, seed), integers(n, seed + 1));
        let each = |f: fn(f32, f32) -> f32| -> Vec<f32> {
            x.iter().zip(&y).map(|(&x, &y)| f(x, y)).collect()
        };
        for k in available() {
            let mut d = y.clone();
            k.axpy(2.0, &x, &mut d);
            prop_assert_eq!(&d, &each(|x, y| y + 2.0 * x));
            d.copy_from_slice(&y);
            k.axpby(2.0, &x, -0.5, &mut d);
            prop_assert_eq!(&d, &each(|x, y| 2.0 * x - 0.5 * y));
            d.fill(f32::NAN);
            k.axpby(2.0, &x, 0.0, &mut d);
            prop_assert_eq!(&d, &each(|x, _| 2.0 * x));
            k.scale(-1.5, &mut d);
            prop_assert_eq!(&d, &each(|x, _| -3.0 * x));
            k.add(&x, &y, &mut d);
            prop_assert_eq!(&d, &each(|x, y| x + y));
            k.mul(&x, &y, &mut d);
            prop_assert_eq!(&d, &each(|x, y| x * y));
        }
    }
}

#[test]
fn relu_is_prelu_with_one_slope() {
    for k in available() {
        for slope in [0.0, 0.1, -0.5] {
            let (x, dy) = (integers(1003, 1), numbers(1003, 2));
            let (mut y_e, mut dx_e) = (vec![0.0; 1003], vec![0.0; 1003]);
            let shape = [1, 1, 1003];
            reference::eltwise::prelu_forward(shape, &x, &[slope], &mut y_e);
            let dslope = &mut [0.0];
            reference::eltwise::prelu_backward(shape, &dy, &x, &[slope], &mut dx_e, dslope);
            let mut y = x.clone();
            k.relu_forward(SrcDst::InPlace(&mut y), slope);
            assert_eq!(y, y_e);
            let mut dx = dy.clone();
            k.relu_backward(SrcDst::InPlace(&mut dx), &x, slope, Write::Set);
            assert_eq!(dx, dx_e);
            if slope >= 0.0 {
                dx.copy_from_slice(&dy);
                k.relu_backward(SrcDst::InPlace(&mut dx), &y, slope, Write::Set);
                assert_eq!(dx, dx_e);
            }
        }
    }
}

#[test]
fn relu_lets_nan_through_and_stops_infinity() {
    for k in available() {
        let mut y = [f32::NAN, f32::NEG_INFINITY, f32::INFINITY];
        k.relu_forward(SrcDst::InPlace(&mut y), 0.0);
        assert!(y[0].is_nan());
        assert_eq!(y[1..], [0.0, f32::INFINITY]);
    }
}

#[test]
fn large_shapes_agree_and_threads_do_not_matter() {
    check_prelu(3, 5, 9000, false);
    check_prelu(5000, 10, 1, false);
    let (a, b, c) = (numbers(100_003, 1), numbers(100_003, 2), numbers(100_003, 3));
    let srcs: [&[f32]; 3] = [&a, &b, &c];
    for k in available() {
        assert_threads_do_not_matter(|| {
            let (mut sum, mut max, mut mask) = (a.clone(), a.clone(), vec![0; a.len()]);
            k.eltwise_sum(&srcs, &[0.3, 0.7, -1.1], &mut sum);
            k.eltwise_max(&srcs, &mut max, Some(&mut mask));
            sum.extend(max);
            sum.extend(mask.iter().map(|&m| m as f32));
            sum
        });
    }
}
