//! CIFAR-10 as databases.
//!
//! Its binary version has records of 3073 bytes: the class, then 32x32 values of red, of green, of
//! blue (A. Krizhevsky, <https://www.cs.toronto.edu/~kriz/cifar.html>). As in the original's
//! databases the channels stay in that order, also where they come from JPEG or PNG pictures.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;

use super::{MeanSum, Tell, ToolError};
use crate::data::db::datum;
use crate::data::image::{self, Color};
use crate::data::{Backend, Item, NewDb, Pixels};

/// The classes; a class is its place here.
pub const CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

const SHAPE: [usize; 3] = [3, 32, 32];
const RECORD: usize = 1 + 3 * 32 * 32;

/// Pictures of the whole set, for training and for testing.
pub const WHOLE: [u64; 2] = [50_000, 10_000];

/// No file of the set, and no picture in an archive, takes more.
const MAX_BYTES: u64 = 1 << 30;

/// What was written.
#[derive(Clone, Debug)]
pub struct Converted {
    /// Path and number of records of each database.
    pub databases: Vec<(PathBuf, u64)>,
    /// The mean picture of the training set, if there is one.
    pub mean: Option<(PathBuf, Vec<f32>)>,
}

/// Which part of the set a picture belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Split {
    Train,
    Test,
}

/// Writes `cifar10_train_*`, `cifar10_test_*` and `mean.binaryproto` into the folder `to`, from a
/// folder, an archive or a file `from`: `data_batch_*.bin` and `test_batch.bin`, plain, gzipped or in
/// archives (`.tar`, `.tar.gz`, `.tar.xz`), or pictures named `train/CLASS/NAME.jpg`.
///
/// # Errors
/// There is nothing of this kind; a file is damaged; a database is there already.
pub fn convert(
    from: &Path,
    to: &Path,
    backend: Backend,
    overwrite: bool,
    tell: &mut Tell<'_>,
) -> Result<Converted, ToolError> {
    let files = find(from)?;
    fs::create_dir_all(to)
        .map_err(|e| ToolError(format!("can't make the folder `{}`: {e}", to.display())))?;
    let ending = match backend {
        Backend::Lmdb => "lmdb",
        Backend::LevelDb => "leveldb",
    };
    let places = ["train", "test"].map(|split| to.join(format!("cifar10_{split}_{ending}")));
    let [train, test] = &places;
    let mut dbs =
        [NewDb::create(train, backend, overwrite)?, NewDb::create(test, backend, overwrite)?];
    let mut mean = MeanSum::default();
    let mut done = 0;
    let mut batches = BTreeSet::new();
    let mut put = |split: Split, class: u8, pixels: Vec<u8>| -> Result<(), ToolError> {
        let db = &mut dbs[split as usize];
        let key = format!("{:05}", db.records());
        let item = Item { shape: SHAPE, pixels: Pixels::U8(pixels), label: class.into() };
        if split == Split::Train {
            mean.add(&item)?;
        }
        if let Pixels::U8(pixels) = item.pixels {
            db.put(key.as_bytes(), datum::encode(SHAPE, pixels, class.into()))?;
        }
        done += 1;
        tell(done, Some(WHOLE.iter().sum()));
        Ok(())
    };
    for path in &files {
        let mut shown = path.display().to_string();
        visit(path, &mut |inside, bytes| {
            if let Some(inside) = inside {
                shown = format!("{}, in it {}", path.display(), inside.display());
            }
            let name = inside.unwrap_or(path);
            if binary(name).is_some() {
                let stem = parts(name).next().and_then(|name| name.split('.').next());
                batches.extend(stem.map(str::to_owned));
            }
            take(name, bytes, &mut put)
                .map_err(|ToolError(why)| ToolError(format!("`{shown}`: {why}")))
        })?;
    }
    // A file named alone may be all that is wanted; of a set none is left out unnoticed.
    let alone = from.is_file() && !is_archive(from);
    let missing: Vec<String> = BATCHES
        .into_iter()
        .filter(|name| !batches.contains(*name))
        .map(|name| format!("{name}.bin"))
        .collect();
    if !alone && !batches.is_empty() && !missing.is_empty() {
        return Err(ToolError(format!("`{}` lacks {}", from.display(), missing.join(", "))));
    }
    let mut converted = Converted { databases: Vec::new(), mean: None };
    for (db, place) in dbs.into_iter().zip(&places) {
        if db.records() > 0 {
            let records = db.finish()?;
            converted.databases.push((place.clone(), records));
        }
    }
    if converted.databases.is_empty() {
        return Err(nothing(from));
    }
    if !mean.mean().is_empty() {
        let path = to.join("mean.binaryproto");
        mean.save(&path)?;
        converted.mean = Some((path, mean.channels()));
    }
    Ok(converted)
}

/// The files of the binary version.
const BATCHES: [&str; 6] =
    ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"];

fn nothing(from: &Path) -> ToolError {
    ToolError(format!(
        "`{}` holds nothing of CIFAR-10: data_batch_1.bin … test_batch.bin, archives with them, or \
         pictures named train/CLASS/NAME.jpg are wanted",
        from.display()
    ))
}

/// The files to read, in the order in which they are read. A picture's file name counts before its
/// class, so that the classes take turns.
fn find(from: &Path) -> Result<Vec<PathBuf>, ToolError> {
    let unreadable = |e: std::io::Error| ToolError(format!("can't read `{}`: {e}", from.display()));
    if fs::metadata(from).map_err(unreadable)?.is_file() {
        return Ok(vec![from.to_path_buf()]);
    }
    let (mut found, mut folders) = (Vec::new(), vec![from.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.is_dir() {
                folders.push(path);
            } else if is_archive(&path) || binary(&path).is_some() || picture(&path).is_some() {
                found.push(path);
            }
        }
    }
    if found.is_empty() {
        return Err(nothing(from));
    }
    found.sort_by_cached_key(|path| (path.file_name().map(ToOwned::to_owned), path.clone()));
    Ok(found)
}

/// The text of the last parts of a path, last one first.
fn parts(path: &Path) -> impl Iterator<Item = &str> {
    path.iter().rev().filter_map(|part| part.to_str())
}

fn is_archive(path: &Path) -> bool {
    let name = parts(path).next().unwrap_or_default();
    [".tar", ".tar.gz", ".tgz", ".tar.xz"].iter().any(|ending| name.ends_with(ending))
}

/// Which part of the set a file of the binary version holds.
fn binary(path: &Path) -> Option<Split> {
    let name = parts(path).next()?;
    let stem = name.strip_suffix(".gz").unwrap_or(name).strip_suffix(".bin")?;
    match stem {
        "test_batch" => Some(Split::Test),
        _ if stem.starts_with("data_batch") => Some(Split::Train),
        _ => None,
    }
}

/// Where a picture belongs, and the name of its class.
fn picture(path: &Path) -> Option<(Split, &str)> {
    let mut parts = parts(path);
    let (name, class, split) = (parts.next()?, parts.next()?, parts.next()?);
    let name = name.to_ascii_lowercase();
    let split = match split {
        "train" => Split::Train,
        "test" => Split::Test,
        _ => return None,
    };
    [".jpg", ".jpeg", ".png"].iter().any(|end| name.ends_with(end)).then_some((split, class))
}

/// Called with the path inside an archive, and the bytes.
type Visit<'a> = dyn FnMut(Option<&Path>, Vec<u8>) -> Result<(), ToolError> + 'a;

/// Reads a file, or what an archive holds, one after the other.
fn visit(path: &Path, each: &mut Visit<'_>) -> Result<(), ToolError> {
    let name = parts(path).next().unwrap_or_default();
    let failed = |e: std::io::Error| {
        ToolError(format!("`{}` can't be read or is damaged: {e}", path.display()))
    };
    let file = BufReader::with_capacity(1 << 18, File::open(path).map_err(failed)?);
    let mut plain: Box<dyn Read> = match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("gz" | "tgz") => Box::new(MultiGzDecoder::new(file)),
        Some("xz") => Box::new(XzReader::new(file, true)),
        _ => Box::new(file),
    };
    if !is_archive(path) {
        return each(None, read(&mut plain).map_err(failed)?);
    }
    let mut archive = tar::Archive::new(plain);
    for entry in archive.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        let inside = entry.path().map_err(failed)?.into_owned();
        if entry.header().entry_type().is_file()
            && (binary(&inside).is_some() || picture(&inside).is_some())
        {
            let bytes = read(&mut entry).map_err(failed)?;
            each(Some(&inside), bytes)?;
        }
    }
    Ok(())
}

fn read(file: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if file.take(MAX_BYTES + 1).read_to_end(&mut bytes)? as u64 > MAX_BYTES {
        return Err(std::io::Error::other("it is too large for a part of CIFAR-10"));
    }
    Ok(bytes)
}

/// Puts what a file holds, a picture or many records.
fn take(
    name: &Path,
    bytes: Vec<u8>,
    put: &mut dyn FnMut(Split, u8, Vec<u8>) -> Result<(), ToolError>,
) -> Result<(), ToolError> {
    if let Some((split, class)) = picture(name) {
        let label = CLASSES.iter().position(|name| *name == class).ok_or_else(|| {
            ToolError(format!("`{class}` is no class; there are {}", CLASSES.join(", ")))
        })?;
        let picture = image::decode(&bytes, Color::Bgr)?;
        if picture.shape != SHAPE {
            let [_, h, w] = picture.shape;
            return Err(ToolError(format!("the picture is {h}x{w}; 32x32 are wanted")));
        }
        // Blue, green, red → red, green, blue.
        let pixels = picture.data.rchunks_exact(32 * 32).flatten().copied().collect();
        return put(split, label as u8, pixels);
    }
    // A file that was named by the user may have any name.
    let split = binary(name).unwrap_or(Split::Train);
    if bytes.is_empty() || !bytes.len().is_multiple_of(RECORD) {
        return Err(ToolError(format!(
            "it has {} bytes; a multiple of {RECORD} is wanted (a class and 3x32x32 values each)",
            bytes.len()
        )));
    }
    for (i, record) in bytes.chunks_exact(RECORD).enumerate() {
        match record {
            [class @ 0..=9, pixels @ ..] => put(split, *class, pixels.to_vec())?,
            [class, ..] => {
                return Err(ToolError(format!("record {i} has class {class}; 0 to 9 are wanted")));
            }
            [] => {}
        }
    }
    Ok(())
}
