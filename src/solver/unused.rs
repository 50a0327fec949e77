//! Known fields of forks that no solver here reads: a solver that asks for something by one is told so.

use cortado_proto::caffe::{SolverParameter, Type};
use cortado_proto::{Diagnostic, SolverDef};

/// Whether a solver asks for something by a field.
type Given = fn(&SolverParameter) -> bool;

const LARS: &str = "`type: \"LARS\"` gives every layer a rate of its own";
const MOMENTUM: &str = "`momentum` is the same in every iteration";
const DECAY: &str = "`weight_decay` is the same in every iteration";
const STAGES: &str = "`lr_policy: \"multistep\"` changes the rate at given iterations";

/// The fields, and what is done in their place.
const FIELDS: &[(&str, Given, &str)] = &[
    ("solver_data_type", |p| p.solver_data_type() != Type::Float, "updates are computed in FLOAT"),
    ("larc", |p| p.larc(), LARS),
    ("larc_policy", |p| p.larc_policy() != "scale", LARS),
    ("larc_turbo", |p| p.larc_turbo(), LARS),
    ("local_lr_auto", |p| p.local_lr_auto(), LARS),
    ("local_gw_ratio", |p| p.local_gw_ratio.is_some(), LARS),
    ("momentum_policy", |p| p.momentum_policy() != "fixed", MOMENTUM),
    ("momentum_power", |p| p.momentum_power.is_some(), MOMENTUM),
    ("max_momentum", |p| p.max_momentum.is_some(), MOMENTUM),
    ("weight_decay_policy", |p| p.weight_decay_policy() != "fixed", DECAY),
    ("weight_decay_power", |p| p.weight_decay_power.is_some(), DECAY),
    ("max_weight_decay", |p| p.max_weight_decay.is_some(), DECAY),
    ("stagelr", |p| !p.stagelr.is_empty(), STAGES),
    ("stageiter", |p| !p.stageiter.is_empty(), STAGES),
    ("disabled_update", |p| p.disabled_update(), "weights are updated in every iteration"),
    (
        "test_and_snapshot_last_epochs",
        |p| p.test_and_snapshot_last_epochs() != 0,
        "`test_interval` and `snapshot` hold to the end",
    ),
    ("test_offset", |p| p.test_offset() != 0, "tests are at multiples of `test_interval`"),
];

/// The warnings.
pub(super) fn warnings(def: &SolverDef) -> Vec<Diagnostic> {
    let given = FIELDS.iter().filter(|(_, given, _)| given(&def.param));
    let told = given.map(|(field, _, instead)| {
        let what = format!("`{field}` has no effect: {instead}");
        Diagnostic::warning(what, def.span_of(field))
    });
    told.collect()
}
