//! Whole published networks with pseudo-random weights made by a rule: `bignets/<net>`, and those of SSD,
//! `fork_layers/ssd_nets/<net>`.

use std::path::Path;

use cortado::net::{Net, NetErrorKind, NetOptions};
use cortado_layers::Phase;
use cortado_proto::NetDef;
use serde_json::Value;

use super::compare::Tolerance;
use super::file::Arrays;
use super::{Case, Outcome, detections, folders, name_of};
use cortado_layers::rng::{fnv1a, splitmix};

pub fn cases(root: &Path) -> Vec<Case> {
    let of = |part: &'static str| {
        let case = move |folder: std::path::PathBuf| {
            let name = format!("{part}/{}", name_of(&folder));
            Case { name, folder, run }
        };
        folders(&root.join(part)).into_iter().map(case)
    };
    of("bignets").chain(of("fork_layers/ssd_nets")).collect()
}

fn run(folder: &Path) -> Outcome {
    match try_run(folder) {
        Ok(outcome) => outcome,
        Err(why) => Outcome::Failed(why),
    }
}

/// Uniform in [-1, 1), exact in f32.
fn u(name: &str, blob: u64, i: u64) -> f32 {
    let state = fnv1a(name).wrapping_add(blob.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(i);
    (splitmix(state) >> 40) as f32 * 2f32.powi(-23) - 1.0
}

/// The rule of the golden data's README.
fn value(type_name: &str, gain: f32, blob: usize, fan_in: f64, u: f32) -> f32 {
    match (type_name, blob) {
        ("BatchNorm", 0) => 0.1 * u,
        ("BatchNorm", 1) => 1.0 + 0.5 * u,
        ("BatchNorm", _) => 1.0,
        ("Scale", 0) => gain * (1.0 + 0.25 * u),
        ("Scale", _) => 0.1 * u,
        ("PReLU", _) => 0.25 + 0.125 * u,
        ("Bias", _) => 0.1 * u,
        (_, 0) => u * (6.0 / fan_in).sqrt() as f32,
        _ => 0.1 * u,
    }
}

fn try_run(folder: &Path) -> Result<Outcome, String> {
    let text = std::fs::read(folder.join("stats.json")).map_err(|e| e.to_string())?;
    let stats: Value = serde_json::from_slice(&text).map_err(|e| e.to_string())?;
    let arrays = Arrays::read(&folder.join("case.safetensors"))?;
    let def = NetDef::read(folder.join("net.prototxt")).map_err(|e| e.to_string())?;
    let options = NetOptions { plan: false, ..NetOptions::new(Phase::Test) };
    let mut net = match Net::build(def, &options) {
        Ok(net) => net,
        Err(errors) => {
            let unknown = errors.iter().find(|e| matches!(e.kind, NetErrorKind::UnknownType(_)));
            return match unknown {
                Some(error) => Ok(Outcome::Skipped(error.kind.to_string())),
                None => Err(errors.to_string()),
            };
        }
    };
    let conf_scale: f32 = arrays.string("confscale").parse().unwrap_or(1.0);
    fill(&mut net, &stats, conf_scale)?;
    net.forward().map_err(|e| e.to_string())?;
    let mut wrong = wrong_blobs(&net, &stats);
    wrong.extend(detections::wrong(&net, &arrays, Tolerance::of_boxes(1e-4))?);
    wrong.extend(outputs(&net, &arrays)?);
    drop(net);
    let def = NetDef::read(folder.join("net.prototxt")).map_err(|e| e.to_string())?;
    let mut net = Net::build(def, &NetOptions::new(Phase::Test)).map_err(|e| e.to_string())?;
    let recorded: Vec<&str> = arrays.under("output").map(|(name, ..)| name).collect();
    net.keep(&recorded).map_err(|e| e.to_string())?;
    fill(&mut net, &stats, conf_scale)?;
    net.forward().map_err(|e| e.to_string())?;
    wrong.extend(outputs(&net, &arrays)?.into_iter().map(|why| format!("planned: {why}")));
    outcome(&wrong)
}

/// Weights and inputs by the rule.
fn fill(net: &mut Net, stats: &Value, conf_scale: f32) -> Result<(), String> {
    let gain = stats["scale_gain"].as_f64().unwrap_or(1.0) as f32;
    let mut params: Vec<(usize, Vec<f32>)> = Vec::new();
    for layer in net.layers() {
        for (b, (id, shape)) in layer.params().enumerate() {
            let fan_in = (shape.count() / shape.first().copied().unwrap_or(1)) as f64;
            let of = |i| value(layer.def().r#type(), gain, b, fan_in, u(layer.name(), b as u64, i));
            let factor = if layer.name().contains("conf") { conf_scale } else { 1.0 };
            let values = (0..shape.count() as u64).map(|i| of(i) * factor);
            params.push((id, values.collect()));
        }
    }
    for (id, values) in params {
        net.store.data_mut(id).copy_from_slice(&values);
    }
    let inputs: Vec<String> = net.inputs().into_iter().map(str::to_owned).collect();
    for name in inputs {
        let input = net.input_mut(&name).ok_or("an input is missing")?;
        let source = format!("input:{name}");
        input.data.iter_mut().enumerate().for_each(|(i, v)| *v = u(&source, 0, i as u64));
    }
    Ok(())
}

/// How the outputs differ.
fn outputs(net: &Net, arrays: &Arrays) -> Result<Vec<String>, String> {
    let mut wrong = Vec::new();
    for (name, _, wanted) in arrays.under("output").filter(|(name, ..)| !detections::is(net, name))
    {
        let found = net.blob(name).ok_or_else(|| format!("there is no blob {name}"))?;
        let mean = wanted.iter().map(|v| f64::from(v.abs())).sum::<f64>() / wanted.len() as f64;
        let is_prob = net
            .layers()
            .any(|l| l.def().r#type() == "Softmax" && l.tops().any(|(top, _)| top == name));
        let atol = if is_prob { 1e-4 } else { 2e-4 * mean };
        let tolerance = Tolerance { rtol: 1e-3, atol, scaled: false };
        if let Err(why) = tolerance.check(found.data, wanted) {
            wrong.push(format!("output {name}: {why}"));
        }
    }
    Ok(wrong)
}

/// Passed, or how many and which checks failed.
pub fn outcome(wrong: &[String]) -> Result<Outcome, String> {
    if wrong.is_empty() {
        return Ok(Outcome::Passed);
    }
    let shown = wrong.iter().take(4).cloned().collect::<Vec<_>>().join("; ");
    Err(format!("{} checks failed: {shown}", wrong.len()))
}

/// The blobs that are not as `stats.json` has them; those of detections are not sampled.
pub fn wrong_blobs(net: &Net, stats: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    for blob in stats["blobs"].as_array().into_iter().flatten() {
        let name = blob["name"].as_str().unwrap_or_default();
        let Some(found) = net.blob(name) else {
            wrong.push(format!("there is no blob {name}"));
            continue;
        };
        if detections::is(net, name) {
            continue;
        }
        if let Err(why) = check_blob(blob, found.data) {
            wrong.push(format!("{name}: {why}"));
        }
    }
    wrong
}

fn check_blob(wanted: &Value, found: &[f32]) -> Result<(), String> {
    let number = |key: &str| wanted[key].as_f64().unwrap_or(f64::NAN);
    let list = |key: &str| -> Vec<f32> {
        let values = wanted[key].as_array().into_iter().flatten();
        values.map(|v| v.as_f64().unwrap_or(f64::NAN) as f32).collect()
    };
    let absmean = number("absmean");
    let count = found.len() as f64;
    let mean_found = found.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
    let absmean_found = found.iter().map(|v| f64::from(v.abs())).sum::<f64>() / count;
    for (what, found, wanted) in
        [("mean", mean_found, number("mean")), ("absmean", absmean_found, absmean)]
    {
        if !((found - wanted).abs() <= 1e-4 * absmean) {
            return Err(format!("{what} is {found} instead of {wanted}"));
        }
    }
    let tolerance = Tolerance { rtol: 1e-3, atol: 2e-4 * absmean, scaled: false };
    let first = list("first8");
    tolerance.check(&found[..first.len().min(found.len())], &first)?;
    let stride = number("stride") as usize;
    let strided = list("stride8");
    let picked: Vec<f32> =
        found.iter().step_by(stride.max(1)).take(strided.len()).copied().collect();
    tolerance.check(&picked, &strided)
}
