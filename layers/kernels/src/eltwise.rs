//! Elementwise arithmetic on several operands, the rectifiers, and Eltwise's three operations.

use crate::blocks::{self, BLOCK, Channels, for_blocks, for_io_blocks};
use crate::{Kernels, SrcDst, Write};
use rayon::iter::{ParallelBridge, ParallelIterator};

impl Kernels {
    /// y = alpha * x + y
    pub fn axpy(&self, alpha: f32, x: &[f32], y: &mut [f32]) {
        self.map2(SrcDst::InPlace(y), x, Write::Set, |y, x| y + alpha * x);
    }

    /// y = alpha * x + beta * y; y is not read when beta is 0.
    pub fn axpby(&self, alpha: f32, x: &[f32], beta: f32, y: &mut [f32]) {
        if beta == 0.0 {
            self.map(SrcDst::Apart(x, y), |x| alpha * x);
        } else {
            self.map2(SrcDst::InPlace(y), x, Write::Set, |y, x| alpha * x + beta * y);
        }
    }

    /// x = alpha * x
    pub fn scale(&self, alpha: f32, x: &mut [f32]) {
        self.map(SrcDst::InPlace(x), |x| alpha * x);
    }

    /// dst = a + b
    pub fn add(&self, a: &[f32], b: &[f32], dst: &mut [f32]) {
        self.map2(SrcDst::Apart(a, dst), b, Write::Set, |a, b| a + b);
    }

    /// dst = a * b
    pub fn mul(&self, a: &[f32], b: &[f32], dst: &mut [f32]) {
        self.map2(SrcDst::Apart(a, dst), b, Write::Set, |a, b| a * b);
    }

    /// y = max(x, 0) + slope * min(x, 0)
    pub fn relu_forward(&self, io: SrcDst<'_>, slope: f32) {
        if slope == 0.0 {
            self.map(io, |x| if x < 0.0 { 0.0 } else { x });
        } else {
            self.map(io, |x| if x > 0.0 { x } else { slope * x });
        }
    }

    /// dx = dy * (x > 0 ? 1 : slope); the output serves as well as the input where slope >= 0.
    pub fn relu_backward(&self, diff: SrcDst<'_>, y_or_x: &[f32], slope: f32, write: Write) {
        if slope == 0.0 {
            self.map2(diff, y_or_x, write, |dy, y| if y > 0.0 { dy } else { 0.0 });
        } else {
            self.map2(diff, y_or_x, write, |dy, y| if y > 0.0 { dy } else { dy * slope });
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
            return self.map(io, |x| prelu(x, slope));
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
            return self.map2(diff, x, write, |dy, x| slope_of(dy, x, slope));
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
                            let f = |dy, x| slope_of(dy, x, slope);
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
        f: impl Fn(f32, f32) -> f32 + Sync,
    ) {
        let shape = Channels::new(outer, c, inner, io.len());
        assert_eq!(a.len(), c, "one number per channel");
        for_io_blocks(io, |at, mut part| {
            let len = part.len();
            self.vectorize(
                #[inline(always)]
                || {
                    if inner == 1 {
                        shape.rows(at, len, |range, ch| {
                            blocks::map2(part.part(range), &a[ch], Write::Set, &f);
                        });
                    } else {
                        shape.planes(at, len, |range, ch| {
                            let a = a[ch];
                            blocks::map(part.part(range), |x| f(x, a));
                        });
                    }
                },
            );
        });
    }

    /// dst = sum of coeffs\[i\] * srcs\[i\]
    pub fn eltwise_sum(&self, srcs: &[&[f32]], coeffs: &[f32], dst: &mut [f32]) {
        assert_eq!(srcs.len(), coeffs.len(), "one coefficient per operand");
        self.fold(srcs, dst, |i, io, src| {
            let coeff = coeffs[i];
            match i {
                0 => blocks::map(io, |x| coeff * x),
                _ => blocks::map2(io, src, Write::Set, |sum, x| sum + coeff * x),
            }
        });
    }

    /// dst = product of srcs
    pub fn eltwise_prod(&self, srcs: &[&[f32]], dst: &mut [f32]) {
        self.fold(srcs, dst, |i, io, src| match i {
            0 => blocks::map(io, |x| x),
            _ => blocks::map2(io, src, Write::Set, |product, x| product * x),
        });
    }

    /// dst = the largest of srcs, mask = which one. As in Caffe a tie of the first two goes to
    /// the second; the others win only by being larger.
    pub fn eltwise_max(&self, srcs: &[&[f32]], dst: &mut [f32], mask: Option<&mut [u32]>) {
        let Some(mask) = mask else {
            return self.fold(srcs, dst, |i, io, src| match i {
                0 => blocks::map(io, |x| x),
                1 => blocks::map2(io, src, Write::Set, |max, x| if max > x { max } else { x }),
                _ => blocks::map2(io, src, Write::Set, |max, x| if x > max { x } else { max }),
            });
        };
        check_operands(srcs, dst.len());
        assert_eq!(mask.len(), dst.len(), "one winner per element");
        let share = blocks::worth_sharing(dst.len());
        let tasks = dst.chunks_mut(BLOCK).zip(mask.chunks_mut(BLOCK)).enumerate();
        let run = |(block, (dst, mask)): (usize, (&mut [f32], &mut [u32]))| {
            let at = block * BLOCK;
            self.vectorize(
                #[inline(always)]
                || {
                    for (i, src) in srcs.iter().enumerate() {
                        let src = &src[at..at + dst.len()];
                        for ((max, which), &x) in dst.iter_mut().zip(mask.iter_mut()).zip(src) {
                            let stays = *max > x;
                            let wins = i == 0 || x > *max || (i == 1 && !stays);
                            *max = if wins { x } else { *max };
                            *which = if wins { i as u32 } else { *which };
                        }
                    }
                },
            );
        };
        if share { tasks.par_bridge().for_each(run) } else { tasks.for_each(run) }
    }

    /// For every block of dst: `f(i, io, srcs[i])`, where `io` reads the first operand from apart
    /// and holds the result so far, in place, for the others.
    fn fold(&self, srcs: &[&[f32]], dst: &mut [f32], f: impl Fn(usize, SrcDst<'_>, &[f32]) + Sync) {
        check_operands(srcs, dst.len());
        // Small enough for the running result to stay in the first cache.
        const RESULT: usize = 1 << 11;
        for_blocks(dst, BLOCK, |block, dst| {
            for (part, dst) in dst.chunks_mut(RESULT).enumerate() {
                let at = block + part * RESULT;
                self.vectorize(
                    #[inline(always)]
                    || {
                        for (i, src) in srcs.iter().enumerate() {
                            let src = &src[at..at + dst.len()];
                            match i {
                                0 => f(i, SrcDst::Apart(src, dst), src),
                                _ => f(i, SrcDst::InPlace(dst), src),
                            }
                        }
                    },
                );
            }
        });
    }
}

fn check_operands(srcs: &[&[f32]], len: usize) {
    assert!(!srcs.is_empty(), "at least one operand");
    assert!(srcs.iter().all(|src| src.len() == len), "operands differ in length");
}
