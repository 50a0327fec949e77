//! Learning rates of statistics.

use crate::lint::subject::has_own_scale;
use crate::lint::{Fix, Found, Level, Rule, Subject};

/// The rule.
pub static RULE: Rule = Rule {
    name: "bn-learning-rate",
    why: "BatchNorm's three blobs are statistics; the original stops at a `param` block that lets one \
          of them learn, unless there are exactly three",
    cure: "`lr_mult: 0`, or no `param` blocks at all",
    check,
};

/// Paths of the blocks, and of the field in them.
const BLOCKS: [(&str, &str); 3] = [
    ("param[0]", "param[0].lr_mult"),
    ("param[1]", "param[1].lr_mult"),
    ("param[2]", "param[2].lr_mult"),
];

fn check(subject: &Subject, found: &mut Found<'_>) {
    let Some(net) = &subject.written else { return };
    for layer in net.layers.iter().filter(|l| l.r#type() == "BatchNorm") {
        let blocks = layer.param.param.iter().zip(BLOCKS).enumerate();
        let learning = blocks.filter(|(_, (p, _))| p.lr_mult() != 0.0);
        let learning: Vec<_> = learning.map(|(i, (p, paths))| (i, p.lr_mult(), paths)).collect();
        let Some(&(_, rate, (block, _))) = learning.first() else { continue };
        if layer.param.param.len() == 3 && layer.param.param.iter().all(|p| p.lr_mult.is_none()) {
            // Three names and nothing else; every reader takes it for 0.
            continue;
        }
        // Two blocks, a scale's and a bias's, are meant for the forks' own scale.
        if has_own_scale(layer) && layer.param.param.len() < 3 {
            continue;
        }
        let which: Vec<String> = learning.iter().map(|(i, ..)| i.to_string()).collect();
        let message = format!(
            "`{}`: lr_mult of statistics (param {}) is {rate}, not 0",
            layer.name(),
            which.join(", ")
        );
        let fix = learning
            .iter()
            .map(|&(_, _, (_, field))| Fix::Set(layer.place.clone(), field, "0".to_owned()));
        let fix = fix.collect();
        // Three blocks the original silently takes for 0.
        let three = layer.param.param.len() == 3;
        let level = if three { Level::Hint } else { Level::Warning };
        found.fixable(level, &layer.place, Some(block), message, fix);
    }
}
