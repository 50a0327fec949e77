//! BatchNorm's three blobs are statistics, never learned. Old nets say so with three `param` blocks
//! whose decay is not zero; they become `lr_mult: 0 decay_mult: 0`, names stay.

use crate::caffe::ParamSpec;
use crate::def::NetDef;

fn stale(p: &ParamSpec) -> bool {
    p.lr_mult != Some(0.0) || p.decay_mult != Some(0.0)
}

pub(super) fn needs(net: &NetDef) -> bool {
    net.layers.iter().any(|l| {
        l.r#type() == "BatchNorm" && l.param.param.len() == 3 && l.param.param.iter().any(stale)
    })
}

pub(super) fn apply(net: &mut NetDef) -> String {
    let mut names = Vec::new();
    for layer in &mut net.layers {
        let old = layer.r#type() == "BatchNorm" && layer.param.param.len() == 3;
        if old && layer.param.param.iter().any(stale) {
            names.push(layer.name().to_string());
            for p in &mut layer.param.param {
                p.lr_mult = Some(0.0);
                p.decay_mult = Some(0.0);
            }
        }
    }
    format!("BatchNorm statistics are not learned (lr_mult, decay_mult 0): {}", names.join(", "))
}
