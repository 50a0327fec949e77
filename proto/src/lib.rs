//! Caffe's file formats: text with spans and diagnostics, binary with limits, upgrades of older
//! generations. Nothing here computes.
//!
//! * [`caffe`]: the messages, generated from `caffe.proto`
//! * [`text`]: `.prototxt` → message with every error of the file, and back
//! * [`def`](crate::def): a net or solver as the other rooms use it, each layer with its place
//! * [`upgrade`]: older generations of nets and solvers → today's
//! * [`wire`]: binary nets, weights, states, blobs
//! * [`defaults`]: what Caffe's code decides when a field is absent

/// The messages of `caffe.proto`, named as prost names them (`ReLUParameter` → `ReLuParameter`).
#[allow(missing_docs, clippy::all)]
pub mod caffe {
    include!(concat!(env!("OUT_DIR"), "/caffe.rs"));
}

pub mod def;
pub mod defaults;
pub mod error;
mod overrides;
mod read;
pub mod schema;
pub mod span;
pub mod text;
pub mod upgrade;
pub mod wire;

pub use def::{FileKind, LayerDef, NetDef, Origin, Place, SolverDef};
pub use error::{Diagnostic, Error, ErrorKind, ErrorParts, Errors, Severity, printable};
pub use read::read_file;
pub use span::{Located, Position, Source, Span};
pub use text::{Block, Extension};
