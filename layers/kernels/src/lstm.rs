//! One time step of a row of LSTM cells, elementwise from the gates on.
//!
//! A row of gates is `[i, f, o, g]`, `hidden` numbers each. `cont` has a number per row: 0 forgets
//! the cell (whatever it holds), anything else multiplies the forget gate.

use rayon::prelude::*;

use crate::blocks::worth_sharing;
use crate::{Kernels, math};

/// What a cell costs against one elementwise operation.
const COST: usize = 16;

impl Kernels {
    /// `gates` become their activations, i, f and o through the sigmoid, g through tanh;
    /// c = f·c_prev + i·g; h = o·tanh(c).
    pub fn lstm_forward(
        &self,
        hidden: usize,
        cont: &[f32],
        c_prev: &[f32],
        gates: &mut [f32],
        c: &mut [f32],
        h: &mut [f32],
    ) {
        check(hidden, cont, [c_prev, c, h], gates);
        type Row<'a> = (((&'a f32, &'a [f32]), &'a mut [f32]), &'a mut [f32]);
        let row = |((((cont, c_prev), gates), c), h): (Row<'_>, &mut [f32])| {
            self.vectorize(
                #[inline(always)]
                || forward_row(*cont, c_prev, gates, c, h),
            );
        };
        if worth_sharing(COST * c.len()) {
            let rows = cont.par_iter().zip(c_prev.par_chunks_exact(hidden));
            let rows = rows.zip(gates.par_chunks_exact_mut(4 * hidden));
            let rows = rows.zip(c.par_chunks_exact_mut(hidden));
            rows.zip(h.par_chunks_exact_mut(hidden)).for_each(row);
        } else {
            let rows = cont.iter().zip(c_prev.chunks_exact(hidden));
            let rows = rows.zip(gates.chunks_exact_mut(4 * hidden));
            let rows = rows.zip(c.chunks_exact_mut(hidden));
            rows.zip(h.chunks_exact_mut(hidden)).for_each(row);
        }
    }

    /// From the diffs of h and c (in `dc`) to those of the gates before their functions and of
    /// c_prev (in `dc`). `gates` are the activations that forward left, `c` its cells.
    #[allow(clippy::too_many_arguments)]
    pub fn lstm_backward(
        &self,
        hidden: usize,
        c_prev: &[f32],
        gates: &[f32],
        c: &[f32],
        dh: &[f32],
        dc: &mut [f32],
        dgates: &mut [f32],
    ) {
        check(hidden, &c[..c.len() / hidden], [c_prev, c, dc], gates);
        check(hidden, &c[..c.len() / hidden], [dh, dh, dh], dgates);
        type Row<'a> = ((((&'a [f32], &'a [f32]), &'a [f32]), &'a [f32]), &'a mut [f32]);
        let row = |(((((c_prev, gates), c), dh), dc), dgates): (Row<'_>, &mut [f32])| {
            self.vectorize(
                #[inline(always)]
                || backward_row(c_prev, gates, c, dh, dc, dgates),
            );
        };
        if worth_sharing(COST * c.len()) {
            let rows = c_prev.par_chunks_exact(hidden).zip(gates.par_chunks_exact(4 * hidden));
            let rows = rows.zip(c.par_chunks_exact(hidden)).zip(dh.par_chunks_exact(hidden));
            let rows = rows.zip(dc.par_chunks_exact_mut(hidden));
            rows.zip(dgates.par_chunks_exact_mut(4 * hidden)).for_each(row);
        } else {
            let rows = c_prev.chunks_exact(hidden).zip(gates.chunks_exact(4 * hidden));
            let rows = rows.zip(c.chunks_exact(hidden)).zip(dh.chunks_exact(hidden));
            let rows = rows.zip(dc.chunks_exact_mut(hidden));
            rows.zip(dgates.chunks_exact_mut(4 * hidden)).for_each(row);
        }
    }
}

fn check(hidden: usize, rows: &[f32], cells: [&[f32]; 3], gates: &[f32]) {
    let count = rows.len() * hidden;
    assert!(cells.iter().all(|cells| cells.len() == count), "cells are not {count}");
    assert_eq!(gates.len(), 4 * count, "gates are not four per cell");
}

#[inline(always)]
fn forward_row(cont: f32, c_prev: &[f32], gates: &mut [f32], c: &mut [f32], h: &mut [f32]) {
    let hidden = c.len();
    let (sigmoids, g) = gates.split_at_mut(3 * hidden);
    sigmoids.iter_mut().for_each(|x| *x = math::sigmoid(*x));
    g.iter_mut().for_each(|x| *x = math::tanh(*x));
    let (i, rest) = sigmoids.split_at_mut(hidden);
    let (f, o) = rest.split_at_mut(hidden);
    if cont == 0.0 {
        f.fill(0.0);
        c.iter_mut().zip(i.iter().zip(g.iter())).for_each(|(c, (i, g))| *c = i * g);
    } else {
        f.iter_mut().for_each(|f| *f *= cont);
        for j in 0..hidden {
            c[j] = f[j] * c_prev[j] + i[j] * g[j];
        }
    }
    h.iter_mut().zip(c.iter().zip(o.iter())).for_each(|(h, (c, o))| *h = o * math::tanh(*c));
}

#[inline(always)]
fn backward_row(
    c_prev: &[f32],
    gates: &[f32],
    c: &[f32],
    dh: &[f32],
    dc: &mut [f32],
    dgates: &mut [f32],
) {
    let n = c.len();
    let (c_prev, dh, dc) = (&c_prev[..n], &dh[..n], &mut dc[..n]);
    let ([i, f, o, g], [di, df, d_o, dg]) = (quarters(gates, n), quarters_mut(dgates, n));
    for j in 0..n {
        let tanh_c = math::tanh(c[j]);
        let cell = dc[j] + dh[j] * o[j] * (1.0 - tanh_c * tanh_c);
        di[j] = cell * g[j] * i[j] * (1.0 - i[j]);
        df[j] = if f[j] == 0.0 { 0.0 } else { cell * c_prev[j] * f[j] * (1.0 - f[j]) };
        d_o[j] = dh[j] * tanh_c * o[j] * (1.0 - o[j]);
        dg[j] = cell * i[j] * (1.0 - g[j] * g[j]);
        dc[j] = cell * f[j];
    }
}

#[inline(always)]
fn quarters(x: &[f32], n: usize) -> [&[f32]; 4] {
    [&x[..n], &x[n..2 * n], &x[2 * n..3 * n], &x[3 * n..4 * n]]
}

#[inline(always)]
fn quarters_mut(x: &mut [f32], n: usize) -> [&mut [f32]; 4] {
    let (a, x) = x.split_at_mut(n);
    let (b, x) = x.split_at_mut(n);
    let (c, d) = x.split_at_mut(n);
    [a, b, c, &mut d[..n]]
}
