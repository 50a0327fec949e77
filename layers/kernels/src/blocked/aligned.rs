//! Memory that begins on a cache line, so that a register never straddles two.

use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};

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

/// Buffers longer than this are kept for all threads: whole blobs, of which each thread would else come
/// to hold copies of its own, as one or the other begins a step.
const LARGE: usize = 1 << 18;

static SHARED: Mutex<Vec<AlignedVec>> = Mutex::new(Vec::new());

thread_local! {
    static OWN: RefCell<Vec<AlignedVec>> = const { RefCell::new(Vec::new()) };
}

/// Runs `f` with `len` floats of unknown content, kept for the next time.
pub(crate) fn with_buffer<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    // Taken out, so that `f` and work stolen by this thread meanwhile may ask for buffers as well.
    let mut buffer = with_kept(len, |kept| {
        let fits = (0..kept.len()).filter(|&i| kept[i].len() >= len);
        let best = fits.min_by_key(|&i| kept[i].len()).or(kept.len().checked_sub(1));
        best.map(|i| kept.swap_remove(i)).unwrap_or_default()
    });
    if buffer.len() < len {
        // Given back first, so that the two are never held at once.
        drop(std::mem::take(&mut buffer));
        buffer = AlignedVec::zeros(len);
    }
    let result = f(&mut buffer[..len]);
    with_kept(len, |kept| kept.push(buffer));
    result
}

fn with_kept<R>(len: usize, f: impl FnOnce(&mut Vec<AlignedVec>) -> R) -> R {
    match len > LARGE {
        // Nothing inside panics; a list is whole in any case.
        true => f(&mut SHARED.lock().unwrap_or_else(PoisonError::into_inner)),
        false => OWN.with_borrow_mut(f),
    }
}
