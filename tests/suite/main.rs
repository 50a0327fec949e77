//! The program and the library, subject by subject.

mod batch_norm;
mod bn_dialects;
mod bn_recalibrate;
mod broken_files;
mod check;
mod cli;
mod custom_layer;
mod deploy;
mod draw;
mod ensemble;
mod fold_published;
mod fork_fields;
mod guards;
#[cfg(feature = "hdf5")]
mod hdf5;
mod hints;
mod limits;
mod lint;
mod lsuv;
mod memory;
mod messages;
mod models;
mod net;
mod plot;
mod probe;
mod registry;
mod snapshots;
mod solver;
mod study;
mod support;
#[cfg(all(feature = "lmdb", feature = "leveldb", feature = "images"))]
mod tools;
mod twins;
mod upgrade;
mod weights;
mod wrong_nets;
