//! The seal of the snapshots written here: the length of the file in its first field, a checksum of all
//! before it in its last. Both are fields that other readers pass over; a file without a first field of
//! this number is somebody else's and has no seal.

use std::io::{self, Write};

use crc32fast::Hasher;
use prost::encoding::{WireType, encode_key};

use crate::error::{Error, ErrorKind};

/// Number of the field with the length.
const LENGTH: u32 = 10020;
/// Number of the field with the checksum.
const CHECKSUM: u32 = 10021;
/// Key and value of each.
const HEAD: usize = 3 + 8;
const TAIL: usize = 3 + 4;

/// Whether a field of this number belongs to a seal.
pub(super) fn is_seal(number: u32) -> bool {
    matches!(number, LENGTH | CHECKSUM)
}

fn key(number: u32, wire: WireType) -> Vec<u8> {
    let mut key = Vec::new();
    encode_key(number, wire, &mut key);
    key
}

/// Writes what `fill` writes, between the two fields of a seal. `fill` runs twice: to count, to write.
pub(super) fn write_sealed(
    out: &mut dyn Write,
    fill: impl Fn(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut counted = Counted { length: (HEAD + TAIL) as u64 };
    fill(&mut counted)?;
    let mut out = Summed { inner: out, sum: Hasher::new() };
    out.write_all(&key(LENGTH, WireType::SixtyFourBit))?;
    out.write_all(&counted.length.to_le_bytes())?;
    fill(&mut out)?;
    let sum = out.sum.clone().finalize();
    out.write_all(&key(CHECKSUM, WireType::ThirtyTwoBit))?;
    out.write_all(&sum.to_le_bytes())
}

/// Whether the bytes of a file have a seal; it is held against them.
///
/// # Errors
/// The file was cut, or has changed since it was written.
pub fn check_seal(bytes: &[u8]) -> Result<bool, Error> {
    if !bytes.starts_with(&key(LENGTH, WireType::SixtyFourBit)) {
        return Ok(false);
    }
    let damaged = |why: String| Error::new(ErrorKind::Wire { offset: 0, why });
    let length: Option<[u8; 8]> = bytes.get(3..HEAD).and_then(|part| part.try_into().ok());
    let length = length.map(u64::from_le_bytes);
    if length != Some(bytes.len() as u64) || bytes.len() < HEAD + TAIL {
        let wanted = length.map_or_else(|| "more".to_owned(), |length| length.to_string());
        let found = bytes.len();
        return Err(damaged(format!("the file has {found} bytes; it was written with {wanted}")));
    }
    let (content, tail) = bytes.split_at(bytes.len() - TAIL);
    let mut wanted = key(CHECKSUM, WireType::ThirtyTwoBit);
    wanted.extend(crc32fast::hash(content).to_le_bytes());
    match tail == wanted {
        true => Ok(true),
        false => {
            Err(damaged("the file has changed since it was written: its checksum differs".into()))
        }
    }
}

/// Brings the seal of a file, where it has one, up to date with bytes that were changed in place.
pub fn renew_seal(bytes: &mut [u8]) {
    let sealed = bytes.starts_with(&key(LENGTH, WireType::SixtyFourBit));
    if let (true, Some(at)) = (sealed, bytes.len().checked_sub(TAIL)) {
        let (content, tail) = bytes.split_at_mut(at);
        tail[3..].copy_from_slice(&crc32fast::hash(content).to_le_bytes());
    }
}

/// Counts bytes.
struct Counted {
    length: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.length += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sums up what passes through it.
pub(super) struct Summed<'a> {
    pub inner: &'a mut dyn Write,
    pub sum: Hasher,
}

impl Write for Summed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.sum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
