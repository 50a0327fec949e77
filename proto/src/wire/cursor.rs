//! Steps over wire bytes. Every failure names the byte of the file it stands at.

use crate::error::{Error, ErrorKind};

/// How a value is laid down, from the low bits of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Varint,
    Fixed64,
    Delimited,
    StartGroup,
    EndGroup,
    Fixed32,
}

/// Groups nest no deeper than this.
const MAX_GROUPS: usize = 32;

/// A place in bytes that start at byte `base` of the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    offset: u64,
}

pub(crate) fn damaged(offset: u64, why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Wire { offset, why: why.into() })
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8], base: u64) -> Cursor<'a> {
        Cursor { rest: bytes, offset: base }
    }

    pub fn done(&self) -> bool {
        self.rest.is_empty()
    }

    /// Offset in the file.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub fn fail<T>(&self, why: impl Into<String>) -> Result<T, Error> {
        Err(damaged(self.offset, why))
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: u64) -> Result<&'a [u8], Error> {
        let n = usize::try_from(n).unwrap_or(usize::MAX);
        let Some((head, tail)) = self.rest.split_at_checked(n) else {
            let left = self.rest.len();
            return self.fail(format!("{n} bytes should follow, {left} are left"));
        };
        self.rest = tail;
        self.offset += n as u64;
        Ok(head)
    }

    pub fn varint(&mut self) -> Result<u64, Error> {
        let mut value = 0u64;
        for (i, &byte) in self.rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                if i == 9 && byte > 1 {
                    break;
                }
                self.take(i as u64 + 1)?;
                return Ok(value);
            }
        }
        self.fail(if self.rest.len() < 10 { "a number is cut off" } else { "a number is too long" })
    }

    /// Field number and wire type.
    pub fn key(&mut self) -> Result<(u32, Wire), Error> {
        let at = self.offset;
        let key = self.varint()?;
        let wire = match key & 7 {
            0 => Wire::Varint,
            1 => Wire::Fixed64,
            2 => Wire::Delimited,
            3 => Wire::StartGroup,
            4 => Wire::EndGroup,
            5 => Wire::Fixed32,
            other => return Err(damaged(at, format!("there is no wire type {other}"))),
        };
        match u32::try_from(key >> 3) {
            Ok(number) if (1..1 << 29).contains(&number) => Ok((number, wire)),
            _ => Err(damaged(at, format!("there is no field number {}", key >> 3))),
        }
    }

    /// A length and so many bytes.
    pub fn delimited(&mut self) -> Result<Cursor<'a>, Error> {
        let length = self.varint()?;
        let base = self.offset;
        Ok(Cursor::new(self.take(length)?, base))
    }

    /// The text of a delimited field; damaged UTF-8 is replaced, a name is a name.
    pub fn text(&mut self) -> Result<String, Error> {
        Ok(String::from_utf8_lossy(self.delimited()?.rest).into_owned())
    }

    /// Steps over a value.
    pub fn skip(&mut self, number: u32, wire: Wire) -> Result<(), Error> {
        self.skip_nested(number, wire, 0)
    }

    fn skip_nested(&mut self, number: u32, wire: Wire, depth: usize) -> Result<(), Error> {
        match wire {
            Wire::Varint => self.varint().map(drop),
            Wire::Fixed64 => self.take(8).map(drop),
            Wire::Fixed32 => self.take(4).map(drop),
            Wire::Delimited => self.delimited().map(drop),
            Wire::EndGroup => self.fail("a group ends that never began"),
            Wire::StartGroup if depth >= MAX_GROUPS => self.fail("groups nest too deeply"),
            Wire::StartGroup => loop {
                let (inner, wire) = self.key()?;
                if wire == Wire::EndGroup {
                    if inner != number {
                        return self.fail("a group ends that never began");
                    }
                    return Ok(());
                }
                self.skip_nested(inner, wire, depth + 1)?;
            },
        }
    }
}
