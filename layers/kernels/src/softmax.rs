//! Softmax over the channels of `[outer, c, inner]`.

use crate::blocks::{self, Channels, LANES, SharedIo, for_each_task};
use crate::math;
use crate::{Kernels, SrcDst, Write};

/// Columns worked on at once where channels are `inner` apart.
const STRIP: usize = 256;
/// Elements of one task where channels are neighbours.
const ROWS: usize = 1 << 13;

impl Kernels {
    /// y = e^(x - max) / sum of e^(x - max), maximum and sum over the channels
    pub fn softmax_forward(&self, outer: usize, c: usize, inner: usize, io: SrcDst<'_>) {
        let shape = Channels::new(outer, c, inner, io.len());
        let io = SharedIo::new(io);
        for_each_column_block(shape, |at, columns| {
            self.vectorize(
                #[inline(always)]
                || match columns {
                    // SAFETY: every task has rows of its own.
                    None => forward_row(unsafe { io.range(at, c) }),
                    Some(len) => forward_columns(shape, io, at, len),
                },
            );
        });
    }

    /// dx = y * (dy - sum of dy * y over the channels)
    pub fn softmax_backward(
        &self,
        outer: usize,
        c: usize,
        inner: usize,
        y: &[f32],
        diff: SrcDst<'_>,
        write: Write,
    ) {
        let shape = Channels::new(outer, c, inner, diff.len());
        assert_eq!(y.len(), diff.len(), "operands differ in length");
        let diff = SharedIo::new(diff);
        for_each_column_block(shape, |at, columns| {
            self.vectorize(
                #[inline(always)]
                || match columns {
                    None => {
                        // SAFETY: every task has rows of its own.
                        let row = unsafe { diff.range(at, c) };
                        backward_row(&y[at..at + c], row, write);
                    }
                    Some(len) => backward_columns(shape, y, diff, at, len, write),
                },
            );
        });
    }
}

/// Calls `f(first, None)` for every row of neighbouring channels, or `f(first, Some(len))` for
/// every strip of `len` columns, where `first` is the place of channel 0.
fn for_each_column_block(shape: Channels, f: impl Fn(usize, Option<usize>) + Sync) {
    let Channels { outer, c, inner } = shape;
    let work = outer * c * inner;
    if inner == 1 {
        let rows = (ROWS / c.max(1)).max(1);
        for_each_task(outer.div_ceil(rows), work, |task| {
            for row in task * rows..((task + 1) * rows).min(outer) {
                f(row * c, None);
            }
        });
    } else {
        let strips = inner.div_ceil(STRIP);
        for_each_task(outer * strips, work, |task| {
            let column = task % strips * STRIP;
            f(task / strips * c * inner + column, Some(STRIP.min(inner - column)));
        });
    }
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    math::pick(a > b, a, b)
}

/// Sum of f(a, b) along a row.
#[inline(always)]
fn sum_row(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f64 {
    let (a_whole, a_rest) = a.as_chunks::<LANES>();
    let (b_whole, b_rest) = b.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for (a, b) in a_whole.iter().zip(b_whole) {
        for l in 0..LANES {
            lanes[l] += f64::from(f(a[l], b[l]));
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(&a, &b)| f64::from(f(a, b)));
    lanes.into_iter().chain(rest).sum()
}

#[inline(always)]
fn forward_row(mut io: SrcDst<'_>) {
    let (whole, rest) = io.src().as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in whole {
        for (max, &x) in lanes.iter_mut().zip(chunk) {
            *max = larger(*max, x);
        }
    }
    let max = lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, larger);
    blocks::map(
        io.reborrow(),
        #[inline(always)]
        move |x| math::exp(x - max),
    );
    let y = io.into_dst();
    let factor = (1.0 / sum_row(y, y, |e, _| e)) as f32;
    blocks::map(SrcDst::InPlace(y), move |e| e * factor);
}

#[inline(always)]
fn forward_columns(shape: Channels, io: SharedIo<'_>, first: usize, len: usize) {
    // SAFETY: every task has columns of its own, and one row of them is alive at a time.
    let row = |ch: usize| unsafe { io.range(first + ch * shape.inner, len) };
    let mut max = [f32::NEG_INFINITY; STRIP];
    for ch in 0..shape.c {
        for (max, &x) in max.iter_mut().zip(row(ch).src()) {
            *max = larger(*max, x);
        }
    }
    let mut sums = [0.0_f64; STRIP];
    for ch in 0..shape.c {
        let mut row = row(ch);
        blocks::map2(
            row.reborrow(),
            &max,
            Write::Set,
            #[inline(always)]
            |x, max| math::exp(x - max),
        );
        for (sum, &e) in sums.iter_mut().zip(row.into_dst().iter()) {
            *sum += f64::from(e);
        }
    }
    let factors = sums.map(|sum| (1.0 / sum) as f32);
    for ch in 0..shape.c {
        let y = SrcDst::InPlace(row(ch).into_dst());
        blocks::map2(y, &factors, Write::Set, |e, factor| e * factor);
    }
}

#[inline(always)]
fn backward_row(y: &[f32], diff: SrcDst<'_>, write: Write) {
    let dot = sum_row(diff.src(), y, |dy, y| dy * y) as f32;
    blocks::map2(diff, y, write, move |dy, y| y * (dy - dot));
}

#[inline(always)]
fn backward_columns(
    shape: Channels,
    y: &[f32],
    diff: SharedIo<'_>,
    first: usize,
    len: usize,
    write: Write,
) {
    let mut dots = [0.0_f64; STRIP];
    for ch in 0..shape.c {
        let at = first + ch * shape.inner;
        // SAFETY: every task has columns of its own, and one row of them is alive at a time.
        let row = unsafe { diff.range(at, len) };
        for ((dot, &dy), &y) in dots.iter_mut().zip(row.src()).zip(&y[at..at + len]) {
            *dot += f64::from(dy * y);
        }
    }
    let dots = dots.map(|dot| dot as f32);
    for ch in 0..shape.c {
        let at = first + ch * shape.inner;
        // SAFETY: as above.
        let row = unsafe { diff.range(at, len) };
        blocks::map3(row, &y[at..at + len], &dots, write, |dy, y, dot| y * (dy - dot));
    }
}
