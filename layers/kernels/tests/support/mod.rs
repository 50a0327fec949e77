//! Numbers and comparisons that the tests of several families share.
#![allow(dead_code)]

/// `n` reproducible numbers of [-1, 1).
pub fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// `n` reproducible small integers: sums are exact and ties are frequent.
pub fn integers(n: usize, seed: u64) -> Vec<f32> {
    numbers(n, seed).into_iter().map(|x| (x * 3.0).round()).collect()
}

/// Every element within `atol + rtol * |expected|`; NaN only where NaN is expected.
#[track_caller]
pub fn assert_close(actual: &[f32], expected: &[f32], rtol: f32, atol: f32) {
    assert_eq!(actual.len(), expected.len());
    for (i, (&a, &e)) in actual.iter().zip(expected).enumerate() {
        let same = a == e || (a.is_nan() && e.is_nan());
        let near = (a - e).abs() <= atol + rtol * e.abs();
        assert!(same || near, "element {i}: {a} instead of {e}");
    }
}

/// The same bits.
#[track_caller]
pub fn assert_same_bits(a: &[f32], b: &[f32]) {
    let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert!(bits(a) == bits(b), "the bits differ");
}

/// `f` on a pool of `threads` threads.
pub fn on_threads<R: Send>(threads: usize, f: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(f)
}

/// That `f` leaves the same bits on 1, 2 and 5 threads.
#[track_caller]
pub fn assert_threads_do_not_matter(f: impl Fn() -> Vec<f32> + Sync) {
    let alone = on_threads(1, &f);
    for threads in [2, 5] {
        assert_same_bits(&alone, &on_threads(threads, &f));
    }
}
