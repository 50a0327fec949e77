//! One table of kernels per instruction set, chosen once.
//!
//! Every operation is a method of [`Kernels`]. Its body is written once, in plain loops over slices
//! (or over a small lane type), and [`Kernels::vectorize`] compiles it once per instruction set: it
//! calls the body from a function with the set's target features, into which the body is inlined.
//! Only the few loops where the compiler needs help are written with intrinsics.

use std::sync::OnceLock;

/// An instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isa {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

/// The arithmetic for one instruction set. Results depend on the set, never on the number of threads.
#[derive(Debug)]
pub struct Kernels {
    pub(crate) isa: Isa,
}

/// Best first.
static ALL: &[Kernels] = &[
    #[cfg(target_arch = "x86_64")]
    Kernels { isa: Isa::Avx512 },
    #[cfg(target_arch = "x86_64")]
    Kernels { isa: Isa::Avx2 },
    Kernels { isa: Isa::Portable },
];

impl Isa {
    fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => "avx2",
            Isa::Portable => "portable",
        }
    }

    fn is_here(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("fma")
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            Isa::Portable => true,
        }
    }
}

/// The tables that this machine can run, best first.
pub fn available() -> Vec<&'static Kernels> {
    ALL.iter().filter(|kernels| kernels.isa.is_here()).collect()
}

/// The table of a name (`avx512`, `avx2`, `portable`), if this machine can run it.
pub fn select(name: &str) -> Result<&'static Kernels, String> {
    let here = available();
    here.iter().copied().find(|kernels| kernels.isa() == name).ok_or_else(|| {
        let names: Vec<&str> = here.iter().map(|kernels| kernels.isa()).collect();
        format!("this machine has no instruction set `{name}`; it has {}", names.join(", "))
    })
}

/// The table in use: the best of the machine, or the one that the environment variable `CORTADO_ISA`
/// names (a name the machine can't run is ignored; the program tells its user so).
pub fn kernels() -> &'static Kernels {
    static CHOSEN: OnceLock<&'static Kernels> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        let wanted = std::env::var("CORTADO_ISA").ok();
        wanted.and_then(|name| select(&name).ok()).unwrap_or_else(|| available()[0])
    })
}

impl Kernels {
    /// Name of the instruction set.
    pub fn isa(&self) -> &'static str {
        self.isa.name()
    }

    /// Runs `f` compiled for this instruction set.
    #[inline(always)]
    pub(crate) fn vectorize<R>(&self, f: impl FnOnce() -> R) -> R {
        match self.isa {
            // SAFETY: a table is handed out only where `is_here` found its features.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe { with_avx512(f) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { with_avx2(f) },
            Isa::Portable => f(),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
pub(crate) fn with_avx2<R>(f: impl FnOnce() -> R) -> R {
    f()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
pub(crate) fn with_avx512<R>(f: impl FnOnce() -> R) -> R {
    f()
}
