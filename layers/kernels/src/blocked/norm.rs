//! Statistics per channel of blocked activations, and what normalises by them.
//!
//! Sums are taken in f64, image by image and block by block, and added in that order. The loops name
//! their registers: left to the compiler they became gathers over pixels, four times slower.

use std::ops::Range;

use super::lanes::{Lanes, WithLanes};
use super::layout::{Blocked, BlockedRef, for_each_plane};
use super::wide::Wide;
use super::{LANES, for_each_task};
use crate::Kernels;
use crate::norm::{Channel, Normalizer};
use crate::shared::Shared;

/// A number for each channel of a block.
type Pixel = [f32; LANES];

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
        // The first pixel: what is near the mean costs no digits.
        let centers: Vec<Pixel> =
            (0..of.blocks()).map(|block| pixel(&x[of.at(0, block, 0)..])).collect();
        let sums = self.sums_blocked(of, &Moments { x, centers: &centers });
        let count = (of.n * of.h * of.w) as f64;
        let results = mean.iter_mut().zip(var).zip(&sums).zip(centers.as_flattened());
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
        assert_eq!(x.data.len(), x.of.len(), "the data is not as long as its layout says");
        assert_eq!(out.len(), x.of.c, "one sum per channel");
        let sums = self.sums_blocked(x.of, &Sum(x.data));
        out.iter_mut().zip(sums).for_each(|(out, [sum])| *out += sum as f32);
    }

    /// y = relu(γ · (x − mean) / σ + β) of blobs without halo, in one sweep.
    pub fn normalize_blocked(&self, of: Blocked, n: Normalizer<'_>, x: &[f32], y: &mut [f32]) {
        assert_eq!(x.len(), of.len(), "the data is not as long as its layout says");
        assert_eq!(y.len(), of.len(), "the data is not as long as its layout says");
        let channels = padded(n.channels(), of);
        for_each_plane(of, y, |image, block, y| {
            let x = &x[of.at(image, block, 0)..][..of.plane()];
            let channels = of_block(&channels, block);
            self.with_lanes(Normalize { channels, x, y });
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
        let found = self.sums_blocked(of, &Gradients { x, dy: diff, channels: &channels });
        Channel::learn(&mut channels, &found, (of.n * of.h * of.w) as f64, of.c, sums);
        for_each_plane(of, diff, |image, block, diff| {
            let x = &x[of.at(image, block, 0)..][..of.plane()];
            let channels = of_block(&channels, block);
            self.with_lanes(NormalizeBackward { channels, x, diff });
        });
    }

    /// For each channel what is summed over images and pixels.
    fn sums_blocked<const N: usize>(&self, of: Blocked, what: &impl Summed<N>) -> Vec<[f64; N]> {
        let blocks = of.blocks();
        let mut partials = vec![[[0.0; LANES]; N]; of.n * blocks];
        let shared = Shared::new(&mut partials);
        for_each_task(of.n * blocks, of.len(), |task| {
            let (image, block) = (task / blocks, task % blocks);
            let plane = of.at(image, block, 0)..of.at(image, block, 0) + of.plane();
            // SAFETY: every task has a place of its own.
            let sums = unsafe { &mut shared.range(task, 1)[0] };
            self.with_lanes(Sums { what, block, plane, sums });
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

/// N numbers per channel that are summed over pixels.
///
/// # Safety
/// Methods may be called only where the instruction set of `L` is there.
trait Summed<const N: usize>: Sync {
    /// What the sums need of a block's channels, in registers.
    type Channels<L: Lanes>: Copy;
    unsafe fn channels<L: Lanes>(&self, block: usize) -> Self::Channels<L>;
    /// Adds the pixel that begins at `at`.
    unsafe fn add<L: Lanes>(&self, of: Self::Channels<L>, at: usize, sums: &mut [L::Wide; N]);
}

/// Σ (x − center), Σ (x − center)²
struct Moments<'a> {
    x: &'a [f32],
    centers: &'a [Pixel],
}

impl Summed<2> for Moments<'_> {
    type Channels<L: Lanes> = L::Wide;

    #[inline(always)]
    unsafe fn channels<L: Lanes>(&self, block: usize) -> L::Wide {
        // SAFETY: a pixel is 16 floats.
        unsafe { L::load(self.centers[block].as_ptr()).widen() }
    }

    #[inline(always)]
    unsafe fn add<L: Lanes>(&self, center: L::Wide, at: usize, [sum, squares]: &mut [L::Wide; 2]) {
        // SAFETY: a pixel is 16 floats.
        unsafe {
            let d = load::<L>(self.x, at).widen().sub(center);
            *sum = sum.add(d);
            *squares = squares.add_product(d, d);
        }
    }
}

/// Σ x
struct Sum<'a>(&'a [f32]);

impl Summed<1> for Sum<'_> {
    type Channels<L: Lanes> = ();

    #[inline(always)]
    unsafe fn channels<L: Lanes>(&self, _: usize) {}

    #[inline(always)]
    unsafe fn add<L: Lanes>(&self, (): (), at: usize, [sum]: &mut [L::Wide; 1]) {
        // SAFETY: the caller has the instruction set.
        unsafe { *sum = sum.add(load::<L>(self.0, at).widen()) };
    }
}

/// Σ dz, Σ dz · x̂, where dz is what the rectifier lets through of dy.
struct Gradients<'a> {
    x: &'a [f32],
    dy: &'a [f32],
    channels: &'a [Channel],
}

impl Summed<2> for Gradients<'_> {
    type Channels<L: Lanes> = Registers<L>;

    #[inline(always)]
    unsafe fn channels<L: Lanes>(&self, block: usize) -> Registers<L> {
        // SAFETY: the caller has the instruction set.
        unsafe { Registers::load(&of_block(self.channels, block)) }
    }

    #[inline(always)]
    unsafe fn add<L: Lanes>(
        &self,
        of: Registers<L>,
        at: usize,
        [sum, products]: &mut [L::Wide; 2],
    ) {
        // SAFETY: the caller has the instruction set.
        unsafe {
            let x = load::<L>(self.x, at);
            let dz = of.dz(load(self.dy, at), x).widen();
            *sum = sum.add(dz);
            *products = products.add_product(dz, x.sub(of.mean).mul(of.inv_std).widen());
        }
    }
}

/// The sums over a plane.
struct Sums<'a, S, const N: usize> {
    what: &'a S,
    block: usize,
    plane: Range<usize>,
    sums: &'a mut [[f64; LANES]; N],
}

impl<S: Summed<N>, const N: usize> WithLanes for Sums<'_, S, N> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        // SAFETY: the caller has the instruction set; sums are 16 doubles each.
        unsafe {
            let channels = self.what.channels::<L>(self.block);
            let mut sums = [L::Wide::zero(); N];
            for at in self.plane.step_by(LANES) {
                self.what.add::<L>(channels, at, &mut sums);
            }
            for (to, sums) in self.sums.iter_mut().zip(sums) {
                sums.store(to.as_mut_ptr());
            }
        }
    }
}

struct Normalize<'a> {
    channels: [Channel; LANES],
    x: &'a [f32],
    y: &'a mut [f32],
}

impl WithLanes for Normalize<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        // SAFETY: the caller has the instruction set; a pixel is 16 floats.
        unsafe {
            let of = Registers::<L>::load(&self.channels);
            for (y, x) in self.y.as_chunks_mut::<LANES>().0.iter_mut().zip(self.x.as_chunks().0) {
                let x: &Pixel = x;
                of.z(L::load(x.as_ptr())).max(of.low).store(y.as_mut_ptr());
            }
        }
    }
}

struct NormalizeBackward<'a> {
    channels: [Channel; LANES],
    x: &'a [f32],
    diff: &'a mut [f32],
}

impl WithLanes for NormalizeBackward<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        // SAFETY: the caller has the instruction set; a pixel is 16 floats.
        unsafe {
            let of = Registers::<L>::load(&self.channels);
            let mean_dz = row::<L>(&self.channels, |c| c.mean_dz);
            let slope = row::<L>(&self.channels, |c| c.mean_dz_x * c.inv_std);
            let pixels = self.diff.as_chunks_mut::<LANES>().0.iter_mut();
            for (diff, x) in pixels.zip(self.x.as_chunks().0) {
                let x: &Pixel = x;
                let x = L::load(x.as_ptr());
                let dz = of.dz(L::load(diff.as_ptr()), x);
                let expected = mean_dz.add_product(slope, x.sub(of.mean));
                dz.sub(expected).mul(of.scale).store(diff.as_mut_ptr());
            }
        }
    }
}

/// What the channels of a block have, in registers.
#[derive(Clone, Copy)]
struct Registers<L> {
    mean: L,
    inv_std: L,
    scale: L,
    shift: L,
    low: L,
}

impl<L: Lanes> Registers<L> {
    /// # Safety
    /// The instruction set is there, as for all methods.
    #[inline(always)]
    unsafe fn load(channels: &[Channel; LANES]) -> Registers<L> {
        // SAFETY: passed on.
        unsafe {
            Registers {
                mean: row(channels, |c| c.mean),
                inv_std: row(channels, |c| c.inv_std),
                scale: row(channels, |c| c.scale),
                shift: row(channels, |c| c.shift),
                low: row(channels, |c| c.low),
            }
        }
    }

    /// Before the rectifier.
    #[inline(always)]
    unsafe fn z(self, x: L) -> L {
        // SAFETY: passed on.
        unsafe { self.shift.add_product(x, self.scale) }
    }

    /// dy where the rectifier let z through.
    #[inline(always)]
    unsafe fn dz(self, dy: L, x: L) -> L {
        // SAFETY: passed on.
        unsafe { dy.where_greater(self.z(x), self.low) }
    }
}

/// A number of each channel.
///
/// # Safety
/// The instruction set of `L` is there.
#[inline(always)]
unsafe fn row<L: Lanes>(channels: &[Channel; LANES], f: impl Fn(&Channel) -> f32) -> L {
    let numbers: Pixel = std::array::from_fn(|lane| f(&channels[lane]));
    // SAFETY: 16 floats.
    unsafe { L::load(numbers.as_ptr()) }
}

/// The pixel that begins at `at`.
///
/// # Safety
/// The instruction set of `L` is there.
#[inline(always)]
unsafe fn load<L: Lanes>(data: &[f32], at: usize) -> L {
    // SAFETY: 16 floats.
    unsafe { L::load(data[at..][..LANES].as_ptr()) }
}

fn pixel(data: &[f32]) -> Pixel {
    let mut pixel = [0.0; LANES];
    pixel.copy_from_slice(&data[..LANES]);
    pixel
}

/// One for each lane; those past the last channel give 0 for 0.
fn padded(mut channels: Vec<Channel>, of: Blocked) -> Vec<Channel> {
    channels.resize(of.blocks() * LANES, Channel::default());
    channels
}

fn of_block(channels: &[Channel], block: usize) -> [Channel; LANES] {
    std::array::from_fn(|lane| channels[block * LANES + lane])
}
