//! Eight iterations of each solver, fed with the recorded batches, and resumed from the original's
//! own snapshots: `solver/<case>`.

use std::path::Path;

use cortado::solver::{Solver, SolverOptions, snapshot_names};
use cortado_proto::SolverDef;

use super::compare::Tolerance;
use super::file::{Arrays, param_name};
use super::layers::{load, set_inputs};
use super::{Case, Outcome, folders, name_of};

pub fn cases(root: &Path) -> Vec<Case> {
    let of = |folder: std::path::PathBuf| {
        let name = format!("solver/{}", name_of(&folder));
        Case { name, folder, run }
    };
    folders(&root.join("solver")).into_iter().map(of).collect()
}

fn run(folder: &Path) -> Outcome {
    match try_run(folder) {
        Ok(outcome) => outcome,
        Err(why) => Outcome::Failed(why),
    }
}

/// The solver of a case, which writes its snapshots into `out`.
fn solver(folder: &Path, out: &Path) -> Result<Solver, String> {
    let mut def = SolverDef::read(folder.join("solver.prototxt")).map_err(|e| e.to_string())?;
    def.param.net = Some(folder.join("net_input.prototxt").display().to_string());
    def.param.snapshot_prefix = Some(out.join("snap").display().to_string());
    Solver::build(def, &SolverOptions::default()).map_err(|e| e.to_string())
}

fn try_run(folder: &Path) -> Result<Outcome, String> {
    let arrays = Arrays::read(&folder.join("case.safetensors"))?;
    let out = tempfile::tempdir().map_err(|e| e.to_string())?;
    let mut straight = solver(folder, out.path())?;
    load(straight.net_mut(), &arrays, "init")?;
    follow(&mut straight, &arrays, 0)?;
    let ending = match arrays.string("snapshot") {
        "" => return Ok(Outcome::Passed),
        "HDF5" if !cfg!(feature = "hdf5") => {
            return Ok(Outcome::Skipped("built without the feature hdf5".to_owned()));
        }
        "HDF5" => ".h5",
        _ => "",
    };
    // From the original's own files, then from those just written.
    for from in [folder, out.path()] {
        let mut resumed = solver(folder, out.path())?;
        let (_, mut state) = snapshot_names(&from.join("snap"), 4);
        state.as_mut_os_string().push(ending);
        resumed.restore(&state).map_err(|e| e.to_string())?;
        if resumed.iter() != 4 {
            return Err(format!("resumed at iteration {}", resumed.iter()));
        }
        let again = follow(&mut resumed, &arrays, 4);
        again.map_err(|e| format!("resumed from {}: {e}", state.display()))?;
    }
    Ok(Outcome::Passed)
}

/// Runs the iterations after `from` and holds rate, loss and weights of each against the record.
fn follow(solver: &mut Solver, arrays: &Arrays, from: u64) -> Result<(), String> {
    let number = |key: &str| arrays.string(key).parse::<u64>().unwrap_or(1);
    let (iters, size, batches) = (number("iters"), number("iter_size"), number("batches"));
    let roots = ["AdaGrad", "RMSProp", "AdaDelta", "Adam"];
    let atol = if roots.contains(&solver.param().r#type()) { 1e-4 } else { 2e-5 };
    let weights = Tolerance { rtol: 1e-4, atol, scaled: false };
    let scalar = Tolerance { rtol: 1e-4, atol: 1e-5, scaled: false };
    let rate = Tolerance { rtol: 1e-6, atol: 0.0, scaled: false };
    for t in from + 1..=iters {
        let found = solver.rate();
        for (name, _, wanted) in arrays.under("lr").filter(|(name, ..)| **name == t.to_string()) {
            rate.check(&[found], wanted).map_err(|e| format!("lr/{name}: {e}"))?;
        }
        let mut pass = (t - 1) * size;
        let mut trouble = None;
        let stepped = solver.step_fed(1, &mut (), &mut |net| {
            let prefix = format!("iter_input/{}", pass % batches);
            trouble = trouble.take().or(set_inputs(net, arrays, &prefix).err());
            pass += 1;
            Ok(())
        });
        stepped.map_err(|e| e.to_string())?;
        trouble.map_or(Ok(()), Err)?;
        let loss = solver.net().blob("loss").ok_or("there is no loss")?.data.to_vec();
        for (name, _, wanted) in arrays.under("loss").filter(|(name, ..)| **name == t.to_string()) {
            scalar.check(&loss, wanted).map_err(|e| format!("loss/{name}: {e}"))?;
        }
        let prefix = format!("weights/{t}");
        for (rest, _, wanted) in arrays.under(&prefix) {
            let (layer, index) = param_name(rest).ok_or("a param without index")?;
            let store = &solver.net().store;
            let id = store.of_layer(layer, index).ok_or(format!("no param {rest}"))?;
            let check = weights.check(store.data(id), wanted);
            check.map_err(|e| format!("weights of {rest} after iteration {t}: {e}"))?;
        }
    }
    Ok(())
}
