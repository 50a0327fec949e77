//! The column matrix of a convolution, row by row and never as a whole: row (c, k...) holds, for
//! every output position, the input element that kernel element k of channel c meets there.

use std::ops::Range;

use crate::geometry::{ConvGeometry, Window};

/// An axis that is not there.
const POINT: Window = Window { input: 1, output: 1, kernel: 1, stride: 1, pad: 0, dilation: 1 };

/// Positions of the outputs along an axis that meet an input, for one kernel element: from `low` to
/// below `high`; output `low` meets input `first`.
#[derive(Clone, Copy)]
struct Meeting {
    low: usize,
    high: usize,
    first: usize,
}

fn meeting(w: &Window, kernel: usize) -> Meeting {
    let offset = kernel * w.dilation;
    let low = w.pad.saturating_sub(offset).div_ceil(w.stride).min(w.output);
    // Outputs below `high` meet an input below `w.input`.
    let high = match (w.input + w.pad).checked_sub(offset + 1) {
        Some(last) => (last / w.stride + 1).min(w.output),
        None => 0,
    };
    Meeting { low, high: high.max(low), first: (low * w.stride + offset).saturating_sub(w.pad) }
}

/// Reads and adds to rows of the column matrix.
pub(crate) struct Columns<'a> {
    outer: &'a [Window],
    inner: Window,
    spatial_in: usize,
    kernel_len: usize,
}

impl<'a> Columns<'a> {
    pub fn new(g: &'a ConvGeometry) -> Columns<'a> {
        let (outer, inner) = match g.windows.split_last() {
            Some((inner, outer)) => (outer, *inner),
            None => (&[][..], POINT),
        };
        Columns { outer, inner, spatial_in: g.spatial_in(), kernel_len: g.kernel_len() }
    }

    /// For row `row`, calls `f(columns, Some(first input element))` for every run of output columns
    /// inside `range` that meet inputs of one line, and `f(columns, None)` for those that meet the
    /// padding. Inputs of a run are `stride` apart.
    #[inline(always)]
    fn runs(
        &self,
        row: usize,
        range: Range<usize>,
        mut f: impl FnMut(Range<usize>, Option<usize>),
    ) {
        let (channel, mut kernel) = (row / self.kernel_len, row % self.kernel_len);
        let across = meeting(&self.inner, kernel % self.inner.kernel);
        kernel /= self.inner.kernel;
        let width = self.inner.output;
        let (mut column, mut at) = (range.start, range.start.checked_div(width).unwrap_or(0));
        while column < range.end {
            let (start, end) = (at * width, range.end.min((at + 1) * width));
            let base = self.line(at, kernel).map(|line| channel * self.spatial_in + line);
            at += 1;
            let Some(base) = base else {
                f(column..end, None);
                column = end;
                continue;
            };
            let low = (start + across.low).clamp(column, end);
            let high = (start + across.high).clamp(low, end);
            f(column..low, None);
            let skipped = low - (start + across.low).min(low);
            f(low..high, Some(base + across.first + skipped * self.inner.stride));
            f(high..end, None);
            column = end;
        }
    }

    /// Where the input line begins that an output line meets; `None` in the padding.
    #[inline(always)]
    fn line(&self, mut line: usize, mut kernel: usize) -> Option<usize> {
        // Spared the divisions.
        if let [w] = self.outer {
            let met = (line * w.stride + kernel * w.dilation).checked_sub(w.pad)?;
            return (met < w.input).then_some(met * self.inner.input);
        }
        let (mut at, mut scale) = (0, self.inner.input);
        for w in self.outer.iter().rev() {
            let (position, k) = (line % w.output, kernel % w.kernel);
            (line, kernel) = (line / w.output, kernel / w.kernel);
            let met = (position * w.stride + k * w.dilation).checked_sub(w.pad)?;
            if met >= w.input {
                return None;
            }
            at += met * scale;
            scale *= w.input;
        }
        Some(at)
    }

    /// Writes a part of a row. `src` begins at the group's first channel.
    #[inline(always)]
    pub fn read(&self, row: usize, range: Range<usize>, src: &[f32], out: &mut [f32]) {
        let (start, stride) = (range.start, self.inner.stride);
        self.runs(row, range, |columns, from| {
            let out = &mut out[columns.start - start..columns.end - start];
            match from {
                None => out.fill(0.0),
                Some(_) if out.is_empty() => {}
                Some(from) if stride == 1 => out.copy_from_slice(&src[from..from + out.len()]),
                Some(from) => {
                    let from = src[from..].iter().step_by(stride);
                    out.iter_mut().zip(from).for_each(|(out, &from)| *out = from);
                }
            }
        });
    }

    /// Adds a part of a row to the inputs that it came from.
    #[inline(always)]
    pub fn add_back(&self, row: usize, range: Range<usize>, values: &[f32], dst: &mut [f32]) {
        let (start, stride) = (range.start, self.inner.stride);
        self.runs(row, range, |columns, from| {
            let values = &values[columns.start - start..columns.end - start];
            match from {
                None => {}
                Some(_) if values.is_empty() => {}
                Some(from) if stride == 1 => {
                    let dst = &mut dst[from..from + values.len()];
                    dst.iter_mut().zip(values).for_each(|(dst, value)| *dst += value);
                }
                Some(from) => {
                    let dst = dst[from..].iter_mut().step_by(stride);
                    dst.zip(values).for_each(|(dst, value)| *dst += value);
                }
            }
        });
    }

    /// Packs rows `ks` and columns `range` as the right operand of a product.
    #[inline(always)]
    pub fn pack(
        &self,
        ks: Range<usize>,
        range: Range<usize>,
        src: &[f32],
        tile: usize,
        out: &mut [f32],
    ) {
        let (depth, width) = (ks.len(), range.len());
        let mut line = [0.0; LINE];
        for at in (0..width).step_by(LINE) {
            let count = LINE.min(width - at);
            let columns = range.start + at..range.start + at + count;
            for (k, row) in ks.clone().enumerate() {
                self.read(row, columns.clone(), src, &mut line[..count]);
                line[count..].fill(0.0);
                let panels = line[..count.next_multiple_of(tile)].chunks_exact(tile).enumerate();
                for (panel, from) in panels {
                    let panel = at / tile + panel;
                    out[(panel * depth + k) * tile..][..tile].copy_from_slice(from);
                }
            }
        }
    }

    /// Packs the transposed matrix: reduction over output columns `ks`, columns of the product are
    /// rows `rows` of the column matrix.
    #[inline(always)]
    pub fn pack_transposed(
        &self,
        ks: Range<usize>,
        rows: Range<usize>,
        src: &[f32],
        tile: usize,
        out: &mut [f32],
    ) {
        let depth = ks.len();
        let mut line = [0.0; super::super::gemm::DEPTH];
        for (panel, out) in out.chunks_exact_mut(depth * tile).enumerate() {
            let first = rows.start + panel * tile;
            let count = tile.min(rows.end.saturating_sub(first));
            if count < tile {
                out.fill(0.0);
            }
            for lane in 0..count {
                self.read(first + lane, ks.clone(), src, &mut line[..depth]);
                let to = out[lane..].iter_mut().step_by(tile);
                to.zip(&line[..depth]).for_each(|(to, &from)| *to = from);
            }
        }
    }
}

/// Columns read at once; a multiple of every tile's columns.
const LINE: usize = 192;
