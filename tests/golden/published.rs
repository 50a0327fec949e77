//! Files that people have published: every net, weight file, solver state and mean picture of
//! `data/models` beside the golden folder is read, and weights fit a net that lies with them.

use std::path::{Path, PathBuf};
use std::process::Command;

use cortado::data::MeanPicture;
use cortado::net::{Assumed, Net, NetOptions, default_shapes};
use cortado::solver::{Solver, SolverOptions};
use cortado_layers::{Phase, Shape};
use cortado_proto::caffe::{BlobShape, DummyDataParameter, LayerParameter};
use cortado_proto::{FileKind, NetDef, SolverDef, Source, def, text};

use super::{Case, Outcome, folders, name_of};

pub fn cases(root: &Path) -> Vec<Case> {
    let models = root.parent().map(|shared| shared.join("data/models")).unwrap_or_default();
    let mut cases = Vec::new();
    for folder in folders(&models) {
        for file in files(&folder) {
            let name = format!("models/{}/{}", name_of(&folder), name_of(&file));
            cases.push(Case { name, folder: file, run });
        }
    }
    cases
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    found.retain(|path| path.is_file());
    found.sort();
    found
}

fn run(file: &Path) -> Outcome {
    let name = name_of(file);
    if name.ends_with(".h5") && !cfg!(feature = "hdf5") {
        return Outcome::Skipped("built without the feature hdf5".to_owned());
    }
    let read = match () {
        () if name.ends_with(".prototxt") => definition(file),
        () if name.contains(".caffemodel") => weights(file),
        () if name.contains(".solverstate") => state(file),
        () if name.ends_with(".binaryproto") => MeanPicture::read(file).map(|_| ()),
        () => return Outcome::Skipped("a file of another kind".to_owned()),
    };
    read.map_or_else(Outcome::Failed, |()| Outcome::Passed)
}

/// A net has shapes, a solver makes sense.
fn definition(file: &Path) -> Result<(), String> {
    let source = def::read_text(file).map_err(|e| e.to_string())?;
    if FileKind::of(&source) == FileKind::Solver {
        let mut solver = SolverDef::from_text(&source).map_err(|e| e.to_string())?;
        return cortado::solver::examine(&mut solver).map_err(|e| e.to_string());
    }
    let net = NetDef::from_text(&source).map_err(|e| e.to_string())?;
    let data = |layer: &_| default_shapes(layer, &Assumed::default());
    let outline = Net::outline(net, &NetOptions::new(Phase::Test), &data);
    outline.errors.first().map_or(Ok(()), |error| Err(error.to_string()))
}

/// The nets of a folder as they are used, those that train turned into ones.
fn nets(folder: &Path) -> impl Iterator<Item = NetDef> {
    let texts = files(folder).into_iter().filter(|f| name_of(f).ends_with(".prototxt"));
    texts.filter_map(|file| {
        let program = env!("CARGO_BIN_EXE_cortado");
        let deploy = Command::new(program).arg("deploy").arg(&file).output().ok()?;
        match deploy.status.success() {
            true => {
                let text = String::from_utf8_lossy(&deploy.stdout).into_owned();
                NetDef::from_text(&Source::new("deploy.prototxt", text)).ok()
            }
            false => NetDef::read(&file).ok(),
        }
    })
}

/// The weights fit a net beside them.
fn weights(file: &Path) -> Result<(), String> {
    let mut told = vec!["no net lies beside it".to_owned()];
    for def in nets(file.parent().unwrap_or(Path::new("."))) {
        let name = def.param.name().to_owned();
        let options = NetOptions { gradients: false, ..NetOptions::new(Phase::Test) };
        let copied = Net::build(def, &options).map_err(|e| e.to_string()).and_then(|mut net| {
            let report = net.copy_from(file).map_err(|e| e.to_string())?;
            match report.fresh.first() {
                None => Ok(()),
                Some(layer) => Err(format!("no weights for `{layer}`")),
            }
        });
        match copied {
            Ok(()) => return Ok(()),
            Err(why) => told.push(format!("{name}: {why}")),
        }
    }
    Err(told.join("; "))
}

/// Training goes on from the state, in a net beside it whose data is made up.
fn state(file: &Path) -> Result<(), String> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut told = vec!["no training net lies beside it".to_owned()];
    for train in files(folder).into_iter().filter(|f| name_of(f).contains("train_test")) {
        let mut def = NetDef::read(&train).map_err(|e| e.to_string())?;
        for layer in &mut def.layers {
            let shapes = default_shapes(layer, &Assumed::default());
            let Some(shapes) = shapes.filter(|shapes| !shapes.is_empty()) else { continue };
            let dims = |shape: &Shape| BlobShape { dim: shape.iter().map(|&d| d as i64).collect() };
            let shape = shapes.iter().map(dims).collect();
            layer.param = LayerParameter {
                name: layer.name.clone(),
                r#type: Some("DummyData".to_owned()),
                top: layer.top.clone(),
                include: layer.include.clone(),
                dummy_data_param: Some(DummyDataParameter { shape, ..Default::default() }),
                ..LayerParameter::default()
            };
        }
        let text = format!(
            "train_net_param {{ {} }} base_lr: 0.001 momentum: 0.9 lr_policy: \"fixed\" max_iter: 100000",
            text::print(&def.to_message())
        );
        let source = Source::new("solver.prototxt", text);
        let solver = SolverDef::from_text(&source).map_err(|e| e.to_string())?;
        let restored = Solver::build(solver, &SolverOptions::default())
            .and_then(|mut solver| solver.restore(file).map(|_| solver.iter()));
        match restored {
            Ok(iter) if iter > 0 => return Ok(()),
            Ok(iter) => told.push(format!("{}: goes on from iteration {iter}", name_of(&train))),
            Err(why) => told.push(format!("{}: {why}", name_of(&train))),
        }
    }
    Err(told.join("; "))
}
