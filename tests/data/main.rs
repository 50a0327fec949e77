//! The data room: databases and files, pictures, transforms, order, batches prepared ahead.

#[cfg(feature = "lmdb")]
mod annotated;
#[cfg(feature = "images")]
mod augment;
#[cfg(all(feature = "lmdb", feature = "leveldb", feature = "images"))]
mod cifar;
#[cfg(all(feature = "images", feature = "hdf5"))]
mod cut;
#[cfg(all(feature = "lmdb", feature = "leveldb", feature = "images"))]
mod databases;
#[cfg(all(feature = "lmdb", feature = "leveldb", feature = "images", feature = "hdf5"))]
mod features;
mod files;
mod golden;
#[cfg(feature = "hdf5")]
mod hdf5;
mod idx;
#[cfg(all(feature = "lmdb", feature = "leveldb", feature = "images"))]
mod imageset;
#[cfg(all(feature = "lmdb", feature = "leveldb", feature = "images"))]
mod killed;
#[cfg(feature = "leveldb")]
mod leveldb;
#[cfg(all(feature = "lmdb", feature = "images"))]
mod lmdb;
#[cfg(feature = "images")]
mod maps;
#[cfg(all(feature = "lmdb", feature = "leveldb", feature = "images", feature = "hdf5", unix))]
mod messages;
mod order;
#[cfg(feature = "images")]
mod picture_list;
#[cfg(feature = "images")]
mod pictures;
mod prefetch;
mod resume;
mod training_log;
mod transform;
mod weights;
#[cfg(feature = "lmdb")]
mod whitening;
#[cfg(feature = "images")]
mod windows;
