//! What a solver reports: events, and the lines of the original's log, which scripts parse.

use std::path::Path;

/// Something that happened in a run.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A line of the log, as the original words it.
    Line(&'a str),
    /// An iteration is done.
    Iteration {
        /// Iterations done.
        done: u64,
        /// Iterations wanted.
        of: u64,
        /// The smoothed loss.
        loss: f64,
    },
    /// Batches of a test are done.
    Testing {
        /// Which test net.
        net: usize,
        /// Batches done.
        done: u64,
        /// Batches wanted.
        of: u64,
    },
    /// A test is done.
    Tested {
        /// Which test net.
        net: usize,
        /// After which iteration.
        iter: u64,
        /// Name and mean of every element of the outputs.
        outputs: &'a [(String, f64)],
    },
    /// Probes were read.
    Probed(&'a [super::Reading]),
    /// A snapshot is complete.
    Snapshot {
        /// The weights.
        model: &'a Path,
        /// The solver's state.
        state: &'a Path,
    },
}
