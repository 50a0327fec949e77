//! What happens to a sum before it is stored: bias, a second operand, the activation.

use super::lanes::Lanes;
use super::layout::{Blocked, BlockedMut, BlockedRef};
use super::{AlignedVec, LANES};
use crate::math;
use crate::shared::Shared;

/// An activation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Act<'a> {
    /// y = x
    #[default]
    None,
    /// y = max(x, 0) + slope · min(x, 0)
    Relu(f32),
    /// The same with a slope per channel (or a single one).
    PRelu(&'a [f32]),
    /// y = min(max(x, low), high)
    Clip(f32, f32),
    /// y = 1 / (1 + e^-x)
    Sigmoid,
    /// y = tanh x
    TanH,
}

/// What is added to a result.
#[derive(Clone, Copy, Debug, Default)]
pub enum Add<'a> {
    /// Nothing.
    #[default]
    Nothing,
    /// What the destination holds.
    Dst,
    /// Another blob of the destination's shape.
    Blob(BlockedRef<'a>),
}

/// y = act(x + bias + add)
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// One number per output channel.
    pub bias: Option<&'a [f32]>,
    /// A sum with another blob.
    pub add: Add<'a>,
    /// The activation.
    pub act: Act<'a>,
}

/// An epilogue as the loops want it: numbers per channel filled up to whole blocks.
pub(super) struct Finish {
    /// Zeros where there is none.
    pub bias: AlignedVec,
    pub slopes: Option<AlignedVec>,
    /// Results are held between these.
    pub low: f32,
    pub high: f32,
    /// What follows in a sweep of its own.
    sweep: Sweep,
    /// Lanes of the last block that hold channels, if the others must be set to zero again.
    spare: Option<usize>,
    last: usize,
}

#[derive(Clone, Copy)]
enum Sweep {
    None,
    Sigmoid,
    TanH,
}

impl Finish {
    pub fn new(c: usize, bias: Option<&[f32]>, act: Act<'_>) -> Finish {
        let padded = c.next_multiple_of(LANES);
        assert!(bias.is_none_or(|bias| bias.len() == c), "one bias per channel");
        let mut finish = Finish {
            bias: AlignedVec::padded(bias.unwrap_or(&[]), padded),
            slopes: None,
            low: f32::NEG_INFINITY,
            high: f32::INFINITY,
            sweep: Sweep::None,
            spare: None,
            last: padded / LANES - 1,
        };
        let mut keeps_zero = true;
        match act {
            Act::None => {}
            Act::Relu(0.0) => finish.low = 0.0,
            Act::Relu(slope) => finish.slopes = Some(AlignedVec::padded(&vec![slope; c], padded)),
            Act::PRelu(&[slope]) => {
                finish.slopes = Some(AlignedVec::padded(&vec![slope; c], padded));
            }
            Act::PRelu(slopes) => {
                assert_eq!(slopes.len(), c, "one slope per channel");
                finish.slopes = Some(AlignedVec::padded(slopes, padded));
            }
            Act::Clip(low, high) => {
                (finish.low, finish.high) = (low, high);
                keeps_zero = low <= 0.0 && high >= 0.0;
            }
            Act::Sigmoid => (finish.sweep, keeps_zero) = (Sweep::Sigmoid, false),
            Act::TanH => finish.sweep = Sweep::TanH,
        }
        if !keeps_zero && c < padded {
            finish.spare = Some(c % LANES);
        }
        finish
    }

    /// Whether `sweep` has anything to do.
    pub fn sweeps(&self) -> bool {
        !matches!(self.sweep, Sweep::None) || self.spare.is_some()
    }

    /// The part that is done in memory, on pixels of a block.
    #[inline(always)]
    pub fn sweep(&self, block: usize, pixels: &mut [f32]) {
        let (pixels, _) = pixels.as_chunks_mut::<LANES>();
        let map = |pixels: &mut [[f32; LANES]], f: fn(f32) -> f32| {
            pixels.iter_mut().for_each(|pixel| *pixel = pixel.map(f));
        };
        match self.sweep {
            Sweep::None => {}
            Sweep::Sigmoid => map(pixels, math::sigmoid),
            Sweep::TanH => map(pixels, math::tanh),
        }
        if let Some(lanes) = self.spare.filter(|_| block == self.last) {
            pixels.iter_mut().for_each(|pixel| pixel[lanes..].fill(0.0));
        }
    }
}

/// The epilogue of a block, in registers.
#[derive(Clone, Copy)]
pub(super) struct Tail<L> {
    bias: L,
    slope: Option<L>,
    low: L,
    high: L,
}

impl Finish {
    /// # Safety
    /// The instruction set of `L` is there.
    #[inline(always)]
    pub unsafe fn tail<L: Lanes>(&self, block: usize) -> Tail<L> {
        let channels = block * LANES..(block + 1) * LANES;
        let slopes = self.slopes.as_ref().map(|slopes| &slopes[channels.clone()]);
        // SAFETY: both slices hold 16 floats.
        unsafe {
            Tail {
                bias: L::load(self.bias[channels].as_ptr()),
                slope: slopes.map(|slopes| L::load(slopes.as_ptr())),
                low: L::splat(self.low),
                high: L::splat(self.high),
            }
        }
    }
}

impl<L: Lanes> Tail<L> {
    /// The result of a sum that does not hold the bias yet; `add` may be null.
    ///
    /// # Safety
    /// The instruction set is there; `add` is null or good for 16 floats.
    #[inline(always)]
    pub unsafe fn apply(self, sum: L, add: *const f32) -> L {
        // SAFETY: passed on.
        unsafe {
            let mut sum = sum.add(self.bias);
            if !add.is_null() {
                sum = sum.add(L::load(add));
            }
            if let Some(slope) = self.slope {
                let zero = L::splat(0.0);
                sum = sum.max(zero).add_product(slope, sum.min(zero));
            }
            sum.max(self.low).min(self.high)
        }
    }
}

/// Where the second operand of a sum lies.
#[derive(Clone, Copy)]
pub(super) struct Addend {
    pub data: *const f32,
    pub of: Blocked,
    pub block: usize,
}

// SAFETY: a borrowed slice of numbers, which every task reads, or the destination, of which every
// task reads what it writes itself.
unsafe impl Send for Addend {}
// SAFETY: as above.
unsafe impl Sync for Addend {}

impl Addend {
    /// Where the second operand of a row of a block begins.
    pub fn row(&self, n: usize, block: usize, y: usize) -> *const f32 {
        self.data.wrapping_add(self.of.at(n, self.block + block, y))
    }

    /// `shape` is the result's, which lands in `dst` from block `block` on.
    pub fn new(add: Add<'_>, shape: [usize; 4], dst: &Output<'_>) -> Option<Addend> {
        match add {
            Add::Nothing => None,
            Add::Dst => {
                let skipped = dst.skip[0] * dst.of.row() + dst.skip[1] * LANES;
                Some(Addend { data: dst.data.at(skipped), of: dst.of, block: dst.block })
            }
            Add::Blob(blob) => {
                blob.check(shape);
                let block = blob.c_offset / LANES;
                Some(Addend { data: blob.data.as_ptr(), of: blob.of, block })
            }
        }
    }
}

/// A destination that tasks share.
pub(super) struct Output<'a> {
    pub data: Shared<'a>,
    pub of: Blocked,
    /// First block.
    pub block: usize,
    /// Rows and columns from one result to the next, and those before the first.
    pub step: [usize; 2],
    pub skip: [usize; 2],
}

impl<'a> Output<'a> {
    pub fn new(dst: BlockedMut<'a>, shape: [usize; 4]) -> Output<'a> {
        dst.check(shape);
        let (of, block) = (dst.of, dst.c_offset / LANES);
        Output { of, block, data: Shared::new(dst.data), step: [1, 1], skip: [0, 0] }
    }

    /// Where row `y` of the results of a block begins.
    pub fn at(&self, n: usize, block: usize, y: usize) -> usize {
        self.of.at(n, self.block + block, self.skip[0] + y * self.step[0]) + self.skip[1] * LANES
    }

    /// Floats from one row of results to the next.
    pub fn row(&self) -> usize {
        self.step[0] * self.of.row()
    }

    /// Floats from one result to the next.
    pub fn px(&self) -> usize {
        self.step[1] * LANES
    }

    /// Whether nothing is left out.
    pub fn is_dense(&self) -> bool {
        self.step == [1, 1]
    }
}
