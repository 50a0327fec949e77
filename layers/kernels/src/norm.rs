//! Statistics per channel and what normalises by them. Every blob is seen as `[outer, c, inner]`.

use crate::blocks::{self, Channels, for_io_blocks};
use crate::{Kernels, SrcDst, Write};

impl Kernels {
    /// mean\[c\] and var\[c\] (biased) of `src` over outer and inner; 0 for an empty channel.
    ///
    /// One pass in f64 around the channel's first element: as exact as two passes, at half the
    /// memory traffic.
    pub fn moments(
        &self,
        outer: usize,
        c: usize,
        inner: usize,
        src: &[f32],
        mean: &mut [f32],
        var: &mut [f32],
    ) {
        let shape = Channels::new(outer, c, inner, src.len());
        assert!(mean.len() == c && var.len() == c, "one mean and one variance per channel");
        if src.is_empty() {
            mean.fill(0.0);
            var.fill(0.0);
            return;
        }
        let centers: Vec<f64> = (0..c).map(|ch| f64::from(src[ch * inner])).collect();
        let sums = self.channel_sums(shape, src, src, &centers, |x, _, center| {
            let d = f64::from(x) - center;
            [d, d * d]
        });
        let count = (outer * inner) as f64;
        let results = mean.iter_mut().zip(var).zip(sums).zip(centers);
        for (((mean, var), [sum, squares]), center) in results {
            let offset = sum / count;
            *mean = (center + offset) as f32;
            // Rounding must not make a constant channel's variance negative; NaN goes through.
            let spread = squares / count - offset * offset;
            *var = if spread < 0.0 { 0.0 } else { spread as f32 };
        }
    }

    /// y = x * scale\[c\] + shift\[c\]
    pub fn affine_channels(
        &self,
        outer: usize,
        c: usize,
        inner: usize,
        io: SrcDst<'_>,
        scale: &[f32],
        shift: Option<&[f32]>,
    ) {
        let Some(shift) = shift else {
            return self.mul_channels(outer, c, inner, io, scale);
        };
        let shape = Channels::new(outer, c, inner, io.len());
        assert!(scale.len() == c && shift.len() == c, "one scale and one shift per channel");
        for_io_blocks(io, |at, mut part| {
            let len = part.len();
            self.vectorize(
                #[inline(always)]
                || {
                    if inner == 1 {
                        shape.rows(at, len, |range, ch| {
                            let (scale, shift) = (&scale[ch.clone()], &shift[ch]);
                            let affine = |x, scale, shift| x * scale + shift;
                            blocks::map3(part.part(range), scale, shift, Write::Set, affine);
                        });
                    } else {
                        shape.planes(at, len, |range, ch| {
                            let (scale, shift) = (scale[ch], shift[ch]);
                            blocks::map(part.part(range), move |x| x * scale + shift);
                        });
                    }
                },
            );
        });
    }

    /// dx = (dy - mean(dy) - mean(dy * x_norm) * x_norm) * inv_std\[c\], means per channel.
    ///
    /// Ioffe & Szegedy 2015, *Batch Normalization*, section 3.
    #[allow(clippy::too_many_arguments)]
    pub fn batch_norm_backward(
        &self,
        outer: usize,
        c: usize,
        inner: usize,
        x_norm: &[f32],
        inv_std: &[f32],
        diff: SrcDst<'_>,
        write: Write,
    ) {
        let shape = Channels::new(outer, c, inner, diff.len());
        assert_eq!(x_norm.len(), diff.len(), "operands differ in length");
        assert_eq!(inv_std.len(), c, "one deviation per channel");
        let count = (outer * inner) as f64;
        let sums = self.channel_sums(shape, diff.src(), x_norm, &vec![0.0; c], |dy, x, _| {
            [f64::from(dy), f64::from(dy) * f64::from(x)]
        });
        let mean_dy: Vec<f32> = sums.iter().map(|[dy, _]| (dy / count) as f32).collect();
        let mean_dy_x: Vec<f32> = sums.iter().map(|[_, dy_x]| (dy_x / count) as f32).collect();

        for_io_blocks(diff, |at, mut part| {
            let len = part.len();
            let x_norm = &x_norm[at..at + len];
            self.vectorize(
                #[inline(always)]
                || {
                    if inner == 1 {
                        shape.rows(at, len, |range, ch| {
                            let x_norm = &x_norm[range.clone()];
                            let stats = (&mean_dy[ch.clone()], &mean_dy_x[ch.clone()]);
                            row_backward(x_norm, stats, &inv_std[ch], part.part(range), write);
                        });
                    } else {
                        shape.planes(at, len, |range, ch| {
                            let (mean_dy, mean_dy_x) = (mean_dy[ch], mean_dy_x[ch]);
                            let inv_std = inv_std[ch];
                            let x_norm = &x_norm[range.clone()];
                            blocks::map2(part.part(range), x_norm, write, move |dy, x| {
                                (dy - (mean_dy + mean_dy_x * x)) * inv_std
                            });
                        });
                    }
                },
            );
        });
    }
}

/// A normalisation with scale, shift and perhaps a rectifier behind it, one number each per channel.
#[derive(Clone, Copy, Debug)]
pub struct Normalizer<'a> {
    /// Mean of x.
    pub mean: &'a [f32],
    /// 1/σ of x.
    pub inv_std: &'a [f32],
    /// γ
    pub gamma: &'a [f32],
    /// β
    pub beta: &'a [f32],
    /// Whether only what is above 0 passes.
    pub relu: bool,
}

/// What a channel's loops need.
#[derive(Clone, Copy, Default)]
pub(crate) struct Channel {
    pub mean: f32,
    pub inv_std: f32,
    pub scale: f32,
    pub shift: f32,
    pub low: f32,
    pub mean_dz: f32,
    pub mean_dz_x: f32,
}

impl Channel {
    /// Before the rectifier.
    #[inline(always)]
    fn z(self, x: f32) -> f32 {
        x * self.scale + self.shift
    }

    #[inline(always)]
    pub fn x_norm(self, x: f32) -> f32 {
        (x - self.mean) * self.inv_std
    }

    /// dy where the rectifier let z through.
    #[inline(always)]
    pub fn dz(self, dy: f32, x: f32) -> f32 {
        if self.z(x) > self.low { dy } else { 0.0 }
    }

    /// Takes the means of `count` gradients, and adds their `sums` to dγ and dβ of the first `c`.
    pub fn learn(
        channels: &mut [Channel],
        sums: &[[f64; 2]],
        count: f64,
        c: usize,
        [dgamma, dbeta]: [Option<&mut [f32]>; 2],
    ) {
        for (of, [dz, dz_x]) in channels.iter_mut().zip(sums) {
            (of.mean_dz, of.mean_dz_x) = ((dz / count) as f32, (dz_x / count) as f32);
        }
        for (to, i) in [(dbeta, 0), (dgamma, 1)] {
            let pairs = to.into_iter().flatten().zip(&sums[..c]);
            pairs.for_each(|(to, sums)| *to += sums[i] as f32);
        }
    }
}

impl Normalizer<'_> {
    pub(crate) fn channels(&self) -> Vec<Channel> {
        let channel = |ch: usize| {
            let (mean, inv_std) = (self.mean[ch], self.inv_std[ch]);
            let scale = self.gamma[ch] * inv_std;
            let shift = self.beta[ch] - mean * scale;
            let low = if self.relu { 0.0 } else { f32::NEG_INFINITY };
            Channel { mean, inv_std, scale, shift, low, mean_dz: 0.0, mean_dz_x: 0.0 }
        };
        (0..self.mean.len()).map(channel).collect()
    }
}

impl Kernels {
    /// y = relu(γ · (x − mean) / σ + β), in one sweep.
    pub fn normalize(
        &self,
        [outer, c, inner]: [usize; 3],
        n: Normalizer<'_>,
        x: &[f32],
        y: &mut [f32],
    ) {
        let shape = Channels::new(outer, c, inner, x.len());
        let channels = n.channels();
        for_io_blocks(SrcDst::Apart(x, y), |at, mut part| {
            let len = part.len();
            self.vectorize(
                #[inline(always)]
                || {
                    shape.planes(at, len, |range, ch| {
                        let of = channels[ch];
                        blocks::map(part.part(range), move |x| {
                            let z = of.z(x);
                            if z <= of.low { of.low } else { z }
                        });
                    });
                },
            );
        });
    }

    /// From dy to dx in the same memory, in two sweeps over x and dy; dγ and dβ are added to.
    pub fn normalize_backward(
        &self,
        [outer, c, inner]: [usize; 3],
        n: Normalizer<'_>,
        x: &[f32],
        diff: &mut [f32],
        gradients: [Option<&mut [f32]>; 2],
    ) {
        let shape = Channels::new(outer, c, inner, x.len());
        let mut channels = n.channels();
        let sums = self.channel_sums(shape, diff, x, &channels, |dy, x, of| {
            let dz = f64::from(of.dz(dy, x));
            [dz, dz * f64::from(of.x_norm(x))]
        });
        let count = (outer * inner) as f64;
        Channel::learn(&mut channels, &sums, count, c, gradients);
        for_io_blocks(SrcDst::InPlace(diff), |at, mut part| {
            let len = part.len();
            let x = &x[at..at + len];
            self.vectorize(
                #[inline(always)]
                || {
                    shape.planes(at, len, |range, ch| {
                        let of = channels[ch];
                        let x = &x[range.clone()];
                        blocks::map2(part.part(range), x, Write::Set, move |dy, x| {
                            let mean = of.mean_dz + of.mean_dz_x * of.x_norm(x);
                            (of.dz(dy, x) - mean) * of.scale
                        });
                    });
                },
            );
        });
    }
}

/// [`Kernels::batch_norm_backward`] where neighbours belong to different channels.
#[inline(always)]
fn row_backward(
    x_norm: &[f32],
    (mean_dy, mean_dy_x): (&[f32], &[f32]),
    inv_std: &[f32],
    mut diff: SrcDst<'_>,
    write: Write,
) {
    const STRIP: usize = 256;
    let mut means = [0.0; STRIP];
    for first in (0..x_norm.len()).step_by(STRIP) {
        let range = first..(first + STRIP).min(x_norm.len());
        let means = &mut means[..range.len()];
        let stats = mean_dy[range.clone()].iter().zip(&mean_dy_x[range.clone()]);
        for ((mean, &x), (&mean_dy, &mean_dy_x)) in
            means.iter_mut().zip(&x_norm[range.clone()]).zip(stats)
        {
            *mean = mean_dy + mean_dy_x * x;
        }
        let inv_std = &inv_std[range.clone()];
        let f = |dy, mean, inv_std| (dy - mean) * inv_std;
        blocks::map3(diff.part(range), means, inv_std, write, f);
    }
}
