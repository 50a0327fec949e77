//! Training that is broken off in every way we know, and what is left of it: the newest whole snapshot
//! loads, and the run that goes on from it ends with the bits of the unbroken one.
//!
//! `CORTADO_KILLS=1000 cargo test --release --test faults kills -- --nocapture` is the long run.

#![cfg(unix)]

mod disk;
mod failing;
mod kills;
mod machine;
mod run;
mod signals;
#[cfg(all(feature = "lmdb", feature = "leveldb", feature = "images", feature = "hdf5"))]
mod sources;
#[cfg(all(feature = "lmdb", feature = "leveldb", feature = "images", feature = "hdf5"))]
mod tools;
mod torn;
