//! Where pooling windows lie, by Caffe's rules.

use std::ops::Range;

/// One spatial axis of a pooling: window `o` starts at `o * stride - pad`.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolWindow {
    /// Length of the source along this axis.
    pub input: usize,
    /// Number of windows.
    pub output: usize,
    /// Length of a window.
    pub kernel: usize,
    /// Distance of neighbouring windows.
    pub stride: usize,
    /// Elements added in front and behind.
    pub pad: usize,
}

/// How a last window that does not fit is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// It is counted, and clipped (Caffe's default).
    Ceil,
    /// It is left out.
    Floor,
}

/// A pooling of `n` items with `c` channels over any number of spatial axes.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolGeometry {
    /// Items.
    pub n: usize,
    /// Channels.
    pub c: usize,
    /// Spatial axes, outermost first.
    pub windows: Vec<PoolWindow>,
}

impl PoolWindow {
    /// The source elements under window `o`; empty when it lies outside.
    #[inline(always)]
    pub(crate) fn span(&self, o: usize) -> Range<usize> {
        let start = o * self.stride;
        let end = (start + self.kernel).saturating_sub(self.pad).min(self.input);
        start.saturating_sub(self.pad).min(end)..end
    }

    /// The length that averages divide by: the window clipped to the padded source.
    #[inline(always)]
    pub(crate) fn divisor(&self, o: usize) -> usize {
        let start = o * self.stride;
        (start + self.kernel).min(self.input + 2 * self.pad).saturating_sub(start)
    }
}

impl PoolGeometry {
    /// Number of windows along an axis, or `None` when there is none (or no such number).
    ///
    /// Rounding up may make a last window that starts in the padding behind; it is dropped as
    /// soon as any axis is padded (`any_pad`), as Caffe does.
    pub fn output_size(
        input: usize,
        kernel: usize,
        stride: usize,
        pad: usize,
        any_pad: bool,
        round: Round,
    ) -> Option<usize> {
        let (input, kernel) = (i64::try_from(input).ok()?, i64::try_from(kernel).ok()?);
        let (stride, pad) = (i64::try_from(stride).ok()?, i64::try_from(pad).ok()?);
        if stride == 0 || kernel == 0 {
            return None;
        }
        let room = input.checked_add(pad.checked_mul(2)?)?.checked_sub(kernel)?;
        let last = match round {
            Round::Ceil => -(-room).div_euclid(stride),
            Round::Floor => room.div_euclid(stride),
        };
        let starts_outside = last.checked_mul(stride)? >= input.checked_add(pad)?;
        let last = if any_pad && starts_outside { last - 1 } else { last };
        usize::try_from(last.checked_add(1)?).ok().filter(|&output| output > 0)
    }

    /// Length of the source.
    pub fn input_len(&self) -> usize {
        self.planes() * self.plane_in()
    }

    /// Length of the result.
    pub fn output_len(&self) -> usize {
        self.planes() * self.plane_out()
    }

    pub(super) fn planes(&self) -> usize {
        self.n * self.c
    }

    pub(super) fn plane_in(&self) -> usize {
        self.windows.iter().map(|w| w.input).product()
    }

    pub(super) fn plane_out(&self) -> usize {
        self.windows.iter().map(|w| w.output).product()
    }

    /// As height and width, if there are at most two axes.
    pub(super) fn as_two_axes(&self) -> Option<(PoolWindow, PoolWindow)> {
        let one = || PoolWindow { input: 1, output: 1, kernel: 1, stride: 1, pad: 0 };
        match self.windows.as_slice() {
            [] => Some((one(), one())),
            [w] => Some((one(), w.clone())),
            [h, w] => Some((h.clone(), w.clone())),
            _ => None,
        }
    }

    /// Calls `f(output index, divisor, index of every source element under the window)`, windows
    /// and elements in row-major order: for any number of axes.
    pub(super) fn for_each_window(&self, mut f: impl FnMut(usize, usize, &[usize])) {
        let mut at = vec![0; self.windows.len()];
        let mut under = Vec::new();
        for index in 0..self.plane_out() {
            let mut rest = index;
            for (at, window) in at.iter_mut().zip(&self.windows).rev() {
                *at = rest % window.output;
                rest /= window.output;
            }
            under.clear();
            under.push(0);
            let mut divisor = 1;
            for (&o, window) in at.iter().zip(&self.windows) {
                divisor *= window.divisor(o);
                let outer = std::mem::take(&mut under);
                for base in outer {
                    under.extend(window.span(o).map(|i| base * window.input + i));
                }
            }
            f(index, divisor, &under);
        }
    }
}
