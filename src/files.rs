//! Paths as prototxt files mean them, files that are read and files that are to be written.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cortado_proto::ErrorKind;
pub use cortado_proto::read_file;

use crate::Error;

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

/// Whether a path still names this open file.
#[cfg(unix)]
pub(crate) fn is_still(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (open, named) = (file.metadata(), std::fs::metadata(path));
    matches!((open, named), (Ok(a), Ok(b)) if (a.dev(), a.ino()) == (b.dev(), b.ino()))
}

#[cfg(not(unix))]
pub(crate) fn is_still(_file: &File, _path: &Path) -> bool {
    true
}

/// No picture or list has more.
pub const MOST_BYTES: u64 = 1 << 30;

/// How long a read that failed waits before it is tried again.
pub const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(500)];

/// Reads a file, after a pause once more where it can't be read for the moment: a disk of the network
/// comes and goes.
///
/// # Errors
/// It is not there, must not be read, or can't be read for good.
pub fn read_patiently(path: &Path) -> io::Result<Vec<u8>> {
    for pause in PAUSES {
        match read_file(path, MOST_BYTES) {
            Err(e) if !is_final(&e) => std::thread::sleep(pause),
            result => return result,
        }
    }
    read_file(path, MOST_BYTES)
}

/// Reads a list, or another text of lines, as a person wrote it: bytes that are no UTF-8 are kept out of the
/// way, and so is the mark that some editors put before the first line.
///
/// # Errors
/// It can't be read, or has no end.
pub fn read_lines(path: &Path) -> io::Result<String> {
    let bytes = read_file(path, MOST_BYTES)?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

fn is_final(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, IsADirectory, NotFound, PermissionDenied};
    matches!(error.kind(), NotFound | PermissionDenied | IsADirectory | FileTooLarge)
}

/// Whether results can go into these files: to be asked before the work is done.
///
/// # Errors
/// One is a folder or lies in none, is what the command reads, or is another result as well.
pub fn check_outputs(outputs: &[&Path], inputs: &[&Path]) -> Result<(), Error> {
    for (i, path) in outputs.iter().enumerate() {
        let folder = folder_of(path);
        let same = |other: &&Path| place(other) == place(path);
        let why = if path.as_os_str().to_string_lossy().ends_with('/') || path.is_dir() {
            "it is a folder; name a file in it".to_owned()
        } else if path.file_name().is_none() {
            "it names no file".to_owned()
        } else if !folder.is_dir() {
            let folder = folder.display();
            format!("there is no folder `{folder}`; `mkdir -p {folder}` makes it")
        } else if outputs[..i].iter().any(&same) {
            "each result wants a file of its own".to_owned()
        } else if inputs.iter().any(same) {
            "it is read by this command; name another file".to_owned()
        } else {
            continue;
        };
        return Err(cannot_write(path, why));
    }
    Ok(())
}

pub(crate) fn cannot_write(path: &Path, why: String) -> Error {
    cortado_proto::Error::new(ErrorKind::File { doing: "write", path: path.into(), why }).into()
}

/// The folder of a file.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A file's one name, whether it is there yet or not.
fn place(path: &Path) -> PathBuf {
    let to_be = || Some(folder_of(path).canonicalize().ok()?.join(path.file_name()?));
    path.canonicalize().ok().or_else(to_be).unwrap_or_else(|| path.to_owned())
}
