//! The rules, one file each.

mod bn_batch_stats_in_test;
mod bn_beside_dropout;
mod bn_beside_lrn;
mod bn_decay;
mod bn_factor_zero;
mod bn_frozen_in_train;
mod bn_rates;
mod bn_redundant_bias;
mod bn_shared;
mod bn_tiny_batch;
mod bn_without_scale;
mod label_shape;
mod solver_fields;
mod step_without_size;
mod test_mirror;
mod unused_block;
mod weights_of_another_net;
mod zero_filler;

pub use unused_block::unused_blocks;

use super::Rule;

/// All of them.
pub static ALL: &[&Rule] = &[
    &bn_batch_stats_in_test::RULE,
    &bn_beside_dropout::RULE,
    &bn_beside_lrn::RULE,
    &bn_decay::RULE,
    &bn_factor_zero::RULE,
    &bn_frozen_in_train::RULE,
    &bn_rates::RULE,
    &bn_redundant_bias::RULE,
    &bn_shared::RULE,
    &bn_tiny_batch::RULE,
    &bn_without_scale::RULE,
    &label_shape::RULE,
    &solver_fields::RULE,
    &step_without_size::RULE,
    &test_mirror::RULE,
    &unused_block::RULE,
    &weights_of_another_net::RULE,
    &zero_filler::RULE,
];
