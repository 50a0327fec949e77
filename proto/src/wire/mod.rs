//! The binary format: nets and solver states as messages, weights by a walker of our own that looks at
//! names, shapes and values only. Sizes from a file are checked before anything is allocated; damage
//! is an error with the byte it stands at.

mod blob;
mod cursor;
mod disk;
mod model;
mod seal;
mod upgraded;
mod write;

use std::path::Path;

use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};

pub use blob::{Blob, BlobEntry, MAX_AXES, blob_proto, blob_shape, blob_values};
pub use disk::{Disk, DiskFile, RealDisk};
pub use model::{Generation, Model, ModelLayer};
pub use seal::{check_seal, renew_seal};
pub use upgraded::upgraded_net;
pub use write::{
    BlobOut, LayerOut, Saved, save_blob, save_message, save_model, save_model_on, save_state_on,
    write_file, write_file_on, write_model,
};

use crate::caffe::{Datum, NetParameter, SolverState};
use crate::error::{Error, ErrorKind};
use crate::schema::{self, Kind, schema};
use cursor::{Cursor, Wire, damaged};

/// What a binary file may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Layers of a net.
    pub layers: u64,
    /// Blobs of a model file.
    pub blobs: u64,
    /// Values of a blob.
    pub blob_values: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { layers: 10_000, blobs: 200_000, blob_values: 1 << 40 }
    }
}

/// Reads a net from binary, weights included. For weights alone use [`Model`].
///
/// # Errors
/// Damaged (with the byte), or more layers than the limits allow.
pub fn decode_net(bytes: &[u8]) -> Result<NetParameter, Error> {
    // A layer takes two bytes in a file and kilobytes in memory: count before decoding.
    let limit = Limits::default().layers;
    let mut at = Cursor::new(bytes, 0);
    let mut layers = 0u64;
    while !at.done() {
        let (number, wire) = at.key()?;
        at.skip(number, wire)?;
        layers += u64::from(matches!(number, 2 | 100));
        if layers > limit {
            let what = "number of layers".to_string();
            return Err(Error::new(ErrorKind::Limit { what, value: layers, limit }));
        }
    }
    decode(bytes, "NetParameter")
}

/// Reads a solver state from binary.
///
/// # Errors
/// Damaged, with the byte.
pub fn decode_state(bytes: &[u8]) -> Result<SolverState, Error> {
    decode(bytes, "SolverState")
}

/// Reads a database item from binary.
///
/// # Errors
/// Damaged, with the byte.
pub fn decode_datum(bytes: &[u8]) -> Result<Datum, Error> {
    decode(bytes, "Datum")
}

/// Reads a solver state file.
///
/// # Errors
/// The file cannot be read or is damaged.
pub fn read_state(path: impl AsRef<Path>) -> Result<SolverState, Error> {
    let path = path.as_ref();
    let bytes = crate::read_file(path, u64::MAX).map_err(|e| Error::file("read", path, e))?;
    let state = check_seal(&bytes).and_then(|_| decode_state(&bytes));
    state.map_err(|e| e.note(format!("in `{}`", path.display())))
}

/// Reads a file that holds one blob (a mean, an infogain matrix): shape and values.
///
/// # Errors
/// The file cannot be read, is damaged, or holds another number of values than its shape says.
pub fn read_blob(path: impl AsRef<Path>) -> Result<(Vec<usize>, Vec<f32>), Error> {
    let path = path.as_ref();
    let bytes = crate::read_file(path, u64::MAX).map_err(|e| Error::file("read", path, e))?;
    decode_blob(&bytes).map_err(|e| e.note(format!("in `{}`", path.display())))
}

/// Reads one blob from bytes: shape and values.
///
/// # Errors
/// Damaged, or another number of values than the shape says.
pub fn decode_blob(bytes: &[u8]) -> Result<(Vec<usize>, Vec<f32>), Error> {
    let entry = BlobEntry::scan(bytes, Cursor::new(bytes, 0), &Limits::default())?;
    let values = Blob { file: bytes, entry: &entry }.to_vec()?;
    Ok((entry.shape, values))
}

/// A message without the fields of these numbers.
pub(crate) fn without_fields(bytes: &[u8], numbers: &[u32]) -> Result<Vec<u8>, Error> {
    let (mut at, mut out) = (Cursor::new(bytes, 0), Vec::with_capacity(bytes.len()));
    while !at.done() {
        let field = at;
        let (number, wire) = at.key()?;
        at.skip(number, wire)?;
        if !numbers.contains(&number) {
            out.extend(&field.rest()[..(at.offset() - field.offset()) as usize]);
        }
    }
    Ok(out)
}

fn decode<M: Message + Default>(bytes: &[u8], name: &str) -> Result<M, Error> {
    M::decode(bytes).or_else(|first| {
        let Some(message) = schema().message(name) else {
            return Err(damaged(0, first.to_string()));
        };
        let mut sifted = Vec::new();
        sift(Cursor::new(bytes, 0), message, &mut sifted)?;
        let again = M::decode(sifted.as_slice());
        again.map_err(|e| damaged(0, format!("this is no {name}: {e}")))
    })
}

/// Copies the fields that fit the schema. Forks use one number for different things: like the
/// original's parser, ours passes over a field of another wire type. Real damage is an error with its
/// byte.
fn sift(mut at: Cursor<'_>, message: &schema::Message, out: &mut Vec<u8>) -> Result<(), Error> {
    while !at.done() {
        let field = at;
        let (number, wire) = at.key()?;
        let Some(f) = message.field_number(number) else {
            at.skip(number, wire)?;
            continue;
        };
        let plain = match f.kind {
            Kind::Double => Wire::Fixed64,
            Kind::Float => Wire::Fixed32,
            Kind::String | Kind::Bytes | Kind::Message(_) => Wire::Delimited,
            _ => Wire::Varint,
        };
        let packed = f.count == schema::Count::Repeated && wire == Wire::Delimited;
        if wire != plain && !packed {
            at.skip(number, wire)?;
            continue;
        }
        let mut replaced = Vec::new();
        if wire == Wire::Delimited {
            let mut inner = at.delimited()?;
            match f.kind {
                Kind::Message(index) => sift(inner, &schema().messages[index], &mut replaced)?,
                Kind::String => {
                    replaced.extend(String::from_utf8_lossy(inner.rest()).as_bytes());
                }
                Kind::Bytes => replaced.extend(inner.rest()),
                _ => {
                    replaced.extend(inner.rest());
                    while !inner.done() {
                        inner.skip(number, plain)?;
                    }
                }
            }
            encode_key(number, WireType::LengthDelimited, out);
            encode_varint(replaced.len() as u64, out);
            out.extend(replaced);
        } else {
            at.skip(number, wire)?;
            let length = (at.offset() - field.offset()) as usize;
            out.extend(&field.rest()[..length]);
        }
    }
    Ok(())
}
