//! Statistics per channel of blocked activations, and what normalises by them.
//!
//! Sums are taken in f64, image by image and block by block, and added in that order.

use super::layout::{Blocked, BlockedRef, for_each_plane};
use super::{LANES, for_each_task};
use crate::Kernels;
use crate::norm::{Channel, Normalizer};
use crate::shared::Shared;

/// A number for each channel of a block.
type Pixel<T> = [T; LANES];

impl Kernels {
    /// mean\[c\] and var\[c\] (biased) of a blob without halo, as [`Kernels::moments`].
    pub fn moments_blocked(&self, of: Blocked, x: &[f32], mean: &mut [f32], var: &mut [f32]) {
        assert_eq!(x.len(), of.len(), "the data is not as long as its layout says");
        assert!(of.halo == 0, "statistics are taken of blobs without halo");
        assert!(mean.len() == of.c && var.len() == of.c, "one mean and one variance per channel");
        if of.plain_len() == 0 {
            mean.fill(0.0);
            var.fill(0.0);
            return;
        }
        let center = |block: usize| &x[of.at(0, block, 0)..][..LANES];
        let centers: Vec<f32> = (0..of.blocks()).flat_map(|b| center(b).to_vec()).collect();
        let sums = self.sums_blocked(of, x, x, &centers, |x, _, center| {
            let d = f64::from(x) - f64::from(center);
            [d, d * d]
        });
        let count = (of.n * of.h * of.w) as f64;
        let results = mean.iter_mut().zip(var).zip(&sums).zip(&centers);
        for (((mean, var), [sum, squares]), &center) in results {
            let offset = sum / count;
            *mean = (f64::from(center) + offset) as f32;
            // Rounding must not make a constant channel's variance negative; NaN goes through.
            let spread = squares / count - offset * offset;
            *var = if spread < 0.0 { 0.0 } else { spread as f32 };
        }
    }

    /// out\[c\] += sum of x over images and pixels.
    pub fn sum_channels_blocked(&self, x: BlockedRef<'_>, out: &mut [f32]) {
        let of = x.of;
        assert_eq!(x.data.len(), of.len(), "the data is not as long as its layout says");
        assert_eq!(out.len(), of.c, "one sum per channel");
        let nothing = vec![0.0; of.blocks() * LANES];
        let sums = self.sums_blocked(of, x.data, x.data, &nothing, |x, _, _: f32| [f64::from(x)]);
        out.iter_mut().zip(sums).for_each(|(out, [sum])| *out += sum as f32);
    }

    /// y = relu(γ · (x − mean) / σ + β) of blobs without halo, in one sweep.
    pub fn normalize_blocked(&self, of: Blocked, n: Normalizer<'_>, x: &[f32], y: &mut [f32]) {
        assert_eq!(x.len(), of.len(), "the data is not as long as its layout says");
        assert_eq!(y.len(), of.len(), "the data is not as long as its layout says");
        let channels = padded(n.channels(), of);
        for_each_plane(of, y, |image, block, y| {
            let x = &x[of.at(image, block, 0)..][..of.plane()];
            let [scale, shift, low] = of_block(&channels, block, |c| [c.scale, c.shift, c.low]);
            self.vectorize(
                #[inline(always)]
                || {
                    for (y, x) in y.as_chunks_mut::<LANES>().0.iter_mut().zip(x.as_chunks().0) {
                        let x: &Pixel<f32> = x;
                        for l in 0..LANES {
                            let z = x[l] * scale[l] + shift[l];
                            y[l] = if z <= low[l] { low[l] } else { z };
                        }
                    }
                },
            );
        });
    }

    /// From dy to dx in the same memory, in two sweeps over x and dy; dγ and dβ are added to.
    pub fn normalize_backward_blocked(
        &self,
        of: Blocked,
        n: Normalizer<'_>,
        x: &[f32],
        diff: &mut [f32],
        sums: [Option<&mut [f32]>; 2],
    ) {
        assert_eq!(x.len(), of.len(), "the data is not as long as its layout says");
        assert_eq!(diff.len(), of.len(), "the data is not as long as its layout says");
        let mut channels = padded(n.channels(), of);
        let found = self.sums_blocked(of, diff, x, &channels, |dy, x, of: Channel| {
            let dz = f64::from(of.dz(dy, x));
            [dz, dz * f64::from(of.x_norm(x))]
        });
        Channel::learn(&mut channels, &found, (of.n * of.h * of.w) as f64, of.c, sums);
        for_each_plane(of, diff, |image, block, diff| {
            let x = &x[of.at(image, block, 0)..][..of.plane()];
            let [scale, shift, low] = of_block(&channels, block, |c| [c.scale, c.shift, c.low]);
            let [mean, mean_dz, slope] =
                of_block(&channels, block, |c| [c.mean, c.mean_dz, c.mean_dz_x * c.inv_std]);
            self.vectorize(
                #[inline(always)]
                || {
                    let pixels = diff.as_chunks_mut::<LANES>().0.iter_mut();
                    for (diff, x) in pixels.zip(x.as_chunks().0) {
                        let x: &Pixel<f32> = x;
                        let dy = *diff;
                        for l in 0..LANES {
                            let passes = x[l] * scale[l] + shift[l] > low[l];
                            let dz = if passes { dy[l] } else { 0.0 };
                            let expected = mean_dz[l] + slope[l] * (x[l] - mean[l]);
                            diff[l] = (dz - expected) * scale[l];
                        }
                    }
                },
            );
        });
    }

    /// For each channel the sums of f(a, b, centers\[c\]) over images and pixels.
    fn sums_blocked<C: Copy + Sync, const N: usize>(
        &self,
        of: Blocked,
        a: &[f32],
        b: &[f32],
        centers: &[C],
        f: impl Fn(f32, f32, C) -> [f64; N] + Sync,
    ) -> Vec<[f64; N]> {
        let blocks = of.blocks();
        let mut partials = vec![[[0.0; LANES]; N]; of.n * blocks];
        let shared = Shared::new(&mut partials);
        for_each_task(of.n * blocks, of.len(), |task| {
            let (image, block) = (task / blocks, task % blocks);
            let plane = of.at(image, block, 0)..of.at(image, block, 0) + of.plane();
            let (a, b) = (a[plane.clone()].as_chunks().0, b[plane].as_chunks().0);
            let mut centers_of = [centers[block * LANES]; LANES];
            centers_of.copy_from_slice(&centers[block * LANES..][..LANES]);
            let sums = self.vectorize(
                #[inline(always)]
                || {
                    let mut sums = [[0.0; LANES]; N];
                    for (a, b) in a.iter().zip(b) {
                        let (a, b): (&Pixel<f32>, &Pixel<f32>) = (a, b);
                        for l in 0..LANES {
                            let found = f(a[l], b[l], centers_of[l]);
                            for (sums, found) in sums.iter_mut().zip(found) {
                                sums[l] += found;
                            }
                        }
                    }
                    sums
                },
            );
            // SAFETY: every task has a place of its own.
            let place = unsafe { shared.range(task, 1) };
            place[0] = sums;
        });
        let total = |channel: usize| {
            let (block, lane) = (channel / LANES, channel % LANES);
            let mut total = [0.0; N];
            for image in 0..of.n {
                let sums = &partials[image * blocks + block];
                total.iter_mut().zip(sums).for_each(|(total, sums)| *total += sums[lane]);
            }
            total
        };
        (0..of.c).map(total).collect()
    }
}

/// One for each lane; those past the last channel give 0 for 0.
fn padded(mut channels: Vec<Channel>, of: Blocked) -> Vec<Channel> {
    channels.resize(of.blocks() * LANES, Channel::default());
    channels
}

/// Three numbers of each channel of a block.
fn of_block<const N: usize>(
    channels: &[Channel],
    block: usize,
    f: impl Fn(&Channel) -> [f32; N],
) -> [Pixel<f32>; N] {
    let mut found = [[0.0; LANES]; N];
    for (lane, channel) in channels[block * LANES..][..LANES].iter().enumerate() {
        found.iter_mut().zip(f(channel)).for_each(|(found, value)| found[lane] = value);
    }
    found
}
