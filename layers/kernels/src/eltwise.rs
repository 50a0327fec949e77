//! Elementwise arithmetic on several operands, the rectifiers, and Eltwise's three operations.

use crate::blocks::{self, BLOCK, Channels, LANES, for_each_task, for_io_blocks, lanes};
use crate::math::pick;
use crate::shared::Shared;
use crate::{Kernels, SrcDst, Write};

impl Kernels {
    /// y = alpha * x + y
    pub fn axpy(&self, alpha: f32, x: &[f32], y: &mut [f32]) {
        self.map2(SrcDst::InPlace(y), x, Write::Set, move |y, x| y + alpha * x);
    }

    /// y = alpha * x + beta * y; y is not read when beta is 0.
    pub fn axpby(&self, alpha: f32, x: &[f32], beta: f32, y: &mut [f32]) {
        if beta == 0.0 {
            self.map(SrcDst::Apart(x, y), move |x| alpha * x);
        } else {
            self.map2(SrcDst::InPlace(y), x, Write::Set, move |y, x| alpha * x + beta * y);
        }
    }

    /// x = alpha * x
    pub fn scale(&self, alpha: f32, x: &mut [f32]) {
        self.map(SrcDst::InPlace(x), move |x| alpha * x);
    }

    /// dst = a + b
    pub fn add(&self, a: &[f32], b: &[f32], dst: &mut [f32]) {
        self.map2(SrcDst::Apart(a, dst), b, Write::Set, move |a, b| a + b);
    }

    /// dst = a * b
    pub fn mul(&self, a: &[f32], b: &[f32], dst: &mut [f32]) {
        self.map2(SrcDst::Apart(a, dst), b, Write::Set, move |a, b| a * b);
    }

    /// y = max(x, 0) + slope * min(x, 0)
    pub fn relu_forward(&self, io: SrcDst<'_>, slope: f32) {
        if slope == 0.0 {
            self.map(io, move |x| if x < 0.0 { 0.0 } else { x });
        } else {
            self.map(io, move |x| if x > 0.0 { x } else { slope * x });
        }
    }

    /// dx = dy * (x > 0 ? 1 : slope); the output serves as well as the input where slope >= 0.
    pub fn relu_backward(&self, diff: SrcDst<'_>, y_or_x: &[f32], slope: f32, write: Write) {
        if slope == 0.0 {
            self.map2(diff, y_or_x, write, move |dy, y| if y > 0.0 { dy } else { 0.0 });
        } else {
            self.map2(diff, y_or_x, write, move |dy, y| if y > 0.0 { dy } else { dy * slope });
        }
    }

    /// y = max(x, 0) + slopes\[c\] * min(x, 0) over `[outer, c, inner]`; a single slope is shared.
    ///
    /// He et al. 2015, *Delving Deep into Rectifiers*.
    pub fn prelu_forward(
        &self,
        outer: usize,
        c: usize,
        inner: usize,
        io: SrcDst<'_>,
        slopes: &[f32],
    ) {
        let prelu = |x: f32, slope: f32| if x > 0.0 { x } else { slope * x };
        if let [slope] = *slopes {
            return self.map(io, move |x| prelu(x, slope));
        }
        self.zip_channels(outer, c, inner, io, slopes, prelu);
    }

    /// dx = dy * (x > 0 ? 1 : slopes\[c\])
    #[allow(clippy::too_many_arguments)]
    pub fn prelu_backward_data(
        &self,
        outer: usize,
        c: usize,
        inner: usize,
        diff: SrcDst<'_>,
        x: &[f32],
        slopes: &[f32],
        write: Write,
    ) {
        let slope_of = |dy: f32, x: f32, slope: f32| if x > 0.0 { dy } else { dy * slope };
        if let [slope] = *slopes {
            return self.map2(diff, x, write, move |dy, x| slope_of(dy, x, slope));
        }
        let shape = Channels::new(outer, c, inner, diff.len());
        assert_eq!(x.len(), diff.len(), "operands differ in length");
        assert_eq!(slopes.len(), c, "one slope per channel");
        for_io_blocks(diff, |at, mut part| {
            let len = part.len();
            let x = &x[at..at + len];
            self.vectorize(
                #[inline(always)]
                || {
                    if inner == 1 {
                        shape.rows(at, len, |range, ch| {
                            let (x, slopes) = (&x[range.clone()], &slopes[ch]);
                            blocks::map3(part.part(range), x, slopes, write, slope_of);
                        });
                    } else {
                        shape.planes(at, len, |range, ch| {
                            let slope = slopes[ch];
                            let x = &x[range.clone()];
                            let f = move |dy, x| slope_of(dy, x, slope);
                            blocks::map2(part.part(range), x, write, f);
                        });
                    }
                },
            );
        });
    }

    /// dslope\[c\] += sum of dy * x over the elements with x <= 0; one slope takes all channels.
    pub fn prelu_backward_slope(
        &self,
        outer: usize,
        c: usize,
        inner: usize,
        dy: &[f32],
        x: &[f32],
        dslope: &mut [f32],
    ) {
        let shape = match dslope.len() {
            1 => Channels::new(1, 1, x.len(), x.len()),
            _ => Channels::new(outer, c, inner, x.len()),
        };
        self.add_channel_sums(shape, dy, x, dslope, |dy, x| {
            if x > 0.0 { 0.0 } else { f64::from(dy) * f64::from(x) }
        });
    }

    /// y = x * scale\[c\] over `[outer, c, inner]`
    pub fn mul_channels(
        &self,
        outer: usize,
        c: usize,
        inner: usize,
        io: SrcDst<'_>,
        scale: &[f32],
    ) {
        self.zip_channels(outer, c, inner, io, scale, |x, scale| x * scale);
    }

    /// y = f(x, a\[c\]) over `[outer, c, inner]`
    pub(crate) fn zip_channels(
        &self,
        outer: usize,
        c: usize,
        inner: usize,
        io: SrcDst<'_>,
        a: &[f32],
        f: impl Fn(f32, f32) -> f32 + Copy + Sync,
    ) {
        let shape = Channels::new(outer, c, inner, io.len());
        assert_eq!(a.len(), c, "one number per channel");
        for_io_blocks(io, move |at, mut part| {
            let len = part.len();
            self.vectorize(
                #[inline(always)]
                || {
                    if inner == 1 {
                        shape.rows(at, len, |range, ch| {
                            blocks::map2(part.part(range), &a[ch], Write::Set, f);
                        });
                    } else {
                        shape.planes(at, len, |range, ch| {
                            let a = a[ch];
                            blocks::map(part.part(range), move |x| f(x, a));
                        });
                    }
                },
            );
        });
    }

    /// dst = sum of coeffs\[i\] * srcs\[i\]
    pub fn eltwise_sum(&self, srcs: &[&[f32]], coeffs: &[f32], dst: &mut [f32]) {
        assert_eq!(srcs.len(), coeffs.len(), "one coefficient per operand");
        self.fold(srcs, dst, None, |i, sum, _, x| {
            let coeff = coeffs[i];
            for (sum, x) in sum.iter_mut().zip(x) {
                *sum = if i == 0 { coeff * x } else { *sum + coeff * x };
            }
        });
    }

    /// dst = product of srcs
    pub fn eltwise_prod(&self, srcs: &[&[f32]], dst: &mut [f32]) {
        self.fold(srcs, dst, None, |i, product, _, x| {
            for (product, x) in product.iter_mut().zip(x) {
                *product = if i == 0 { x } else { *product * x };
            }
        });
    }

    /// dst = the largest of srcs, mask = which one. As in Caffe a tie of the first two goes to
    /// the second; the others win only by being larger.
    pub fn eltwise_max(&self, srcs: &[&[f32]], dst: &mut [f32], mask: Option<&mut [u32]>) {
        self.fold(srcs, dst, mask, |i, max, which, x| {
            for l in 0..LANES {
                let stays = max[l] > x[l];
                let wins = match i {
                    0 => true,
                    1 => !stays,
                    _ => x[l] > max[l],
                };
                max[l] = pick(wins, x[l], max[l]);
                which[l] = pick(wins, i as u32, which[l]);
            }
        });
    }

    /// For every `LANES` elements of dst: `f(i, result, mask, srcs[i])` for all i in turn.
    fn fold(
        &self,
        srcs: &[&[f32]],
        dst: &mut [f32],
        mask: Option<&mut [u32]>,
        f: impl Fn(usize, &mut [f32; LANES], &mut [u32; LANES], [f32; LANES]) + Sync,
    ) {
        let len = dst.len();
        assert!(srcs.iter().all(|src| src.len() == len), "operands differ in length");
        assert!(mask.as_ref().is_none_or(|mask| mask.len() == len), "one winner per element");
        let (dst, mask) = (Shared::new(dst), mask.map(Shared::new));
        for_each_task(len.div_ceil(BLOCK), len, |task| {
            let range = task * BLOCK..((task + 1) * BLOCK).min(len);
            // SAFETY: every task has a block of its own.
            let dst = unsafe { dst.range(range.start, range.len()) };
            // SAFETY: as above.
            let mut mask = mask.as_ref().map(|m| unsafe { m.range(range.start, range.len()) });
            self.vectorize(
                #[inline(always)]
                || {
                    let (whole, rest) = dst.as_chunks_mut::<LANES>();
                    let count = whole.len();
                    for (chunk, dst) in whole.iter_mut().enumerate() {
                        let at = chunk * LANES;
                        let (mut result, mut which) = ([0.0; LANES], [0; LANES]);
                        for (i, src) in srcs.iter().enumerate() {
                            f(i, &mut result, &mut which, lanes(src, range.start + at));
                        }
                        *dst = result;
                        if let Some(mask) = &mut mask {
                            mask[at..at + LANES].copy_from_slice(&which);
                        }
                    }
                    let at = count * LANES;
                    let (mut result, mut which) = ([0.0; LANES], [0; LANES]);
                    for (i, src) in srcs.iter().enumerate() {
                        let mut x = [0.0; LANES];
                        x[..rest.len()].copy_from_slice(&src[range.start + at..range.end]);
                        f(i, &mut result, &mut which, x);
                    }
                    rest.copy_from_slice(&result[..rest.len()]);
                    if let Some(mask) = &mut mask {
                        mask[at..].copy_from_slice(&which[..rest.len()]);
                    }
                },
            );
        });
    }
}
