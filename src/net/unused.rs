//! Known fields of forks that nothing here reads: a net that asks for something by one is told so.

use cortado_layers::unused::unused;
use cortado_layers::{LayerDef, LayerError, LayerKind};
use cortado_proto::caffe::{CompileNetState, NetParameter, Type};
use cortado_proto::{Diagnostic, NetDef};

use super::NetError;

/// Whether a net asks for something by a field.
type Given = fn(&NetParameter) -> bool;

const IN_FLOAT: &str = "has no effect: everything is computed in FLOAT";
const UNSCALED: &str = "has no effect: gradients in FLOAT need no scale";
const AS_WRITTEN: &str = "has no effect: the net runs as it is written";

/// The fields of the net itself; none of them changes what a net means.
const FIELDS: &[(&str, Given, &str)] = &[
    ("default_forward_type", |p| p.default_forward_type() != Type::Float, IN_FLOAT),
    ("default_backward_type", |p| p.default_backward_type() != Type::Float, IN_FLOAT),
    ("default_forward_math", |p| p.default_forward_math() != Type::Float, IN_FLOAT),
    ("default_backward_math", |p| p.default_backward_math() != Type::Float, IN_FLOAT),
    ("global_grad_scale", |p| p.global_grad_scale() != 1.0, UNSCALED),
    ("global_grad_scale_adaptive", |p| p.global_grad_scale_adaptive(), UNSCALED),
    (
        "bn_stats_batch_size",
        |p| p.bn_stats_batch_size() != 0,
        "has no effect: BatchNorm's statistics are of the whole batch",
    ),
    ("compile_net_state.bn_scale_remove", |p| compiles(p, |c| c.bn_scale_remove()), AS_WRITTEN),
    ("compile_net_state.bn_scale_merge", |p| compiles(p, |c| c.bn_scale_merge()), AS_WRITTEN),
];

fn compiles(p: &NetParameter, asks: fn(&CompileNetState) -> bool) -> bool {
    p.compile_net_state.as_ref().is_some_and(asks)
}

/// The warnings about the net itself.
pub(super) fn of_net(def: &NetDef) -> Vec<Diagnostic> {
    let given = FIELDS.iter().filter(|(_, given, _)| given(&def.param));
    let told = given.map(|(path, _, why)| {
        let name = path.rsplit('.').next().unwrap_or(path);
        Diagnostic::warning(format!("`{name}` {why}"), def.place.span_of(Some(path)))
    });
    told.collect()
}

/// What a layer asks for in vain: mistakes where its results would differ, else warnings.
pub(super) fn of_layer(def: &LayerDef, kind: &LayerKind) -> (Vec<NetError>, Vec<Diagnostic>) {
    let (mut errors, mut warnings) = (Vec::new(), Vec::new());
    for field in unused(kind, &def.param) {
        let why = format!("`{}` {}", field.name(), field.why);
        if field.refused {
            let error = LayerError::field(field.path, why).help(field.help);
            errors.push(NetError::from_layer(def, error));
        } else {
            let warning = Diagnostic::warning(why, def.place.span_of(Some(field.path)));
            let label = format!("layer `{}` ({})", def.name(), def.r#type());
            warnings.push(warning.with_label(label));
        }
    }
    (errors, warnings)
}
