//! Losses and measures.

pub mod accuracy;
pub mod center_loss;
pub mod contrastive_loss;
pub mod euclidean_loss;
pub mod hashing_loss;
pub mod hinge_loss;
pub mod infogain_loss;
pub mod l1_loss;
mod labels;
pub mod multinomial_logistic_loss;
pub(crate) mod normalize;
mod paired;
pub mod pairwise_loss;
pub mod sigmoid_cross_entropy_loss;
pub mod smooth_l1_loss;
pub mod smooth_l1_loss_ohem;
pub mod softmax_loss;
