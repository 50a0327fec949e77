//! One slice that several threads write, each its own part.

use std::marker::PhantomData;

/// A slice lent to tasks that write parts of it which do not overlap.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'a> {
    start: *mut f32,
    len: usize,
    slice: PhantomData<&'a mut [f32]>,
}

// SAFETY: who takes a part out promises that no other task uses it.
unsafe impl Send for Shared<'_> {}
// SAFETY: as above.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    pub fn new(slice: &'a mut [f32]) -> Shared<'a> {
        Shared { start: slice.as_mut_ptr(), len: slice.len(), slice: PhantomData }
    }

    /// The address of an element.
    pub fn at(self, index: usize) -> *mut f32 {
        assert!(index <= self.len, "element {index} of {}", self.len);
        // SAFETY: inside the slice, or one past its end.
        unsafe { self.start.add(index) }
    }

    /// A part, to be lent on.
    pub fn part(self, start: usize, len: usize) -> Shared<'a> {
        let end = start.checked_add(len);
        assert!(end.is_some_and(|end| end <= self.len), "{start} + {len} of {}", self.len);
        // SAFETY: inside the slice.
        Shared { start: unsafe { self.start.add(start) }, len, slice: PhantomData }
    }

    /// A part.
    ///
    /// # Safety
    /// Nobody else uses the part while it is borrowed.
    pub unsafe fn slice(self, start: usize, len: usize) -> &'a mut [f32] {
        let end = start.checked_add(len);
        assert!(end.is_some_and(|end| end <= self.len), "{start} + {len} of {}", self.len);
        // SAFETY: inside the slice; the caller is alone with it.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }
}
