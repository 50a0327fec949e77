//! The layout, views of it, and the ways into and out of it.

use std::ops::Range;

use super::{LANES, for_each_task};
use crate::Kernels;
use crate::shared::Shared;

/// Activations as `[n][c / 16][halo + h + halo][halo + w + halo][16]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// Images.
    pub n: usize,
    /// Channels; the last block is filled up with zeros.
    pub c: usize,
    /// Height without halo.
    pub h: usize,
    /// Width without halo.
    pub w: usize,
    /// Zeros around each plane.
    pub halo: usize,
}

impl Blocked {
    /// Blocks of channels.
    pub fn blocks(&self) -> usize {
        self.c.div_ceil(LANES)
    }

    /// Floats from one row to the next.
    pub fn row(&self) -> usize {
        (self.w + 2 * self.halo) * LANES
    }

    /// Floats from one block of channels to the next.
    pub fn plane(&self) -> usize {
        (self.h + 2 * self.halo) * self.row()
    }

    /// Floats from one image to the next.
    pub fn image(&self) -> usize {
        self.blocks() * self.plane()
    }

    /// All floats.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.n * self.image()
    }

    /// The same with another halo.
    pub fn with_halo(self, halo: usize) -> Blocked {
        Blocked { halo, ..self }
    }

    /// Where row `y` of a block begins, halo skipped.
    pub(super) fn at(&self, n: usize, block: usize, y: usize) -> usize {
        n * self.image() + block * self.plane() + (y + self.halo) * self.row() + self.halo * LANES
    }

    /// Floats of the same values in NCHW.
    pub(crate) fn plain_len(&self) -> usize {
        self.n * self.c * self.h * self.w
    }

    /// Lanes of a block that are channels.
    pub(super) fn lanes(&self, block: usize) -> usize {
        LANES.min(self.c - block * LANES)
    }
}

/// A range of the channels of a blocked blob, to be read. It begins at a multiple of 16 and ends at
/// one or with the blob.
#[derive(Clone, Copy, Debug)]
pub struct BlockedRef<'a> {
    /// The whole blob.
    pub data: &'a [f32],
    /// Its layout.
    pub of: Blocked,
    /// First channel.
    pub c_offset: usize,
}

/// A range of the channels of a blocked blob, to be written, under the same rule: a concatenation
/// is written in place.
#[derive(Debug)]
pub struct BlockedMut<'a> {
    /// The whole blob.
    pub data: &'a mut [f32],
    /// Its layout.
    pub of: Blocked,
    /// First channel.
    pub c_offset: usize,
}

/// What a convolution reads.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// Plain NCHW, as the first layer of a network gets it.
    Planes(&'a [f32]),
    /// A blocked blob; a halo smaller than the padding costs a copy.
    Blocked(BlockedRef<'a>),
}

/// What a convolution writes.
#[derive(Debug)]
pub enum Dest<'a> {
    /// Plain NCHW.
    Planes(&'a mut [f32]),
    /// A blocked blob.
    Blocked(BlockedMut<'a>),
}

impl<'a> From<&'a [f32]> for Source<'a> {
    fn from(planes: &'a [f32]) -> Source<'a> {
        Source::Planes(planes)
    }
}

impl<'a> From<&'a Vec<f32>> for Source<'a> {
    fn from(planes: &'a Vec<f32>) -> Source<'a> {
        Source::Planes(planes)
    }
}

impl<'a> From<&'a mut [f32]> for Dest<'a> {
    fn from(planes: &'a mut [f32]) -> Dest<'a> {
        Dest::Planes(planes)
    }
}

impl<'a> From<&'a mut Vec<f32>> for Dest<'a> {
    fn from(planes: &'a mut Vec<f32>) -> Dest<'a> {
        Dest::Planes(planes)
    }
}

impl<'a> Source<'a> {
    /// Values that are no padding.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        match self {
            Source::Planes(data) => data.len(),
            Source::Blocked(src) => src.of.plain_len(),
        }
    }

    /// Whether channels lie in blocks.
    pub fn is_blocked(&self) -> bool {
        matches!(self, Source::Blocked(_))
    }

    /// Some of its images; `image` floats each, if they are planes.
    pub(crate) fn images(self, range: Range<usize>, image: usize) -> Source<'a> {
        match self {
            Source::Planes(data) => Source::Planes(&data[range.start * image..range.end * image]),
            Source::Blocked(src) => {
                let (image, of) = (src.of.image(), Blocked { n: range.len(), ..src.of });
                let data = &src.data[range.start * image..range.end * image];
                Source::Blocked(BlockedRef { data, of, ..src })
            }
        }
    }
}

impl Dest<'_> {
    /// Values that are no padding.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        match self {
            Dest::Planes(data) => data.len(),
            Dest::Blocked(dst) => dst.of.plain_len(),
        }
    }

    /// Whether channels lie in blocks.
    pub fn is_blocked(&self) -> bool {
        matches!(self, Dest::Blocked(_))
    }

    /// Some of its images; `image` floats each, if they are planes.
    pub(crate) fn images(&mut self, range: Range<usize>, image: usize) -> Dest<'_> {
        match self {
            Dest::Planes(data) => Dest::Planes(&mut data[range.start * image..range.end * image]),
            Dest::Blocked(dst) => {
                let (image, of) = (dst.of.image(), Blocked { n: range.len(), ..dst.of });
                let data = &mut dst.data[range.start * image..range.end * image];
                Dest::Blocked(BlockedMut { data, of, c_offset: dst.c_offset })
            }
        }
    }
}

impl<'a> BlockedRef<'a> {
    /// All channels.
    pub fn new(data: &'a [f32], of: Blocked) -> BlockedRef<'a> {
        BlockedRef { data, of, c_offset: 0 }
    }

    pub(super) fn check(&self, [n, c, h, w]: [usize; 4]) {
        check(self.of, self.data.len(), self.c_offset, [n, c, h, w]);
    }
}

impl<'a> BlockedMut<'a> {
    /// All channels.
    pub fn new(data: &'a mut [f32], of: Blocked) -> BlockedMut<'a> {
        BlockedMut { data, of, c_offset: 0 }
    }

    /// The same again, for a shorter time.
    pub(crate) fn reborrow(&mut self) -> BlockedMut<'_> {
        BlockedMut { data: &mut *self.data, of: self.of, c_offset: self.c_offset }
    }

    pub(super) fn check(&self, [n, c, h, w]: [usize; 4]) {
        check(self.of, self.data.len(), self.c_offset, [n, c, h, w]);
    }
}

fn check(of: Blocked, len: usize, c_offset: usize, [n, c, h, w]: [usize; 4]) {
    assert_eq!(len, of.len(), "the data is not as long as its layout says");
    assert_eq!([of.n, of.h, of.w], [n, h, w], "blob of another shape");
    let end = c_offset + c;
    assert!(c_offset.is_multiple_of(LANES), "channels begin inside a block");
    assert!(end == of.c || end < of.c && end.is_multiple_of(LANES), "channels end inside a block");
}

impl Kernels {
    /// dst = src with another halo. Layouts differ in nothing else.
    pub fn reblock(&self, from: Blocked, src: &[f32], to: Blocked, dst: &mut [f32]) {
        assert_eq!(from.with_halo(to.halo), to, "the layouts differ in more than the halo");
        self.copy_blocked(BlockedRef::new(src, from), BlockedMut::new(dst, to));
        self.clear_halo(to, dst);
    }

    /// dst = src, halo untouched: a concatenation of blobs that others made.
    pub fn copy_blocked(&self, src: BlockedRef<'_>, dst: BlockedMut<'_>) {
        let (from, to) = (src.of, dst.of);
        let c = (from.c - src.c_offset).min(to.c - dst.c_offset);
        src.check([to.n, c, to.h, to.w]);
        dst.check([from.n, c, from.h, from.w]);
        let (blocks, width) = (c.div_ceil(LANES), to.w * LANES);
        let shared = Shared::new(dst.data);
        for_each_task(to.n * blocks, to.n * blocks * to.h * width, |task| {
            let (n, block) = (task / blocks, task % blocks);
            for y in 0..to.h {
                let line = &src.data[from.at(n, src.c_offset / LANES + block, y)..][..width];
                let at = to.at(n, dst.c_offset / LANES + block, y);
                // SAFETY: every task has a block of an image of its own.
                unsafe { shared.range(at, width) }.copy_from_slice(line);
            }
        });
    }

    /// Zeros all around the planes: for memory that held something else before.
    pub fn clear_halo(&self, of: Blocked, data: &mut [f32]) {
        assert_eq!(data.len(), of.len(), "the data is not as long as its layout says");
        let (halo, row) = (of.halo, of.row());
        if halo == 0 {
            return;
        }
        for_each_plane(of, data, |_, _, plane| {
            plane[..halo * row].fill(0.0);
            plane[(of.h + halo) * row..].fill(0.0);
            for line in plane[halo * row..(of.h + halo) * row].chunks_exact_mut(row) {
                line[..halo * LANES].fill(0.0);
                line[row - halo * LANES..].fill(0.0);
            }
        });
    }
}

/// Calls `f(image, block, plane with its halo)` for all planes.
pub(super) fn for_each_plane(
    of: Blocked,
    data: &mut [f32],
    f: impl Fn(usize, usize, &mut [f32]) + Sync,
) {
    let shared = Shared::new(data);
    for_each_task(of.n * of.blocks(), of.len(), |task| {
        // SAFETY: every task has a plane of its own.
        let plane = unsafe { shared.range(task * of.plane(), of.plane()) };
        f(task / of.blocks(), task % of.blocks(), plane);
    });
}
