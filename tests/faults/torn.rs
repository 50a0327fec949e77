//! The power goes at any moment: after every operation on the disk, with whatever order and part of
//! what was not synced the disk has kept.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use cortado::solver::{SolverOptions, newest_snapshot};
use cortado_proto::wire::{Disk, write_file_on};

use crate::disk::{Faulty, Op, after_power_loss};
use crate::run::{Numbers, folder, iteration, solver, without_weights};

/// Enough for snapshots, old ones removed, and a new best.
const ITERS: u64 = 25;
/// Outcomes tried after each operation.
const OUTCOMES: usize = 12;

fn options(disk: &Faulty) -> SolverOptions {
    SolverOptions { disk: Arc::new(disk.clone()), ..SolverOptions::default() }
}

fn model(folder: &std::path::Path) -> Vec<u8> {
    fs::read(folder.join(format!("run_iter_{ITERS}.caffemodel"))).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn a_power_loss_at_any_moment_leaves_the_newest_snapshot() {
    let (data, disk) = (folder(), Faulty::default());
    let mut straight = solver(data.path(), data.path(), ITERS, &options(&disk));
    straight.solve(&mut ()).unwrap_or_else(|e| panic!("{e}"));
    let wanted = model(data.path());
    let ops = disk.ops();
    let mut numbers = Numbers(3);
    let (mut safe, mut outcomes) = (None, 0);
    for count in 0..=ops.len() {
        assert_eq!(
            without_weights(&seen(&ops[..count])),
            Vec::<PathBuf>::new(),
            "killed after {count}"
        );
        if let Some(done) = count.checked_sub(1).and_then(|last| safe_since(&ops[..=last])) {
            safe = Some(done);
        }
        for _ in 0..OUTCOMES {
            let left = after_power_loss(&ops[..count], &mut numbers);
            let found = materialised(&left);
            let (newest, damaged) = newest_snapshot(&found.path().join("run"));
            assert!(damaged.is_empty(), "after {count}: {damaged:?}");
            let reached = newest.as_deref().map(iteration);
            assert!(reached >= safe, "after {count}: {reached:?}, but {safe:?} was safe");
            outcomes += 1;
            // All of them would take minutes.
            if outcomes % 25 != 0 {
                continue;
            }
            let mut resumed = solver(data.path(), found.path(), ITERS, &SolverOptions::default());
            if let Some(state) = newest {
                resumed.restore(state).unwrap_or_else(|e| panic!("{e}"));
            }
            resumed.solve(&mut ()).unwrap_or_else(|e| panic!("{e}"));
            assert!(model(found.path()) == wanted, "after {count}: from {reached:?}");
        }
    }
    println!("{outcomes} outcomes of {} operations: none lost", ops.len());
}

/// The iteration of the snapshot that the last of these operations made safe.
fn safe_since(ops: &[Op]) -> Option<u64> {
    match ops {
        [.., Op::Rename(_, to), Op::SyncDirectory] if to.extension()? == "solverstate" => {
            Some(iteration(to))
        }
        _ => None,
    }
}

/// The files that are there when the program is killed behind these operations.
fn seen(ops: &[Op]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for op in ops {
        match op {
            Op::Create(path) => files.push(path.clone()),
            Op::Rename(from, to) => {
                files.retain(|path| path != from && path != to);
                files.push(to.clone());
            }
            Op::Remove(path) => files.retain(|known| known != path),
            _ => {}
        }
    }
    files
}

fn materialised(left: &BTreeMap<PathBuf, Vec<u8>>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    for (path, bytes) in left {
        let name = path.file_name().unwrap_or_default();
        fs::write(folder.path().join(name), bytes).unwrap_or_else(|e| panic!("{e}"));
    }
    folder
}

#[test]
fn a_file_is_old_or_new_never_torn() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let path = folder.path().join("file");
    let disk = Faulty::default();
    let (old, new) = (vec![1u8; 3000], vec![2u8; 5000]);
    for bytes in [&old, &new] {
        let written = write_file_on(&disk, &path, |out| out.write_all(bytes));
        written.unwrap_or_else(|e| panic!("{e}"));
    }
    let (ops, mut numbers) = (disk.ops(), Numbers(5));
    for count in 0..=ops.len() {
        for _ in 0..200 {
            let left = after_power_loss(&ops[..count], &mut numbers);
            let found = left.get(&path);
            let whole = found.is_none_or(|bytes| *bytes == old || *bytes == new);
            assert!(whole, "torn after {count} operations");
            if count >= ops.len() / 2 {
                assert!(found.is_some(), "the old file is gone after {count} operations");
            }
            if count == ops.len() {
                assert!(found == Some(&new), "the new file was safe");
            }
        }
    }
}

#[test]
fn the_simulation_tears_files_that_are_not_synced() {
    // A writer that renames without syncing must be found out.
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let (aside, path) = (folder.path().join("aside"), folder.path().join("file"));
    let disk = Faulty::default();
    let careless = || -> std::io::Result<()> {
        disk.create(&aside)?.write_all(&[7; 5000])?;
        disk.rename(&aside, &path)?;
        disk.sync_directory(folder.path())
    };
    careless().unwrap_or_else(|e| panic!("{e}"));
    let (ops, mut numbers) = (disk.ops(), Numbers(9));
    let torn = (0..50).filter(|_| after_power_loss(&ops, &mut numbers)[&path] != [7; 5000]).count();
    assert!(torn > 25, "{torn} of 50");
}
