//! Disks that a test makes up: one that fails at a chosen operation, one that remembers everything and
//! can tell what could be left of it if the power went at any moment.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use cortado_proto::wire::{Disk, DiskFile, RealDisk};

use crate::run::Numbers;

/// One operation on the disk.
#[derive(Clone, Debug)]
pub enum Op {
    Create(PathBuf),
    Write(PathBuf, Vec<u8>),
    Sync(PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    SyncDirectory,
}

/// What a disk with faults does.
#[derive(Default)]
pub struct Record {
    pub ops: Vec<Op>,
    /// The operation that fails, counted from 0; a write that fails has written half.
    pub fails_at: Option<usize>,
}

/// The real disk, watched, and with at most one fault.
#[derive(Clone, Default)]
pub struct Faulty(pub Arc<Mutex<Record>>);

impl Faulty {
    pub fn failing_at(op: usize) -> Faulty {
        Faulty(Arc::new(Mutex::new(Record { fails_at: Some(op), ..Record::default() })))
    }

    pub fn ops(&self) -> Vec<Op> {
        self.0.lock().map(|record| record.ops.clone()).unwrap_or_default()
    }

    fn note(&self, op: Op) -> io::Result<()> {
        let mut record = self.0.lock().map_err(|_| io::Error::other("poisoned"))?;
        let fails = record.fails_at == Some(record.ops.len());
        record.ops.push(op);
        if fails { Err(io::Error::from_raw_os_error(28)) } else { Ok(()) }
    }
}

impl Disk for Faulty {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.note(Op::Create(path.to_owned()))?;
        Ok(Box::new(Open { file: File::create(path)?, path: path.to_owned(), disk: self.clone() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.note(Op::Rename(from.to_owned(), to.to_owned()))?;
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.note(Op::Remove(path.to_owned()))?;
        RealDisk.remove(path)
    }

    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        self.note(Op::SyncDirectory)
    }
}

struct Open {
    file: File,
    path: PathBuf,
    disk: Faulty,
}

impl Write for Open {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.disk.note(Op::Write(self.path.clone(), bytes.to_vec())) {
            Ok(()) => self.file.write(bytes),
            Err(e) => {
                self.file.write_all(&bytes[..bytes.len() / 2])?;
                Err(e)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for Open {
    fn sync(&mut self) -> io::Result<()> {
        self.disk.note(Op::Sync(self.path.clone()))
    }
}

/// Blocks that a disk writes in any order.
const BLOCK: usize = 512;

/// What may be found after the power went behind these operations: contents that were synced are
/// there; of others any blocks are, the rest is zero or missing. Names are as at the last sync of the
/// directory, with any part of what happened to them since.
pub fn after_power_loss(ops: &[Op], numbers: &mut Numbers) -> BTreeMap<PathBuf, Vec<u8>> {
    #[derive(Clone, Default)]
    struct Contents {
        written: Vec<u8>,
        synced: usize,
    }
    let mut files: Vec<Contents> = Vec::new();
    // Names as programs see them, as the disk has them for sure, and what is still open.
    let mut seen: BTreeMap<PathBuf, usize> = BTreeMap::new();
    let mut sure: BTreeMap<PathBuf, usize> = BTreeMap::new();
    let mut open: Vec<Vec<(PathBuf, Option<usize>)>> = Vec::new();
    for op in ops {
        match op {
            Op::Create(path) => {
                files.push(Contents::default());
                seen.insert(path.clone(), files.len() - 1);
                open.push(vec![(path.clone(), Some(files.len() - 1))]);
            }
            Op::Write(path, bytes) => files[seen[path]].written.extend(bytes),
            Op::Sync(path) => files[seen[path]].synced = files[seen[path]].written.len(),
            Op::Rename(from, to) => {
                let file = seen.remove(from).unwrap_or_else(|| panic!("{from:?} is not there"));
                seen.insert(to.clone(), file);
                // The new name takes the place of the old one in one step.
                open.push(vec![(from.clone(), None), (to.clone(), Some(file))]);
            }
            Op::Remove(path) => {
                seen.remove(path);
                open.push(vec![(path.clone(), None)]);
            }
            Op::SyncDirectory => {
                open.clear();
                sure.clone_from(&seen);
            }
        }
    }
    for changes in open {
        if numbers.below(2) == 0 {
            continue;
        }
        for (path, file) in changes {
            match file {
                Some(file) => sure.insert(path, file),
                None => sure.remove(&path),
            };
        }
    }
    let torn = |file: &Contents, numbers: &mut Numbers| -> Vec<u8> {
        let mut bytes = file.written.clone();
        let end = bytes.len();
        for start in (file.synced..end).step_by(BLOCK) {
            if numbers.below(2) == 0 {
                bytes[start..(start + BLOCK).min(end)].fill(0);
            }
        }
        let lost = numbers.below(2) * numbers.below((end - file.synced) as u64 + 1);
        bytes.truncate(end - lost as usize);
        bytes
    };
    sure.into_iter().map(|(path, file)| (path, torn(&files[file], numbers))).collect()
}
