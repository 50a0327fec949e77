//! Files named in a prototxt: where they are looked for, and what is said when they are not there.

use std::path::{Path, PathBuf};

use crate::{LayerDef, LayerError};

/// The folder of the prototxt that names a file. Relative paths are tried against the working
/// directory, as the original does, then against this folder.
#[derive(Clone, Debug, Default)]
pub struct Folder(Option<PathBuf>);

impl Folder {
    /// The folder of the file a layer stands in; none for a layer built in code.
    pub fn of(def: &LayerDef) -> Folder {
        let file = def.place.span_of(None).map(|at| PathBuf::from(&at.source.name));
        Folder(file.and_then(|file| file.parent().map(Path::to_path_buf)))
    }

    /// A folder given by a program.
    pub fn new(folder: impl Into<PathBuf>) -> Folder {
        Folder(Some(folder.into()))
    }

    /// The absolute path of what `field` names as `given`.
    ///
    /// # Errors
    /// It is nowhere: says where it was looked for, and what is there instead.
    pub fn find(&self, field: &str, given: &str) -> Result<PathBuf, LayerError> {
        if given.is_empty() {
            return Err(LayerError::field(field, "a path is wanted here, none is given"));
        }
        let mut tried = vec![absolute(Path::new(given))];
        if let (Some(folder), true) = (&self.0, Path::new(given).is_relative()) {
            let beside = absolute(&folder.join(given));
            if beside != tried[0] {
                tried.push(beside);
            }
        }
        if let Some(found) = tried.iter().find(|path| path.exists()) {
            return Ok(found.clone());
        }
        let places: Vec<String> =
            tried.iter().map(|path| format!("`{}`", path.display())).collect();
        if let Some((link, to)) = tried.iter().find_map(|path| Some((path, path.read_link().ok()?)))
        {
            let (link, to) = (link.display(), to.display());
            let why = format!("`{link}` is a link to `{to}`, which is not there");
            return Err(LayerError::field(field, why));
        }
        let why = format!("there is no {}", places.join(" and no "));
        Err(LayerError::field(field, why).help(instead(&tried[tried.len() - 1])))
    }
}

/// The path from the root of the file system, without asking whether it exists.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// What is there instead of a path: the nearest folder above it, and what that holds.
fn instead(path: &Path) -> String {
    match path.ancestors().skip(1).find(|above| above.is_dir()) {
        Some(folder) => format!("`{}` {}", folder.display(), holds(folder)),
        None => "no folder above it exists either".to_owned(),
    }
}

/// How many names of a folder are told.
const TOLD: usize = 8;

/// `holds a, b and 3 more`, or `is empty`.
pub fn holds(folder: &Path) -> String {
    let Ok(entries) = std::fs::read_dir(folder) else { return "can't be listed".to_owned() };
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    if names.is_empty() {
        return "is empty".to_owned();
    }
    names.sort();
    let more = names.len().saturating_sub(TOLD);
    names.truncate(TOLD);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("holds {}{more}", names.join(", "))
}
