//! The data room: databases and files, pictures, transforms, order, batches prepared ahead.

mod files;
mod golden;
mod idx;
#[cfg(all(feature = "lmdb", feature = "images"))]
mod lmdb;
mod order;
#[cfg(feature = "images")]
mod pictures;
mod prefetch;
mod resume;
mod transform;
