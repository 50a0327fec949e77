//! cortado: a Caffe-compatible, layered deep-learning framework.

pub mod data;
mod error;
pub mod files;
pub mod net;
pub mod solver;

pub use error::Error;

pub use data::registry;
