//! Where records lie: one opener per kind of store, one trait that the rest of the room reads from.

pub mod datum;
mod idx;
#[cfg(feature = "leveldb")]
mod leveldb;
#[cfg(feature = "lmdb")]
mod lmdb;
#[cfg(feature = "lmdb")]
mod lmdb_file;
mod new;
#[cfg(feature = "lmdb")]
mod new_lmdb;
#[cfg(feature = "leveldb")]
mod read_only;

use std::path::Path;
use std::sync::Arc;

use cortado_layers::LayerError;
use cortado_proto::caffe::DataParameter;
use cortado_proto::caffe::data_parameter::Db;

use super::paths::{Folder, holds};
use crate::data::image::Color;

pub use new::{Backend, NewDb};

/// Name of the field that says where the data lies, for messages.
pub(super) const SOURCE: &str = "data_param.source";

/// Values of one item, channel by channel (C, H, W).
#[derive(Clone, Debug, PartialEq)]
pub enum Pixels {
    /// 0 to 255, as pictures are stored.
    U8(Vec<u8>),
    /// Anything, as features are stored.
    F32(Vec<f32>),
}

/// One item: a picture (colours in the order blue, green, red) or a vector of features.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// As many values as the shape says.
    pub pixels: Pixels,
    /// Its class.
    pub label: i32,
}

/// One record as a source holds it. Decoding it is left to the threads that prepare batches.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its number in the source, from 0.
    pub index: u64,
    /// The name the source has for it; empty where it has none.
    pub key: Vec<u8>,
    /// What it holds.
    pub payload: Payload,
}

/// What a record holds.
#[derive(Clone, Debug)]
pub enum Payload {
    /// A `Datum` message.
    Datum(Vec<u8>),
    /// Values.
    Item(Item),
    /// What becomes an item on the thread that prepares its batch: a picture in a file of its own.
    Lazy(Arc<dyn Lazy>),
    /// A picture, and a picture of its labels.
    Pair([Arc<dyn Lazy>; 2]),
}

/// An item that is still to be made.
pub trait Lazy: Send + Sync + std::fmt::Debug {
    /// Makes it; `color` is about encoded pictures only.
    ///
    /// # Errors
    /// Says why not.
    fn item(&self, color: Color) -> Result<Item, String>;
}

impl Record {
    /// The item it holds; `color` is about encoded pictures only.
    ///
    /// # Errors
    /// It is damaged: names the record.
    pub fn decode(self, color: Color) -> Result<Item, String> {
        let name = self.to_string();
        let item = match self.payload {
            Payload::Item(item) => Ok(item),
            Payload::Datum(bytes) => datum::decode(&bytes, color),
            Payload::Lazy(lazy) | Payload::Pair([lazy, _]) => lazy.item(color),
        };
        item.map_err(|why| format!("{name}: {why}"))
    }
}

/// ``record 3 (key `00000003_im1.png`)``
impl std::fmt::Display for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "record {}", self.index)?;
        if !self.key.is_empty() {
            write!(f, " (key `{}`)", String::from_utf8_lossy(&self.key))?;
        }
        Ok(())
    }
}

/// A store of numbered records.
pub trait Source: Send {
    /// How many records it holds; at least one.
    fn records(&self) -> u64;

    /// The records of these numbers, in this order. Numbers that follow each other are cheapest.
    ///
    /// # Errors
    /// The store is damaged, or a number is not below [`Source::records`].
    fn read(&mut self, numbers: &[u64]) -> Result<Vec<Record>, LayerError>;
}

/// Opens a database whose kind is told by what its folder holds.
///
/// # Errors
/// There is none, or it is damaged.
pub fn open_any(path: &Path) -> Result<Box<dyn Source>, LayerError> {
    match is_leveldb(path) {
        true => open_leveldb(path, true),
        false => {
            let path = Folder::new(Path::new("")).find(SOURCE, &path.to_string_lossy())?;
            open_lmdb(&path)
        }
    }
}

/// Opens a pair of IDX files.
///
/// # Errors
/// They are none, are damaged, or do not go together.
pub fn open_idx(images: &Path, labels: &Path) -> Result<Box<dyn Source>, LayerError> {
    Ok(Box::new(idx::Idx::open(images, labels)?))
}

/// Opens what a `data_param` names.
///
/// # Errors
/// There is nothing, or something else than what is asked for: says what is there.
pub fn open(param: &DataParameter, folder: &Folder) -> Result<Box<dyn Source>, LayerError> {
    let path = folder.find(SOURCE, param.source())?;
    match param.backend() {
        Db::Lmdb => open_lmdb(&path),
        Db::Leveldb => {
            expect_leveldb(&path, param.backend.is_some())?;
            open_leveldb(&path, param.shuffle())
        }
        Db::Idx => {
            let labels = match &param.label_source {
                Some(given) => folder.find("data_param.label_source", given)?,
                None => idx::labels_beside(&path)?,
            };
            Ok(Box::new(idx::Idx::open(&path, &labels)?))
        }
    }
}

#[cfg(feature = "lmdb")]
fn open_lmdb(path: &Path) -> Result<Box<dyn Source>, LayerError> {
    expect_lmdb(path)?;
    Ok(Box::new(lmdb::Lmdb::open(path)?))
}

#[cfg(not(feature = "lmdb"))]
fn open_lmdb(path: &Path) -> Result<Box<dyn Source>, LayerError> {
    expect_lmdb(path)?;
    let why = "this program was built without LMDB";
    Err(LayerError::field("data_param.backend", why).help("build it with the feature `lmdb`"))
}

/// Whether the path looks like a folder of LMDB at all.
fn expect_lmdb(path: &Path) -> Result<(), LayerError> {
    let shown = path.display();
    if path.is_file() {
        let why = format!("`{shown}` is a file; an LMDB database is a folder that holds data.mdb");
        let error = LayerError::field(SOURCE, why);
        return Err(match path.file_name().is_some_and(|name| name == "data.mdb") {
            true => error.help("name the folder around it"),
            false => error,
        });
    }
    if path.join("data.mdb").is_file() {
        return Ok(());
    }
    if is_leveldb(path) {
        let why = format!("`{shown}` is a LevelDB database, the layer asks for LMDB");
        return Err(LayerError::field(SOURCE, why).help("say `backend: LEVELDB`"));
    }
    let files = std::fs::read_dir(path).into_iter().flatten().flatten();
    if files.into_iter().any(|file| file.file_name().to_string_lossy().starts_with("MANIFEST-")) {
        let why = format!("`{shown}` is a LevelDB database without its file CURRENT");
        return Err(LayerError::field(SOURCE, why)
            .help("CURRENT holds one line, the name of the newest of its MANIFEST files"));
    }
    let why = format!("`{shown}` is no LMDB database: it has no data.mdb, it {}", holds(path));
    Err(LayerError::field(SOURCE, why))
}

#[cfg(feature = "leveldb")]
fn open_leveldb(path: &Path, count: bool) -> Result<Box<dyn Source>, LayerError> {
    Ok(Box::new(leveldb::LevelDb::open(path, count)?))
}

#[cfg(not(feature = "leveldb"))]
fn open_leveldb(_: &Path, _: bool) -> Result<Box<dyn Source>, LayerError> {
    let why = "this program was built without LevelDB";
    Err(LayerError::field("data_param.backend", why).help("build it with the feature `leveldb`"))
}

/// LevelDB is what the original takes when no backend is given, so the message looks further.
fn expect_leveldb(path: &Path, asked_for: bool) -> Result<(), LayerError> {
    let shown = path.display();
    if path.join("data.mdb").is_file() {
        let chosen = if asked_for { "names" } else { "means, when no backend is given," };
        let why = format!("`{shown}` is an LMDB database, the layer {chosen} LevelDB");
        return Err(LayerError::field("data_param.backend", why).help("say `backend: LMDB`"));
    }
    if path.is_file() {
        let why = format!("`{shown}` is a file; a LevelDB database is a folder");
        let error = LayerError::field(SOURCE, why);
        return Err(match idx::looks_like_idx(path) {
            true => error.help("it looks like an IDX file of images: say `backend: IDX`"),
            false => error,
        });
    }
    if is_leveldb(path) {
        return Ok(());
    }
    let why =
        format!("`{shown}` is no LevelDB database: it has no file CURRENT, it {}", holds(path));
    Err(LayerError::field(SOURCE, why))
}

fn is_leveldb(path: &Path) -> bool {
    path.join("CURRENT").is_file()
}
