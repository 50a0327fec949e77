//! Snapshots: weights and solver state in the original's formats, binary or HDF5, each file whole or
//! not there. What the original does not know (seed, place in the data, number of passes) stands in
//! fields that it skips.

use std::path::{Path, PathBuf};

use cortado_layers::ParamKind;
use cortado_proto::caffe::solver_parameter::SnapshotFormat;
use cortado_proto::caffe::{Carried, DataPosition, NetPosition, SolverState};
use cortado_proto::wire;

use super::restore::{newest_snapshot, next_generation, snapshots};
use super::{Event, Solver, SolverError, Watcher, state_hdf5};
use crate::net::{Mark, NonFinite, Param};

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

    fn is_hdf5(&self) -> bool {
        self.param.snapshot_format() == SnapshotFormat::Hdf5
    }

    /// The two files of a snapshot after this iteration.
    pub(super) fn snapshot_files(&self) -> (PathBuf, PathBuf) {
        let (mut model, mut state) = snapshot_names(&self.prefix, self.iter);
        if self.is_hdf5() {
            model.as_mut_os_string().push(".h5");
            state.as_mut_os_string().push(".h5");
        }
        (model, state)
    }

    /// Writes a snapshot: first the weights, then the state that names them. Then older ones go, if
    /// `keep_last` says so. While the guard stands, weights that are not finite are an error.
    pub fn snapshot(&mut self, watcher: &mut dyn Watcher) -> Result<(), crate::Error> {
        self.check_weights()?;
        self.write_snapshot(watcher)
    }

    /// Stops at weights that are no numbers, which the next pass would find.
    pub(super) fn check_weights(&self) -> Result<(), SolverError> {
        if !self.guards.non_finite || self.net.store.is_finite() {
            return Ok(());
        }
        let first = self.net.layers().find_map(|layer| {
            let mut params = layer.params().enumerate();
            params.find_map(|(i, (id, _))| {
                let data = self.net.store.data(id);
                let at = data.iter().position(|value| !value.is_finite())?;
                Some(NonFinite {
                    layer: layer.name().to_owned(),
                    type_name: layer.def().r#type().to_owned(),
                    what: format!("parameter {i}"),
                    value: data[at],
                    at,
                })
            })
        });
        Err(SolverError::Diverged { iter: self.iter, loss: self.smoothed, first })
    }

    /// The generation of this run's states: what it writes is newer than all that is there, also where
    /// a run that went further was abandoned.
    fn generation(&mut self) -> u32 {
        let known = self.claim.as_ref().and_then(|claim| claim.generation);
        let generation = known.unwrap_or_else(|| next_generation(&self.prefix, self.iter));
        self.claim.get_or_insert_default().generation = Some(generation);
        generation
    }

    fn write_snapshot(&mut self, watcher: &mut dyn Watcher) -> Result<(), crate::Error> {
        let generation = self.generation();
        let (model, state) = self.snapshot_files();
        let full = |why| SolverError::Snapshot { doing: "write", path: model.clone(), why };
        self.check_room().map_err(full)?;
        let kind = if self.is_hdf5() { "HDF5 file" } else { "binary proto file" };
        let line = format!("Snapshotting to {kind} {}", model.display());
        watcher.event(&Event::Line(&line));
        let saved = self.save_weights(&model)?;
        if let Some(note) = saved.note {
            watcher.event(&Event::Line(&note.to_string()));
        }
        let line = format!("Snapshotting solver state to {kind} {}", state.display());
        watcher.event(&Event::Line(&line));
        let message = SolverState {
            generation: (generation > 0).then_some(generation),
            ..self.state(&model, saved.checksum)
        };
        match self.is_hdf5() {
            true => state_hdf5::write(&*self.disk, &state, &message)?,
            false => wire::save_state_on(&*self.disk, &state, &message)?,
        }
        self.saved = Some(self.iter);
        watcher.event(&Event::Snapshot { model: &model, state: &state });
        self.prune(watcher);
        Ok(())
    }

    /// Writes the weights, in the format of snapshots.
    pub(super) fn save_weights(&self, path: &Path) -> Result<wire::Saved, cortado_proto::Error> {
        let diffs = self.param.snapshot_diff();
        match self.is_hdf5() {
            true => {
                let checksum = self.net.save_hdf5_on(&*self.disk, path, diffs)?;
                Ok(wire::Saved { checksum, note: None })
            }
            false => self.net.save_on(&*self.disk, path, diffs),
        }
    }

    /// A snapshot that may fail: training goes on, and its work is not lost.
    ///
    /// # Errors
    /// The weights are not finite: there is nothing to go on with.
    pub(super) fn try_snapshot(&mut self, watcher: &mut dyn Watcher) -> Result<(), SolverError> {
        self.check_weights()?;
        if let Err(e) = self.write_snapshot(watcher) {
            let line = format!("warning: {e}; training goes on, the next snapshot is another try");
            watcher.event(&Event::Line(&line));
        }
        Ok(())
    }

    /// The same where the watcher asked for it: a run that was to write none has no prefix yet.
    pub(super) fn asked_snapshot(&mut self, watcher: &mut dyn Watcher) -> Result<(), SolverError> {
        if let Err(e) = self.claim() {
            let line = format!("warning: {e}; training goes on without the snapshot asked for");
            watcher.event(&Event::Line(&line));
            return Ok(());
        }
        self.try_snapshot(watcher)
    }

    /// Keeps what was done before an error: a snapshot of the last whole iteration, unless that is on
    /// the disk already or its weights are no numbers.
    pub(super) fn save_work(&mut self, watcher: &mut dyn Watcher) {
        let asked = std::mem::take(&mut self.asked);
        let unwanted = self.param.snapshot() <= 0 && !self.param.snapshot_after_train() && !asked;
        if unwanted || self.saved == Some(self.iter) {
            return;
        }
        let told = match self.rewind() {
            Err(e) => format!("warning: no snapshot, since the run can't go back: {e}"),
            Ok(()) if !self.net.store.is_finite() => {
                let newest = match newest_snapshot(&self.prefix).0 {
                    Some(path) => format!("the newest is `{}`", path.display()),
                    None => "there is none from before".to_owned(),
                };
                format!("warning: no snapshot, since the weights are not finite; {newest}")
            }
            Ok(()) => {
                match self.claim().map_err(Into::into).and_then(|()| self.snapshot(watcher)) {
                    Err(e) => format!("warning: {e}"),
                    Ok(()) => return,
                }
            }
        };
        watcher.event(&Event::Line(&told));
    }

    /// Removes snapshots of this prefix beyond the last few: state first, so that none is ever left
    /// without its weights. Those after this iteration are another run's and stay.
    fn prune(&self, watcher: &mut dyn Watcher) {
        let keep = self.param.keep_last().max(0) as usize;
        if keep == 0 {
            return;
        }
        let mut old: Vec<u64> = Vec::new();
        for found in snapshots(&self.prefix) {
            if found.iter <= self.iter && !old.contains(&found.iter) {
                old.push(found.iter);
            }
        }
        for iter in old.into_iter().skip(keep) {
            let (model, state) = snapshot_names(&self.prefix, iter);
            for ending in ["", ".h5"] {
                for mut path in [state.clone(), model.clone()] {
                    path.as_mut_os_string().push(ending);
                    if !path.is_file() {
                        continue;
                    }
                    if let Err(e) = self.disk.remove(&path) {
                        let line = format!("warning: can't remove `{}`: {e}", path.display());
                        watcher.event(&Event::Line(&line));
                        // A state that stays keeps its weights.
                        break;
                    }
                }
            }
        }
    }

    /// The state as the original lays it out: one history blob per learnable parameter, statistics
    /// included; the rules that keep two values have all first ones, then all second ones.
    fn state(&self, model: &Path, checksum: u32) -> SolverState {
        let params = self.net.store.trained();
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
        let positions = |mark: Mark| -> Vec<DataPosition> {
            let of = |(layer, at)| DataPosition { layer: Some(layer), position: Some(at) };
            mark.positions.into_iter().map(of).collect()
        };
        let carried = |mark: &Mark| -> Vec<Carried> {
            let of = |(layer, value): &(String, Vec<f32>)| Carried {
                layer: Some(layer.clone()),
                value: value.clone(),
            };
            mark.carried.iter().map(of).collect()
        };
        let test = |net: &crate::net::Net| {
            let mark = net.mark();
            NetPosition {
                forward_count: Some(mark.passes),
                carried: carried(&mark),
                data_position: positions(mark),
            }
        };
        let mark = self.net.mark();
        let paced = self.pace != super::Pace::default();
        SolverState {
            iter: Some(self.iter as i32),
            learned_net: Some(model.display().to_string()),
            history,
            current_step: Some(self.pace.step),
            minimum_loss: paced.then_some(self.pace.minimum_loss),
            iter_last_event: paced.then_some(self.pace.last_event as i32),
            seed: Some(self.seed),
            carried: carried(&mark),
            data_position: positions(mark),
            smoothed_loss: self.losses.iter().copied().collect(),
            forward_count: Some(self.net.passes()),
            test_position: self.test_nets.iter().map(test).collect(),
            best: self.best.found.map(|(value, _)| value),
            best_iter: self.best.found.map(|(_, iter)| iter),
            tests_since_best: (self.best.since > 0).then_some(self.best.since),
            model_checksum: Some(checksum),
            solver_type: Some(self.param.r#type().to_owned()),
            generation: None,
            best_output: self.best.output(),
        }
    }
}
