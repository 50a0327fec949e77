//! Blobs of many passes as databases or arrays: what the original's `extract_features` does.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use cortado_layers::Shape;
use cortado_proto::caffe::Datum;
use prost::Message;

use super::npy::{Array, save_arrays};
use super::{Tell, ToolError};
use crate::Error;
use crate::data::{Backend, NewDb};
use crate::hdf5::{self, Content};
use crate::net::Net;

/// What features are written into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// A database of `Datum` messages with `float_data`, keys of ten digits.
    Db(Backend),
    /// An HDF5 file with a dataset named after the blob.
    Hdf5,
    /// A NumPy archive with an array named after the blob.
    Npz,
}

impl Store {
    /// By the name that the original's tool takes, or `hdf5`, `npz`.
    ///
    /// # Errors
    /// It is another.
    pub fn named(name: &str) -> Result<Store, String> {
        match name.to_ascii_lowercase().as_str() {
            "hdf5" => Ok(Store::Hdf5),
            "npz" => Ok(Store::Npz),
            _ => Backend::named(name).map(Store::Db).map_err(|_| {
                format!("`{name}` is no kind of store; lmdb, leveldb, hdf5 and npz are")
            }),
        }
    }
}

/// Where the values of one blob go.
enum Sink {
    Db(NewDb),
    Array(Array, PathBuf),
}

/// Runs the net `passes` times and writes its blobs: one row per item of the first axis. Blobs for
/// the same file (of arrays) go into it together. Number of rows of each blob.
///
/// # Errors
/// The net has no such blob, or it has more axes than a `Datum`; a pass fails; the store is there
/// already or can't be written.
pub fn extract(
    net: &mut Net,
    blobs: &[(String, PathBuf)],
    passes: u64,
    store: Store,
    overwrite: bool,
    tell: &mut Tell<'_>,
) -> Result<Vec<u64>, Error> {
    apart(blobs, store).map_err(ToolError)?;
    let names: Vec<&str> = blobs.iter().map(|(name, _)| name.as_str()).collect();
    net.keep(&names)?;
    let mut sinks = Vec::new();
    for (name, path) in blobs {
        sinks.push(match store {
            Store::Db(backend) => {
                Sink::Db(NewDb::create(path, backend, overwrite).map_err(ToolError)?)
            }
            _ if path.exists() && !overwrite => {
                let shown = path.display();
                let why = format!("`{shown}` exists; remove it, or give --overwrite");
                return Err(ToolError(why).into());
            }
            _ => {
                let array = Array { name: name.clone(), shape: Vec::new(), data: Vec::new() };
                Sink::Array(array, path.clone())
            }
        });
    }
    let mut rows = vec![0; blobs.len()];
    for pass in 0..passes {
        net.forward()?;
        for (((name, _), sink), rows) in blobs.iter().zip(&mut sinks).zip(&mut rows) {
            let blob = net.read(name)?;
            put(name, blob.shape, blob.data, sink, rows)?;
        }
        tell(pass + 1, Some(passes));
    }
    finish(sinks, store)?;
    Ok(rows)
}

/// Refuses blobs of which one would take the place of another.
fn apart(blobs: &[(String, PathBuf)], store: Store) -> Result<(), String> {
    let mut seen = HashSet::new();
    for (name, path) in blobs {
        let shown = path.display();
        let (name_in, why) = match store {
            Store::Db(_) => ("", format!("`{shown}` is named for two blobs; a database takes one")),
            _ => (name.as_str(), format!("blob `{name}` goes into `{shown}` twice")),
        };
        if !seen.insert((name_in, place(path))) {
            return Err(why);
        }
    }
    Ok(())
}

/// The same for one file, however it is spelled.
fn place(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

fn put(
    name: &str,
    shape: &Shape,
    data: &[f32],
    sink: &mut Sink,
    rows: &mut u64,
) -> Result<(), ToolError> {
    let count = shape.first().copied().unwrap_or(1);
    let row = shape.get(1..).unwrap_or_default();
    let size = row.iter().product::<usize>();
    match sink {
        Sink::Array(array, path) => {
            if !array.shape.is_empty() && array.shape[1..] != *row {
                return Err(ToolError(format!(
                    "can't write `{}`: a row of `{name}` changes its shape to {}",
                    path.display(),
                    Shape::new(row)
                )));
            }
            let before = array.shape.first().copied().unwrap_or(0);
            array.shape = [&[before + count], row].concat();
            array.data.extend(data);
            *rows += count as u64;
        }
        Sink::Db(db) => {
            if row.len() > 3 {
                let why =
                    format!("`{name}` is {shape}; a Datum has up to three axes behind the first");
                return Err(ToolError(why));
            }
            let axis = |i: usize| row.get(i).map_or(Some(1), |&axis| i32::try_from(axis).ok());
            for values in data.chunks(size.max(1)).take(count) {
                let datum = Datum {
                    channels: axis(0),
                    height: axis(1),
                    width: axis(2),
                    float_data: values.to_vec(),
                    ..Datum::default()
                };
                db.put(format!("{rows:010}").as_bytes(), datum.encode_to_vec())?;
                *rows += 1;
            }
        }
    }
    Ok(())
}

fn finish(sinks: Vec<Sink>, store: Store) -> Result<(), ToolError> {
    let mut files: Vec<(PathBuf, Vec<Array>)> = Vec::new();
    for sink in sinks {
        match sink {
            Sink::Db(db) => drop(db.finish()?),
            Sink::Array(array, path) => {
                match files.iter_mut().find(|(file, _)| place(file) == place(&path)) {
                    Some((_, arrays)) => arrays.push(array),
                    None => files.push((path, vec![array])),
                }
            }
        }
    }
    files.iter().try_for_each(|(path, arrays)| match store {
        Store::Hdf5 => save_hdf5(path, arrays),
        _ => save_arrays(path, arrays),
    })
}

fn save_hdf5(path: &Path, arrays: &[Array]) -> Result<(), ToolError> {
    let contents: Vec<(String, Content<'_>)> = arrays
        .iter()
        .map(|array| (array.name.clone(), Content::Floats(Shape::new(&array.shape), &array.data)))
        .collect();
    hdf5::write(path, &contents).map_err(|e| ToolError(e.to_string()))
}
