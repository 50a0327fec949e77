//! The solvers' rules.

mod support;

use cortado_kernels::{Decay, Gradient, Kernels, available, reference};
use support::*;

const N: usize = 50_003;

/// Weights, gradient and two histories, positive where a root is taken of them.
fn state() -> [Vec<f32>; 4] {
    let positive = |seed| numbers(N, seed).iter().map(|x| x.abs()).collect();
    [numbers(N, 1), numbers(N, 2), positive(3), positive(4)]
}

/// A constant as the kernel sees it.
fn f(x: f32) -> f64 {
    f64::from(x)
}

/// A rule applied by the kernel and, element by element in f64, by its twin.
fn check(
    run: impl Fn(&Kernels, &mut [f32], Gradient<'_>, &mut [f32], &mut [f32]) + Sync,
    twin: impl Fn(f64, f64, [f64; 2]) -> (f64, [f64; 2]),
) {
    let [w, g, h0, h1] = state();
    let mut expected = [Vec::new(), Vec::new(), Vec::new()];
    for i in 0..N {
        let history = [f64::from(h0[i]), f64::from(h1[i])];
        let (w, [a, b]) = twin(f64::from(w[i]), f64::from(g[i]), history);
        expected[0].push(w as f32);
        expected[1].push(a as f32);
        expected[2].push(b as f32);
    }
    for k in available() {
        let after = || {
            let [mut w, mut g, mut h0, mut h1] = state();
            run(k, &mut w, (&mut g[..]).into(), &mut h0, &mut h1);
            [w, h0, h1].concat()
        };
        assert_close(&after(), &expected.concat(), 1e-6, 1e-6);
        assert_threads_do_not_matter(after);
    }
}

#[test]
fn sgd_follows_its_rule() {
    check(
        |k, w, g, v, _| k.sgd(w, g, v, 0.1, 0.9),
        |w, g, [v, u]| {
            let (w, v) = reference::update::sgd(w, g, v, f(0.1), f(0.9));
            (w, [v, u])
        },
    );
}

#[test]
fn nesterov_follows_its_rule() {
    check(
        |k, w, g, v, _| k.nesterov(w, g, v, 0.1, 0.9),
        |w, g, [v, u]| {
            let (w, v) = reference::update::nesterov(w, g, v, f(0.1), f(0.9));
            (w, [v, u])
        },
    );
}

#[test]
fn adagrad_follows_its_rule() {
    check(
        |k, w, g, h, _| k.adagrad(w, g, h, 0.1, 1e-8),
        |w, g, [h, u]| {
            let (w, h) = reference::update::adagrad(w, g, h, f(0.1), f(1e-8));
            (w, [h, u])
        },
    );
}

#[test]
fn rmsprop_follows_its_rule() {
    check(
        |k, w, g, h, _| k.rmsprop(w, g, h, 0.1, 0.98, 1e-8),
        |w, g, [h, u]| {
            let (w, h) = reference::update::rmsprop(w, g, h, f(0.1), f(0.98), f(1e-8));
            (w, [h, u])
        },
    );
}

#[test]
fn adadelta_follows_its_rule() {
    check(
        |k, w, g, hg, hu| k.adadelta(w, g, hg, hu, 0.5, 0.95, 1e-6),
        |w, g, h| reference::update::adadelta(w, g, h, f(0.5), f(0.95), f(1e-6)),
    );
}

#[test]
fn adam_follows_its_rule() {
    check(
        |k, w, g, m, v| k.adam(w, g, m, v, 0.1, 0.9, 0.999, 1e-8),
        |w, g, h| reference::update::adam(w, g, h, f(0.1), [f(0.9), f(0.999)], f(1e-8)),
    );
}

#[test]
fn gradients_are_scaled_and_weights_decay_in_the_same_sweep() {
    // Scale, decay, then gradients and weights behind a step of rate 1 without momentum.
    let table: [(f32, Decay, [f32; 4], [f32; 4]); 5] = [
        (1.0, Decay::None, [1.0; 4], [1.0, -4.0, -1.0, -1.0]),
        (0.25, Decay::None, [0.25; 4], [1.75, -3.25, -0.25, -0.25]),
        (1.0, Decay::L2(0.5), [2.0, -0.5, 1.0, 1.0], [0.0, -2.5, -1.0, -1.0]),
        (2.0, Decay::L1(0.5), [2.5, 1.5, 2.0, 2.0], [-0.5, -4.5, -2.0, -2.0]),
        (1.0, Decay::Weights(0.5), [1.0; 4], [0.0, -2.5, -1.0, -1.0]),
    ];
    for k in available() {
        for (scale, decay, slope, moved) in table {
            let (mut w, mut g, mut v) = ([2.0, -3.0, 0.0, -0.0], [1.0; 4], [0.0; 4]);
            k.sgd(&mut w, Gradient { values: &mut g, scale, decay }, &mut v, 1.0, 0.0);
            assert_eq!((g, w), (slope, moved), "{scale}, {decay:?}");
        }
    }
}
