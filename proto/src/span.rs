//! Where things stand: a source file, a range in it, and the line and column people read.

use std::fmt;
use std::sync::Arc;

/// A text file held in memory with its name: what every span points into.
#[derive(Debug)]
pub struct Source {
    /// The name as the user gave it; it heads every message.
    pub name: String,
    text: String,
    /// Byte offset of the start of each line.
    lines: Vec<u32>,
    lossy: bool,
    /// Every character is one byte: a file may be a single line with thousands of mistakes.
    ascii: bool,
}

/// Line and column, both from 1; the column counts characters, a tab is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// A range of bytes in a [`Source`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The range `start..end`.
    pub fn new(start: usize, end: usize) -> Span {
        Span { start: start as u32, end: end as u32 }
    }

    /// From the start of `self` to the end of `other`.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start, end: other.end.max(self.start) }
    }

    /// As a range of `usize`, to index the text with.
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl Source {
    /// A source from text in memory. A byte order mark at its head is dropped: Google's parser refuses
    /// it, editors write it.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Source> {
        Source::with(name.into(), text.into(), false)
    }

    /// A source from bytes. Bytes that are not UTF-8 are harmless in comments (old files carry other
    /// encodings there); in a value the parser refuses them. A byte order mark of UTF-16, which some
    /// editors write, is followed.
    pub fn from_bytes(name: impl Into<String>, bytes: Vec<u8>) -> Arc<Source> {
        let unit: Option<fn([u8; 2]) -> u16> = match bytes[..] {
            [0xff, 0xfe, ..] => Some(u16::from_le_bytes),
            [0xfe, 0xff, ..] => Some(u16::from_be_bytes),
            _ => None,
        };
        if let Some(unit) = unit {
            let units: Vec<u16> =
                bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
            return Source::with(name.into(), String::from_utf16_lossy(&units), false);
        }
        match String::from_utf8(bytes) {
            Ok(text) => Source::with(name.into(), text, false),
            Err(e) => {
                let text = String::from_utf8_lossy(e.as_bytes()).into_owned();
                Source::with(name.into(), text, true)
            }
        }
    }

    fn with(name: String, mut text: String, lossy: bool) -> Arc<Source> {
        if text.starts_with('\u{feff}') {
            text.drain(..'\u{feff}'.len_utf8());
        }
        let starts =
            text.bytes().enumerate().filter(|&(_, b)| b == b'\n').map(|(i, _)| i as u32 + 1);
        let lines = std::iter::once(0).chain(starts).collect();
        let ascii = text.is_ascii();
        Arc::new(Source { name, text, lines, lossy, ascii })
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// True when some bytes were not UTF-8 and stand as U+FFFD in the text.
    pub fn lossy(&self) -> bool {
        self.lossy
    }

    /// Where the text ends.
    pub(crate) fn end(self: &Arc<Source>) -> Located {
        let end = self.text.len() as u32;
        Located { source: self.clone(), span: Span { start: end, end } }
    }

    /// The text of a span; empty where the span does not fit this source.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.range()).unwrap_or("")
    }

    /// Line and column of a byte offset.
    pub fn position(&self, offset: u32) -> Position {
        let line = self.lines.partition_point(|&start| start <= offset).max(1);
        let start = self.lines[line - 1] as usize;
        let end = (offset as usize).min(self.text.len()).max(start);
        let before = &self.text.as_bytes()[start..end];
        // Characters are counted by their first bytes.
        let count = match self.ascii {
            true => before.len(),
            false => before.iter().filter(|&&b| b & 0xc0 != 0x80).count(),
        };
        Position { line: line as u32, column: count as u32 + 1 }
    }

    /// The text of the line of a byte offset, without its end, and where in it the offset lies.
    pub(crate) fn line_of(&self, offset: u32) -> (&str, usize) {
        let index = self.lines.partition_point(|&start| start <= offset).max(1);
        let line = self.line(index as u32);
        let mut at = ((offset - self.lines[index - 1]) as usize).min(line.len());
        while !line.is_char_boundary(at) {
            at -= 1;
        }
        (line, at)
    }

    /// The text of a line (from 1), without its end.
    pub fn line(&self, line: u32) -> &str {
        let index = (line as usize).saturating_sub(1);
        let Some(&start) = self.lines.get(index) else { return "" };
        let end = self.lines.get(index + 1).map_or(self.text.len(), |&e| e as usize);
        self.text[start as usize..end].trim_end_matches(['\n', '\r'])
    }
}

/// A source and a range in it, printed as `file:line:column`.
#[derive(Debug, Clone)]
pub struct Located {
    /// The file.
    pub source: Arc<Source>,
    /// The range.
    pub span: Span,
}

impl Located {
    /// Line and column of the start.
    pub fn position(&self) -> Position {
        self.source.position(self.span.start)
    }
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.position();
        write!(f, "{}:{}:{}", self.source.name, at.line, at.column)
    }
}

impl PartialEq for Located {
    fn eq(&self, other: &Located) -> bool {
        self.source.name == other.source.name && self.span == other.span
    }
}
