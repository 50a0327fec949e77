//! Nets without their data, for the commands that only look at them: shapes that are assumed, phases,
//! outlines.

use std::collections::BTreeSet;

use cortado::net::{Assumed, Net, NetOptions, NetState, Outline, default_shapes};
use cortado_layers::{Phase, Shape};
use cortado_proto::{LayerDef, NetDef};

use super::time::PhaseArg;
use super::{Failure, RunArgs, log};

/// `1x3x224x224`.
pub fn shape(text: &str) -> Result<Shape, String> {
    let axes: Result<Vec<i64>, _> = text.split(['x', 'X', ',']).map(str::parse).collect();
    match axes {
        Ok(axes) => Shape::from_file(&axes),
        Err(_) => Err(format!("a shape is written like 1x3x224x224, found `{text}`")),
    }
}

/// A blob's name, if one is given, and a shape.
pub type Assumption = (Option<String>, Shape);

/// `label=64`, `1x3x224x224`.
pub fn assumption(text: &str) -> Result<Assumption, String> {
    match text.rsplit_once('=') {
        Some((blob, given)) => Ok((Some(blob.to_owned()), shape(given)?)),
        None => Ok((None, shape(text)?)),
    }
}

/// All of them together.
pub fn assumed(list: &[Assumption]) -> Assumed {
    let mut assumed = Assumed::default();
    for (blob, shape) in list {
        match blob {
            Some(blob) => assumed.blobs.push((blob.clone(), shape.clone())),
            None => assumed.first = Some(shape.clone()),
        }
    }
    assumed
}

/// The blobs that layers make of data, in either phase.
pub fn data_tops(def: &NetDef) -> Vec<String> {
    let mut today = def.clone();
    // What can't be upgraded is told elsewhere.
    let _ = cortado_proto::upgrade::net(&mut today);
    let reads = |layer: &&LayerDef| default_shapes(layer, &Assumed::default()).is_some();
    today.layers.iter().filter(reads).flat_map(|layer| layer.top.clone()).collect()
}

/// Shapes are given of what there is.
pub fn known(given: &Assumed, tops: &[String]) -> Result<(), Failure> {
    let Some((name, _)) = given.blobs.iter().find(|(name, _)| !tops.contains(name)) else {
        return match &given.first {
            Some(shape) if tops.is_empty() => Err(Failure::Input(format!(
                "error: `--assume-shape {shape}` is of no use: no layer reads data"
            ))),
            _ => Ok(()),
        };
    };
    let there = match tops {
        [] => "no layer reads data".to_owned(),
        _ => {
            let names: BTreeSet<&str> = tops.iter().map(String::as_str).collect();
            format!(
                "layers that read data make {}",
                names.into_iter().collect::<Vec<_>>().join(", ")
            )
        }
    };
    Err(Failure::Input(format!("error: `--assume-shape {name}=…`: there is no such blob; {there}")))
}

/// What the rules of a net are held against.
pub fn state(phase: Phase, run: &RunArgs) -> NetState {
    NetState { phase, level: run.level, stages: run.stage.clone() }
}

/// As it is written in files.
pub fn name_of(phase: Phase) -> &'static str {
    if phase == Phase::Train { "TRAIN" } else { "TEST" }
}

/// A net without its data.
pub fn outline(def: &NetDef, phase: Phase, run: &RunArgs, given: &Assumed) -> Outline {
    let options = NetOptions { state: state(phase, run), ..NetOptions::new(phase) };
    Net::outline(def.clone(), &options, &|layer| default_shapes(layer, given))
}

/// Whether there is a net in a phase, and no mistake in it.
pub fn builds(def: &NetDef, phase: Phase, run: &RunArgs, given: &Assumed) -> bool {
    let outline = outline(def, phase, run, given);
    outline.errors.is_empty() && !outline.layers.is_empty()
}

/// The phase in which a net is shown: TEST, unless it is another that was asked for, or only TRAIN builds.
pub fn shown_phase(def: &NetDef, asked: Option<PhaseArg>, run: &RunArgs, given: &Assumed) -> Phase {
    if let Some(asked) = asked {
        return asked.into();
    }
    if builds(def, Phase::Test, run, given) || !builds(def, Phase::Train, run, given) {
        return Phase::Test;
    }
    log::plain("note: the net builds in phase TRAIN only, and is shown in that");
    Phase::Train
}

/// The stages that the rules of a net ask for, each once.
pub fn stages(def: &NetDef) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let rules = def.layers.iter().flat_map(|layer| layer.include.iter().chain(&layer.exclude));
    for stage in rules.flat_map(|rule| &rule.stage) {
        if !found.contains(stage) {
            found.push(stage.clone());
        }
    }
    found
}
