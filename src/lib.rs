//! cortado: a Caffe-compatible, layered deep-learning framework.

pub mod data;
pub mod net;
pub mod solver;
