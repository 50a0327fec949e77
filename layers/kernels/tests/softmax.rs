//! Softmax and its gradient.

mod support;

use cortado_kernels::{SrcDst, Write, available, reference};
use proptest::prelude::*;
use support::*;

fn check(outer: usize, c: usize, inner: usize, spread: f32) {
    let (n, shape) = (outer * c * inner, [outer, c, inner]);
    let x: Vec<f32> = numbers(n, 1).iter().map(|x| x * spread).collect();
    let dy = numbers(n, 2);
    let mut y_e = vec![0.0; n];
    reference::softmax::softmax_forward(shape, &x, &mut y_e);
    let mut dx_e = vec![0.0; n];
    reference::softmax::softmax_backward(shape, &y_e, &dy, &mut dx_e);
    let raised: Vec<f32> = dx_e.iter().map(|x| x + 1.0).collect();
    for k in available() {
        let mut y = vec![f32::NAN; n];
        k.softmax_forward(outer, c, inner, SrcDst::Apart(&x, &mut y));
        // The argument's own rounding: e^(x - max) can be no better than x - max is.
        assert_close(&y, &y_e, 1e-6 + 1e-7 * spread, 1e-37);
        let mut in_place = x.clone();
        k.softmax_forward(outer, c, inner, SrcDst::InPlace(&mut in_place));
        assert_same_bits(&in_place, &y);

        let mut dx = vec![f32::NAN; n];
        k.softmax_backward(outer, c, inner, &y_e, SrcDst::Apart(&dy, &mut dx), Write::Set);
        assert_close(&dx, &dx_e, 1e-5, 1e-7);
        dx.fill(1.0);
        k.softmax_backward(outer, c, inner, &y_e, SrcDst::Apart(&dy, &mut dx), Write::Add);
        assert_close(&dx, &raised, 1e-6, 0.0);
        dx.copy_from_slice(&dy);
        k.softmax_backward(outer, c, inner, &y_e, SrcDst::InPlace(&mut dx), Write::Set);
        assert_close(&dx, &dx_e, 1e-5, 1e-7);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn softmax_agrees(
        outer in 0..5_usize,
        c in 1..70_usize,
        inner in prop_oneof![Just(1_usize), 0..20_usize, 250..260_usize],
        spread in 0.1..60.0_f32,
    ) {
        check(outer, c, inner, spread);
    }
}

#[test]
fn a_thousand_classes_and_a_segmentation_agree() {
    check(50, 1000, 1, 5.0);
    check(1, 21, 5000, 5.0);
    check(3, 1, 7, 1.0);
}

#[test]
fn large_numbers_do_not_overflow_and_nan_shows() {
    for k in available() {
        for inner in [1, 2] {
            let x: Vec<f32> = [1e4, 1e4, -1e4].iter().flat_map(|&x| vec![x; inner]).collect();
            let mut y = vec![0.0; x.len()];
            k.softmax_forward(1, 3, inner, SrcDst::Apart(&x, &mut y));
            let expected: Vec<f32> = [0.5, 0.5, 0.0].iter().flat_map(|&x| vec![x; inner]).collect();
            assert_eq!(y, expected);
            let mut x = x;
            x[inner] = f32::NAN;
            k.softmax_forward(1, 3, inner, SrcDst::Apart(&x, &mut y));
            assert!(y[0].is_nan() && y[inner].is_nan() && y[2 * inner].is_nan());
        }
    }
}

#[test]
fn threads_do_not_matter() {
    for k in available() {
        for (outer, c, inner) in [(300, 1000, 1), (2, 21, 4000)] {
            let (x, dy) = (numbers(outer * c * inner, 5), numbers(outer * c * inner, 6));
            assert_threads_do_not_matter(|| {
                let (mut y, mut dx) = (x.clone(), dy.clone());
                k.softmax_forward(outer, c, inner, SrcDst::InPlace(&mut y));
                k.softmax_backward(outer, c, inner, &y, SrcDst::InPlace(&mut dx), Write::Set);
                [y, dx].concat()
            });
        }
    }
}
