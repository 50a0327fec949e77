//! Which layers of a file belong to a net: phase, level and stage rules (FilterNet of the original).

use cortado_layers::Phase;
use cortado_proto::caffe::{LayerParameter, NetStateRule};
use cortado_proto::def::NetDef;

use super::{NetError, NetErrorKind, NetState};
use cortado_proto::caffe;

/// Drops the layers whose rules do not fit the state. A layer may have `include` or `exclude`
/// rules, not both; one fitting rule decides.
pub(crate) fn filter(def: &mut NetDef, state: &NetState) -> Vec<NetError> {
    let mut errors = Vec::new();
    def.layers.retain(|layer| {
        let (include, exclude) = (&layer.include, &layer.exclude);
        if !include.is_empty() && !exclude.is_empty() {
            let why = "a layer has `include` rules or `exclude` rules, not both".to_owned();
            errors.push(NetError::at(layer, Some("exclude[0]"), NetErrorKind::Rule(why)));
            return false;
        }
        belongs(layer, state)
    });
    errors
}

/// Whether the rules of a layer fit the state.
pub fn belongs(layer: &LayerParameter, state: &NetState) -> bool {
    match layer.include.is_empty() {
        true => !layer.exclude.iter().any(|rule| fits(rule, state)),
        false => layer.include.iter().any(|rule| fits(rule, state)),
    }
}

fn fits(rule: &NetStateRule, state: &NetState) -> bool {
    let phase = rule.phase.is_none_or(|_| phase_of(rule.phase()) == state.phase);
    let level = rule.min_level.is_none_or(|min| state.level >= min)
        && rule.max_level.is_none_or(|max| state.level <= max);
    let has = |stage: &String| state.stages.contains(stage);
    phase && level && rule.stage.iter().all(has) && !rule.not_stage.iter().any(has)
}

/// A phase of the schema as one of ours.
pub(crate) fn phase_of(phase: caffe::Phase) -> Phase {
    match phase {
        caffe::Phase::Train => Phase::Train,
        caffe::Phase::Test => Phase::Test,
    }
}
