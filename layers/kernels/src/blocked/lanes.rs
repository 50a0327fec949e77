//! The few vector operations on a block of 16 channels, for each instruction set.

use super::LANES;
use super::wide::Wide;
use crate::Kernels;
use crate::table::Isa;
#[cfg(target_arch = "x86_64")]
use crate::table::{with_avx2, with_avx512};

/// 16 floats in registers.
///
/// # Safety
/// All methods may be called only where the instruction set is there; pointers must be good for 16
/// floats.
pub(crate) trait Lanes: Copy {
    /// How many of them the machine holds.
    const REGISTERS: usize;
    /// 16 doubles.
    type Wide: Wide;
    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// self + a · b
    unsafe fn add_product(self, a: Self, b: Self) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    /// The larger one; `self` where it is NaN.
    unsafe fn max(self, other: Self) -> Self;
    /// The smaller one; `self` where it is NaN.
    unsafe fn min(self, other: Self) -> Self;
    /// Elements of both by turns: of the first halves, of the second halves.
    unsafe fn zip(self, other: Self) -> [Self; 2];
    /// `self` where `a` is larger than `b`, else 0.
    unsafe fn where_greater(self, a: Self, b: Self) -> Self;
    /// The same numbers as doubles.
    unsafe fn widen(self) -> Self::Wide;
}

/// Asks for a cache line that is wanted soon; any address will do.
#[inline(always)]
pub(super) fn prefetch(at: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every such machine has the instruction, a hint, which faults nowhere.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T1>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// Plain numbers, which the compiler turns into what the machine has.
#[derive(Clone, Copy)]
pub(super) struct Plain([f32; LANES]);

impl Plain {
    #[inline(always)]
    fn each(self, other: Plain, f: impl Fn(f32, f32) -> f32) -> Plain {
        Plain(std::array::from_fn(|l| f(self.0[l], other.0[l])))
    }
}

impl Lanes for Plain {
    const REGISTERS: usize = 8;
    type Wide = [f64; LANES];

    #[inline(always)]
    unsafe fn splat(value: f32) -> Plain {
        Plain([value; LANES])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Plain {
        // SAFETY: the caller gives a pointer to 16 floats.
        Plain(unsafe { from.cast::<[f32; LANES]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller gives a pointer to 16 floats.
        unsafe { to.cast::<[f32; LANES]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Plain, b: Plain) -> Plain {
        Plain(std::array::from_fn(|l| self.0[l] + a.0[l] * b.0[l]))
    }

    #[inline(always)]
    unsafe fn add(self, other: Plain) -> Plain {
        self.each(other, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn sub(self, other: Plain) -> Plain {
        self.each(other, |a, b| a - b)
    }

    #[inline(always)]
    unsafe fn mul(self, other: Plain) -> Plain {
        self.each(other, |a, b| a * b)
    }

    #[inline(always)]
    unsafe fn max(self, other: Plain) -> Plain {
        self.each(other, |a, b| if b > a { b } else { a })
    }

    #[inline(always)]
    unsafe fn min(self, other: Plain) -> Plain {
        self.each(other, |a, b| if b < a { b } else { a })
    }

    #[inline(always)]
    unsafe fn zip(self, other: Plain) -> [Plain; 2] {
        let element = |i: usize| if i.is_multiple_of(2) { self.0[i / 2] } else { other.0[i / 2] };
        [Plain(std::array::from_fn(element)), Plain(std::array::from_fn(|i| element(i + LANES)))]
    }

    #[inline(always)]
    unsafe fn where_greater(self, a: Plain, b: Plain) -> Plain {
        Plain(std::array::from_fn(|l| if a.0[l] > b.0[l] { self.0[l] } else { 0.0 }))
    }

    #[inline(always)]
    unsafe fn widen(self) -> [f64; LANES] {
        self.0.map(f64::from)
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    use super::Lanes;
    use std::arch::x86_64::*;

    /// 16 floats in two registers of 8.
    #[derive(Clone, Copy)]
    pub struct Two(__m256, __m256);

    impl Lanes for Two {
        const REGISTERS: usize = 8;
        type Wide = [__m256d; 4];

        #[inline(always)]
        unsafe fn splat(value: f32) -> Two {
            // SAFETY: the caller has the instruction set.
            unsafe { Two(_mm256_set1_ps(value), _mm256_set1_ps(value)) }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Two {
            // SAFETY: the caller has the instruction set and gives 16 floats.
            unsafe { Two(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the caller has the instruction set and gives 16 floats.
            unsafe {
                _mm256_storeu_ps(to, self.0);
                _mm256_storeu_ps(to.add(8), self.1);
            }
        }

        #[inline(always)]
        unsafe fn add_product(self, a: Two, b: Two) -> Two {
            // SAFETY: the caller has the instruction set.
            unsafe { Two(_mm256_fmadd_ps(a.0, b.0, self.0), _mm256_fmadd_ps(a.1, b.1, self.1)) }
        }

        #[inline(always)]
        unsafe fn add(self, other: Two) -> Two {
            // SAFETY: the caller has the instruction set.
            unsafe { Two(_mm256_add_ps(self.0, other.0), _mm256_add_ps(self.1, other.1)) }
        }

        #[inline(always)]
        unsafe fn sub(self, other: Two) -> Two {
            // SAFETY: the caller has the instruction set.
            unsafe { Two(_mm256_sub_ps(self.0, other.0), _mm256_sub_ps(self.1, other.1)) }
        }

        #[inline(always)]
        unsafe fn mul(self, other: Two) -> Two {
            // SAFETY: the caller has the instruction set.
            unsafe { Two(_mm256_mul_ps(self.0, other.0), _mm256_mul_ps(self.1, other.1)) }
        }

        #[inline(always)]
        unsafe fn max(self, other: Two) -> Two {
            // The instruction gives its second operand where one is NaN.
            // SAFETY: the caller has the instruction set.
            unsafe { Two(_mm256_max_ps(other.0, self.0), _mm256_max_ps(other.1, self.1)) }
        }

        #[inline(always)]
        unsafe fn min(self, other: Two) -> Two {
            // SAFETY: the caller has the instruction set.
            unsafe { Two(_mm256_min_ps(other.0, self.0), _mm256_min_ps(other.1, self.1)) }
        }

        #[inline(always)]
        unsafe fn zip(self, other: Two) -> [Two; 2] {
            // SAFETY: the caller has the instruction set.
            unsafe {
                let (low, high) =
                    (_mm256_unpacklo_ps(self.0, other.0), _mm256_unpackhi_ps(self.0, other.0));
                let first = Two(
                    _mm256_permute2f128_ps::<0x20>(low, high),
                    _mm256_permute2f128_ps::<0x31>(low, high),
                );
                let (low, high) =
                    (_mm256_unpacklo_ps(self.1, other.1), _mm256_unpackhi_ps(self.1, other.1));
                let second = Two(
                    _mm256_permute2f128_ps::<0x20>(low, high),
                    _mm256_permute2f128_ps::<0x31>(low, high),
                );
                [first, second]
            }
        }

        #[inline(always)]
        unsafe fn where_greater(self, a: Two, b: Two) -> Two {
            // SAFETY: the caller has the instruction set.
            unsafe {
                Two(
                    _mm256_and_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(a.0, b.0), self.0),
                    _mm256_and_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(a.1, b.1), self.1),
                )
            }
        }

        #[inline(always)]
        unsafe fn widen(self) -> [__m256d; 4] {
            // SAFETY: the caller has the instruction set.
            unsafe {
                [
                    _mm256_cvtps_pd(_mm256_castps256_ps128(self.0)),
                    _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(self.0)),
                    _mm256_cvtps_pd(_mm256_castps256_ps128(self.1)),
                    _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(self.1)),
                ]
            }
        }
    }

    impl Lanes for __m512 {
        const REGISTERS: usize = 32;
        type Wide = [__m512d; 2];

        #[inline(always)]
        unsafe fn splat(value: f32) -> __m512 {
            // SAFETY: the caller has the instruction set.
            unsafe { _mm512_set1_ps(value) }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> __m512 {
            // SAFETY: the caller has the instruction set and gives 16 floats.
            unsafe { _mm512_loadu_ps(from) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the caller has the instruction set and gives 16 floats.
            unsafe { _mm512_storeu_ps(to, self) }
        }

        #[inline(always)]
        unsafe fn add_product(self, a: __m512, b: __m512) -> __m512 {
            // SAFETY: the caller has the instruction set.
            unsafe { _mm512_fmadd_ps(a, b, self) }
        }

        #[inline(always)]
        unsafe fn add(self, other: __m512) -> __m512 {
            // SAFETY: the caller has the instruction set.
            unsafe { _mm512_add_ps(self, other) }
        }

        #[inline(always)]
        unsafe fn sub(self, other: __m512) -> __m512 {
            // SAFETY: the caller has the instruction set.
            unsafe { _mm512_sub_ps(self, other) }
        }

        #[inline(always)]
        unsafe fn mul(self, other: __m512) -> __m512 {
            // SAFETY: the caller has the instruction set.
            unsafe { _mm512_mul_ps(self, other) }
        }

        #[inline(always)]
        unsafe fn max(self, other: __m512) -> __m512 {
            // The instruction gives its second operand where one is NaN.
            // SAFETY: the caller has the instruction set.
            unsafe { _mm512_max_ps(other, self) }
        }

        #[inline(always)]
        unsafe fn min(self, other: __m512) -> __m512 {
            // SAFETY: the caller has the instruction set.
            unsafe { _mm512_min_ps(other, self) }
        }

        #[inline(always)]
        unsafe fn zip(self, other: __m512) -> [__m512; 2] {
            // SAFETY: the caller has the instruction set.
            unsafe {
                let first =
                    _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
                let second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
                [
                    _mm512_permutex2var_ps(self, first, other),
                    _mm512_permutex2var_ps(self, second, other),
                ]
            }
        }

        #[inline(always)]
        unsafe fn where_greater(self, a: __m512, b: __m512) -> __m512 {
            // SAFETY: the caller has the instruction set.
            unsafe { _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b), self) }
        }

        #[inline(always)]
        unsafe fn widen(self) -> [__m512d; 2] {
            // SAFETY: the caller has the instruction set.
            unsafe {
                [
                    _mm512_cvtps_pd(_mm512_castps512_ps256(self)),
                    _mm512_cvtps_pd(_mm512_extractf32x8_ps::<1>(self)),
                ]
            }
        }
    }
}

/// Something to be done once for each kind of lanes. `run` must be `#[inline(always)]`.
pub(crate) trait WithLanes {
    /// # Safety
    /// The instruction set of `L` is there.
    unsafe fn run<L: Lanes>(self);
}

impl Kernels {
    /// Runs `job` compiled for this instruction set, with its lanes.
    #[inline(always)]
    pub(crate) fn with_lanes(&self, job: impl WithLanes) {
        // SAFETY: a table exists only where its instruction set is there.
        unsafe {
            match self.isa {
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 => with_avx512(
                    #[inline(always)]
                    || job.run::<std::arch::x86_64::__m512>(),
                ),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => with_avx2(
                    #[inline(always)]
                    || job.run::<x86::Two>(),
                ),
                Isa::Portable => job.run::<Plain>(),
            }
        }
    }
}
