//! Pooling: Caffe's window rules, and every kernel against the plain loops.

mod support;

use cortado_kernels::{PoolGeometry, PoolWindow, Round, Write, available, reference};
use proptest::prelude::*;
use support::*;

fn size(input: usize, kernel: usize, stride: usize, pad: usize, round: Round) -> Option<usize> {
    PoolGeometry::output_size(input, kernel, stride, pad, pad > 0, round)
}

#[test]
fn output_sizes_follow_caffe() {
    assert_eq!(size(112, 3, 2, 0, Round::Ceil), Some(56));
    assert_eq!(size(112, 3, 2, 0, Round::Floor), Some(55));
    assert_eq!(size(7, 7, 1, 0, Round::Ceil), Some(1));
    // The last window would start in the padding: dropped.
    assert_eq!(size(5, 2, 2, 1, Round::Ceil), Some(3));
    assert_eq!(size(6, 2, 2, 1, Round::Ceil), Some(4));
    assert_eq!(size(7, 2, 2, 1, Round::Ceil), Some(4));
    // No padding anywhere: the window outside stays, unless another axis is padded.
    assert_eq!(size(9, 2, 3, 0, Round::Ceil), Some(4));
    assert_eq!(PoolGeometry::output_size(9, 2, 3, 0, true, Round::Ceil), Some(3));
    // A window larger than the source is clipped when rounding up, impossible otherwise.
    assert_eq!(size(1, 2, 2, 0, Round::Ceil), Some(1));
    assert_eq!(size(1, 2, 2, 0, Round::Floor), None);
    assert_eq!(size(1, 3, 1, 0, Round::Ceil), None);
    assert_eq!(size(4, 0, 1, 0, Round::Ceil), None);
    assert_eq!(size(4, 2, 0, 0, Round::Ceil), None);
    assert_eq!(size(usize::MAX, 2, 1, 1, Round::Ceil), None);
    assert_eq!(size(4, 2, 1, usize::MAX, Round::Ceil), None);
}

/// (input, kernel, stride, pad, round) of each axis.
type Axis = (usize, usize, usize, usize, Round);

fn geometry(n: usize, c: usize, axes: &[Axis]) -> Option<PoolGeometry> {
    let any_pad = axes.iter().any(|axis| axis.3 > 0);
    let window = |&(input, kernel, stride, pad, round): &Axis| {
        let output = PoolGeometry::output_size(input, kernel, stride, pad, any_pad, round)?;
        Some(PoolWindow { input, output, kernel, stride, pad })
    };
    Some(PoolGeometry { n, c, windows: axes.iter().map(window).collect::<Option<_>>()? })
}

fn check(g: &PoolGeometry, src: &[f32]) {
    let (inputs, outputs) = (g.input_len(), g.output_len());
    let dy = integers(outputs, 77);
    let (mut max_e, mut mask_e) = (vec![0.0; outputs], vec![0; outputs]);
    let (mut ave_e, mut test_e) = (vec![0.0; outputs], vec![0.0; outputs]);
    let (mut max_dx_e, mut ave_dx_e) = (vec![1.0; inputs], vec![1.0; inputs]);
    reference::pool::max_pool_forward(g, src, &mut max_e, &mut mask_e);
    reference::pool::max_pool_backward(g, &dy, &mask_e, &mut max_dx_e);
    reference::pool::ave_pool_forward(g, src, &mut ave_e);
    reference::pool::ave_pool_backward(g, &dy, &mut ave_dx_e);
    // Activations that are drawn from are not negative.
    let sizes: Vec<f32> = src.iter().map(|x| x.abs()).collect();
    reference::pool::stochastic_pool_test(g, &sizes, &mut test_e);
    for k in available() {
        let (mut dst, mut mask) = (vec![f32::NAN; outputs], vec![7; outputs]);
        k.max_pool_forward(g, src, &mut dst, Some(&mut mask));
        assert_eq!(dst, max_e, "{g:?}");
        assert_eq!(mask, mask_e, "{g:?}");
        dst.fill(f32::NAN);
        k.max_pool_forward(g, src, &mut dst, None);
        assert_eq!(dst, max_e, "{g:?}");
        k.ave_pool_forward(g, src, &mut dst);
        assert_close(&dst, &ave_e, 1e-6, 1e-6);
        k.stochastic_pool_test(g, &sizes, &mut dst);
        assert_close(&dst, &test_e, 1e-5, 1e-5);

        let mut dx = vec![1.0; inputs];
        k.max_pool_backward(g, &dy, &mask, Write::Add, &mut dx);
        assert_close(&dx, &max_dx_e, 1e-6, 1e-6);
        let from_zero: Vec<f32> = max_dx_e.iter().map(|x| x - 1.0).collect();
        dx.fill(f32::NAN);
        k.max_pool_backward(g, &dy, &mask, Write::Set, &mut dx);
        assert_close(&dx, &from_zero, 1e-6, 1e-6);
        dx.fill(1.0);
        k.ave_pool_backward(g, &dy, Write::Add, &mut dx);
        assert_close(&dx, &ave_dx_e, 1e-5, 1e-5);
        let from_zero: Vec<f32> = ave_dx_e.iter().map(|x| x - 1.0).collect();
        dx.fill(f32::NAN);
        k.ave_pool_backward(g, &dy, Write::Set, &mut dx);
        assert_close(&dx, &from_zero, 1e-5, 1e-5);
    }
}

fn check_both(g: &PoolGeometry) {
    // Ties and plain numbers.
    check(g, &integers(g.input_len(), 5));
    check(g, &numbers(g.input_len(), 6));
}

#[test]
fn the_poolings_of_known_networks_agree() {
    use Round::{Ceil, Floor};
    for (input, kernel, stride, pad, round) in [
        (28, 2, 2, 0, Ceil),
        (27, 3, 2, 0, Ceil),
        (14, 3, 1, 1, Ceil),
        (7, 7, 1, 0, Ceil),
        (28, 3, 2, 1, Floor),
        (35, 3, 2, 1, Ceil),
        (12, 5, 3, 2, Ceil),
        (8, 2, 3, 0, Ceil),
        (11, 2, 3, 0, Ceil),
        (6, 6, 6, 0, Ceil),
        (5, 2, 2, 1, Ceil),
        (1, 2, 2, 0, Ceil),
        (9, 1, 2, 0, Ceil),
        (9, 1, 1, 0, Ceil),
        (4, 4, 1, 3, Ceil),
    ] {
        let axis = (input, kernel, stride, pad, round);
        check_both(&geometry(2, 3, &[axis, axis]).unwrap());
        check_both(&geometry(2, 3, &[axis]).unwrap());
    }
    check_both(&geometry(1, 2, &[]).unwrap());
    check_both(&geometry(0, 3, &[(4, 2, 2, 0, Ceil), (4, 2, 2, 0, Ceil)]).unwrap());
}

fn axis() -> impl Strategy<Value = Axis> {
    let round = prop_oneof![Just(Round::Ceil), Just(Round::Floor)];
    (1..20_usize, 1..6_usize, 1..6_usize, 0..5_usize, round).prop_map(
        |(input, kernel, stride, pad, round)| (input, kernel, stride, pad.min(kernel - 1), round),
    )
}

fn small_axis() -> impl Strategy<Value = Axis> {
    axis()
        .prop_map(|(input, kernel, stride, pad, round)| (input.min(6), kernel, stride, pad, round))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn one_and_two_axes_agree(axes in prop::collection::vec(axis(), 1..=2), c in 1..4_usize) {
        if let Some(g) = geometry(2, c, &axes) {
            check_both(&g);
        }
    }

    #[test]
    fn more_axes_agree(axes in prop::collection::vec(small_axis(), 3..=4)) {
        if let Some(g) = geometry(1, 2, &axes) {
            check_both(&g);
        }
    }
}

#[test]
fn a_window_over_nothing_has_no_maximum_and_no_gradient() {
    let g = geometry(1, 1, &[(9, 2, 3, 0, Round::Ceil), (9, 2, 3, 0, Round::Ceil)]).unwrap();
    for k in available() {
        let (mut dst, mut mask) = (vec![0.0; 16], vec![0; 16]);
        k.max_pool_forward(&g, &[1.0; 81], &mut dst, Some(&mut mask));
        assert_eq!((dst[3], mask[3], dst[0], mask[0]), (f32::MIN, u32::MAX, 1.0, 0));
        k.ave_pool_forward(&g, &[1.0; 81], &mut dst);
        assert_eq!((dst[3], dst[0]), (0.0, 1.0));
        let mut dx = vec![f32::NAN; 81];
        k.ave_pool_backward(&g, &[1.0; 16], Write::Set, &mut dx);
        assert!((dx.iter().sum::<f32>() - 9.0).abs() < 1e-5);
    }
}

#[test]
fn neither_nan_nor_minus_infinity_is_a_maximum() {
    let g = geometry(1, 1, &[(4, 2, 2, 0, Round::Ceil)]).unwrap();
    let src = [f32::NAN, 1.0, f32::NEG_INFINITY, f32::NAN];
    for k in available() {
        let (mut dst, mut mask) = ([0.0; 2], [0; 2]);
        k.max_pool_forward(&g, &src, &mut dst, Some(&mut mask));
        assert_eq!((dst, mask), ([1.0, f32::MIN], [1, u32::MAX]));
        k.max_pool_forward(&g, &src, &mut dst, None);
        assert_eq!(dst, [1.0, f32::MIN]);
    }
}

#[test]
fn stochastic_pooling_draws_by_value() {
    let g = geometry(1, 2, &[(4, 2, 2, 0, Round::Ceil), (2, 2, 2, 0, Round::Ceil)]).unwrap();
    // Plane 0: windows {1, 2, 3, 4} and all zeros; plane 1: {0, 0, 5, 0} and {8, 0, 0, 2}.
    let src = [1., 2., 3., 4., 0., 0., 0., 0., 0., 0., 5., 0., 8., 0., 0., 2.];
    for k in available() {
        let (mut dst, mut mask) = ([9.0; 4], [9; 4]);
        k.stochastic_pool_train(&g, &src, &[0.05, 0.5, 0.5, 0.75], &mut dst, &mut mask);
        assert_eq!((dst, mask), ([1.0, 0.0, 5.0, 8.0], [0, 4, 2, 4]));
        k.stochastic_pool_train(&g, &src, &[0.59, 0.0, 0.99, 0.85], &mut dst, &mut mask);
        assert_eq!((dst, mask), ([3.0, 0.0, 5.0, 2.0], [2, 4, 2, 7]));
    }
}

#[test]
fn threads_do_not_matter() {
    let axis = (56, 3, 2, 1, Round::Ceil);
    for g in [geometry(2, 40, &[axis, axis]), geometry(1, 8, &[(18, 3, 2, 1, Round::Ceil); 3])] {
        let g = g.unwrap();
        let (x, dy) = (numbers(g.input_len(), 1), numbers(g.output_len(), 2));
        for k in available() {
            assert_threads_do_not_matter(|| {
                let (mut max, mut mask) = (vec![0.0; dy.len()], vec![0; dy.len()]);
                let (mut ave, mut dx, mut spread) = (dy.clone(), x.clone(), x.clone());
                k.max_pool_forward(&g, &x, &mut max, Some(&mut mask));
                k.max_pool_backward(&g, &dy, &mask, Write::Set, &mut dx);
                k.ave_pool_forward(&g, &x, &mut ave);
                k.ave_pool_backward(&g, &dy, Write::Set, &mut spread);
                [max, ave, dx, spread].concat()
            });
        }
    }
}
