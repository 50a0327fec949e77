//! Results that are two files, a net and its weights: both are written, or neither.

use std::path::{Path, PathBuf};

use cortado_proto::wire::{Disk, RealDisk, write_file};
use cortado_proto::{Diagnostic, ErrorKind};

use super::trained::Trained;
use crate::Error;

/// Whether results can go into these files: to be asked before the work is done.
///
/// # Errors
/// One is a folder or lies in none, is what the command reads, or is another result as well.
pub fn check_outputs(outputs: &[&Path], inputs: &[&Path]) -> Result<(), Error> {
    for (i, path) in outputs.iter().enumerate() {
        let folder = folder(path);
        let same = |other: &&Path| place(other) == place(path);
        let why = if path.as_os_str().to_string_lossy().ends_with('/') || path.is_dir() {
            "it is a folder; name a file in it".to_owned()
        } else if path.file_name().is_none() {
            "it names no file".to_owned()
        } else if !folder.is_dir() {
            format!("there is no folder `{}`", folder.display())
        } else if outputs[..i].iter().any(&same) {
            "the net and its weights want a file each".to_owned()
        } else if inputs.iter().any(same) {
            "it is read by this command; name another file".to_owned()
        } else {
            continue;
        };
        return Err(failed(path, why));
    }
    Ok(())
}

/// Writes a net's text, and its weights.
///
/// # Errors
/// One of them can't be written; then neither is.
pub fn write_pair(
    net: &Path,
    text: &str,
    weights: &Path,
    trained: &Trained,
) -> Result<Option<Diagnostic>, Error> {
    let mut name = net.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.new", std::process::id()));
    let aside = net.with_file_name(name);
    write_file(&aside, |out| out.write_all(text.as_bytes()))?;
    let written = trained.save(weights).and_then(|note| {
        RealDisk.rename(&aside, net).map_err(|e| failed(net, e.to_string()))?;
        RealDisk.sync_directory(folder(net)).map_err(|e| failed(net, e.to_string()))?;
        Ok(note)
    });
    if written.is_err() {
        // Nothing more can be done about a leftover than to try.
        let _ = RealDisk.remove(&aside);
    }
    written
}

fn failed(path: &Path, why: String) -> Error {
    cortado_proto::Error::new(ErrorKind::File { doing: "write", path: path.into(), why }).into()
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A file's one name, whether it is there yet or not.
fn place(path: &Path) -> PathBuf {
    let to_be = || Some(folder(path).canonicalize().ok()?.join(path.file_name()?));
    path.canonicalize().ok().or_else(to_be).unwrap_or_else(|| path.to_owned())
}
