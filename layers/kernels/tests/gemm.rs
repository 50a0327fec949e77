//! Matrix products against their definition. Operands are small whole numbers, so that every order of
//! summation gives the same bits and a comparison is exact.

mod support;

use cortado_kernels::{Trans, available, reference};
use proptest::prelude::*;
use support::*;

fn trans(yes: bool) -> Trans {
    if yes { Trans::Yes } else { Trans::No }
}

fn check_gemm(t: (bool, bool), (m, n, k): (usize, usize, usize), alpha: f32, beta: f32) {
    let (a, b, before) = (integers(m * k, 1), integers(k * n, 2), integers(m * n, 3));
    let mut expected = before.clone();
    reference::gemm::gemm(t, (m, n, k), alpha, &a, &b, beta, &mut expected);
    for kernels in available() {
        let mut c = if beta == 0.0 { vec![f32::NAN; m * n] } else { before.clone() };
        kernels.gemm(trans(t.0), trans(t.1), m, n, k, alpha, &a, &b, beta, &mut c);
        assert_eq!(c, expected, "{} {t:?} {m}x{n}x{k}", kernels.isa());
        if alpha == 1.0 {
            let packed = kernels.pack_a(trans(t.0), m, k, &a);
            let mut c = if beta == 0.0 { vec![f32::NAN; m * n] } else { before.clone() };
            kernels.gemm_packed(&packed, trans(t.1), n, &b, beta, &mut c);
            assert_eq!(c, expected, "{} packed {t:?} {m}x{n}x{k}", kernels.isa());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn products_agree_with_the_definition(
        t: (bool, bool),
        m in 0..70_usize,
        n in 0..70_usize,
        k in 0..600_usize,
        alpha in prop::sample::select(vec![1.0_f32, -2.0, 0.5]),
        beta in prop::sample::select(vec![0.0_f32, 1.0, 2.0]),
    ) {
        check_gemm(t, (m, n, k), alpha, beta);
    }

    #[test]
    fn matrix_times_vector_agrees(t: bool, rows in 0..300_usize, columns in 0..300_usize) {
        let (inputs, outputs) = if t { (rows, columns) } else { (columns, rows) };
        let (a, x, before) = (integers(rows * columns, 1), integers(inputs, 2), integers(outputs, 3));
        let mut expected = before.clone();
        reference::gemm::gemm((t, false), (outputs, 1, inputs), 2.0, &a, &x, 1.0, &mut expected);
        for kernels in available() {
            let mut y = before.clone();
            kernels.gemv(trans(t), rows, columns, 2.0, &a, &x, 1.0, &mut y);
            prop_assert_eq!(&y, &expected);
        }
    }
}

#[test]
fn shapes_of_real_layers_agree() {
    for shape in [(64, 3136, 147), (500, 64, 800), (10, 1, 500), (1, 1000, 300), (257, 193, 513)] {
        for t in [(false, false), (true, false), (false, true), (true, true)] {
            check_gemm(t, shape, 1.0, 0.0);
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let (m, n, k) = (150, 333, 700);
    let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
    for kernels in available() {
        assert_threads_do_not_matter(|| {
            let mut c = vec![0.0; m * n];
            kernels.gemm(Trans::No, Trans::Yes, m, n, k, 1.0, &a, &b, 0.0, &mut c);
            let mut y = vec![0.0; k];
            kernels.gemv(Trans::Yes, m, k, 1.0, &a, &b[..m], 0.0, &mut y);
            c.extend(y);
            let mut y = vec![0.0; n];
            kernels.gemv(Trans::No, n, k, 1.0, &b, &a[..k], 0.0, &mut y);
            c.extend(y);
            c
        });
    }
}
