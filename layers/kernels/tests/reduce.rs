//! Sums over everything and over channels.

mod support;

use cortado_kernels::{available, reference};
use proptest::prelude::*;
use support::*;

#[test]
fn sums_of_every_length_agree() {
    for k in available() {
        for n in [0, 1, 15, 16, 17, 1000, 32_767, 32_768, 32_769, 100_003] {
            // Integers: any order of summation gives the exact result.
            let (a, b) = (integers(n, 1), integers(n, 2));
            let ones = vec![1.0; n];
            let sizes: Vec<f32> = a.iter().map(|x| x.abs()).collect();
            assert_eq!(k.sum(&a), reference::reduce::dot(&a, &ones));
            assert_eq!(k.asum(&a), reference::reduce::dot(&sizes, &ones));
            assert_eq!(k.sum_sq(&a), reference::reduce::dot(&a, &a));
            assert_eq!(k.dot(&a, &b), reference::reduce::dot(&a, &b));
        }
    }
}

#[test]
fn a_long_sum_keeps_small_terms() {
    let mut x = vec![0.1_f32; 1 << 20];
    x[0] = 1e8;
    for k in available() {
        let expected = 1e8 + f64::from(0.1_f32) * ((1 << 20) - 1) as f64;
        assert!((k.sum(&x) - expected).abs() < 1e-3);
    }
}

fn check_channels(outer: usize, c: usize, inner: usize) {
    let n = outer * c * inner;
    let (a, b) = (integers(n, 3), integers(n, 4));
    let ones = vec![1.0; n];
    let (mut sums, mut dots) = (vec![1.0; c], vec![1.0; c]);
    reference::reduce::dot_channels([outer, c, inner], &a, &ones, &mut sums);
    reference::reduce::dot_channels([outer, c, inner], &a, &b, &mut dots);
    for k in available() {
        let (mut out, mut products) = (vec![1.0; c], vec![1.0; c]);
        k.sum_channels(outer, c, inner, &a, &mut out);
        k.dot_channels(outer, c, inner, &a, &b, &mut products);
        assert!(out.iter().zip(&sums).all(|(&a, &e)| f64::from(a) == e), "{outer} {c} {inner}");
        assert!(products.iter().zip(&dots).all(|(&a, &e)| f64::from(a) == e));
    }
}

#[test]
fn large_and_lopsided_shapes_agree() {
    let shapes = [
        (1, 1, 70_000),
        (2, 3, 40_000),
        (300, 2, 200),
        (5000, 10, 1),
        (3, 1000, 1),
        (100, 300, 3),
        (70_000, 1, 1),
        (0, 3, 5),
        (3, 0, 5),
        (3, 5, 0),
        (1, 1, 1),
    ];
    for (outer, c, inner) in shapes {
        check_channels(outer, c, inner);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn channel_sums_agree(outer in 0..6_usize, c in 0..40_usize, inner in 0..60_usize) {
        check_channels(outer, c, inner);
    }
}

#[test]
fn threads_do_not_matter() {
    for k in available() {
        for (outer, c, inner) in [(1, 1, 300_007), (37, 3, 1000), (3000, 50, 1), (2, 7, 9000)] {
            let (a, b) = (numbers(outer * c * inner, 5), numbers(outer * c * inner, 6));
            assert_threads_do_not_matter(|| {
                let mut out = vec![0.0; c];
                k.dot_channels(outer, c, inner, &a, &b, &mut out);
                k.sum_channels(outer, c, inner, &a, &mut out);
                let whole = k.dot(&a, &b);
                out.extend([whole as f32, (whole - f64::from(whole as f32)) as f32]);
                out
            });
        }
    }
}
