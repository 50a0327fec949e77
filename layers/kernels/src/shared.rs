//! One slice that several threads write, each its own part.

use std::marker::PhantomData;

/// A slice lent to tasks that write parts of it which do not overlap.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'a, T = f32> {
    start: *mut T,
    len: usize,
    owner: PhantomData<&'a mut [T]>,
}

// SAFETY: the pointer stands for an exclusive borrow of plain numbers that lasts for 'a; who takes a
// part out promises that no other task uses it.
unsafe impl<T: Copy + Send> Send for Shared<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Copy + Send> Sync for Shared<'_, T> {}

impl<'a, T: Copy> Shared<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Shared<'a, T> {
        Shared { start: slice.as_mut_ptr(), len: slice.len(), owner: PhantomData }
    }

    /// The address of an element.
    pub(crate) fn at(self, index: usize) -> *mut T {
        assert!(index <= self.len, "element {index} of {}", self.len);
        // SAFETY: inside the slice, or one past its end.
        unsafe { self.start.add(index) }
    }

    /// A part, to be lent on.
    pub(crate) fn part(self, at: usize, len: usize) -> Shared<'a, T> {
        self.check(at, len);
        // SAFETY: inside the slice.
        Shared { start: unsafe { self.start.add(at) }, len, owner: PhantomData }
    }

    /// `len` elements from `at` on.
    ///
    /// # Safety
    /// No two ranges that are alive at one time may overlap.
    #[inline(always)]
    pub(crate) unsafe fn range(self, at: usize, len: usize) -> &'a mut [T] {
        self.check(at, len);
        // SAFETY: inside the borrowed slice, disjoint by this function's contract.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(at), len) }
    }

    #[inline(always)]
    fn check(self, at: usize, len: usize) {
        assert!(at <= self.len && len <= self.len - at, "{at} + {len} of {}", self.len);
    }
}
