//! The program's one pool of worker threads. Passes enter it once; the number of threads never
//! changes a result.

use std::sync::{Arc, OnceLock};

use rayon::{ThreadPool, ThreadPoolBuilder};

static DEFAULT: OnceLock<Arc<ThreadPool>> = OnceLock::new();

/// The most threads that a pool is made of: many more than cores only wait for each other.
pub fn most() -> usize {
    const MOST: usize = 1024;
    std::thread::available_parallelism().map_or(MOST, |cores| MOST.max(4 * cores.get()))
}

/// A pool of so many threads; 0 means one per core.
///
/// # Errors
/// They are more than [`most`], or more than the system grants the program.
pub fn try_pool(threads: usize) -> Result<Arc<ThreadPool>, String> {
    if threads > most() {
        return Err(format!("{threads} threads are too many: up to {} are made", most()));
    }
    let builder = ThreadPoolBuilder::new().num_threads(threads);
    let named = builder.thread_name(|i| format!("cortado-{i}"));
    named.build().map(Arc::new).map_err(|e| format!("can't start {threads} threads: {e}"))
}

/// The same for a number of threads that the system is known to grant.
///
/// # Panics
/// The system does not grant them: what users ask for goes through [`try_pool`].
pub fn pool(threads: usize) -> Arc<ThreadPool> {
    try_pool(threads).unwrap_or_else(|why| panic!("{why}"))
}

/// Runs a pass on a pool whose threads stay awake for it.
pub(crate) fn pass<R: Send>(pool: &ThreadPool, run: impl FnOnce() -> R + Send) -> R {
    pool.install(|| cortado_kernels::together(run))
}

/// The pool of nets that were given none: one thread per core; a single one where the system grants the
/// program no more, which changes no result.
pub fn default_pool() -> Arc<ThreadPool> {
    DEFAULT.get_or_init(|| try_pool(0).unwrap_or_else(|_| pool(1))).clone()
}
