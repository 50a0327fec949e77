//! Moments, affine maps, batch normalisation's gradient, local response normalisation.

mod support;

use cortado_kernels::reference::lrn::Lrn;
use cortado_kernels::{
    Blocked, BlockedRef, Kernels, Normalizer, SrcDst, Write, available, reference,
};
use proptest::prelude::*;
use support::*;

fn check_moments(k: &Kernels, shape: [usize; 3], src: &[f32], rtol: f32) {
    let [outer, c, inner] = shape;
    let (mut mean, mut var) = (vec![f32::NAN; c], vec![f32::NAN; c]);
    let (mut mean_e, mut var_e) = (mean.clone(), var.clone());
    k.moments(outer, c, inner, src, &mut mean, &mut var);
    reference::norm::moments(shape, src, &mut mean_e, &mut var_e);
    assert_close(&mean, &mean_e, rtol, 1e-12);
    assert_close(&var, &var_e, rtol, 1e-12);
    let of = in_blocks(shape);
    k.moments_blocked(of, &to_blocks(k, of, src), &mut mean, &mut var);
    assert_close(&mean, &mean_e, rtol, 1e-12);
    assert_close(&var, &var_e, rtol, 1e-12);
}

fn in_blocks([outer, c, inner]: [usize; 3]) -> Blocked {
    Blocked { n: outer, c, h: inner, w: 1, halo: 0 }
}

fn to_blocks(k: &Kernels, of: Blocked, values: &[f32]) -> Vec<f32> {
    let mut blocks = vec![f32::NAN; of.len()];
    k.to_blocked(values, of, &mut blocks);
    blocks
}

fn from_blocks(k: &Kernels, of: Blocked, blocks: &[f32]) -> Vec<f32> {
    let mut values = vec![f32::NAN; of.n * of.c * of.h * of.w];
    k.from_blocked(BlockedRef::new(blocks, of), of.c, &mut values);
    values
}

#[test]
fn moments_stay_accurate_far_from_zero() {
    for k in available() {
        for shape in [[4, 5, 300], [400, 5, 1], [60, 7, 3], [1, 1, 100_000]] {
            let n = shape.iter().product();
            for (offset, scale) in [(0.0, 1.0), (1000.0, 0.1), (-1e6, 1.0), (0.0, 1e-15)] {
                let x: Vec<f32> = numbers(n, 9).iter().map(|x| x * scale + offset).collect();
                check_moments(k, shape, &x, 1e-6);
            }
        }
    }
}

#[test]
fn a_first_element_far_off_does_not_hurt_the_variance() {
    for k in available() {
        let mut x = numbers(50_000, 1);
        x[0] = 1e6;
        check_moments(k, [1, 1, 50_000], &x, 1e-6);
    }
}

#[test]
fn a_constant_channel_has_no_variance() {
    for k in available() {
        for inner in [1, 100] {
            let x = vec![0.1; 30 * 2 * inner];
            let (mut mean, mut var) = ([0.0; 2], [1.0; 2]);
            k.moments(30, 2, inner, &x, &mut mean, &mut var);
            assert_eq!((mean, var), ([0.1; 2], [0.0; 2]));
        }
    }
}

#[test]
fn no_elements_have_zero_moments_and_nan_shows() {
    for k in available() {
        let (mut mean, mut var) = ([1.0; 3], [1.0; 3]);
        k.moments(0, 3, 7, &[], &mut mean, &mut var);
        assert_eq!((mean, var), ([0.0; 3], [0.0; 3]));
        let mut x = numbers(60, 2);
        x[25] = f32::NAN;
        k.moments(1, 3, 20, &x, &mut mean, &mut var);
        assert!(mean[1].is_nan() && var[1].is_nan() && !mean[0].is_nan() && !mean[2].is_nan());
    }
}

/// Runs a backward kernel in its three ways of writing; all must agree with `expected`.
fn check_ways(diff: &[f32], expected: &[f32], tolerance: f32, run: impl Fn(SrcDst<'_>, Write)) {
    let mut set = vec![f32::NAN; diff.len()];
    run(SrcDst::Apart(diff, &mut set), Write::Set);
    assert_close(&set, expected, tolerance, tolerance);
    let mut added = vec![10.0; diff.len()];
    run(SrcDst::Apart(diff, &mut added), Write::Add);
    let raised: Vec<f32> = expected.iter().map(|x| x + 10.0).collect();
    assert_close(&added, &raised, tolerance, tolerance);
    let mut in_place = diff.to_vec();
    run(SrcDst::InPlace(&mut in_place), Write::Set);
    assert_close(&in_place, expected, tolerance, tolerance);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn moments_agree(outer in 1..6_usize, c in 1..40_usize, inner in 1..60_usize, seed: u64) {
        for k in available() {
            check_moments(k, [outer, c, inner], &numbers(outer * c * inner, seed), 2e-6);
        }
    }

    #[test]
    fn affine_maps_agree(outer in 0..6_usize, c in 1..300_usize, inner in 0..30_usize, seed: u64) {
        let n = outer * c * inner;
        let (x, scale, shift) = (integers(n, seed), integers(c, 1), integers(c, 2));
        let mut expected = vec![0.0; n];
        reference::norm::affine_channels([outer, c, inner], &x, &scale, &shift, &mut expected);
        let mut unshifted = vec![0.0; n];
        let zeros = vec![0.0; c];
        reference::norm::affine_channels([outer, c, inner], &x, &scale, &zeros, &mut unshifted);
        for k in available() {
            let mut y = vec![0.0; n];
            k.affine_channels(outer, c, inner, SrcDst::Apart(&x, &mut y), &scale, Some(&shift));
            prop_assert_eq!(&y, &expected);
            k.affine_channels(outer, c, inner, SrcDst::Apart(&x, &mut y), &scale, None);
            prop_assert_eq!(&y, &unshifted);
            y.copy_from_slice(&x);
            k.affine_channels(outer, c, inner, SrcDst::InPlace(&mut y), &scale, Some(&shift));
            prop_assert_eq!(&y, &expected);
            y.copy_from_slice(&x);
            k.mul_channels(outer, c, inner, SrcDst::InPlace(&mut y), &scale);
            prop_assert_eq!(&y, &unshifted);
        }
    }

    #[test]
    fn batch_norm_gradients_agree(outer in 1..6_usize, c in 1..300_usize, inner in 1..30_usize) {
        let n = outer * c * inner;
        let (x, dy, inv_std) = (numbers(n, 1), numbers(n, 2), numbers(c, 3));
        let mut expected = vec![0.0; n];
        reference::norm::batch_norm_backward([outer, c, inner], &x, &inv_std, &dy, &mut expected);
        for k in available() {
            check_ways(&dy, &expected, 2e-6, |diff, write| {
                k.batch_norm_backward(outer, c, inner, &x, &inv_std, diff, write);
            });
        }
    }

    #[test]
    fn a_normaliser_is_its_layers_one_by_one(
        outer in 1..6_usize,
        c in 1..70_usize,
        inner in prop_oneof![1..30_usize, 500..520_usize],
        relu: bool,
    ) {
        let n = outer * c * inner;
        let (x, dy) = (numbers(n, 1), numbers(n, 2));
        let of: [Vec<f32>; 4] = [3, 4, 5, 6].map(|seed| numbers(c, seed));
        let [mean, inv_std, gamma, beta] = of.each_ref().map(|of| &of[..]);
        let shape = [outer, c, inner];
        let (mut y_e, mut dx_e) = (vec![0.0; n], vec![0.0; n]);
        let (mut dgamma_e, mut dbeta_e) = (vec![1.0; c], vec![2.0; c]);
        // In f64, so that the two differ in the sign of a result near 0 as seldom as can be.
        let wide = |of: &[f32]| of.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
        let numbers = of.each_ref().map(|of| wide(of));
        reference::norm::normalize(
            shape, numbers.each_ref().map(|of| &of[..]), relu, &wide(&x), &wide(&dy), &mut y_e,
            &mut dx_e, [&mut dgamma_e, &mut dbeta_e],
        );
        // Where it is the last bit that decides whether an element passes, anything goes.
        let near = |i: usize| {
            let ch = i / inner % c;
            relu && (f64::from(gamma[ch]) * f64::from(x[i] - mean[ch]) * f64::from(inv_std[ch])
                + f64::from(beta[ch])).abs() < 1e-5
        };
        prop_assume!(!(0..n).any(near));
        let narrow = |of: &[f64]| of.iter().map(|&x| x as f32).collect::<Vec<f32>>();
        for k in available() {
            let of = Normalizer { mean, inv_std, gamma, beta, relu };
            let check = |y: &[f32], diff: &[f32], dgamma: &[f32], dbeta: &[f32]| {
                assert_close(y, &narrow(&y_e), 1e-5, 1e-5);
                assert_close(diff, &narrow(&dx_e), 1e-5, 2e-5);
                assert_close(dgamma, &narrow(&dgamma_e), 1e-5, 1e-4);
                assert_close(dbeta, &narrow(&dbeta_e), 1e-5, 1e-4);
            };
            let (mut y, mut diff) = (vec![f32::NAN; n], dy.clone());
            let (mut dgamma, mut dbeta) = (vec![1.0; c], vec![2.0; c]);
            k.normalize(shape, of, &x, &mut y);
            k.normalize_backward(shape, of, &x, &mut diff, [Some(&mut dgamma), Some(&mut dbeta)]);
            check(&y, &diff, &dgamma, &dbeta);
            let blocks = in_blocks(shape);
            let (x, mut diff) = (to_blocks(k, blocks, &x), to_blocks(k, blocks, &dy));
            let (mut dgamma, mut dbeta) = (vec![1.0; c], vec![2.0; c]);
            let mut y = vec![f32::NAN; x.len()];
            k.normalize_blocked(blocks, of, &x, &mut y);
            let sums = [Some(&mut dgamma[..]), Some(&mut dbeta[..])];
            k.normalize_backward_blocked(blocks, of, &x, &mut diff, sums);
            check(&from_blocks(k, blocks, &y), &from_blocks(k, blocks, &diff), &dgamma, &dbeta);
            for (i, (y, dx)) in y.iter().zip(&diff).enumerate() {
                let (block, lane) = (i / 16 / inner % blocks.blocks(), i % 16);
                let is_zero = (*y, *dx) == (0.0, 0.0);
                prop_assert!(block * 16 + lane < c || is_zero, "a lane past the last: {y} {dx}");
            }
        }
    }

    #[test]
    fn lrn_agrees(
        outer in 1..3_usize,
        c in 1..40_usize,
        inner in prop_oneof![1..20_usize, 250..270_usize],
        size in 1..8_usize,
        beta in prop_oneof![Just(0.75_f32), Just(0.5), Just(1.0), 0.1..2.0_f32],
    ) {
        check_lrn([outer, c, inner], Lrn { size, alpha: 0.7, beta: f64::from(beta), k: 1.5 });
    }
}

fn check_lrn(shape: [usize; 3], lrn: Lrn) {
    let [outer, c, inner] = shape;
    let n = outer * c * inner;
    let Lrn { size, .. } = lrn;
    let (alpha, beta, base) = (lrn.alpha as f32, lrn.beta as f32, lrn.k as f32);
    let (x, dy) = (numbers(n, 1), numbers(n, 2));
    let (mut scale_e, mut y_e, mut dx_e) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
    reference::lrn::lrn_across_forward(shape, lrn, &x, &mut scale_e, &mut y_e);
    reference::lrn::lrn_across_backward(shape, lrn, &x, &scale_e, &dy, &mut dx_e);
    for k in available() {
        let (mut scale, mut y) = (vec![f32::NAN; n], vec![f32::NAN; n]);
        k.lrn_across_forward(outer, c, inner, size, alpha, beta, base, &x, &mut scale, &mut y);
        assert_close(&scale, &scale_e, 1e-6, 0.0);
        assert_close(&y, &y_e, 1e-6, 1e-7);
        let mut dx = vec![f32::NAN; n];
        for (write, more) in [(Write::Set, 0.0), (Write::Add, 3.0)] {
            if write == Write::Add {
                dx.fill(3.0);
            }
            k.lrn_across_backward(
                outer, c, inner, size, alpha, beta, &x, &y, &scale, &dy, write, &mut dx,
            );
            let expected: Vec<f32> = dx_e.iter().map(|x| x + more).collect();
            assert_close(&dx, &expected, 2e-6, 1e-6);
        }
    }
}

#[test]
fn lrn_takes_windows_wider_than_the_channels_and_alexnets() {
    check_lrn([2, 3, 10], Lrn { size: 5, alpha: 1.0, beta: 0.75, k: 1.0 });
    check_lrn([1, 96, 27 * 27], Lrn { size: 5, alpha: 1e-4, beta: 0.75, k: 1.0 });
    check_lrn([1, 20, 10], Lrn { size: 41, alpha: 1.0, beta: 0.75, k: 2.0 });
}

#[test]
fn threads_do_not_matter() {
    for k in available() {
        for (outer, c, inner) in [(4, 40, 1000), (2000, 50, 1), (1, 2, 60_000)] {
            let n = outer * c * inner;
            let (x, dy) = (numbers(n, 5), numbers(n, 6));
            assert_threads_do_not_matter(|| {
                let (mut mean, mut var) = (vec![0.0; c], vec![0.0; c]);
                k.moments(outer, c, inner, &x, &mut mean, &mut var);
                let mut dx = dy.clone();
                let diff = SrcDst::InPlace(&mut dx);
                k.batch_norm_backward(outer, c, inner, &x, &var, diff, Write::Set);
                let (mut scale, mut y, mut d) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
                k.lrn_across_forward(outer, c, inner, 5, 1.0, 0.75, 1.0, &x, &mut scale, &mut y);
                k.lrn_across_backward(
                    outer,
                    c,
                    inner,
                    5,
                    1.0,
                    0.75,
                    &x,
                    &y,
                    &scale,
                    &dy,
                    Write::Set,
                    &mut d,
                );
                [mean, var, dx, y, d].concat()
            });
        }
    }
}
