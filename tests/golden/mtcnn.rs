//! MTCNN's real trained weights on a real photo: `mtcnn/detN_*.safetensors`.

use std::path::Path;

use cortado::net::{Net, NetOptions};
use cortado_layers::Phase;
use cortado_proto::NetDef;

use super::compare::LINEAR;
use super::file::Arrays;
use super::layers::set_inputs;
use super::{Case, Outcome, name_of};

pub fn cases(root: &Path) -> Vec<Case> {
    let Ok(entries) = std::fs::read_dir(root.join("mtcnn")) else { return Vec::new() };
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "safetensors"));
    files.sort();
    let of = |folder: std::path::PathBuf| {
        let name = format!("mtcnn/{}", name_of(&folder).trim_end_matches(".safetensors"));
        Case { name, folder, run }
    };
    files.into_iter().map(of).collect()
}

fn run(file: &Path) -> Outcome {
    match try_run(file) {
        Ok(()) => Outcome::Passed,
        Err(why) => Outcome::Failed(why),
    }
}

fn try_run(file: &Path) -> Result<(), String> {
    check(file, false)?;
    check(file, true).map_err(|why| format!("planned: {why}"))
}

fn check(file: &Path, plan: bool) -> Result<(), String> {
    let arrays = Arrays::read(file)?;
    let name = name_of(file);
    let stem = name.split('_').next().unwrap_or_default();
    let model = file.with_file_name("model").join(stem);
    let def = NetDef::read(model.with_extension("prototxt")).map_err(|e| e.to_string())?;
    let options = NetOptions { plan, ..NetOptions::new(Phase::Test) };
    let mut net = Net::build(def, &options).map_err(|e| e.to_string())?;
    let report = net.copy_from(model.with_extension("caffemodel")).map_err(|e| e.to_string())?;
    if !report.fresh.is_empty() {
        return Err(format!("no weights for {}", report.fresh.join(", ")));
    }
    if plan {
        let recorded: Vec<&str> = arrays.under("output").map(|(name, ..)| name).collect();
        net.keep(&recorded).map_err(|e| e.to_string())?;
    }
    set_inputs(&mut net, &arrays, "input")?;
    net.forward().map_err(|e| e.to_string())?;
    for (name, _, wanted) in arrays.under("output") {
        let found = net.blob(name).ok_or_else(|| format!("there is no blob {name}"))?;
        LINEAR.check(found.data, wanted).map_err(|why| format!("{name}: {why}"))?;
    }
    Ok(())
}
