//! Tools around batch normalisation: folding it into its neighbours, rewriting the forks' layers as
//! Caffe's two, exact statistics. Each changes a net's text (the rest of it stays as it is written) and
//! its weights, and measures what that does to the outputs.

mod affine;
mod convert;
mod files;
mod fold;
mod product;
mod proof;
mod recalibrate;
mod rest;
mod trained;

pub use convert::{Conversion, Converted, convert};
pub use files::write_pair;
pub use fold::{Fold, Folded, Kept, fold};
pub use proof::{OutputError, compare};
pub use recalibrate::{Drift, Recalibrated, recalibrate};
pub use rest::Rest;
pub use trained::{Blob, Given, Trained, TrainedLayer};
