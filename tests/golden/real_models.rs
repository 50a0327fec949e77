//! Trained weights of published networks, on fixed inputs: `real_models/<model>`.

use std::path::Path;

use cortado::net::{Net, NetOptions};
use cortado_layers::Phase;
use cortado_proto::NetDef;
use serde_json::Value;

use super::bignets::{outcome, wrong_blobs};
use super::compare::{LINEAR, Tolerance};
use super::file::Arrays;
use super::layers::set_inputs;
use super::{Case, Outcome, detections, folders, name_of};

pub fn cases(root: &Path) -> Vec<Case> {
    let of = |folder: std::path::PathBuf| {
        let name = format!("real_models/{}", name_of(&folder));
        Case { name, folder, run }
    };
    folders(&root.join("real_models")).into_iter().map(of).collect()
}

fn run(folder: &Path) -> Outcome {
    match try_run(folder) {
        Ok(outcome) => outcome,
        Err(why) => Outcome::Failed(why),
    }
}

fn try_run(folder: &Path) -> Result<Outcome, String> {
    let arrays = Arrays::read(&folder.join("case.safetensors"))?;
    let text = std::fs::read(folder.join("stats.json")).map_err(|e| e.to_string())?;
    let stats: Value = serde_json::from_slice(&text).map_err(|e| e.to_string())?;
    // The path begins with the name of the folder that holds `golden`.
    let below = arrays.string("weights").split_once('/').map_or("", |(_, below)| below);
    let shared = folder.ancestors().nth(3).ok_or("the case lies in no folder")?;
    let weights = shared.join(below);
    if !weights.is_file() {
        return Ok(Outcome::Skipped(format!("{} is not there", weights.display())));
    }
    if weights.extension().is_some_and(|e| e == "h5") && !cfg!(feature = "hdf5") {
        return Ok(Outcome::Skipped("built without the feature hdf5".to_owned()));
    }
    let def = NetDef::read(folder.join("net.prototxt")).map_err(|e| e.to_string())?;
    let options = NetOptions { plan: false, ..NetOptions::new(Phase::Test) };
    let mut net = Net::build(def, &options).map_err(|e| e.to_string())?;
    let report = net.copy_from(&weights).map_err(|e| e.to_string())?;
    if !report.fresh.is_empty() {
        return Err(format!("no weights for {}", report.fresh.join(", ")));
    }
    set_inputs(&mut net, &arrays, "input")?;
    net.forward().map_err(|e| e.to_string())?;
    let mut wrong = wrong_blobs(&net, &stats);
    wrong.extend(detections::wrong(&net, &arrays, Tolerance::of_boxes(1e-4))?);
    for (name, _, wanted) in arrays.under("output").filter(|(name, ..)| !detections::is(&net, name))
    {
        let found = net.blob(name).ok_or_else(|| format!("there is no blob {name}"))?;
        wrong.extend(LINEAR.check(found.data, wanted).err().map(|why| format!("{name}: {why}")));
    }
    outcome(&wrong)
}
