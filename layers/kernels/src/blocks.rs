//! How elementwise work is cut into tasks, and the loops that every elementwise kernel shares.
//!
//! An element's result depends on that element alone, so the cut may be anything without changing
//! a bit. Sums are another matter: they are cut by shape alone, in `reduce.rs`.

use crate::shared::Shared;
use crate::{SrcDst, Write};
use std::ops::Range;

/// Elements of one task: a block with its sources stays in the second cache.
pub(crate) const BLOCK: usize = 1 << 14;

/// Work below this many elements is not worth a second thread.
const SERIAL: usize = 1 << 15;

/// Whether work on `len` elements (or as much arithmetic as that) is shared between threads.
pub(crate) fn worth_sharing(len: usize) -> bool {
    len > SERIAL && crate::team::threads() > 1
}

/// Runs `f(0) .. f(count - 1)`, shared between threads when `work` elements are enough for that.
pub(crate) fn for_each_task(count: usize, work: usize, f: impl Fn(usize) + Sync) {
    if count > 1 && worth_sharing(work) {
        crate::team::share(count, f);
    } else {
        (0..count).for_each(f);
    }
}

/// Calls `f(start, block)` for every block of `len` elements of `dst`.
pub(crate) fn for_blocks(dst: &mut [f32], len: usize, f: impl Fn(usize, &mut [f32]) + Sync) {
    if worth_sharing(dst.len()) {
        let (total, shared) = (dst.len(), Shared::new(dst));
        crate::team::share(total.div_ceil(len), |i| {
            // SAFETY: every task has a block of its own.
            f(i * len, unsafe { shared.range(i * len, len.min(total - i * len)) });
        });
    } else {
        dst.chunks_mut(len).enumerate().for_each(|(i, block)| f(i * len, block));
    }
}

/// Calls `f(start, part)` for every block of `io`.
pub(crate) fn for_io_blocks(io: SrcDst<'_>, f: impl Fn(usize, SrcDst<'_>) + Sync) {
    match io {
        SrcDst::Apart(src, dst) => {
            assert_eq!(src.len(), dst.len(), "source and destination differ in length");
            for_blocks(dst, BLOCK, |at, dst| f(at, SrcDst::Apart(&src[at..at + dst.len()], dst)));
        }
        SrcDst::InPlace(dst) => for_blocks(dst, BLOCK, |at, dst| f(at, SrcDst::InPlace(dst))),
    }
}

impl<'a> SrcDst<'a> {
    /// Number of elements.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        match self {
            SrcDst::Apart(_, dst) | SrcDst::InPlace(dst) => dst.len(),
        }
    }

    /// The same places again, for a shorter time.
    #[inline(always)]
    pub fn reborrow(&mut self) -> SrcDst<'_> {
        match self {
            SrcDst::Apart(src, dst) => SrcDst::Apart(src, dst),
            SrcDst::InPlace(dst) => SrcDst::InPlace(dst),
        }
    }

    /// The elements of `range`.
    #[inline(always)]
    pub(crate) fn part(&mut self, range: Range<usize>) -> SrcDst<'_> {
        match self {
            SrcDst::Apart(src, dst) => SrcDst::Apart(&src[range.clone()], &mut dst[range]),
            SrcDst::InPlace(dst) => SrcDst::InPlace(&mut dst[range]),
        }
    }

    /// What is written.
    #[inline(always)]
    pub(crate) fn into_dst(self) -> &'a mut [f32] {
        match self {
            SrcDst::Apart(_, dst) | SrcDst::InPlace(dst) => dst,
        }
    }

    /// What is read.
    #[inline(always)]
    pub(crate) fn src(&self) -> &[f32] {
        match self {
            SrcDst::Apart(src, _) => src,
            SrcDst::InPlace(dst) => dst,
        }
    }
}

/// dst = f(src)
#[inline(always)]
pub(crate) fn map(io: SrcDst<'_>, f: impl Fn(f32) -> f32) {
    match io {
        SrcDst::Apart(src, dst) => {
            for (d, &s) in dst.iter_mut().zip(src) {
                *d = f(s);
            }
        }
        SrcDst::InPlace(dst) => in_place(dst, |_, src, dst| {
            for (d, &s) in dst.iter_mut().zip(src) {
                *d = f(s);
            }
        }),
    }
}

/// dst = f(src, a) or dst += f(src, a)
#[inline(always)]
pub(crate) fn map2(io: SrcDst<'_>, a: &[f32], write: Write, f: impl Fn(f32, f32) -> f32) {
    match (io, write) {
        (SrcDst::Apart(src, dst), Write::Set) => {
            for ((d, &s), &a) in dst.iter_mut().zip(src).zip(a) {
                *d = f(s, a);
            }
        }
        (SrcDst::Apart(src, dst), Write::Add) => {
            for ((d, &s), &a) in dst.iter_mut().zip(src).zip(a) {
                *d += f(s, a);
            }
        }
        (SrcDst::InPlace(dst), _) => in_place(dst, |at, src, dst| {
            for ((d, &s), &a) in dst.iter_mut().zip(src).zip(&a[at..]) {
                *d = f(s, a);
            }
        }),
    }
}

/// dst = f(src, a, b) or dst += f(src, a, b)
#[inline(always)]
pub(crate) fn map3(
    io: SrcDst<'_>,
    a: &[f32],
    b: &[f32],
    write: Write,
    f: impl Fn(f32, f32, f32) -> f32,
) {
    match (io, write) {
        (SrcDst::Apart(src, dst), Write::Set) => {
            for (((d, &s), &a), &b) in dst.iter_mut().zip(src).zip(a).zip(b) {
                *d = f(s, a, b);
            }
        }
        (SrcDst::Apart(src, dst), Write::Add) => {
            for (((d, &s), &a), &b) in dst.iter_mut().zip(src).zip(a).zip(b) {
                *d += f(s, a, b);
            }
        }
        (SrcDst::InPlace(dst), _) => in_place(dst, |at, src, dst| {
            for (((d, &s), &a), &b) in dst.iter_mut().zip(src).zip(&a[at..]).zip(&b[at..]) {
                *d = f(s, a, b);
            }
        }),
    }
}

/// Calls `f(at, src, dst)` for short pieces of `dst`, `src` being a copy of what was there.
///
/// An `f` that leaves some elements as they are would be compiled to stores under a mask if it read
/// what it writes, and those are slower than copying everything.
#[inline(always)]
fn in_place(dst: &mut [f32], f: impl Fn(usize, &[f32], &mut [f32])) {
    let mut src = [0.0; 128];
    for (piece, dst) in dst.chunks_mut(src.len()).enumerate() {
        let at = piece * src.len();
        let src = &mut src[..dst.len()];
        src.copy_from_slice(dst);
        f(at, src, dst);
    }
}

/// Numbers kept side by side in registers where results depend on several elements; the same on
/// every instruction set, hence the same bits.
pub(crate) const LANES: usize = 16;

/// `LANES` neighbours.
#[inline(always)]
pub(crate) fn lanes<T: Copy>(x: &[T], at: usize) -> [T; LANES] {
    let mut lanes = [x[at]; LANES];
    lanes.copy_from_slice(&x[at..at + LANES]);
    lanes
}

/// A blob seen as `[outer, c, inner]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Channels {
    pub outer: usize,
    pub c: usize,
    pub inner: usize,
}

/// From this many neighbours of one channel on, loops run along the plane, else across channels.
pub(crate) const PLANE: usize = 8;

impl Channels {
    pub(crate) fn new(outer: usize, c: usize, inner: usize, len: usize) -> Self {
        let product = outer.checked_mul(c).and_then(|n| n.checked_mul(inner));
        assert_eq!(product, Some(len), "{outer} x {c} x {inner} is not the length of the data");
        Channels { outer, c, inner }
    }

    /// Cuts `start .. start + len` where the channel changes and calls `f(range, channel)` with
    /// ranges counted from `start`.
    #[inline(always)]
    pub(crate) fn planes(self, start: usize, len: usize, mut f: impl FnMut(Range<usize>, usize)) {
        let mut row = start / self.inner.max(1);
        let mut at = 0;
        while at < len {
            let end = ((row + 1) * self.inner - start).min(len);
            f(at..end, row % self.c);
            (at, row) = (end, row + 1);
        }
    }

    /// For `inner == 1`: cuts `start .. start + len` where the channels begin anew and calls
    /// `f(range, channels)`.
    #[inline(always)]
    pub(crate) fn rows(
        self,
        start: usize,
        len: usize,
        mut f: impl FnMut(Range<usize>, Range<usize>),
    ) {
        let mut at = 0;
        while at < len {
            let first = (start + at) % self.c;
            let count = (self.c - first).min(len - at);
            f(at..at + count, first..first + count);
            at += count;
        }
    }
}

/// [`SrcDst`] for tasks that each take ranges of their own.
#[derive(Clone, Copy)]
pub(crate) enum SharedIo<'a> {
    Apart(&'a [f32], Shared<'a>),
    InPlace(Shared<'a>),
}

impl<'a> SharedIo<'a> {
    pub(crate) fn new(io: SrcDst<'a>) -> Self {
        match io {
            SrcDst::Apart(src, dst) => {
                assert_eq!(src.len(), dst.len(), "source and destination differ in length");
                SharedIo::Apart(src, Shared::new(dst))
            }
            SrcDst::InPlace(dst) => SharedIo::InPlace(Shared::new(dst)),
        }
    }

    /// `len` elements from `at` on.
    ///
    /// # Safety
    /// No two ranges that are alive at one time may overlap.
    #[inline(always)]
    pub(crate) unsafe fn range(&self, at: usize, len: usize) -> SrcDst<'_> {
        match self {
            // SAFETY: passed on to the caller.
            SharedIo::Apart(src, dst) => {
                SrcDst::Apart(&src[at..at + len], unsafe { dst.range(at, len) })
            }
            // SAFETY: passed on to the caller.
            SharedIo::InPlace(dst) => SrcDst::InPlace(unsafe { dst.range(at, len) }),
        }
    }
}
