//! Where a net's data comes from: databases and files, pictures, the transforms before the first
//! layer, threads that prepare batches ahead, and the layer types on top of them.
//!
//! ```text
//! db::Source → reader thread → worker threads { datum → pixels → transform } → batches, in order
//! ```
//!
//! What a batch holds depends only on the seed, the layer's name and the number of items handed out
//! before it: not on threads, not on how far ahead they work.

pub mod annotated;
pub mod augment;
mod bilinear;
pub mod db;
pub mod image;
pub mod labels;
pub mod layers;
#[cfg(feature = "turbojpeg")]
mod libjpeg;
pub mod list;
pub mod mean;
mod order;
pub mod prefetch;
pub mod transform;
mod whitening;
mod windows;

use cortado_layers::{LayerKind, Registry, paths};

pub use db::{Backend, Item, NewDb, Pixels, Record, Source};
pub use image::{Color, Picture};
pub use mean::MeanPicture;
pub use order::Order;
pub use paths::Folder;
pub use transform::Transform;
pub use whitening::{MAX_WHITENED, Whitening};

/// The layer types of this room, sorted by type string.
pub fn kinds() -> &'static [&'static LayerKind] {
    layers::KINDS
}

/// Every layer type of the program: those that only compute, and those that read data.
pub fn registry() -> Registry {
    kinds().iter().fold(Registry::builtin(), |registry, kind| registry.with(kind))
}
