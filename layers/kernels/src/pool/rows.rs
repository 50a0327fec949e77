//! A merged row and its gathering into windows.

use super::PoolWindow;

/// One row as the windows of an axis see it, padding included, and the same row by phases: phase
/// p holds the elements p, p + stride, p + 2 * stride ..., so that element j of all windows is a
/// run of neighbours whatever the stride.
pub(super) struct Row<T> {
    /// Padding in front, the source's elements, padding behind
    line: Vec<T>,
    phases: Vec<T>,
    phase_len: usize,
    stride: usize,
    kernel: usize,
    /// Where the source's elements begin, and how many of them any window reaches
    start: usize,
    count: usize,
}

impl<T: Copy> Row<T> {
    pub(super) fn new(w: &PoolWindow, padding: T) -> Self {
        let used = (w.output - 1) * w.stride + w.kernel;
        let phase_len = used.div_ceil(w.stride);
        let start = w.pad.min(used);
        Row {
            line: vec![padding; phase_len * w.stride],
            phases: vec![padding; if w.stride == 1 { 0 } else { phase_len * w.stride }],
            phase_len,
            stride: w.stride,
            kernel: w.kernel,
            start,
            count: w.input.min(used - start),
        }
    }

    /// How many elements of a source row any window reaches.
    #[inline(always)]
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The part of the row that stands for the source's first `count` elements.
    #[inline(always)]
    pub(super) fn inside(&mut self) -> &mut [T] {
        &mut self.line[self.start..self.start + self.count]
    }

    pub(super) fn fill(&mut self, value: T) {
        self.line.fill(value);
        self.phases.fill(value);
    }

    /// Cuts the row into its phases.
    #[inline(always)]
    pub(super) fn cut(&mut self) {
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
                    for (to, from) in phase.iter_mut().zip(self.line.iter().skip(p).step_by(stride))
                    {
                        *to = *from;
                    }
                }
            }
        }
    }

    /// Puts the phases together again: the inverse of `cut`.
    #[inline(always)]
    pub(super) fn join(&mut self) {
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

    /// Element `j` of every window, from window 0 on.
    #[inline(always)]
    pub(super) fn element(&self, j: usize) -> &[T] {
        match self.stride {
            1 => &self.line[j..],
            stride => {
                let phase = j % stride * self.phase_len;
                &self.phases[phase + j / stride..phase + self.phase_len]
            }
        }
    }

    /// As [`Row::element`], to be written.
    #[inline(always)]
    pub(super) fn element_mut(&mut self, j: usize) -> &mut [T] {
        match self.stride {
            1 => &mut self.line[j..],
            stride => {
                let phase = j % stride * self.phase_len;
                &mut self.phases[phase + j / stride..phase + self.phase_len]
            }
        }
    }

    /// dst = f over the elements of each window.
    #[inline(always)]
    pub(super) fn gather(&mut self, dst: &mut [T], f: impl Fn(T, T) -> T) {
        self.cut();
        let rest = match self.kernel {
            1 => {
                dst.copy_from_slice(&self.element(0)[..dst.len()]);
                1
            }
            2 => {
                let elements = self.element(0).iter().zip(self.element(1));
                for (d, (&a, &b)) in dst.iter_mut().zip(elements) {
                    *d = f(a, b);
                }
                2
            }
            _ => {
                let elements = self.element(0).iter().zip(self.element(1)).zip(self.element(2));
                for (d, ((&a, &b), &c)) in dst.iter_mut().zip(elements) {
                    *d = f(f(a, b), c);
                }
                3
            }
        };
        for j in rest..self.kernel {
            for (d, &e) in dst.iter_mut().zip(self.element(j)) {
                *d = f(*d, e);
            }
        }
    }
}

/// row = f(row, source row) for each source row in turn, two of them at a time.
#[inline(always)]
pub(super) fn merge<'a>(
    row: &mut [f32],
    sources: impl Iterator<Item = &'a [f32]>,
    f: impl Fn(f32, f32) -> f32,
) {
    let mut sources = sources;
    while let Some(first) = sources.next() {
        match sources.next() {
            Some(second) => {
                for ((r, &a), &b) in row.iter_mut().zip(first).zip(second) {
                    *r = f(f(*r, a), b);
                }
            }
            None => {
                for (r, &a) in row.iter_mut().zip(first) {
                    *r = f(*r, a);
                }
            }
        }
    }
}
