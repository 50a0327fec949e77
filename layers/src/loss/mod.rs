//! Losses and measures.

pub mod accuracy;
pub mod euclidean_loss;
mod labels;
mod normalize;
pub mod softmax_loss;
