//! Local response normalisation across channels, over `[outer, c, inner]`.
//!
//! Krizhevsky et al. 2012, *ImageNet Classification with Deep Convolutional Neural Networks*,
//! section 3.3, with alpha divided by the window's size as Caffe does.

use crate::blocks::{Channels, for_each_task};
use crate::shared::Shared;
use crate::vmath::{WithPower, with_power};
use crate::{Kernels, Write};
use std::ops::Range;

/// Channels of one task; a window reaches into the neighbours' channels, which are only read.
const CHANNELS: usize = 16;
/// Columns worked on at once: the rows of one task stay in the first cache.
const STRIP: usize = 256;

impl Kernels {
    /// scale = k + alpha / size * sum of x^2 over `size` channels around; y = x * scale^-beta
    #[allow(clippy::too_many_arguments)]
    pub fn lrn_across_forward(
        &self,
        outer: usize,
        c: usize,
        inner: usize,
        size: usize,
        alpha: f32,
        beta: f32,
        k: f32,
        src: &[f32],
        scale_out: &mut [f32],
        dst: &mut [f32],
    ) {
        let shape = Channels::new(outer, c, inner, src.len());
        assert!(dst.len() == src.len() && scale_out.len() == src.len(), "lengths differ");
        let window = Window::new(size);
        let alpha = alpha / size as f32;
        let (scale_out, dst) = (Shared::new(scale_out), Shared::new(dst));
        with_power(-beta, Forward { k: self, shape, window, alpha, base: k, src, scale_out, dst });
    }

    /// dx = dy * scale^-beta - 2 * alpha * beta / size * x * sum of (dy * y / scale) over the
    /// channels whose window holds x; y = `dst`, `scale` as the forward pass left them.
    #[allow(clippy::too_many_arguments)]
    pub fn lrn_across_backward(
        &self,
        outer: usize,
        c: usize,
        inner: usize,
        size: usize,
        alpha: f32,
        beta: f32,
        src: &[f32],
        dst: &[f32],
        scale: &[f32],
        diff_dst: &[f32],
        write: Write,
        diff_src: &mut [f32],
    ) {
        let shape = Channels::new(outer, c, inner, src.len());
        let same = [dst.len(), scale.len(), diff_dst.len(), diff_src.len()];
        assert!(same.iter().all(|&len| len == src.len()), "lengths differ");
        let window = Window::new(size).turned();
        let ratio = 2.0 * alpha * beta / size as f32;
        let diff_src = Shared::new(diff_src);
        let backward =
            Backward { k: self, shape, window, ratio, src, dst, scale, diff_dst, write, diff_src };
        with_power(-beta, backward);
    }
}

/// How many channels before and after its own a sum takes in.
#[derive(Clone, Copy)]
struct Window {
    before: usize,
    after: usize,
}

impl Window {
    fn new(size: usize) -> Self {
        let others = size.saturating_sub(1);
        Window { before: others / 2, after: others - others / 2 }
    }

    /// The channels whose window holds a given one.
    fn turned(self) -> Self {
        Window { before: self.after, after: self.before }
    }

    fn around(self, channels: Range<usize>, c: usize) -> Range<usize> {
        channels.start.saturating_sub(self.before)..(channels.end + self.after).min(c)
    }
}

/// Calls `f(first element of the item, channels, columns)` for every task of `shape`.
fn for_each_strip(shape: Channels, f: impl Fn(usize, Range<usize>, Range<usize>) + Sync) {
    let Channels { outer, c, inner } = shape;
    let blocks = c.div_ceil(CHANNELS);
    for_each_task(outer * blocks, outer * c * inner, |task| {
        let item = task / blocks * c * inner;
        let first = task % blocks * CHANNELS;
        for column in (0..inner).step_by(STRIP) {
            f(item, first..(first + CHANNELS).min(c), column..(column + STRIP).min(inner));
        }
    });
}

struct Forward<'a> {
    k: &'a Kernels,
    shape: Channels,
    window: Window,
    /// alpha / size
    alpha: f32,
    base: f32,
    src: &'a [f32],
    scale_out: Shared<'a>,
    dst: Shared<'a>,
}

impl WithPower for Forward<'_> {
    fn run<F: Fn(f32) -> f32 + Copy + Sync>(self, power: F) {
        let Forward { k, shape, window, alpha, base, src, scale_out, dst } = self;
        for_each_strip(shape, |item, channels, columns| {
            let (c, inner) = (shape.c, shape.inner);
            k.vectorize(
                #[inline(always)]
                || {
                    let len = columns.len();
                    for ch in channels {
                        let mut sums = [0.0; STRIP];
                        for other in window.around(ch..ch + 1, c) {
                            let row = &src[item + other * inner + columns.start..][..len];
                            for (sum, &x) in sums.iter_mut().zip(row) {
                                *sum += x * x;
                            }
                        }
                        let at = item + ch * inner + columns.start;
                        // SAFETY: tasks differ in item, channels or columns.
                        let (scale, y) = unsafe { (scale_out.range(at, len), dst.range(at, len)) };
                        let rows = scale.iter_mut().zip(y).zip(&src[at..at + len]).zip(&sums);
                        for (((scale, y), &x), &sum) in rows {
                            *scale = base + alpha * sum;
                            *y = x * power(*scale);
                        }
                    }
                },
            );
        });
    }
}

struct Backward<'a> {
    k: &'a Kernels,
    shape: Channels,
    window: Window,
    /// 2 * alpha * beta / size
    ratio: f32,
    src: &'a [f32],
    dst: &'a [f32],
    scale: &'a [f32],
    diff_dst: &'a [f32],
    write: Write,
    diff_src: Shared<'a>,
}

impl WithPower for Backward<'_> {
    fn run<F: Fn(f32) -> f32 + Copy + Sync>(self, power: F) {
        let Backward { k, shape, window, ratio, src, dst, scale, diff_dst, write, diff_src } = self;
        for_each_strip(shape, |item, channels, columns| {
            let (c, inner) = (shape.c, shape.inner);
            let len = columns.len();
            let reach = window.around(channels.clone(), c);
            // dy * y / scale of every channel in reach, one row of STRIP for each
            let mut terms = vec![0.0; reach.len() * STRIP];
            k.vectorize(
                #[inline(always)]
                || {
                    for (ch, row) in reach.clone().zip(terms.chunks_exact_mut(STRIP)) {
                        let at = item + ch * inner + columns.start;
                        let (dy, y) = (&diff_dst[at..at + len], &dst[at..at + len]);
                        let scale = &scale[at..at + len];
                        for (((term, &dy), &y), &scale) in row.iter_mut().zip(dy).zip(y).zip(scale)
                        {
                            *term = dy * y / scale;
                        }
                    }
                    for ch in channels {
                        let mut sums = [0.0; STRIP];
                        for other in window.around(ch..ch + 1, c) {
                            let row = &terms[(other - reach.start) * STRIP..][..STRIP];
                            for (sum, &term) in sums.iter_mut().zip(row) {
                                *sum += term;
                            }
                        }
                        let at = item + ch * inner + columns.start;
                        let (x, dy) = (&src[at..at + len], &diff_dst[at..at + len]);
                        let scale = &scale[at..at + len];
                        // SAFETY: tasks differ in item, channels or columns.
                        let dx = unsafe { diff_src.range(at, len) };
                        let rows = dx.iter_mut().zip(x).zip(dy).zip(scale).zip(&sums);
                        for ((((dx, &x), &dy), &scale), &sum) in rows {
                            let before = if write == Write::Add { *dx } else { 0.0 };
                            *dx = before + (dy * power(scale) - ratio * x * sum);
                        }
                    }
                },
            );
        });
    }
}
