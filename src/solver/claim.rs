//! Before work begins: the prefix of the snapshots is ours alone, can be written to, and has room.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::{Solver, SolverError, snapshot_names};
use crate::files::is_still;

/// What a run knows of its prefix.
#[derive(Default)]
pub(super) struct Claim {
    /// Keeps other runs out; none on disks that know no locks, and where nobody asked for it.
    lock: Option<Lock>,
    /// The generation of this run's states, once one was written.
    pub generation: Option<u32>,
}

/// A prefix that no other run may write to. Given back when dropped, and by the system when the
/// program is killed.
struct Lock {
    path: PathBuf,
    /// Holds the lock while open.
    _file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A file left behind locks nobody out.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Solver {
    /// Makes sure, before any work is done, that snapshots can be written: the folder is there and
    /// has room, and no other run writes to the same prefix. Removes what killed runs left half
    /// written.
    pub fn claim_prefix(&mut self) -> Result<(), SolverError> {
        let unused = self.param.snapshot() <= 0 && !self.param.snapshot_after_train();
        if unused && self.param.keep_best.is_none() {
            return Ok(());
        }
        self.claim()
    }

    /// The same, also where no snapshot was to be written.
    pub(super) fn claim(&mut self) -> Result<(), SolverError> {
        if self.claim.as_ref().is_some_and(|claim| claim.lock.is_some()) {
            return Ok(());
        }
        let (path, _) = snapshot_names(&self.prefix, 0);
        let fail = |why: String| SolverError::Snapshot {
            doing: "write",
            path: path.clone(),
            why: format!("{why}; `snapshot_prefix` says where snapshots go"),
        };
        let folder = folder_of(&self.prefix);
        let probe = tempfile::Builder::new().prefix(".cortado-").tempfile_in(folder);
        probe.map(drop).map_err(|e| fail(e.to_string()))?;
        self.claim.get_or_insert_default().lock = lock(&self.prefix).map_err(fail)?;
        self.check_room().map_err(fail)?;
        remove_leftovers(&self.prefix);
        Ok(())
    }

    /// Whether the disk has room for one more snapshot; says how much is missing.
    pub(super) fn check_room(&self) -> Result<(), String> {
        let values: usize = self.net.store.trained().iter().map(|param| param.shape.count()).sum();
        let copies = 1 + usize::from(self.param.snapshot_diff()) + self.rule.histories();
        // Names, shapes and definitions of layers are small beside the values.
        let wanted = 4 * (values as u64) * copies as u64 + (64 << 10);
        match free_bytes(folder_of(&self.prefix)) {
            Some(free) if free < wanted => {
                let (wanted, free) = (wanted.div_ceil(1 << 10), free >> 10);
                Err(format!("a snapshot takes {wanted} KiB, the disk has {free} KiB left"))
            }
            _ => Ok(()),
        }
    }
}

/// The folder that a prefix's files are in.
pub(super) fn folder_of(prefix: &Path) -> &Path {
    match prefix.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(unix)]
fn free_bytes(folder: &Path) -> Option<u64> {
    let about = rustix::fs::statvfs(folder).ok()?;
    Some(about.f_bavail.saturating_mul(about.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes(_folder: &Path) -> Option<u64> {
    None
}

/// Takes the lock `PREFIX.cortado-lock`: a name that no file of the user has. `None` on disks that know no locks.
fn lock(prefix: &Path) -> Result<Option<Lock>, String> {
    let mut path = prefix.as_os_str().to_owned();
    path.push(".cortado-lock");
    let path = PathBuf::from(path);
    loop {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = file.map_err(|e| format!("can't open `{}`: {e}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                let _ = file.read_to_string(&mut owner);
                let owner = owner.trim();
                let by =
                    if owner.is_empty() { String::new() } else { format!(" (process {owner})") };
                return Err(format!("another training{by} writes snapshots there"));
            }
            Err(TryLockError::Error(_)) => return Ok(None),
        }
        // Between opening and locking, the run before may have removed the file.
        if is_still(&file, &path) {
            let id = std::process::id().to_string();
            let told = file.set_len(0).and_then(|()| file.rewind());
            let _ = told.and_then(|()| file.write_all(id.as_bytes()));
            return Ok(Some(Lock { path, _file: file }));
        }
    }
}

/// Removes what runs with this prefix wrote aside and never finished.
fn remove_leftovers(prefix: &Path) {
    let stem = prefix.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let Ok(entries) = std::fs::read_dir(folder_of(prefix)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let rest = name.strip_prefix(&stem).unwrap_or_default();
        // `run_iter_5_iter_6.…` is of another prefix, which may be in use.
        let number =
            rest.strip_prefix("_iter_").map(|rest| rest.trim_start_matches(char::is_numeric));
        let ours = rest.starts_with("_best.") || number.is_some_and(|rest| rest.starts_with('.'));
        if ours && name.ends_with(".part") {
            // What can't be removed does no harm.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
