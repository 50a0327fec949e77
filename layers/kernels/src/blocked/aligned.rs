//! Memory that begins on a cache line, so that a register never straddles two.

use std::cell::RefCell;

use super::LANES;

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([f32; LANES]);

/// A fixed number of floats that begin on a cache line.
#[derive(Clone, Debug, Default)]
pub struct AlignedVec {
    lines: Vec<Line>,
    len: usize,
}

impl AlignedVec {
    /// Zeros.
    pub fn zeros(len: usize) -> AlignedVec {
        AlignedVec { lines: vec![Line([0.0; LANES]); len.div_ceil(LANES)], len }
    }

    /// `values`, then zeros up to `len`.
    pub fn padded(values: &[f32], len: usize) -> AlignedVec {
        let mut padded = AlignedVec::zeros(len);
        padded[..values.len()].copy_from_slice(values);
        padded
    }
}

impl std::ops::Deref for AlignedVec {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: the lines are that many floats and more, without gaps.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl std::ops::DerefMut for AlignedVec {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, and borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

thread_local! {
    static BUFFERS: RefCell<Vec<AlignedVec>> = const { RefCell::new(Vec::new()) };
}

/// Runs `f` with `len` floats of unknown content, kept by this thread for the next time.
pub(super) fn with_buffer<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    // Taken out, so that `f` and work stolen by this thread meanwhile may ask for buffers as well.
    let mut buffer = BUFFERS.take().pop().unwrap_or_default();
    if buffer.len() < len {
        buffer = AlignedVec::zeros(len);
    }
    let result = f(&mut buffer[..len]);
    BUFFERS.with_borrow_mut(|kept| kept.push(buffer));
    result
}
