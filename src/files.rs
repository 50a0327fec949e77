//! Paths as prototxt files mean them.

use std::path::{Path, PathBuf};

/// A path that a file names: as the original takes it, from the working directory; where nothing is
/// there, from the folder of the file that names it.
pub fn resolve(path: &str, near: Option<&Path>) -> PathBuf {
    let given = PathBuf::from(path);
    if given.is_absolute() || given.exists() {
        return given;
    }
    match near.and_then(Path::parent).map(|folder| folder.join(&given)) {
        Some(beside) if beside.exists() => beside,
        _ => given,
    }
}
