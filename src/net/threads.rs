//! The program's one pool of worker threads. Passes enter it once; the number of threads never
//! changes a result.

use std::sync::{Arc, OnceLock};

use rayon::{ThreadPool, ThreadPoolBuilder};

static DEFAULT: OnceLock<Arc<ThreadPool>> = OnceLock::new();

/// A pool of so many threads; 0 means one per core.
pub fn pool(threads: usize) -> Arc<ThreadPool> {
    let builder = ThreadPoolBuilder::new().num_threads(threads);
    let named = builder.thread_name(|i| format!("cortado-{i}"));
    Arc::new(named.build().expect("the system grants the program its worker threads"))
}

/// Runs a pass on a pool whose threads stay awake for it.
pub(crate) fn pass<R: Send>(pool: &ThreadPool, run: impl FnOnce() -> R + Send) -> R {
    pool.install(|| cortado_kernels::together(run))
}

/// The pool of nets that were given none: one thread per core.
pub fn default_pool() -> Arc<ThreadPool> {
    DEFAULT.get_or_init(|| pool(0)).clone()
}
