//! cortado: a Caffe-compatible, layered deep-learning framework.
//!
//! Reads Caffe's files, trains, tests and times the networks in them, on the CPU, with the numbers of
//! the original. The rooms: [`net`] wires layers, [`solver`] trains, [`data`] feeds; file formats are in
//! the crate `cortado-proto`, layer types in `cortado-layers`, arithmetic in `cortado-kernels`.
//!
//! # Running a net
//!
//! ```
//! use cortado::net::{Net, NetOptions};
//! use cortado_layers::Phase;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut net = Net::from_file("models/lenet/deploy.prototxt", &NetOptions::new(Phase::Test))?;
//! // net.copy_from("lenet.caffemodel")?;
//! let digit = ndarray::Array4::<f32>::zeros((1, 1, 28, 28)).into_dyn();
//! net.set_input("data", digit.view())?;
//! net.forward()?;
//! let prob = net.blob("prob").ok_or("no such blob")?;
//! assert_eq!(prob.array().shape(), [1, 10]);
//! // Any blob can be read; one that the pass has folded away is made now.
//! assert_eq!(net.read("pool1")?.array().shape(), [1, 20, 12, 12]);
//! # Ok(())
//! # }
//! ```
//!
//! # Training
//!
//! ```
//! use cortado::solver::{Solver, SolverOptions};
//! use cortado_proto::{SolverDef, span::Source};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let text = r#"
//!     net: "models/lenet/train_test.prototxt"
//!     base_lr: 0.01 momentum: 0.9 lr_policy: "fixed" max_iter: 2 random_seed: 1
//!     snapshot_after_train: false"#;
//! let def = SolverDef::from_text(&Source::new("solver.prototxt", text))?;
//! let mut solver = Solver::build(def, &SolverOptions::default())?;
//! solver.step(2, &mut ())?; // `()` watches in silence; implement `Watcher` to see what happens
//! assert_eq!(solver.iter(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! # A layer type of your own
//!
//! A type is a [`LayerKind`](cortado_layers::LayerKind), declared as data, and a
//! [`Layer`](cortado_layers::Layer) that computes it. Its block in the prototxt reaches `build` by name.
//!
//! ```
//! use cortado::net::{Net, NetOptions};
//! use cortado_layers::{
//!     Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs, Phase, Reshape,
//! };
//! use cortado_proto::{NetDef, span::Source};
//!
//! static KIND: LayerKind = LayerKind::new("Times", build, &DOC)
//!     .needs(|_| Needs::NOTHING)
//!     .extensions(&["times_param"]);
//! static DOC: LayerDoc = LayerDoc::new("Each element times a factor.");
//!
//! fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
//!     let factor = match def.extension("times_param") {
//!         Some(block) => block.block().get_f32("factor")?.unwrap_or(1.0),
//!         None => 1.0,
//!     };
//!     Ok(Box::new(Times(factor)))
//! }
//!
//! struct Times(f32);
//!
//! impl Layer for Times {
//!     fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
//!         cx.top(0, cx.bottoms[0].clone());
//!         Ok(())
//!     }
//!     fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
//!         cx.k.affine(cx.src_dst(0), self.0, 0.0);
//!         Ok(())
//!     }
//!     fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
//!         let (k, factor) = (cx.k, self.0);
//!         if let Some(diff) = &mut cx.bottom_diffs[0] {
//!             let dy = cx.top_diffs[0].map_or(&[][..], |dy| dy.data);
//!             if diff.write == cortado_layers::Write::Set {
//!                 diff.data.fill(0.0);
//!             }
//!             k.axpy(factor, dy, diff.data);
//!         }
//!         Ok(())
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let text = r#"
//!     layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 } } }
//!     layer { name: "t" type: "Times" bottom: "x" top: "y" times_param { factor: 3 } }"#;
//! let mut options = NetOptions::new(Phase::Test);
//! options.registry = options.registry.with(&KIND);
//! let mut net = Net::build(NetDef::from_text(&Source::new("times.prototxt", text))?, &options)?;
//! net.set_input("x", ndarray::arr1(&[1.0, 2.0]).into_dyn().view())?;
//! net.forward()?;
//! assert_eq!(net.blob("y").ok_or("no such blob")?.data, [3.0, 6.0]);
//! # Ok(())
//! # }
//! ```

pub mod batch_norm;
pub mod data;
pub mod draw;
mod error;
pub mod files;
pub mod hdf5;
pub mod lint;
pub mod machine;
pub mod net;
pub mod plot;
pub mod solver;
pub mod study;
pub mod tools;

pub use error::Error;

pub use data::registry;
