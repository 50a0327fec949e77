//! Every operation on the disk fails once: training goes on, and what is on the disk is whole.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use cortado::solver::{Event, SolverOptions, Watcher, newest_snapshot};

use crate::disk::Faulty;
use crate::run::{folder, iteration, solver, without_weights};

const ITERS: u64 = 12;

/// Counts the warnings.
#[derive(Default)]
struct Warnings(usize);

impl Watcher for Warnings {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Line(line) = event {
            self.0 += usize::from(line.starts_with("warning: "));
        }
    }
}

#[test]
fn a_disk_that_fails_once_stops_no_training() {
    let data = folder();
    let name = format!("run_iter_{ITERS}.caffemodel");
    let whole = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let disk = Faulty::default();
    let options =
        |disk: &Faulty| SolverOptions { disk: Arc::new(disk.clone()), ..SolverOptions::default() };
    let mut straight = solver(data.path(), whole.path(), ITERS, &options(&disk));
    straight.solve(&mut ()).unwrap_or_else(|e| panic!("{e}"));
    let wanted = fs::read(whole.path().join(&name)).unwrap_or_else(|e| panic!("{e}"));
    for op in 0..disk.ops().len() {
        let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
        let disk = Faulty::failing_at(op);
        let mut run = solver(data.path(), folder.path(), ITERS, &options(&disk));
        let mut warnings = Warnings::default();
        let ended = run.solve(&mut warnings);
        let (newest, damaged) = newest_snapshot(&folder.path().join("run"));
        assert!(damaged.is_empty(), "operation {op}: {damaged:?}");
        let files = fs::read_dir(folder.path()).into_iter().flatten().flatten();
        let files: Vec<PathBuf> = files.map(|entry| entry.path()).collect();
        assert_eq!(without_weights(&files), Vec::<PathBuf>::new(), "operation {op}");
        if ended.is_err() || warnings.0 > 0 {
            let parts = fs::read_dir(folder.path()).into_iter().flatten().flatten();
            let parts = parts.filter(|e| e.file_name().to_string_lossy().ends_with(".part"));
            assert_eq!(parts.count(), 0, "operation {op} leaves a part behind");
        }
        if ended.is_err() {
            // The last snapshot failed: the program says so and ends with 1; the one before is there.
            assert!(newest.is_some(), "operation {op}");
            let mut again = solver(data.path(), folder.path(), ITERS, &SolverOptions::default());
            if let Some(state) = newest {
                assert!(iteration(&state) >= 10, "operation {op}");
                again.restore(state).unwrap_or_else(|e| panic!("{e}"));
            }
            again.solve(&mut ()).unwrap_or_else(|e| panic!("{e}"));
        } else {
            assert!(warnings.0 > 0, "operation {op} failed in silence");
        }
        let found = fs::read(folder.path().join(&name)).unwrap_or_else(|e| panic!("{e}"));
        assert!(found == wanted, "operation {op}: another result");
    }
}
