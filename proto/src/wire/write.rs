//! Writing: models streamed from borrowed weights, and files that are whole or not there at all.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

use super::disk::{Disk, RealDisk};
use super::seal::{Summed, write_sealed};
use crate::caffe::{BlobShape, LayerParameter, SolverState};
use crate::error::{Diagnostic, Error};

/// Largest binary the original reads.
const ORIGINAL_LIMIT: u64 = i32::MAX as u64;

/// One blob to write.
#[derive(Debug, Clone, Copy)]
pub struct BlobOut<'a> {
    /// Extent of each axis.
    pub shape: &'a [usize],
    /// Values, as many as the shape says.
    pub data: &'a [f32],
    /// Gradients of the same length, when they are saved too.
    pub diff: Option<&'a [f32]>,
}

/// One layer to write.
#[derive(Debug, Clone)]
pub struct LayerOut<'a> {
    /// The layer's definition; blobs inside it are left out.
    pub param: &'a LayerParameter,
    /// Its weights and state.
    pub blobs: Vec<BlobOut<'a>>,
}

impl BlobOut<'_> {
    fn shape_message(&self) -> BlobShape {
        BlobShape { dim: self.shape.iter().map(|&d| d as i64).collect() }
    }

    fn encoded_len(&self) -> u64 {
        let shape = self.shape_message().encoded_len() as u64;
        let values = |v: &[f32]| delimited_len(4 * v.len() as u64);
        delimited_len(shape) + values(self.data) + self.diff.map_or(0, values)
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        header(5, 4 * self.data.len() as u64, out)?;
        write_floats(self.data, out)?;
        if let Some(diff) = self.diff {
            header(6, 4 * diff.len() as u64, out)?;
            write_floats(diff, out)?;
        }
        let shape = self.shape_message().encode_to_vec();
        header(7, shape.len() as u64, out)?;
        out.write_all(&shape)
    }
}

/// Length of a field with a one-byte key.
fn delimited_len(content: u64) -> u64 {
    1 + encoded_len_varint(content) as u64 + content
}

fn header(number: u32, length: u64, out: &mut dyn Write) -> io::Result<()> {
    let mut head = Vec::with_capacity(16);
    encode_key(number, WireType::LengthDelimited, &mut head);
    encode_varint(length, &mut head);
    out.write_all(&head)
}

fn write_floats(values: &[f32], out: &mut dyn Write) -> io::Result<()> {
    if cfg!(target_endian = "little") {
        return out.write_all(bytemuck::cast_slice(values));
    }
    values.iter().try_for_each(|v| out.write_all(&v.to_le_bytes()))
}

/// Writes a model: the net's name and its layers, values packed.
///
/// # Errors
/// The writer fails.
pub fn write_model(name: &str, layers: &[LayerOut<'_>], out: &mut dyn Write) -> io::Result<()> {
    header(1, name.len() as u64, out)?;
    out.write_all(name.as_bytes())?;
    for layer in layers {
        let bare;
        let param = if layer.param.blobs.is_empty() {
            layer.param
        } else {
            bare = LayerParameter { blobs: Vec::new(), ..layer.param.clone() };
            &bare
        };
        let blobs: u64 = layer.blobs.iter().map(|b| delimited_len(b.encoded_len())).sum();
        header(100, param.encoded_len() as u64 + blobs, out)?;
        out.write_all(&param.encode_to_vec())?;
        for blob in &layer.blobs {
            header(7, blob.encoded_len(), out)?;
            blob.write(out)?;
        }
    }
    Ok(())
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Saved {
    /// Checksum of the file.
    pub checksum: u32,
    /// Something to know about it.
    pub note: Option<Diagnostic>,
}

/// Writes a model file with its seal, whole or not at all. The note says when the original could not
/// read it.
///
/// # Errors
/// The file cannot be written.
pub fn save_model(
    path: impl AsRef<Path>,
    name: &str,
    layers: &[LayerOut<'_>],
) -> Result<Option<Diagnostic>, Error> {
    Ok(save_model_on(&RealDisk, path.as_ref(), name, layers)?.note)
}

/// The same on any disk.
///
/// # Errors
/// The file cannot be written.
pub fn save_model_on(
    disk: &dyn Disk,
    path: &Path,
    name: &str,
    layers: &[LayerOut<'_>],
) -> Result<Saved, Error> {
    let write = |out: &mut dyn Write| write_sealed(out, |out| write_model(name, layers, out));
    let checksum = write_file_on(disk, path, write)?;
    let size = std::fs::metadata(path).map_or(0, |m| m.len());
    let note = (size > ORIGINAL_LIMIT).then(|| {
        let what = format!("`{}` has {size} bytes", path.display());
        Diagnostic::warning(what, None).with_note(
            "the original Caffe reads binary models up to 2147483647 bytes; it takes HDF5",
        )
    });
    Ok(Saved { checksum, note })
}

/// Writes one blob (a mean file).
///
/// # Errors
/// The file cannot be written.
pub fn save_blob(path: impl AsRef<Path>, shape: &[usize], data: &[f32]) -> Result<(), Error> {
    write_file(path.as_ref(), |out| BlobOut { shape, data, diff: None }.write(out))
}

/// Writes a message.
///
/// # Errors
/// The file cannot be written.
pub fn save_message(path: impl AsRef<Path>, message: &impl Message) -> Result<(), Error> {
    write_file(path.as_ref(), |out| out.write_all(&message.encode_to_vec()))
}

/// Writes a solver state with its seal.
///
/// # Errors
/// The file cannot be written.
pub fn save_state_on(disk: &dyn Disk, path: &Path, state: &SolverState) -> Result<(), Error> {
    let bytes = state.encode_to_vec();
    let write = |out: &mut dyn Write| write_sealed(out, |out| out.write_all(&bytes));
    write_file_on(disk, path, write).map(|_| ())
}

/// Writes a file aside, syncs it and renames it into place: readers see the old file or the whole new
/// one, also after a crash. Links are followed, pipes and devices written to.
///
/// # Errors
/// The directory does not exist or the file cannot be written.
pub fn write_file(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Error> {
    let failed = |e| Error::file("write", path, e);
    match std::fs::metadata(path) {
        // A pipe or a device takes what is written to it.
        Ok(there) if !there.is_file() && !there.is_dir() => {
            let mut out = std::fs::OpenOptions::new().write(true).open(path).map_err(failed)?;
            fill(&mut out).map_err(failed)
        }
        // What a link leads to is replaced, not the link.
        Ok(_) if path.is_symlink() => {
            write_file_on(&RealDisk, &path.canonicalize().map_err(failed)?, fill).map(|_| ())
        }
        _ => write_file_on(&RealDisk, path, fill).map(|_| ()),
    }
}

/// The same on any disk. Gives the checksum of the file.
///
/// # Errors
/// The directory does not exist or the file cannot be written.
pub fn write_file_on(
    disk: &dyn Disk,
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<u32, Error> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    if name.is_empty() {
        return Err(Error::file("write", path, "it names no file"));
    }
    name.push(format!(".{}.part", std::process::id()));
    let aside = path.with_file_name(name);
    let written = write_aside(disk, &aside, path, fill);
    if written.is_err() {
        // Nothing more can be done about a leftover than to try.
        let _ = disk.remove(&aside);
    }
    written.map_err(|e| Error::file("write", path, e))
}

fn write_aside(
    disk: &dyn Disk,
    aside: &Path,
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<u32> {
    let mut out = BufWriter::with_capacity(1 << 20, disk.create(aside)?);
    let mut summed = Summed { inner: &mut out, sum: crc32fast::Hasher::new() };
    fill(&mut summed)?;
    let sum = summed.sum.finalize();
    let mut file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync()?;
    drop(file);
    disk.rename(aside, path)?;
    // The new name is safe once the directory is.
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => disk.sync_directory(directory)?,
        _ => disk.sync_directory(Path::new("."))?,
    }
    Ok(sum)
}
