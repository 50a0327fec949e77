//! Where the test data is.
#![allow(dead_code)]

use std::path::{Path, PathBuf};

/// The folder of shared data, or nothing (with a message) on a machine without it.
pub fn shared(part: &str) -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let root = std::env::var("CORTADO_SHARED").map_or(here, PathBuf::from);
    let found = root.join(part);
    if !found.is_dir() {
        eprintln!("skipped: {} is not there", found.display());
        return None;
    }
    Some(found)
}

/// A golden folder: the copy beside the tests, and the shared one where it is there.
pub fn golden(part: &str) -> Vec<PathBuf> {
    let mut found = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(part)];
    found.extend(shared(&format!("golden/{part}")));
    found
}

/// All files below `folder` with this ending, sorted.
pub fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_str().is_some_and(|p| p.ends_with(end)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
