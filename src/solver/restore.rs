//! Going on from a snapshot: either of its files, also moved, or the newest whole one of a prefix.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use cortado_layers::{ParamKind, Shape};
use cortado_proto::caffe::{Carried, DataPosition, SolverState};
use cortado_proto::{Diagnostic, wire};

use super::claim::folder_of;
use super::{Pace, Solver, SolverError, state_hdf5};
use crate::net::{CopyOptions, CopyReport, Mark, Net};

/// A state of a prefix. One is newer than another by generation, then by iteration.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    generation: u32,
    pub iter: u64,
    path: PathBuf,
}

/// The states of a prefix, newest first.
pub(super) fn snapshots(prefix: &Path) -> Vec<Found> {
    let stem = prefix.file_name().unwrap_or_default().to_string_lossy().into_owned() + "_iter_";
    let Ok(entries) = std::fs::read_dir(folder_of(prefix)) else { return Vec::new() };
    let number = |name: &str| -> Option<u64> {
        let name = name.strip_suffix(".h5").unwrap_or(name);
        name.strip_suffix(".solverstate")?.strip_prefix(&stem)?.parse().ok()
    };
    let state = |entry: std::fs::DirEntry| -> Option<Found> {
        let (iter, path) = (number(&entry.file_name().to_string_lossy())?, entry.path());
        Some(Found { generation: generation(&path).unwrap_or(0), iter, path })
    };
    let mut found: Vec<Found> = entries.flatten().filter_map(state).collect();
    found.sort_by(|a, b| b.cmp(a));
    found
}

/// The generation in a state's file, of which nothing else is read: histories may be large.
fn generation(path: &Path) -> Option<u32> {
    const FIELD: u64 = 10011;
    if !path.is_file() {
        return None;
    }
    if crate::hdf5::is_hdf5(path) {
        return state_hdf5::generation(path);
    }
    let mut file = BufReader::new(File::open(path).ok()?);
    loop {
        let key = varint(&mut file)?;
        let length = match (key >> 3, key & 7) {
            (FIELD, 0) => return u32::try_from(varint(&mut file)?).ok(),
            (_, 0) => varint(&mut file).map(|_| 0)?,
            (_, 1) => 8,
            (_, 2) => varint(&mut file)?,
            (_, 5) => 4,
            _ => return None,
        };
        file.seek_relative(i64::try_from(length).ok()?).ok()?;
    }
}

fn varint(file: &mut impl Read) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let mut byte = [0];
        file.read_exact(&mut byte).ok()?;
        value |= u64::from(byte[0] & 0x7f) << shift;
        if byte[0] < 0x80 {
            return Some(value);
        }
    }
    None
}

/// The newest snapshot of a prefix that is whole, and why newer ones are not.
pub fn newest_snapshot(prefix: &Path) -> (Option<PathBuf>, Vec<SolverError>) {
    let (newest, damaged) = newest_whole(prefix);
    (newest.map(|found| found.path), damaged)
}

fn newest_whole(prefix: &Path) -> (Option<Found>, Vec<SolverError>) {
    let mut damaged = Vec::new();
    for found in snapshots(prefix) {
        match open(&found.path) {
            Ok(_) => return (Some(found), damaged),
            Err(why) => damaged.push(failed(&found.path, why)),
        }
    }
    (None, damaged)
}

/// The generation that makes a state after this iteration the newest of its prefix.
pub(super) fn next_generation(prefix: &Path, iter: u64) -> u32 {
    let newest = newest_whole(prefix).0;
    newest.map_or(0, |newest| newest.generation.saturating_add(u32::from(newest.iter > iter)))
}

fn failed(path: &Path, why: String) -> SolverError {
    SolverError::Snapshot { doing: "restore", path: path.to_owned(), why }
}

/// A state and the file of its weights, both held against their checksums.
fn open(path: &Path) -> Result<(SolverState, Option<PathBuf>), String> {
    let state = match crate::hdf5::is_hdf5(path) {
        true => state_hdf5::read(path)?,
        false => wire::read_state(path).map_err(|e| e.to_string())?,
    };
    if state.iter.is_none() && state.learned_net.is_none() && state.history.is_empty() {
        return Err("nothing of a solver's state is in it: it is empty or was cut".to_owned());
    }
    let Some(learned) = &state.learned_net else { return Ok((state, None)) };
    let model = find_model(path, learned, state.model_checksum)?;
    Ok((state, Some(model)))
}

fn checksum(path: &Path) -> io::Result<u32> {
    struct Sum(crc32fast::Hasher);
    impl io::Write for Sum {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut sum = Sum(crc32fast::Hasher::new());
    let mut file = io::BufReader::with_capacity(1 << 20, File::open(path)?);
    io::copy(&mut file, &mut sum)?;
    Ok(sum.0.finalize())
}

/// The weights of a state: where it says, then beside it (files move, and another run may have written
/// to the old place since), also where both have another name now.
fn find_model(state: &Path, learned: &str, wanted: Option<u32>) -> Result<PathBuf, String> {
    let given = PathBuf::from(learned);
    let beside = state.with_file_name(given.file_name().unwrap_or_default());
    // As Windows writes them.
    let last = state.with_file_name(learned.rsplit('\\').next().unwrap_or_default());
    let twin = twin(state, "solverstate", "caffemodel");
    let mut changed = None;
    for path in [given, beside, last].into_iter().chain(twin).filter(|path| path.is_file()) {
        let Some(wanted) = wanted else { return Ok(path) };
        let found = checksum(&path).map_err(|e| format!("`{}`: {e}", path.display()))?;
        if found == wanted {
            return Ok(path);
        }
        changed.get_or_insert(path);
    }
    Err(match changed {
        Some(path) => format!(
            "its weights, `{}`, have changed since it was written; give them as --weights to start from \
             them",
            path.display()
        ),
        None => format!("its weights, `{learned}`, are neither there nor beside it"),
    })
}

/// `x.FROM` → `x.TO`, `x.FROM.h5` → `x.TO.h5`.
fn twin(path: &Path, from: &str, to: &str) -> Option<PathBuf> {
    let is_hdf5 = path.extension().is_some_and(|ending| ending == "h5");
    let inner = if is_hdf5 { path.with_extension("") } else { path.to_owned() };
    inner.extension().filter(|ending| *ending == from)?;
    let mut twin = inner.with_extension(to);
    if is_hdf5 {
        twin.as_mut_os_string().push(".h5");
    }
    Some(twin)
}

/// The state that belongs to a file of weights; any other file is taken for the state itself.
fn state_beside(path: &Path) -> Result<PathBuf, String> {
    let Some(state) = twin(path, "caffemodel", "solverstate") else { return Ok(path.to_owned()) };
    match state.is_file() {
        true => Ok(state),
        false => Err(format!(
            "these are weights, not a solver's state, and `{}` is not there; give them as --weights to \
             start from them",
            state.display()
        )),
    }
}

impl Solver {
    /// The states of the prefix after this iteration: those of a run that went further.
    pub fn later_snapshots(&self) -> Vec<PathBuf> {
        let found = snapshots(&self.prefix).into_iter().filter(|found| found.iter > self.iter);
        found.map(|found| found.path).collect()
    }

    /// Goes on from a snapshot: its `.solverstate` or `.solverstate.h5` (told apart by content), or
    /// the weights beside which the state lies. The weights are looked for where the state says, then
    /// beside it (files move). Gives the report of the copied weights.
    pub fn restore(&mut self, path: impl AsRef<Path>) -> Result<CopyReport, crate::Error> {
        let given = path.as_ref();
        let path = state_beside(given).map_err(|why| failed(given, why))?;
        let fail = |why: String| failed(&path, why);
        let (state, model) = open(&path).map_err(fail)?;
        let histories = self.check_history(&state).map_err(fail)?;
        let report = match model {
            Some(model) => self.copy_with(model, CopyOptions::default())?,
            None => CopyReport::default(),
        };
        self.history = histories;
        self.iter = state.iter().max(0) as u64;
        self.pace = Pace {
            step: state.current_step(),
            minimum_loss: state.minimum_loss(),
            last_event: state.iter_last_event().max(0) as u64,
        };
        self.restore_best(&state);
        if let Some(seed) = state.seed {
            let given = self.param.random_seed();
            if given >= 0 && given as u64 != seed {
                let why = format!("`random_seed` is {given}; the snapshot's seed, {seed}, is used");
                self.notes.push(Diagnostic::warning(why, None));
            }
            self.seed = seed;
            let nets = std::iter::once(&mut self.net).chain(&mut self.test_nets);
            nets.for_each(|net| net.set_seed(seed));
        }
        go_on(&mut self.net, state.forward_count, &state.data_position, &state.carried)?;
        for (net, at) in self.test_nets.iter_mut().zip(&state.test_position) {
            go_on(net, at.forward_count, &at.data_position, &at.carried)?;
        }
        self.losses = state.smoothed_loss.iter().copied().collect();
        self.resumed = !self.losses.is_empty();
        // The snapshot itself needs not be written again.
        let is_own = match (path.canonicalize(), self.snapshot_files().1.canonicalize()) {
            (Ok(path), Ok(own)) => path == own,
            _ => false,
        };
        (self.saved, self.began) = (is_own.then_some(self.iter), None);
        if let Some(claim) = &mut self.claim {
            claim.generation = None;
        }
        Ok(report)
    }

    fn check_history(&self, state: &SolverState) -> Result<[Vec<f32>; 2], String> {
        let own = self.param.r#type();
        if let Some(other) = state.solver_type.as_deref().filter(|theirs| *theirs != own) {
            return Err(format!(
                "it was written by solver type {other}, this one is {own}, and what they keep per weight \
                 differs; set `type` to {other}, or give its weights as --weights to start from them"
            ));
        }
        let params = self.net.store.trained();
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
}

/// Puts a net where a snapshot says it stood; where it says nothing (the original's), nothing happens.
fn go_on(
    net: &mut Net,
    passes: Option<u64>,
    positions: &[DataPosition],
    carried: &[Carried],
) -> Result<(), crate::Error> {
    let positions = positions.iter().map(|p| (p.layer().to_owned(), p.position())).collect();
    let carried = carried.iter().map(|c| (c.layer().to_owned(), c.value.clone())).collect();
    let passes = passes.unwrap_or(net.passes());
    Ok(net.go_to(&Mark { passes, positions, state: Vec::new(), carried })?)
}
