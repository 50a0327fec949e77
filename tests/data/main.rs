//! The data room: databases and files, pictures, transforms, order, batches prepared ahead.

#[cfg(all(feature = "lmdb", feature = "images"))]
mod boxes;
#[cfg(all(feature = "lmdb", feature = "leveldb", feature = "images"))]
mod cifar;
mod files;
mod golden;
#[cfg(feature = "hdf5")]
mod hdf5;
mod idx;
#[cfg(feature = "leveldb")]
mod leveldb;
#[cfg(all(feature = "lmdb", feature = "images"))]
mod lmdb;
#[cfg(feature = "images")]
mod maps;
mod order;
#[cfg(feature = "images")]
mod picture_list;
#[cfg(feature = "images")]
mod pictures;
mod prefetch;
mod resume;
mod transform;
#[cfg(feature = "images")]
mod windows;
