//! Convolution where every channel sees itself only: 16 channels at a time, pixel by pixel.

use super::conv::Input;
use super::epilogue::{Addend, Finish, Output};
use super::lanes::{Lanes, WithLanes};
use super::pack::windows;
use super::{LANES, for_each_task, wanted};
use crate::Kernels;
use crate::geometry::{ConvGeometry, Window};
use std::ops::Range;

/// Output pixels computed at once.
const WIDTH: usize = 8;
/// Output rows of a task, at most and at least.
const ROWS: usize = 16;
const FEW_ROWS: usize = 2;

impl Kernels {
    pub(super) fn depthwise_blocked(
        &self,
        g: &ConvGeometry,
        input: &Input<'_>,
        weights: &[f32],
        finish: &Finish,
        add: Option<Addend>,
        output: &Output<'_>,
    ) {
        let axes @ [down, across] = windows(g);
        let blocks = g.oc.div_ceil(LANES);
        let balanced = (g.n * blocks * down.output) / wanted();
        let strip_rows = balanced.clamp(FEW_ROWS, ROWS);
        let strips = down.output.div_ceil(strip_rows);
        for_each_task(g.n * blocks * strips, g.macs() as usize, |task| {
            let (plane, strip) = (task / strips, task % strips);
            let (n, block) = (plane / blocks, plane % blocks);
            let rows = strip * strip_rows..down.output.min((strip + 1) * strip_rows);
            let part = Part { axes, input, weights, finish, add, output, n, block, rows };
            self.with_lanes(Rows(&part));
            if finish.sweeps() {
                self.vectorize(
                    #[inline(always)]
                    || {
                        for row in part.rows.clone() {
                            let at = output.of.at(n, output.block + block, row);
                            // SAFETY: the task has these rows of this block to itself.
                            let line = unsafe { output.data.range(at, across.output * LANES) };
                            finish.sweep(block, line);
                        }
                    },
                );
            }
        });
    }
}

/// Some rows of a plane.
struct Part<'a> {
    axes: [Window; 2],
    input: &'a Input<'a>,
    weights: &'a [f32],
    finish: &'a Finish,
    add: Option<Addend>,
    output: &'a Output<'a>,
    n: usize,
    block: usize,
    rows: Range<usize>,
}

struct Rows<'a>(&'a Part<'a>);

impl WithLanes for Rows<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let [_, across] = self.0.axes;
        // SAFETY: passed on.
        unsafe {
            match (across.kernel, across.stride, across.dilation) {
                (3, 1, 1) => self.0.run::<L, 3, 1>(),
                (3, 2, 1) => self.0.run::<L, 3, 2>(),
                _ => self.0.run::<L, 0, 0>(),
            }
        }
    }
}

impl Part<'_> {
    /// Kernel width `K`, stride `S` and dilation 1, or what the axes say if K is 0.
    ///
    /// # Safety
    /// The instruction set is there.
    #[inline(always)]
    unsafe fn run<L: Lanes, const K: usize, const S: usize>(&self) {
        let [_, across] = self.axes;
        for row in self.rows.clone() {
            let mut x = 0;
            while x < across.output {
                // SAFETY: the pixels are inside the row.
                x += unsafe {
                    match across.output - x {
                        WIDTH.. => self.pixels::<L, K, S, WIDTH>(row, x),
                        4.. => self.pixels::<L, K, S, 4>(row, x),
                        2.. => self.pixels::<L, K, S, 2>(row, x),
                        _ => self.pixels::<L, K, S, 1>(row, x),
                    }
                };
            }
        }
    }

    /// Pixels `x` to `x + W` of a row; returns W.
    ///
    /// # Safety
    /// The instruction set is there, and the pixels are in the row.
    #[inline(always)]
    unsafe fn pixels<L: Lanes, const K: usize, const S: usize, const W: usize>(
        &self,
        row: usize,
        x: usize,
    ) -> usize {
        let ([down, across], input) = (self.axes, self.input);
        let (kernel, stride, dilation) = match K {
            0 => (across.kernel, across.stride, across.dilation),
            _ => (K, S, 1),
        };
        let src = input.first + self.n * input.image + self.block * input.block;
        let src = src + row * down.stride * input.row + x * stride * LANES;
        let channel = self.block * LANES;
        // SAFETY: `conv_blocked` has checked that windows, blobs and weights fit each other, and the
        // task has its rows to itself.
        unsafe {
            let mut weights = self.weights.as_ptr().add(channel * down.kernel * across.kernel);
            let mut sums = [L::splat(0.0); W];
            for ky in 0..down.kernel {
                let src = input.data.as_ptr().add(src + ky * down.dilation * input.row);
                for kx in 0..kernel {
                    let weight = L::load(weights);
                    for (i, sum) in sums.iter_mut().enumerate() {
                        let value = L::load(src.add((i * stride + kx * dilation) * LANES));
                        *sum = sum.add_product(weight, value);
                    }
                    weights = weights.add(LANES);
                }
            }
            let tail = self.finish.tail::<L>(self.block);
            let add = self.add.map(|add| add.row(self.n, self.block, row).add(x * LANES));
            let to = self.output.of.at(self.n, self.output.block + self.block, row) + x * LANES;
            let to = self.output.data.at(to);
            for (i, &sum) in sums.iter().enumerate() {
                let add = add.map_or(std::ptr::null(), |add| add.add(i * LANES));
                tail.apply(sum, add).store(to.add(i * LANES));
            }
        }
        W
    }
}
