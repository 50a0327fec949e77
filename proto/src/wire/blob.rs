//! One blob inside a file: its shape is read at once, its values when asked for, straight from the
//! file's bytes into the caller's memory.

use std::ops::Range;

use super::Limits;
use super::cursor::{Cursor, Wire, damaged};
use crate::caffe::{BlobProto, BlobShape, Type};
use crate::error::{Error, ErrorKind};

/// Most axes a blob may have, as in the original.
pub const MAX_AXES: usize = 32;

/// How stored numbers become `f32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stored {
    F16,
    F32,
    F64,
}

impl Stored {
    fn size(self) -> usize {
        match self {
            Stored::F16 => 2,
            Stored::F32 => 4,
            Stored::F64 => 8,
        }
    }
}

/// A run of equally spaced numbers: packed ones touch, unpacked ones have a key in front of each.
#[derive(Debug, Clone, Copy)]
struct Run {
    start: u64,
    count: usize,
    stride: usize,
}

/// Where a blob lies in its file, and its shape.
#[derive(Debug, Clone)]
pub struct BlobEntry {
    /// Extent of each axis.
    pub shape: Vec<usize>,
    /// The shape is the old one of exactly four axes: compare it right-aligned.
    pub legacy: bool,
    stored: Stored,
    runs: Vec<Run>,
    stored_count: usize,
    count: usize,
    offset: u64,
}

/// A blob with the bytes it lies in.
#[derive(Debug, Clone, Copy)]
pub struct Blob<'a> {
    pub(super) file: &'a [u8],
    pub(super) entry: &'a BlobEntry,
}

impl<'a> Blob<'a> {
    /// Extent of each axis.
    pub fn shape(&self) -> &'a [usize] {
        &self.entry.shape
    }

    /// The shape is the old one of exactly four axes (num, channels, height, width).
    pub fn is_legacy(&self) -> bool {
        self.entry.legacy
    }

    /// Number of values the shape asks for.
    pub fn count(&self) -> usize {
        self.entry.count
    }

    /// Whether the file holds as many values as the shape says: all that can go wrong in reading them.
    ///
    /// # Errors
    /// It does not.
    pub fn check(&self) -> Result<(), Error> {
        let e = self.entry;
        if e.stored_count != e.count {
            let why = format!(
                "shape {:?} asks for {} values, {} are stored",
                e.shape, e.count, e.stored_count
            );
            return Err(damaged(e.offset, why));
        }
        Ok(())
    }

    /// Reads the values into `out`, which must have [`Blob::count`] elements.
    ///
    /// # Errors
    /// `out` has another length, or the file holds another number of values than the shape says.
    pub fn read(&self, out: &mut [f32]) -> Result<(), Error> {
        self.check()?;
        let e = self.entry;
        if out.len() != e.count {
            let why = format!("{} values are wanted, the blob has {}", out.len(), e.count);
            return Err(damaged(e.offset, why));
        }
        let mut out = out;
        for run in &e.runs {
            let (head, tail) = std::mem::take(&mut out).split_at_mut(run.count);
            read_run(self.file, *run, e.stored, head);
            out = tail;
        }
        Ok(())
    }

    /// The values in a new vector.
    ///
    /// # Errors
    /// The file holds another number of values than the shape says.
    pub fn to_vec(&self) -> Result<Vec<f32>, Error> {
        // What is stored bounds the allocation, whatever the shape claims.
        let mut values = vec![0.0; self.entry.count.min(self.entry.stored_count)];
        self.read(&mut values)?;
        Ok(values)
    }
}

/// The runs were cut from these bytes, so the indices fit.
fn read_run(file: &[u8], run: Run, stored: Stored, out: &mut [f32]) {
    let start = run.start as usize;
    match stored {
        Stored::F32 if run.stride == 4 => {
            let bytes = &file[start..start + 4 * run.count];
            for (o, b) in out.iter_mut().zip(bytes.as_chunks().0) {
                *o = f32::from_le_bytes(*b);
            }
        }
        _ => {
            for (i, o) in out.iter_mut().enumerate() {
                let at = start + i * run.stride;
                let b = &file[at..at + stored.size()];
                *o = match *b {
                    [a, b] => half(u16::from_le_bytes([a, b])),
                    [a, b, c, d] => f32::from_le_bytes([a, b, c, d]),
                    [a, b, c, d, e, f, g, h] => f64::from_le_bytes([a, b, c, d, e, f, g, h]) as f32,
                    _ => 0.0,
                };
            }
        }
    }
}

/// IEEE half precision → single, exactly.
fn half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 != 0 { -1.0f32 } else { 1.0 };
    let exponent = i32::from(bits >> 10 & 0x1f);
    let fraction = f32::from(bits & 0x3ff);
    sign * match exponent {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        e => (1.0 + fraction / 1024.0) * 2f32.powi(e - 15),
    }
}

/// Single precision → half, to the nearest, of two equally near ones to the even one.
fn half_bits(value: f32) -> u16 {
    let (bits, size) = (value.to_bits(), value.abs());
    let sign = (bits >> 16 & 0x8000) as u16;
    let size = match () {
        _ if value.is_nan() => 0x7e00,
        _ if size >= 65520.0 => 0x7c00,
        // Below the smallest normal number halves are whole parts of 2^-24.
        _ if size < 2f32.powi(-14) => (size * 2f32.powi(24)).round_ties_even() as u16,
        _ => {
            let bits = bits & 0x7fff_ffff;
            let rounded = bits + 0xfff + (bits >> 13 & 1);
            ((rounded >> 13) - (112 << 10)) as u16
        }
    };
    sign | size
}

/// Numbers of one kind found in a blob.
#[derive(Default)]
struct Numbers {
    runs: Vec<Run>,
    count: usize,
}

impl Numbers {
    /// A packed field: all of its bytes.
    fn packed(&mut self, at: Cursor<'_>, size: usize) -> Result<(), Error> {
        let length = at.rest().len();
        if !length.is_multiple_of(size) {
            return at.fail(format!("{length} bytes are no whole number of {size}-byte values"));
        }
        if length > 0 {
            self.runs.push(Run { start: at.offset(), count: length / size, stride: size });
            self.count += length / size;
        }
        Ok(())
    }

    /// One unpacked number behind its key, and all that follow with the same key.
    fn unpacked(&mut self, at: &mut Cursor<'_>, key: &[u8], size: usize) -> Result<(), Error> {
        let start = at.offset();
        at.take(size as u64)?;
        let stride = key.len() + size;
        let same = at.rest().chunks_exact(stride).take_while(|c| c.starts_with(key)).count();
        at.take((same * stride) as u64)?;
        self.runs.push(Run { start, count: 1 + same, stride });
        self.count += 1 + same;
        Ok(())
    }
}

impl BlobEntry {
    /// Walks a `BlobProto`. `at` must stand in `file` at its own offset.
    pub(super) fn scan(file: &[u8], at: Cursor<'_>, limits: &Limits) -> Result<BlobEntry, Error> {
        let offset = at.offset();
        let mut at = at;
        let mut legacy: [Option<i64>; 4] = [None; 4];
        let mut dims: Vec<i64> = Vec::new();
        let (mut singles, mut doubles, mut raw) = (Numbers::default(), Numbers::default(), None);
        let mut raw_type = 1;
        while !at.done() {
            let key_start = at.offset() as usize;
            let (number, wire) = at.key()?;
            let key = &file[key_start..at.offset() as usize];
            match (number, wire) {
                (1..=4, Wire::Varint) => {
                    legacy[number as usize - 1] = Some(i64::from(at.varint()? as i32));
                }
                (5, Wire::Delimited) => singles.packed(at.delimited()?, 4)?,
                (5, Wire::Fixed32) => singles.unpacked(&mut at, key, 4)?,
                (7, Wire::Delimited) => scan_shape(at.delimited()?, &mut dims)?,
                (8, Wire::Delimited) => doubles.packed(at.delimited()?, 8)?,
                (8, Wire::Fixed64) => doubles.unpacked(&mut at, key, 8)?,
                (10, Wire::Varint) => raw_type = at.varint()?,
                (12, Wire::Delimited) => raw = Some(at.delimited()?),
                _ => at.skip(number, wire)?,
            }
        }
        let old = legacy.iter().any(Option::is_some);
        if old {
            dims = legacy.iter().map(|d| d.unwrap_or(0)).collect();
        }
        let (shape, count) = checked_shape(&dims, limits, offset)?;
        let (stored, numbers) = match raw {
            Some(bytes) => {
                let stored = match raw_type {
                    0 => Stored::F64,
                    1 => Stored::F32,
                    2 => Stored::F16,
                    other => {
                        return bytes.fail(format!("raw blob data of type {other} is no float"));
                    }
                };
                let mut numbers = Numbers::default();
                numbers.packed(bytes, stored.size())?;
                (stored, numbers)
            }
            None if doubles.count > 0 => (Stored::F64, doubles),
            None => (Stored::F32, singles),
        };
        let Numbers { runs, count: stored_count } = numbers;
        Ok(BlobEntry { shape, legacy: old, stored, runs, stored_count, count, offset })
    }

    /// Writes other values into the places of this blob's, in the bytes of the file it was found in.
    ///
    /// # Errors
    /// There are more or fewer values than are stored, or one is too large for the half floats that are.
    pub fn overwrite(&self, file: &mut [u8], values: &[f32]) -> Result<(), Error> {
        if values.len() != self.stored_count {
            let why = format!("holds {} values, {} are given", self.stored_count, values.len());
            return Err(Error::value("data", why));
        }
        let size = self.stored.size();
        let mut values = values.iter();
        for run in &self.runs {
            for (i, &value) in values.by_ref().take(run.count).enumerate() {
                let at = run.start as usize + i * run.stride;
                let place = file.get_mut(at..at + size).unwrap_or_default();
                match self.stored {
                    Stored::F32 if place.len() == 4 => place.copy_from_slice(&value.to_le_bytes()),
                    Stored::F64 if place.len() == 8 => {
                        place.copy_from_slice(&f64::from(value).to_le_bytes());
                    }
                    Stored::F16 if place.len() == 2 => {
                        let bits = half_bits(value);
                        if value.is_finite() && half(bits).is_infinite() {
                            let why = format!("holds half floats, up to 65504; {value} is given");
                            return Err(Error::value("raw_data", why));
                        }
                        place.copy_from_slice(&bits.to_le_bytes());
                    }
                    _ => return Err(damaged(run.start, "the file ends before its values")),
                }
            }
        }
        Ok(())
    }

    /// Bytes of the file this blob was found in that hold its values.
    pub fn data_range(&self) -> Option<Range<u64>> {
        let (first, last) = (self.runs.first()?, self.runs.last()?);
        Some(first.start..last.start + (last.count * last.stride) as u64)
    }
}

fn scan_shape(mut at: Cursor<'_>, dims: &mut Vec<i64>) -> Result<(), Error> {
    while !at.done() {
        match at.key()? {
            (1, Wire::Delimited) => {
                let mut packed = at.delimited()?;
                while !packed.done() {
                    dims.push(packed.varint()? as i64);
                    if dims.len() > MAX_AXES {
                        return packed.fail(format!("a blob has more than {MAX_AXES} axes"));
                    }
                }
            }
            (1, Wire::Varint) => dims.push(at.varint()? as i64),
            (number, wire) => at.skip(number, wire)?,
        }
        if dims.len() > MAX_AXES {
            return at.fail(format!("a blob has more than {MAX_AXES} axes"));
        }
    }
    Ok(())
}

/// Shape and count of axes from a file, checked.
fn checked_shape(dims: &[i64], limits: &Limits, at: u64) -> Result<(Vec<usize>, usize), Error> {
    let mut count = 1u64;
    let mut shape = Vec::with_capacity(dims.len());
    for &d in dims {
        let extent =
            u64::try_from(d).map_err(|_| damaged(at, format!("a blob axis has extent {d}")))?;
        count =
            count.checked_mul(extent).filter(|&c| c <= limits.blob_values).ok_or_else(|| {
                let what = format!("number of values of a blob of shape {dims:?}");
                let value = dims.iter().fold(1u64, |n, &d| n.saturating_mul(d.unsigned_abs()));
                Error::new(ErrorKind::Limit { what, value, limit: limits.blob_values })
            })?;
        shape.push(extent as usize);
    }
    Ok((shape, count as usize))
}

/// The shape of a blob message, old form or new, and whether it is the old one.
///
/// # Errors
/// A negative extent, more than 32 axes, or more values than the limits allow.
pub fn blob_shape(blob: &BlobProto) -> Result<(Vec<usize>, bool), Error> {
    let old = [blob.num, blob.channels, blob.height, blob.width];
    let legacy = old.iter().any(Option::is_some);
    let dims: Vec<i64> = if legacy {
        old.iter().map(|d| d.unwrap_or(0).into()).collect()
    } else {
        blob.shape.as_ref().map(|s| s.dim.clone()).unwrap_or_default()
    };
    if dims.len() > MAX_AXES {
        return Err(Error::value(
            "shape",
            format!("has {} axes, more than {MAX_AXES}", dims.len()),
        ));
    }
    Ok((checked_shape(&dims, &Limits::default(), 0)?.0, legacy))
}

/// The values of a blob message, of either precision.
///
/// # Errors
/// Their number is not what the shape says.
pub fn blob_values(blob: &BlobProto) -> Result<Vec<f32>, Error> {
    let (shape, _) = blob_shape(blob)?;
    let values: Vec<f32> = if let Some(raw) = &blob.raw_data {
        raw_values(raw, blob.raw_data_type())?
    } else if blob.double_data.is_empty() {
        blob.data.clone()
    } else {
        blob.double_data.iter().map(|&v| v as f32).collect()
    };
    let count: usize = shape.iter().product();
    if values.len() != count {
        let why = format!("of shape {shape:?} holds {} values", values.len());
        return Err(Error::value("blob", why));
    }
    Ok(values)
}

/// Values as NVIDIA's fork stores them: the bytes of one of three types of number.
fn raw_values(raw: &[u8], kind: Type) -> Result<Vec<f32>, Error> {
    let stored = match kind {
        Type::Double => Stored::F64,
        Type::Float => Stored::F32,
        Type::Float16 => Stored::F16,
        other => {
            let why = format!("of type {} holds no floating-point numbers", other.as_str_name());
            return Err(Error::value("raw_data", why));
        }
    };
    let size = stored.size();
    if !raw.len().is_multiple_of(size) {
        let why = format!("has {} bytes, no whole number of {size}-byte values", raw.len());
        return Err(Error::value("raw_data", why));
    }
    let count = raw.len() / size;
    let mut values = vec![0.0; count];
    read_run(raw, Run { start: 0, count, stride: size }, stored, &mut values);
    Ok(values)
}

/// A blob message of today's form.
pub fn blob_proto(shape: &[usize], data: &[f32]) -> BlobProto {
    let dim = shape.iter().map(|&d| d as i64).collect();
    BlobProto { shape: Some(BlobShape { dim }), data: data.to_vec(), ..BlobProto::default() }
}

#[cfg(test)]
mod tests {
    use super::{half, half_bits};

    #[test]
    fn every_half_goes_through_single_precision() {
        for bits in 0..=u16::MAX {
            let value = half(bits);
            let back = half_bits(value);
            assert!(back == bits || value.is_nan() && half(back).is_nan(), "{bits:#x}: {value}");
        }
    }

    #[test]
    fn singles_go_to_the_nearest_half() {
        let ulp = 2f32.powi(-10);
        for (value, wanted) in [
            (1.0 + 0.4 * ulp, 1.0),
            (1.0 + 0.5 * ulp, 1.0),
            (1.0 + 0.6 * ulp, 1.0 + ulp),
            (1.0 + 1.5 * ulp, 1.0 + 2.0 * ulp),
            (65519.0, 65504.0),
            (65520.0, f32::INFINITY),
            (-1e-9, -0.0),
            (2f32.powi(-25) * 1.01, 2f32.powi(-24)),
        ] {
            assert_eq!(half(half_bits(value)), wanted, "{value}");
        }
    }
}
