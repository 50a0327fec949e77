//! Single layers and small nets, forward and backward: `layers/<kind>/<case>`.

use std::path::Path;

use cortado::net::{Net, NetErrorKind, NetOptions};
use cortado_layers::{ParamKind, Phase, Shape};
use cortado_proto::NetDef;

use super::compare::{Tolerance, same_shape, tolerance};
use super::file::{Arrays, param_name};
use super::{Case, Outcome, folders, name_of};

pub fn cases(root: &Path) -> Vec<Case> {
    let mut cases = Vec::new();
    for part in ["layers", "fork_layers"] {
        let kinds = folders(&root.join(part));
        for kind in kinds.iter().filter(|kind| name_of(kind) != "ssd_nets") {
            for folder in folders(kind) {
                let name = format!("{part}/{}/{}", name_of(kind), name_of(&folder));
                cases.push(Case { name, folder, run });
            }
        }
    }
    cases
}

fn run(folder: &Path) -> Outcome {
    match try_run(folder) {
        Ok(outcome) => outcome,
        Err(why) => Outcome::Failed(why),
    }
}

fn try_run(folder: &Path) -> Result<Outcome, String> {
    let arrays = Arrays::read(&folder.join("case.safetensors"))?;
    let phase = if arrays.string("phase") == "TRAIN" { Phase::Train } else { Phase::Test };
    let options = NetOptions { plan: false, ..NetOptions::new(phase) };
    let outcome = one_by_one(folder, &arrays, &options)?;
    if phase == Phase::Test && matches!(outcome, Outcome::Passed) {
        planned(folder, &arrays).map_err(|why| format!("planned: {why}"))?;
    }
    Ok(outcome)
}

/// The planned net: its outputs, then all blobs of the record, which are kept for that.
fn planned(folder: &Path, arrays: &Arrays) -> Result<(), String> {
    let options = NetOptions { gradients: false, ..NetOptions::new(Phase::Test) };
    let total: f32 = arrays.string("total_loss").parse().unwrap_or(0.0);
    for keep in [false, true] {
        let def = NetDef::read(folder.join("net.prototxt")).map_err(|e| e.to_string())?;
        let tolerance = tolerance(arrays.string("kind"), arrays.string("case"), &def);
        let mut net = Net::build(def, &options).map_err(|e| e.to_string())?;
        let recorded: Vec<&str> = arrays.under("output").map(|(name, ..)| name).collect();
        if keep {
            net.keep(&recorded).map_err(|e| e.to_string())?;
        }
        let loss = fed(&mut net, arrays)?;
        LOSS.check(&[loss as f32], &[total]).map_err(|why| format!("loss: {why}"))?;
        for (name, shape, wanted) in arrays.under("output") {
            if !keep && !net.outputs().contains(&name) {
                continue;
            }
            let found = net.blob(name).ok_or_else(|| format!("there is no blob {name}"))?;
            same_shape(found.shape, shape)?;
            tolerance.check(found.data, wanted).map_err(|why| format!("{name}: {why}"))?;
        }
    }
    Ok(())
}

/// Loads the parameters and runs the passes of a case. Gives the loss of the last.
fn fed(net: &mut Net, arrays: &Arrays) -> Result<f64, String> {
    load(net, arrays, "param")?;
    let warmup: usize = arrays.string("warmup").parse().unwrap_or(0);
    for pass in 0..warmup {
        set_inputs(net, arrays, &format!("warmup/{pass}"))?;
        net.forward().map_err(|e| e.to_string())?;
    }
    set_inputs(net, arrays, "input")?;
    net.forward().map_err(|e| e.to_string())
}

fn one_by_one(folder: &Path, arrays: &Arrays, options: &NetOptions) -> Result<Outcome, String> {
    let mut def = NetDef::read(folder.join("net.prototxt")).map_err(|e| e.to_string())?;
    // Data that no Caffe computed has diffs of inputs without saying so.
    if arrays.string("oracle").starts_with("numpy") {
        def.param.force_backward = Some(true);
    }
    let tolerance = tolerance(arrays.string("kind"), arrays.string("case"), &def);
    let mut net = match Net::build(def, options) {
        Ok(net) => net,
        Err(errors) => {
            let unknown = errors.iter().find(|e| matches!(e.kind, NetErrorKind::UnknownType(_)));
            return match unknown {
                Some(error) => Ok(Outcome::Skipped(error.kind.to_string())),
                None => Err(errors.to_string()),
            };
        }
    };
    let loss = fed(&mut net, arrays)?;
    let mut wrong = Vec::new();
    let mut check = |what: String, result: Result<(), String>| {
        if let Err(why) = result {
            wrong.push(format!("{what}: {why}"));
        }
    };
    let total: f32 = arrays.string("total_loss").parse().unwrap_or(0.0);
    check("loss".into(), LOSS.check(&[loss as f32], &[total]));
    for (name, shape, wanted) in arrays.under("output") {
        let found = net.blob(name).ok_or_else(|| format!("there is no blob {name}"))?;
        check(format!("shape of {name}"), same_shape(found.shape, shape));
        check(name.to_owned(), tolerance.check(found.data, wanted));
    }
    if arrays.string("backward") == "1" {
        for (name, _, diff) in arrays.under("top_diff") {
            net.set_diff(name, diff).map_err(|e| e.to_string())?;
        }
        net.store.clear_diffs();
        net.backward().map_err(|e| e.to_string())?;
        for (name, _, wanted) in arrays.under("bottom_diff") {
            match net.diff(name) {
                Some(found) => {
                    check(format!("diff of {name}"), tolerance.check(found.data, wanted))
                }
                None if wanted.iter().all(|&d| d == 0.0) => {}
                None => check(format!("diff of {name}"), Err("backward wrote none".to_owned())),
            }
        }
        for (rest, _, wanted) in arrays.under("param_diff") {
            let (layer, index) = param_name(rest).ok_or("a param without index")?;
            let id = net.store.of_layer(layer, index).ok_or(format!("no param {rest}"))?;
            if net.store.params()[id].kind == ParamKind::Weight {
                check(format!("diff of {rest}"), tolerance.check(net.store.diff(id), wanted));
            }
        }
    }
    for (rest, _, wanted) in arrays.under("param_after") {
        let (layer, index) = param_name(rest).ok_or("a param without index")?;
        let id = net.store.of_layer(layer, index).ok_or(format!("no param {rest}"))?;
        check(format!("{rest} afterwards"), tolerance.check(net.store.data(id), wanted));
    }
    if wrong.is_empty() { Ok(Outcome::Passed) } else { Err(wrong.join("; ")) }
}

/// The sum of several tops, each within its own tolerance.
const LOSS: Tolerance = Tolerance { rtol: 1e-4, atol: 1e-5, scaled: false };

/// Loads parameters from the arrays under `prefix`.
pub fn load(net: &mut Net, arrays: &Arrays, prefix: &str) -> Result<(), String> {
    for (rest, shape, values) in arrays.under(prefix) {
        let (layer, index) = param_name(rest).ok_or("a param without index")?;
        let id = net.store.of_layer(layer, index).ok_or(format!("no param {rest}"))?;
        if net.store.params()[id].shape.count() != shape.count() {
            return Err(format!(
                "param {rest} is {}, wanted {shape}",
                net.store.params()[id].shape
            ));
        }
        net.store.data_mut(id).copy_from_slice(values);
    }
    Ok(())
}

/// Sets the inputs from the arrays under `prefix`, reshaping where the shape differs.
pub fn set_inputs(net: &mut Net, arrays: &Arrays, prefix: &str) -> Result<(), String> {
    for (name, shape, values) in arrays.under(prefix) {
        set_input(net, name, shape, values)?;
    }
    Ok(())
}

pub fn set_input(net: &mut Net, name: &str, shape: &Shape, values: &[f32]) -> Result<(), String> {
    let input = net.input_mut(name).ok_or_else(|| format!("there is no input {name}"))?;
    if input.shape != shape {
        net.reshape_input(name, shape.clone()).map_err(|e| e.to_string())?;
    }
    let input = net.input_mut(name).ok_or_else(|| format!("there is no input {name}"))?;
    input.data.copy_from_slice(values);
    Ok(())
}
