//! The arithmetic of cortado: slices in, slices out. Nothing here knows of blobs, layers or files.
//!
//! All operations are methods of [`Kernels`], a table per instruction set ([`kernels`] is the best of
//! the machine). They share their work between the threads of the current rayon pool; the number of
//! threads never changes a bit of a result. Each stands beside a naive twin in [`reference`](crate::reference).

mod blocked;
mod blocks;
mod conv;
mod eltwise;
mod gemm;
mod geometry;
mod lanes;
mod lrn;
mod lstm;
pub mod math;
mod norm;
mod peak;
mod pool;
mod reduce;
pub mod reference;
mod shared;
mod softmax;
mod table;
mod team;
mod update;
mod vmath;

pub use blocked::{
    Act, Add, AlignedVec, Blocked, BlockedMut, BlockedRef, ConvAlgo, Dest, Epilogue, PackedBlocked,
    PackedFc, Source,
};
pub use conv::PackedConv;
pub use gemm::{PackedA, Trans};
pub use geometry::{ConvGeometry, Window};
pub use norm::Normalizer;
pub use pool::{PoolGeometry, PoolWindow, Round};
pub use table::{Kernels, available, kernels, select};
pub use team::{deal, tasks_shared, together};
pub use update::{Decay, Gradient};

/// How a result lands in its destination.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Write {
    /// It overwrites.
    Set,
    /// It is added.
    Add,
}

/// Where an elementwise operation reads and writes.
pub enum SrcDst<'a> {
    /// Reads the first, writes the second.
    Apart(&'a [f32], &'a mut [f32]),
    /// Reads and writes the same memory.
    InPlace(&'a mut [f32]),
}
