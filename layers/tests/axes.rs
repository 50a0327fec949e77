//! Pooling, LRN and BatchNorm over other numbers of axes than the original's two; STOCHASTIC pooling.

use cortado_layers::check::SingleLayer;
use cortado_layers::{Phase, Registry, RngKey, Shape, Tensor};

fn tensor(dims: &[usize], value: impl Fn(usize) -> f32) -> Tensor {
    let mut tensor = Tensor::zeros(Shape::new(dims));
    tensor.data_mut().iter_mut().enumerate().for_each(|(i, v)| *v = value(i));
    tensor
}

/// No two neighbours are equal, and none is very small.
fn wave(i: usize) -> f32 {
    1.5 + (i as f32 * 12.9898).sin()
}

fn layer(layer: &str, phase: Phase, bottom: Tensor) -> SingleLayer {
    let text = format!(r#"layer {{ name: "l" bottom: "x" top: "y" {layer} }}"#);
    SingleLayer::build(&Registry::builtin(), &text, phase, vec![bottom])
        .unwrap_or_else(|e| panic!("{layer}: {e}"))
}

/// Top and bottom diff of a layer on a bottom of these dims.
fn passes(text: &str, dims: &[usize]) -> (Vec<f32>, Vec<f32>) {
    let mut single = layer(text, Phase::Train, tensor(dims, wave));
    single.forward().unwrap_or_else(|e| panic!("{text}: {e}"));
    let dy = tensor(single.tops[0].shape(), |i| wave(3 * i) - 1.0);
    let gradients = single.backward(&[dy]).unwrap_or_else(|e| panic!("{text}: {e}"));
    let dx = gradients.bottoms[0].as_ref().map(|diff| diff.data().to_vec()).unwrap_or_default();
    (single.tops[0].data().to_vec(), dx)
}

/// Both layers give the same numbers on the same elements.
fn same(a: (&str, &[usize]), b: (&str, &[usize])) {
    let ((y_a, dx_a), (y_b, dx_b)) = (passes(a.0, a.1), passes(b.0, b.1));
    for (found, wanted) in [(&y_a, &y_b), (&dx_a, &dx_b)] {
        assert_eq!(found.len(), wanted.len(), "{a:?} {b:?}");
        let close = |(f, w): (&f32, &f32)| (f - w).abs() <= 1e-5 * w.abs().max(1.0);
        assert!(found.iter().zip(wanted).all(close), "{a:?} {b:?}\n{found:?}\n{wanted:?}");
    }
}

#[test]
fn pooling_of_one_axis_is_pooling_of_one_row() {
    for pool in ["MAX", "AVE"] {
        let window = "kernel_size: 3 stride: 2 pad: 1";
        let row = "kernel_h: 1 kernel_w: 3 stride_h: 1 stride_w: 2 pad_h: 0 pad_w: 1";
        let text =
            |window: &str| format!(r#"type: "Pooling" pooling_param {{ pool: {pool} {window} }}"#);
        same((&text(window), &[2, 3, 8]), (&text(row), &[2, 3, 1, 8]));
    }
}

#[test]
fn pooling_of_three_axes_pools_each() {
    let text = r#"type: "Pooling" pooling_param { pool: MAX kernel_size: 2 stride: 2 }"#;
    let mut single = layer(text, Phase::Test, tensor(&[1, 1, 3, 2, 2], |i| i as f32));
    single.forward().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(single.tops[0].shape().to_string(), "1x1x2x1x1");
    assert_eq!(single.tops[0].data(), [7.0, 11.0]);
    let text = r#"type: "Pooling" pooling_param { pool: AVE global_pooling: true }"#;
    let mut single = layer(text, Phase::Test, tensor(&[1, 1, 3, 2, 2], |i| i as f32));
    single.forward().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(single.tops[0].data(), [5.5]);
}

#[test]
fn channels_are_normalised_alike_whatever_lies_behind_them() {
    for text in
        [r#"type: "LRN" lrn_param { local_size: 3 alpha: 0.5 k: 2 }"#, r#"type: "BatchNorm""#]
    {
        let four: (&str, &[usize]) = (text, &[2, 5, 3, 4]);
        same((text, &[2, 5, 12]), four);
        same((text, &[2, 5, 3, 2, 2]), four);
        same((text, &[6, 4]), (text, &[6, 4, 1, 1]));
    }
    same((r#"type: "BatchNorm""#, &[10]), (r#"type: "BatchNorm""#, &[10, 1]));
}

#[test]
fn lrn_within_channels_takes_the_mean_over_all_spatial_axes() {
    let text = r#"type: "LRN" lrn_param { local_size: 3 norm_region: WITHIN_CHANNEL }"#;
    for (dims, neighbours) in
        [(&[1, 1, 3][..], 3.0f32), (&[1, 1, 3, 3], 9.0), (&[1, 1, 3, 3, 3], 27.0)]
    {
        let mut single = layer(text, Phase::Test, tensor(dims, wave));
        single.forward().unwrap_or_else(|e| panic!("{e}"));
        let (x, y) = (single.bottoms[0].data(), single.tops[0].data());
        let centre = x.len() / 2;
        let sum: f32 = x.iter().map(|x| x * x).sum();
        let wanted = x[centre] * (1.0 + sum / neighbours).powf(-0.75);
        assert!((y[centre] - wanted).abs() < 1e-5, "{dims:?}: {} {wanted}", y[centre]);
    }
}

const STOCHASTIC: &str =
    r#"type: "Pooling" pooling_param { pool: STOCHASTIC kernel_size: 2 stride: 2 }"#;

#[test]
fn stochastic_pooling_draws_what_it_expects_in_test() {
    for dims in [&[1, 2, 6][..], &[1, 2, 4, 4], &[1, 1, 2, 4, 2]] {
        let mut test = layer(STOCHASTIC, Phase::Test, tensor(dims, wave));
        test.forward().unwrap_or_else(|e| panic!("{e}"));
        let mut train = layer(STOCHASTIC, Phase::Train, tensor(dims, wave));
        const PASSES: u32 = 4000;
        let mut sums = vec![0f64; train.tops[0].data().len()];
        for pass in 0..PASSES {
            train.key = RngKey { seed: 1, pass: pass.into(), replica: 0 };
            train.forward().unwrap_or_else(|e| panic!("{e}"));
            let drawn = train.tops[0].data();
            sums.iter_mut().zip(drawn).for_each(|(sum, &y)| *sum += f64::from(y));
        }
        for (sum, &wanted) in sums.iter().zip(test.tops[0].data()) {
            // Deviations of a mean of 4000 numbers from 0.5 to 2.5 are below 0.016.
            let mean = sum / f64::from(PASSES);
            assert!((mean - f64::from(wanted)).abs() < 0.06, "{dims:?}: {mean} {wanted}");
        }
    }
}

#[test]
fn stochastic_pooling_passes_the_gradient_to_what_it_drew() {
    let (y, dx) = passes(STOCHASTIC, &[1, 2, 4, 4]);
    let dy: Vec<f32> = (0..y.len()).map(|i| wave(3 * i) - 1.0).collect();
    let mut passed: Vec<f32> = dx.iter().copied().filter(|&d| d != 0.0).collect();
    let (mut wanted, x) = (dy.clone(), tensor(&[1, 2, 4, 4], wave));
    passed.sort_by(f32::total_cmp);
    wanted.sort_by(f32::total_cmp);
    assert_eq!(passed, wanted);
    for (&y, &dy) in y.iter().zip(&dy) {
        let at = dx.iter().position(|&d| d == dy);
        assert_eq!(at.map(|at| x.data()[at]), Some(y));
    }
}
