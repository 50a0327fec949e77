//! Trained weights in a file: names and shapes at once, values on demand. Only name, type and blobs of
//! a layer are looked at, so files of every generation and fork load.

use std::fs::File;
use std::ops::Range;
use std::path::Path;

use memmap2::Mmap;

use super::Limits;
use super::blob::{Blob, BlobEntry};
use super::cursor::{Cursor, Wire, damaged};
use super::seal::check_seal;
use crate::error::{Error, ErrorKind};
use crate::read::absent;
use crate::upgrade::type_of_v1;

/// Which form a layer is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// `layers { layer { type: "conv" } }`
    V0,
    /// `layers { type: CONVOLUTION }`
    V1,
    /// `layer { type: "Convolution" }`
    V2,
}

/// One layer of a model file.
#[derive(Debug, Clone)]
pub struct ModelLayer {
    /// Its name: what weights are matched by.
    pub name: String,
    /// Its type as today's string; as written for V0.
    pub type_name: String,
    /// The form it is written in.
    pub generation: Generation,
    /// Its blobs.
    pub blobs: Vec<BlobEntry>,
    /// Numbers of its fields that forks use for different blocks: read by nobody, written back as they are.
    pub foreign: Vec<u32>,
    /// The layer's message in the file.
    pub raw: Range<u64>,
}

/// What the forks put behind the blocks of the original that all of them have.
fn is_foreign(number: u32) -> bool {
    const COMMON: std::ops::RangeInclusive<u32> = 100..=144;
    number > 11 && !COMMON.contains(&number)
}

enum Storage {
    Map(Mmap),
    Bytes(Vec<u8>),
}

/// A model file.
pub struct Model {
    storage: Storage,
    /// The net's name.
    pub name: String,
    /// The layers in file order, those without blobs included.
    pub layers: Vec<ModelLayer>,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model").field("name", &self.name).field("layers", &self.layers).finish()
    }
}

impl Model {
    /// Opens a binary model file.
    ///
    /// # Errors
    /// It cannot be read, is of another kind, is damaged (with the byte), or exceeds the limits.
    pub fn open(path: impl AsRef<Path>) -> Result<Model, Error> {
        Model::open_with(path, &Limits::default())
    }

    /// The same with limits of your own.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn open_with(path: impl AsRef<Path>, limits: &Limits) -> Result<Model, Error> {
        let path = path.as_ref();
        let model = Model::load(map(path)?, limits);
        model.map_err(|e| e.note(format!("in `{}`", path.display())))
    }

    /// A model from bytes in memory.
    ///
    /// # Errors
    /// It is of another kind, damaged (with the byte), or exceeds the limits.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Model, Error> {
        Model::load(Storage::Bytes(bytes), &Limits::default())
    }

    fn load(storage: Storage, limits: &Limits) -> Result<Model, Error> {
        let bytes = storage.bytes();
        let mut name = String::new();
        let mut layers = Vec::new();
        if let Some(kind) = other_kind(bytes) {
            return Err(damaged(0, kind));
        }
        let is_sealed = check_seal(bytes)?;
        scan_net(bytes, limits, &mut name, &mut layers)?;
        let model = Model { storage, name, layers };
        if is_sealed {
            model.forget();
        }
        Ok(model)
    }

    /// Blob `index` of `layer`, which must be one of this model's.
    pub fn blob<'a>(&'a self, layer: &'a ModelLayer, index: usize) -> Option<Blob<'a>> {
        layer.blobs.get(index).map(|entry| Blob { file: self.storage.bytes(), entry })
    }

    /// All blobs of `layer`, which must be one of this model's.
    pub fn blobs<'a>(&'a self, layer: &'a ModelLayer) -> impl ExactSizeIterator<Item = Blob<'a>> {
        layer.blobs.iter().map(|entry| Blob { file: self.storage.bytes(), entry })
    }

    /// Tells the system that the values read so far are not wanted again soon: they need not stay in
    /// memory.
    pub fn forget(&self) {
        #[cfg(unix)]
        if let Storage::Map(map) = &self.storage {
            // SAFETY: the pages of a read-only map of a file are read again when they are touched.
            let advised = unsafe { map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
            // Advice that is not taken costs memory, nothing else.
            drop(advised);
        }
    }

    /// The first layer of this name.
    pub fn layer(&self, name: &str) -> Option<&ModelLayer> {
        self.layers.iter().find(|l| l.name == name)
    }

    /// The whole file.
    pub fn bytes(&self) -> &[u8] {
        self.storage.bytes()
    }

    /// The bytes of a layer's message, to write back unchanged.
    pub fn raw(&self, layer: &ModelLayer) -> &[u8] {
        let range = layer.raw.start as usize..layer.raw.end as usize;
        self.storage.bytes().get(range).unwrap_or(&[])
    }
}

impl Storage {
    fn bytes(&self) -> &[u8] {
        match self {
            Storage::Map(map) => map,
            Storage::Bytes(bytes) => bytes,
        }
    }
}

fn map(path: &Path) -> Result<Storage, Error> {
    let metadata =
        std::fs::metadata(path).map_err(|e| Error::file("read", path, absent(path, e)))?;
    if metadata.is_dir() {
        return Err(Error::file("read", path, "it is a directory, not a model file"));
    }
    if !metadata.is_file() {
        // It is mapped, which devices and pipes can't be.
        return Err(Error::file("read", path, "it is not a regular file"));
    }
    if metadata.len() == 0 {
        return Err(Error::file("read", path, "the file is empty"));
    }
    let file = File::open(path).map_err(|e| Error::file("read", path, e))?;
    // SAFETY: the map is read-only and lives as long as the model. Another process that shortens the
    // file meanwhile can end ours with a bus error, as for every reader of mapped files; model files
    // are written aside and renamed, never changed in place.
    let map = unsafe { Mmap::map(&file) }.map_err(|e| Error::file("read", path, e))?;
    Ok(Storage::Map(map))
}

/// What the file is when it is something else altogether.
fn other_kind(bytes: &[u8]) -> Option<&'static str> {
    let text = |b: &u8| b.is_ascii_graphic() || b.is_ascii_whitespace();
    if bytes.starts_with(b"\x89HDF\r\n\x1a\n") {
        Some("this is an HDF5 file, not a binary model")
    } else if bytes.starts_with(b"version https://git-lfs") {
        Some("this is a Git LFS pointer: the weights themselves were not downloaded")
    } else if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"\x1f\x8b") {
        Some("this is an archive: unpack it first")
    } else if bytes.starts_with(b"<") {
        Some("this looks like a web page: the download failed")
    } else if !bytes.is_empty() && bytes.iter().take(256).all(text) {
        Some("this looks like text; a binary model (.caffemodel) is expected")
    } else {
        None
    }
}

fn scan_net(
    file: &[u8],
    limits: &Limits,
    name: &mut String,
    layers: &mut Vec<ModelLayer>,
) -> Result<(), Error> {
    let mut at = Cursor::new(file, 0);
    let mut total = 0u64;
    while !at.done() {
        let generation = match at.key()? {
            (1, Wire::Delimited) => {
                *name = at.text()?;
                continue;
            }
            (2, Wire::Delimited) => Generation::V1,
            (100, Wire::Delimited) => Generation::V2,
            (number, wire) => {
                at.skip(number, wire)?;
                continue;
            }
        };
        if layers.len() as u64 >= limits.layers {
            let what = "number of layers".to_string();
            let value = layers.len() as u64 + 1;
            return Err(Error::new(ErrorKind::Limit { what, value, limit: limits.layers }));
        }
        let inner = at.delimited()?;
        let raw = inner.offset()..inner.offset() + inner.rest().len() as u64;
        let mut layer = ModelLayer {
            name: String::new(),
            type_name: String::new(),
            generation,
            blobs: Vec::new(),
            foreign: Vec::new(),
            raw,
        };
        scan_layer(file, inner, limits, generation, &mut layer, &mut total)?;
        layers.push(layer);
    }
    Ok(())
}

fn scan_layer(
    file: &[u8],
    mut at: Cursor<'_>,
    limits: &Limits,
    generation: Generation,
    layer: &mut ModelLayer,
    total: &mut u64,
) -> Result<(), Error> {
    let (name, kind, blobs) = match generation {
        Generation::V0 => (1, 2, 50),
        Generation::V1 => (4, 5, 6),
        Generation::V2 => (1, 2, 7),
    };
    while !at.done() {
        match at.key()? {
            (n, Wire::Delimited) if n == name => layer.name = at.text()?,
            (n, Wire::Varint) if n == kind && generation == Generation::V1 => {
                let number = at.varint()? as i32;
                layer.type_name = type_of_v1(number).unwrap_or_default().to_string();
            }
            (n, Wire::Delimited) if n == kind => layer.type_name = at.text()?,
            (n, Wire::Delimited) if n == blobs => {
                *total += 1;
                if *total > limits.blobs {
                    let what = "number of blobs".to_string();
                    let value = *total;
                    return Err(Error::new(ErrorKind::Limit { what, value, limit: limits.blobs }));
                }
                layer.blobs.push(BlobEntry::scan(file, at.delimited()?, limits)?);
            }
            // A V0 layer stands inside a V1 one.
            (1, Wire::Delimited) if generation == Generation::V1 => {
                layer.generation = Generation::V0;
                scan_layer(file, at.delimited()?, limits, Generation::V0, layer, total)?;
            }
            (number, wire) => {
                at.skip(number, wire)?;
                if generation == Generation::V2 && is_foreign(number) {
                    layer.foreign.push(number);
                }
            }
        }
    }
    Ok(())
}
