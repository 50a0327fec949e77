//! Sums of a block's 16 channels in double precision.

use super::LANES;

/// 16 doubles in registers.
///
/// # Safety
/// All methods may be called only where the instruction set is there; pointers must be good for 16
/// doubles.
pub(crate) trait Wide: Copy {
    unsafe fn zero() -> Self;
    unsafe fn store(self, to: *mut f64);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    /// self + a · b
    unsafe fn add_product(self, a: Self, b: Self) -> Self;
}

impl Wide for [f64; LANES] {
    #[inline(always)]
    unsafe fn zero() -> Self {
        [0.0; LANES]
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f64) {
        // SAFETY: the caller gives a pointer to 16 doubles.
        unsafe { to.cast::<[f64; LANES]>().write_unaligned(self) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        std::array::from_fn(|l| self[l] + other[l])
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        std::array::from_fn(|l| self[l] - other[l])
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        std::array::from_fn(|l| self[l] + a[l] * b[l])
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Wide;
    use std::arch::x86_64::*;

    macro_rules! wide {
        ($register:ty, $count:literal, $each:literal, $zero:ident, $store:ident, $add:ident, $sub:ident, $fma:ident) => {
            impl Wide for [$register; $count] {
                #[inline(always)]
                unsafe fn zero() -> Self {
                    // SAFETY: the caller has the instruction set.
                    unsafe { [$zero(); $count] }
                }

                #[inline(always)]
                unsafe fn store(self, to: *mut f64) {
                    for (i, part) in self.into_iter().enumerate() {
                        // SAFETY: the caller has the instruction set and gives 16 doubles.
                        unsafe { $store(to.add(i * $each), part) }
                    }
                }

                #[inline(always)]
                unsafe fn add(self, other: Self) -> Self {
                    // SAFETY: the caller has the instruction set.
                    std::array::from_fn(|i| unsafe { $add(self[i], other[i]) })
                }

                #[inline(always)]
                unsafe fn sub(self, other: Self) -> Self {
                    // SAFETY: the caller has the instruction set.
                    std::array::from_fn(|i| unsafe { $sub(self[i], other[i]) })
                }

                #[inline(always)]
                unsafe fn add_product(self, a: Self, b: Self) -> Self {
                    // SAFETY: the caller has the instruction set.
                    std::array::from_fn(|i| unsafe { $fma(a[i], b[i], self[i]) })
                }
            }
        };
    }

    wide!(
        __m256d,
        4,
        4,
        _mm256_setzero_pd,
        _mm256_storeu_pd,
        _mm256_add_pd,
        _mm256_sub_pd,
        _mm256_fmadd_pd
    );
    wide!(
        __m512d,
        2,
        8,
        _mm512_setzero_pd,
        _mm512_storeu_pd,
        _mm512_add_pd,
        _mm512_sub_pd,
        _mm512_fmadd_pd
    );
}
