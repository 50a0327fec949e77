//! Work on activations laid out as `nChw16c`: `[n][c / 16][h][w][16]`, so that one register of
//! 16 lanes (or its like) holds 16 channels of a pixel, whatever the kernel's size or stride.
//!
//! A plane may carry a halo of zeros: the padding that its consumer wants, allocated where the
//! producer writes. Halos, and the lanes past the last channel, are zero at all times: all kernels
//! here rely on it and keep it so. Elementwise kernels that map 0 to 0 (sums, products, maxima,
//! rectifiers) may therefore run over the whole memory as if it were flat.

mod algo;
mod aligned;
mod conv;
mod depthwise;
mod epilogue;
mod fc;
mod filters;
mod lanes;
mod layout;
mod lrn;
mod norm;
mod pack;
mod pointwise;
mod pool;
mod pool_backward;
mod reorder;
mod strided;
mod tile;
mod weights;
mod wide;
mod winograd;

pub use aligned::AlignedVec;
pub(crate) use aligned::with_buffer;
pub use epilogue::{Act, Add, Epilogue};
pub use fc::PackedFc;
pub(crate) use filters::Filters;
pub(crate) use lanes::{Lanes, WithLanes};
pub use layout::{Blocked, BlockedMut, BlockedRef, Dest, Source};
pub use pack::{ConvAlgo, PackedBlocked};
pub(crate) use strided::has_phases;

/// Parts of the work for each thread: enough to even out what other programs take away.
const SHARES: usize = 4;

/// Tasks into which work is cut for the threads that are there.
fn wanted() -> usize {
    match crate::team::threads() {
        1 => 1,
        threads => SHARES * threads,
    }
}

/// Runs `f(0) .. f(count - 1)`, in `SHARES` parts for each thread if `work` is worth it.
fn for_each_task(count: usize, work: usize, f: impl Fn(usize) + Sync) {
    if count > 1 && crate::blocks::worth_sharing(work) {
        crate::team::share(count, f);
    } else {
        (0..count).for_each(f);
    }
}

/// Channels of a block.
pub(crate) const LANES: usize = crate::blocks::LANES;
