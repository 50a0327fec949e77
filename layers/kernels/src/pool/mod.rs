//! Pooling over any number of spatial axes.
//!
//! With one or two axes the rows under a window row are merged first, column by column, and the
//! merged row is then gathered into windows: both run along the width, as vector code, and cost
//! kernel height + kernel width per result instead of their product.

mod average;
mod geometry;
mod max;
mod rows;
mod stochastic;

pub use geometry::{PoolGeometry, PoolWindow, Round};

use crate::blocks::{BLOCK, for_each_task};
use std::ops::Range;

/// The mask of a window in which nothing was chosen.
pub(crate) const NOTHING: u32 = u32::MAX;

/// Calls `f(planes)` for groups of whole planes of about a block's size.
fn for_each_group(g: &PoolGeometry, f: impl Fn(Range<usize>) + Sync) {
    let plane = g.plane_in().max(g.plane_out()).max(1);
    let group = BLOCK.div_ceil(plane);
    let planes = g.planes();
    for_each_task(planes.div_ceil(group), planes * plane, |task| {
        f(task * group..((task + 1) * group).min(planes));
    });
}
