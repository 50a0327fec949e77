//! LSTM cells against their twin.

mod support;

use cortado_kernels::{available, reference};
use support::*;

/// Rows and hidden numbers: one row, odd lengths, work for several threads.
const SHAPES: [(usize, usize); 4] = [(1, 1), (3, 5), (2, 67), (40, 130)];

/// Cells keep, forget, and half forget.
fn conts(rows: usize) -> Vec<f32> {
    (0..rows).map(|row| [1.0, 0.0, 0.5][row % 3]).collect()
}

fn of(x: &[f32], at: usize) -> f64 {
    f64::from(x[at])
}

/// The four gates of a cell.
fn four(gates: &[f32], hidden: usize, cell: usize) -> [f64; 4] {
    let (row, j) = (cell / hidden, cell % hidden);
    [0, 1, 2, 3].map(|gate| of(gates, (4 * row + gate) * hidden + j))
}

fn put(to: &mut [f32], hidden: usize, cell: usize, values: [f64; 4]) {
    let (row, j) = (cell / hidden, cell % hidden);
    (0..4).for_each(|gate| to[(4 * row + gate) * hidden + j] = values[gate] as f32);
}

#[test]
fn forward_follows_its_formula() {
    for (rows, hidden) in SHAPES {
        let n = rows * hidden;
        let (cont, c_prev) = (conts(rows), numbers(n, 1));
        let before: Vec<f32> = numbers(4 * n, 2).iter().map(|x| 6.0 * x).collect();
        let mut wanted = [vec![0.0; 4 * n], vec![0.0; n], vec![0.0; n]];
        for cell in 0..n {
            let gates = four(&before, hidden, cell);
            let (gates, c, h) =
                reference::lstm::forward(of(&cont, cell / hidden), of(&c_prev, cell), gates);
            put(&mut wanted[0], hidden, cell, gates);
            (wanted[1][cell], wanted[2][cell]) = (c as f32, h as f32);
        }
        for k in available() {
            let after = || {
                let (mut gates, mut c, mut h) = (before.clone(), vec![0.0; n], vec![0.0; n]);
                k.lstm_forward(hidden, &cont, &c_prev, &mut gates, &mut c, &mut h);
                [gates, c, h].concat()
            };
            assert_close(&after(), &wanted.concat(), 2e-6, 1e-6);
            assert_threads_do_not_matter(after);
        }
    }
}

#[test]
fn backward_follows_its_formula() {
    for (rows, hidden) in SHAPES {
        let n = rows * hidden;
        let (c_prev, c, dh, dc) = (numbers(n, 1), numbers(n, 2), numbers(n, 3), numbers(n, 4));
        let gates: Vec<f32> = numbers(4 * n, 5).iter().map(|x| 0.5 + 0.5 * x).collect();
        let mut wanted = [vec![0.0; 4 * n], vec![0.0; n]];
        for cell in 0..n {
            let at = |x: &[f32]| of(x, cell);
            let acts = four(&gates, hidden, cell);
            let (dgates, prev) =
                reference::lstm::backward(at(&c_prev), acts, at(&c), at(&dh), at(&dc));
            put(&mut wanted[0], hidden, cell, dgates);
            wanted[1][cell] = prev as f32;
        }
        for k in available() {
            let after = || {
                let (mut dgates, mut dc) = (vec![0.0; 4 * n], dc.clone());
                k.lstm_backward(hidden, &c_prev, &gates, &c, &dh, &mut dc, &mut dgates);
                [dgates, dc].concat()
            };
            assert_close(&after(), &wanted.concat(), 2e-6, 1e-6);
            assert_threads_do_not_matter(after);
        }
    }
}

/// A new sequence takes nothing from the one before it, not even NaN.
#[test]
fn a_new_sequence_forgets_whatever_the_cell_holds() {
    for k in available() {
        let (mut gates, mut c, mut h) = (vec![0.5; 4], [0.0], [0.0]);
        k.lstm_forward(1, &[0.0], &[f32::NAN], &mut gates, &mut c, &mut h);
        assert!(c[0].is_finite() && h[0].is_finite());
        let (mut dgates, mut dc) = (vec![0.0; 4], [1.0]);
        k.lstm_backward(1, &[f32::NAN], &gates, &c, &[1.0], &mut dc, &mut dgates);
        assert!(dgates.iter().all(|d| d.is_finite()) && dc == [0.0]);
    }
}
