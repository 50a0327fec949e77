//! Holds whole nets and solvers against what the original Caffe computed.
//!
//! Walks `tests/golden` (a compact part that ships with the project), then the folder named by
//! `CORTADO_GOLDEN`, or else `golden` under `CORTADO_SHARED` (default `../shared`). Arguments choose
//! cases by a part of their name: `cargo test --test golden layers/conv`.

mod bignets;
mod compare;
mod detections;
mod file;
mod layers;
mod mtcnn;
mod published;
mod real_models;
mod solver;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What became of a case.
pub enum Outcome {
    /// As the original has it.
    Passed,
    /// Differs; how.
    Failed(String),
    /// Not run; why.
    Skipped(String),
}

/// A case: its name, and what runs it.
pub struct Case {
    /// Its path under the root.
    pub name: String,
    /// Where its files are.
    pub folder: PathBuf,
    /// What runs it.
    pub run: fn(&Path) -> Outcome,
}

fn main() -> ExitCode {
    let filters: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let roots = roots();
    let (mut passed, mut skipped, mut failed) = (0, Vec::new(), Vec::new());
    for root in &roots {
        let mut cases = Vec::new();
        cases.extend(layers::cases(root));
        cases.extend(bignets::cases(root));
        cases.extend(mtcnn::cases(root));
        cases.extend(real_models::cases(root));
        cases.extend(published::cases(root));
        cases.extend(solver::cases(root));
        for case in cases {
            if !filters.is_empty() && !filters.iter().any(|f| case.name.contains(f.as_str())) {
                continue;
            }
            match (case.run)(&case.folder) {
                Outcome::Passed => passed += 1,
                Outcome::Failed(why) => {
                    println!("FAILED {}: {why}", case.name);
                    failed.push(case.name);
                }
                Outcome::Skipped(why) => {
                    println!("skipped {}: {why}", case.name);
                    skipped.push(case.name);
                }
            }
        }
    }
    println!("{passed} passed, {} failed, {} skipped", failed.len(), skipped.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn roots() -> Vec<PathBuf> {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut roots = vec![own.join("tests/golden")];
    let named = std::env::var_os("CORTADO_GOLDEN").map(PathBuf::from);
    let shared = || {
        let shared =
            std::env::var_os("CORTADO_SHARED").map_or(own.join("../shared"), PathBuf::from);
        shared.join("golden")
    };
    let more = named.unwrap_or_else(shared);
    match more.is_dir() {
        true => roots.push(more),
        false => println!(
            "{} is not there: only the compact part in tests/golden is checked (set CORTADO_SHARED)",
            more.display()
        ),
    }
    roots
}

/// The folders in a folder, sorted by name.
pub fn folders(parent: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(parent) else { return Vec::new() };
    let mut found: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

/// Last part of a path.
pub fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
