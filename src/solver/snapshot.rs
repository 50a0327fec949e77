//! Snapshots: weights and solver state in the original's formats, binary or HDF5, each file whole or
//! not there. What the original does not know (seed, place in the data, number of passes) stands in
//! fields that it skips.

use std::path::{Path, PathBuf};

use cortado_layers::{ParamKind, Shape};
use cortado_proto::caffe::solver_parameter::SnapshotFormat;
use cortado_proto::caffe::{DataPosition, SolverState};
use cortado_proto::wire;

use super::{Event, Solver, SolverError, Watcher, state_hdf5};
use crate::net::{CopyReport, Param};

/// The two files of a snapshot: `PREFIX_iter_N.caffemodel` and `PREFIX_iter_N.solverstate`.
pub fn snapshot_names(prefix: &Path, iter: u64) -> (PathBuf, PathBuf) {
    let with = |ending: &str| {
        let mut name = prefix.as_os_str().to_owned();
        name.push(format!("_iter_{iter}.{ending}"));
        PathBuf::from(name)
    };
    (with("caffemodel"), with("solverstate"))
}

impl Solver {
    /// Where snapshots go.
    pub fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// Makes sure, before any work is done, that snapshots can be written.
    pub fn check_prefix(&self) -> Result<(), SolverError> {
        if self.param.snapshot() <= 0 && !self.param.snapshot_after_train() {
            return Ok(());
        }
        let (path, _) = snapshot_names(&self.prefix, 0);
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let probe = tempfile::Builder::new().prefix(".cortado-").tempfile_in(folder);
        probe.map(drop).map_err(|e| SolverError::Snapshot {
            doing: "write",
            path: path.clone(),
            why: format!("{e}; `snapshot_prefix` says where snapshots go"),
        })
    }

    /// Writes a snapshot: first the weights, then the state that names them.
    pub fn snapshot(&mut self, watcher: &mut dyn Watcher) -> Result<(), crate::Error> {
        let (mut model, mut state) = snapshot_names(&self.prefix, self.iter);
        let hdf5 = self.param.snapshot_format() == SnapshotFormat::Hdf5;
        if hdf5 {
            model.as_mut_os_string().push(".h5");
            state.as_mut_os_string().push(".h5");
        }
        let kind = if hdf5 { "HDF5 file" } else { "binary proto file" };
        let line = format!("Snapshotting to {kind} {}", model.display());
        watcher.event(&Event::Line(&line));
        if hdf5 {
            self.net.save_hdf5(&model)?;
        } else if let Some(note) = self.net.save(&model)? {
            watcher.event(&Event::Line(&note.to_string()));
        }
        let line = format!("Snapshotting solver state to {kind} {}", state.display());
        watcher.event(&Event::Line(&line));
        match hdf5 {
            true => state_hdf5::write(&state, &self.state(&model))?,
            false => wire::save_message(&state, &self.state(&model))?,
        }
        watcher.event(&Event::Snapshot { model: &model, state: &state });
        Ok(())
    }

    /// The state as the original lays it out: one history blob per learnable parameter, statistics
    /// included; the rules that keep two values have all first ones, then all second ones.
    fn state(&self, model: &Path) -> SolverState {
        let params = self.net.store.params();
        let blobs = |values: &[f32]| -> Vec<_> {
            let blob = |param: &Param| match param.kind {
                ParamKind::Weight => wire::blob_proto(&param.shape, &values[param.range.clone()]),
                ParamKind::State => wire::blob_proto(&param.shape, &vec![0.0; param.shape.count()]),
            };
            params.iter().map(blob).collect()
        };
        let mut history = blobs(&self.history[0]);
        if self.rule.histories() > 1 {
            history.extend(blobs(&self.history[1]));
        }
        let position =
            |(layer, position)| DataPosition { layer: Some(layer), position: Some(position) };
        SolverState {
            iter: Some(self.iter as i32),
            learned_net: Some(model.display().to_string()),
            history,
            current_step: Some(self.current_step),
            seed: Some(self.seed),
            data_position: self.net.positions().into_iter().map(position).collect(),
            smoothed_loss: self.losses.iter().copied().collect(),
            forward_count: Some(self.net.passes()),
            ..SolverState::default()
        }
    }

    /// Goes on from a snapshot's `.solverstate` or `.solverstate.h5` (told apart by content). The weights are looked for where it says, then
    /// beside it (files move). Gives the report of the copied weights.
    pub fn restore(&mut self, path: impl AsRef<Path>) -> Result<CopyReport, crate::Error> {
        let path = path.as_ref();
        let fail =
            |why: String| SolverError::Snapshot { doing: "restore", path: path.to_owned(), why };
        let name = path.to_string_lossy();
        if let Some((stem, ending)) = name.rsplit_once(".caffemodel")
            && matches!(ending, "" | ".h5")
        {
            let state = PathBuf::from(format!("{stem}.solverstate{ending}"));
            let why = "these are weights, not a solver's state".to_owned();
            let hint = if state.exists() {
                format!("; the state is beside it: {}", state.display())
            } else {
                "; give them as --weights to start from them".to_owned()
            };
            return Err(fail(why + &hint).into());
        }
        let state = match crate::hdf5::is_hdf5(path) {
            true => state_hdf5::read(path).map_err(fail)?,
            false => wire::read_state(path)?,
        };
        let histories = self.check_history(&state).map_err(fail)?;
        let report = match &state.learned_net {
            Some(learned) => {
                let model = self.find_model(path, learned).map_err(fail)?;
                self.net.copy_from(model)?
            }
            None => CopyReport::default(),
        };
        self.history = histories;
        self.iter = state.iter().max(0) as u64;
        self.current_step = state.current_step();
        if let Some(seed) = state.seed {
            self.seed = seed;
            self.net.set_seed(seed);
        }
        if let Some(passes) = state.forward_count {
            self.net.set_passes(passes);
        }
        let positions: Vec<(String, u64)> =
            state.data_position.iter().map(|p| (p.layer().to_owned(), p.position())).collect();
        self.net.seek(&positions)?;
        Ok(report)
    }

    fn check_history(&self, state: &SolverState) -> Result<[Vec<f32>; 2], String> {
        let params = self.net.store.params();
        let wanted = params.len() * self.rule.histories();
        if state.history.len() != wanted {
            return Err(format!(
                "it holds {} history blobs; {} with this net wants {wanted}: was it written by another \
                 solver type or net?",
                state.history.len(),
                self.param.r#type()
            ));
        }
        let mut histories = self.history.clone();
        for (i, blob) in state.history.iter().enumerate() {
            let param = &params[i % params.len()];
            let (shape, legacy) = wire::blob_shape(blob).map_err(|e| e.to_string())?;
            let found = Shape::new(&shape);
            let fits =
                if legacy { found.count() == param.shape.count() } else { found == param.shape };
            if !fits {
                let (layer, index) = &param.owner;
                return Err(format!(
                    "history blob {i} is {found}, parameter {index} of layer `{layer}` is {}",
                    param.shape
                ));
            }
            if param.kind == ParamKind::Weight {
                let values = wire::blob_values(blob).map_err(|e| e.to_string())?;
                let slot = histories[i / params.len()].get_mut(param.range.clone());
                match slot.filter(|slot| slot.len() == values.len()) {
                    Some(slot) => slot.copy_from_slice(&values),
                    None => return Err(format!("history blob {i} has {} values", values.len())),
                }
            }
        }
        Ok(histories)
    }

    fn find_model(&self, state: &Path, learned: &str) -> Result<PathBuf, String> {
        let given = PathBuf::from(learned);
        let beside = state.with_file_name(given.file_name().unwrap_or_default());
        [given, beside]
            .into_iter()
            .find(|path| path.is_file())
            .ok_or_else(|| format!("its weights, `{learned}`, are neither there nor beside it"))
    }
}
