//! What a Caffe layer is, and every layer type.
//!
//! A layer type is one file: a [`LayerKind`] that declares it (type string, arity, what may run in
//! place, what backward reads, its reference page) and a [`Layer`] that computes it. Layers see
//! tensors through [`View`]s and compute with [`cortado_kernels`]; they know nothing of nets,
//! solvers or files.

pub mod check;
mod doc;
mod error;
pub mod filler;
mod kind;
mod layer;
mod packs;
pub mod page;
pub mod paths;
mod prim;
mod registry;
pub mod rng;
mod shape;
mod tensor;
pub mod unused;

pub mod common;
pub mod detection;
pub mod loss;
pub mod neuron;
pub mod norm;
pub mod recurrent;
pub mod segmentation;
pub mod vision;

pub use cortado_kernels::{Kernels, SrcDst, Write};
pub use cortado_proto::def::LayerDef;
pub use doc::LayerDoc;
pub use error::{At, LayerError};
pub use kind::{Alias, Arity, Build, GradBottoms, LayerKind, Layouts, Lower, Macs, Needs};
pub use layer::{Backward, DiffMut, Forward, Layer, Measure, Phase, Reshape, SetUp};
pub use layer::{ParamKind, ParamRequest};
pub use packs::{PackCache, PackKey, Packs};
pub use prim::{Act, Affine, LowerCx, PoolKind, Prim};
pub use registry::{BUILTIN, Registry};
pub use rng::{Rng, RngKey};
pub use shape::{MAX_AXES, Shape};
pub use tensor::{Layout, Tensor, View, ViewMut};
