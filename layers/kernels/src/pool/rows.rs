//! Rows of a plane merged into one, and the gathering of the merged row into windows.

use super::PoolWindow;
use crate::blocks::{LANES, lanes};

/// One row as the windows of an axis see it, padding included, and the same row by phases: phase
/// p holds the elements p, p + stride, p + 2 * stride ..., so that element j of all windows is a
/// run of neighbours whatever the stride. Both end in room for reading and writing whole lanes.
pub(super) struct Row<T> {
    line: Vec<T>,
    phases: Vec<T>,
    stride: usize,
    phase_len: usize,
    /// Where element j of window 0 lies, in `line` for stride 1, else in `phases`
    taps: Vec<usize>,
    padding: T,
    /// Where the source's elements begin, and how many of them any window reaches
    start: usize,
    count: usize,
    /// Where the last window ends
    used: usize,
}

impl<T: Copy> Row<T> {
    pub(super) fn new(w: &PoolWindow, padding: T) -> Self {
        let used = (w.output - 1) * w.stride + w.kernel;
        let phase_len = used.div_ceil(w.stride) + LANES;
        let start = w.pad.min(used);
        Row {
            line: vec![padding; phase_len * w.stride],
            phases: vec![padding; if w.stride == 1 { 0 } else { phase_len * w.stride }],
            stride: w.stride,
            phase_len,
            taps: (0..w.kernel).map(|j| j % w.stride * phase_len + j / w.stride).collect(),
            padding,
            start,
            count: w.input.min(used - start),
            used,
        }
    }

    /// How many elements of a source row any window reaches.
    #[inline(always)]
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The part of the row that stands for the source's first `count` elements.
    #[inline(always)]
    pub(super) fn inside(&self) -> &[T] {
        &self.line[self.start..self.start + self.count]
    }

    /// Writes source elements `at ..` of the row; those beyond `count` are forgotten.
    #[inline(always)]
    pub(super) fn put(&mut self, at: usize, values: [T; LANES]) {
        self.line[self.start + at..][..LANES].copy_from_slice(&values);
    }

    /// To be called when all elements are put: restores the padding behind and cuts the row into
    /// its phases.
    #[inline(always)]
    pub(super) fn finish(&mut self) {
        for x in &mut self.line[self.start + self.count..self.used] {
            *x = self.padding;
        }
        match self.stride {
            1 => {}
            2 => {
                let (even, odd) = self.phases.split_at_mut(self.phase_len);
                let pairs = self.line.as_chunks::<2>().0;
                for ((even, odd), pair) in even.iter_mut().zip(odd).zip(pairs) {
                    (*even, *odd) = (pair[0], pair[1]);
                }
            }
            stride => {
                for (p, phase) in self.phases.chunks_exact_mut(self.phase_len).enumerate() {
                    let line = self.line.iter().skip(p).step_by(stride);
                    for (to, from) in phase.iter_mut().zip(line) {
                        *to = *from;
                    }
                }
            }
        }
    }

    /// Element `j` of the windows `at ..`.
    #[inline(always)]
    pub(super) fn element(&self, j: usize, at: usize) -> [T; LANES] {
        let row = if self.stride == 1 { &self.line } else { &self.phases };
        lanes(row, self.taps[j] + at)
    }
}

impl Row<f32> {
    /// Sets every element to the sum of `shares` over the windows that hold it.
    #[inline(always)]
    pub(super) fn scatter(&mut self, shares: &[f32]) {
        let row = if self.stride == 1 { &mut self.line } else { &mut self.phases };
        row.fill(0.0);
        for &tap in &self.taps {
            for (dx, &share) in row[tap..].iter_mut().zip(shares) {
                *dx += share;
            }
        }
        match self.stride {
            1 => {}
            2 => {
                let (even, odd) = self.phases.split_at(self.phase_len);
                let pairs = self.line.as_chunks_mut::<2>().0;
                for ((even, odd), pair) in even.iter().zip(odd).zip(pairs) {
                    *pair = [*even, *odd];
                }
            }
            stride => {
                for (p, phase) in self.phases.chunks_exact(self.phase_len).enumerate() {
                    let line = self.line.iter_mut().skip(p).step_by(stride);
                    for (to, from) in line.zip(phase) {
                        *to = *from;
                    }
                }
            }
        }
    }
}

/// The lanes of `src` from `at` on, followed by zeros where it ends.
#[inline(always)]
pub(super) fn load(src: &[f32], at: usize) -> [f32; LANES] {
    if at + LANES <= src.len() {
        return lanes(src, at);
    }
    let mut lanes = [0.0; LANES];
    for (to, from) in lanes.iter_mut().zip(&src[at..]) {
        *to = *from;
    }
    lanes
}

/// Writes `values` at `at ..` of `dst`, as far as it reaches. Rows are written in order, so that
/// what goes beyond a row's end is overwritten by the next.
#[inline(always)]
pub(super) fn store<T: Copy>(dst: &mut [T], at: usize, values: [T; LANES]) {
    let end = dst.len();
    if at + LANES <= end {
        dst[at..at + LANES].copy_from_slice(&values);
    } else {
        for (to, from) in dst[at..].iter_mut().zip(values) {
            *to = from;
        }
    }
}
