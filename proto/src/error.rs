//! Errors with an address, and how they are shown.

use std::borrow::Cow;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;

use crate::span::Located;

/// What is wrong, without the place.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The text does not follow the grammar.
    #[error("expected {expected}, found {found}")]
    Syntax {
        /// What the grammar allows here.
        expected: String,
        /// What stands here.
        found: String,
    },
    /// A token is malformed (a string without end, a number with letters).
    #[error("{0}")]
    Token(String),
    /// A block is never closed.
    #[error("the block `{block}` opened here is not closed{before}")]
    Unclosed {
        /// Name of the field the block belongs to.
        block: String,
        /// ` before …`, or empty when the file just ends.
        before: String,
    },
    /// The message has no such field.
    #[error("`{message}` has no field `{field}`")]
    UnknownField {
        /// Message type, e.g. `LayerParameter`.
        message: String,
        /// The name as written.
        field: String,
    },
    /// The enum has no such value.
    #[error("`{value}` is not a value of `{field}`")]
    UnknownEnumValue {
        /// Field name.
        field: String,
        /// Value as written.
        value: String,
    },
    /// The value has the wrong type for the field.
    #[error("`{field}` takes {expected}, found {found}")]
    WrongType {
        /// Field name.
        field: String,
        /// The type wanted, in words.
        expected: String,
        /// What stands here.
        found: String,
    },
    /// A number does not fit its type.
    #[error("`{field}`: {value} does not fit {kind}")]
    OutOfRange {
        /// Field name.
        field: String,
        /// Value as written.
        value: String,
        /// Type name, e.g. `uint32`.
        kind: String,
    },
    /// A field that may stand once is given twice.
    #[error("`{field}` is given more than once")]
    Repeated {
        /// Field name.
        field: String,
    },
    /// A field that must be given is missing.
    #[error("`{path}` must be given")]
    MissingField {
        /// Path of the missing field, e.g. `layer[0].clip_param.max`.
        path: String,
    },
    /// A string is not UTF-8.
    #[error("`{field}` is not valid UTF-8 text")]
    NotUtf8 {
        /// Field name.
        field: String,
    },
    /// Blocks nested too deeply.
    #[error("blocks nest deeper than {0}")]
    TooDeep(usize),
    /// A field has a value that makes no sense here.
    #[error("`{field}` {why}")]
    Value {
        /// Field path inside the layer, e.g. `convolution_param.kernel_size`.
        field: String,
        /// The reason.
        why: String,
    },
    /// Two things in one file contradict each other, or a format mixes generations.
    #[error("{0}")]
    Conflict(String),
    /// A file cannot be read or written.
    #[error("cannot {doing} `{}`: {why}", path.display())]
    File {
        /// `read` or `write`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// Binary data is damaged.
    #[error("damaged at byte {offset}: {why}")]
    Wire {
        /// Offset from the start of the file.
        offset: u64,
        /// The reason.
        why: String,
    },
    /// Binary data asks for more than the limits allow.
    #[error("{what} is {value}, over the limit of {limit}")]
    Limit {
        /// The measured thing.
        what: String,
        /// Its size.
        value: u64,
        /// The limit.
        limit: u64,
    },
}

/// One error: what, where, and what may help. One pointer wide, since it travels in results.
#[derive(Debug, Clone, PartialEq)]
pub struct Error(Box<ErrorParts>);

/// The parts of an [`Error`], which dereferences to them.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ErrorParts {
    /// What is wrong.
    pub kind: ErrorKind,
    /// Where, when it comes from a text file.
    pub place: Option<Located>,
    /// Lines that help, e.g. `` similar: `bottom` ``.
    pub notes: Vec<String>,
}

impl Deref for Error {
    type Target = ErrorParts;
    fn deref(&self) -> &ErrorParts {
        &self.0
    }
}

impl DerefMut for Error {
    fn deref_mut(&mut self) -> &mut ErrorParts {
        &mut self.0
    }
}

impl Error {
    /// An error without place.
    pub fn new(kind: ErrorKind) -> Error {
        Error(Box::new(ErrorParts { kind, place: None, notes: Vec::new() }))
    }

    /// An error at a place.
    pub fn at(kind: ErrorKind, place: Located) -> Error {
        Error::new(kind).with_place(Some(place))
    }

    /// The same at this place.
    pub fn with_place(mut self, place: Option<Located>) -> Error {
        self.place = place;
        self
    }

    /// The field `field` has a bad value.
    pub fn value(field: impl Into<String>, why: impl Into<String>) -> Error {
        Error::new(ErrorKind::Value { field: field.into(), why: why.into() })
    }

    pub(crate) fn file(doing: &'static str, path: &std::path::Path, why: impl ToString) -> Error {
        Error::new(ErrorKind::File { doing, path: path.into(), why: why.to_string() })
    }

    /// The same with one more note.
    pub fn note(mut self, note: impl Into<String>) -> Error {
        self.notes.push(note.into());
        self
    }

    /// `` similar: `a`, `b` `` when there is anything similar.
    pub(crate) fn similar(mut self, names: &[String]) -> Error {
        if !names.is_empty() {
            let list: Vec<_> = names.iter().map(|n| format!("`{n}`")).collect();
            self.notes.push(format!("similar: {}", list.join(", ")));
        }
        self
    }

    /// As something to show.
    pub fn diagnostic(&self) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            message: self.kind.to_string(),
            place: self.place.clone(),
            label: None,
            notes: self.notes.clone(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.kind),
            None => self.kind.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

/// All errors of one file, in the order of the file; never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Errors(Vec<Error>);

impl Errors {
    /// `None` when there are none.
    pub fn from_list(list: Vec<Error>) -> Option<Errors> {
        if list.is_empty() { None } else { Some(Errors(list)) }
    }

    /// The errors.
    pub fn iter(&self) -> std::slice::Iter<'_, Error> {
        self.0.iter()
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The first error.
    pub fn first(&self) -> &Error {
        &self.0[0]
    }
}

impl From<Error> for Errors {
    fn from(e: Error) -> Errors {
        Errors(vec![e])
    }
}

impl IntoIterator for Errors {
    type Item = Error;
    type IntoIter = std::vec::IntoIter<Error>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, e) in self.0.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            e.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// How bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The work cannot be done.
    Error,
    /// It can, but probably not as meant.
    Warning,
    /// Worth knowing.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        })
    }
}

/// Something to show to a person, with its source line:
///
/// ```text
/// error: bottom `res2a` is made by no layer above
///   --> models/resnet50/deploy.prototxt:214:11
///     |  bottom: "res2a"          layer `res2b_branch2a` (Convolution)
///     = similar: `res2a_branch1`
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnostic {
    /// How bad.
    pub severity: Severity,
    /// One sentence.
    pub message: String,
    /// Where.
    pub place: Option<Located>,
    /// Printed behind the source line: what it belongs to.
    pub label: Option<String>,
    /// Printed under it, one line each.
    pub notes: Vec<String>,
}

impl Diagnostic {
    /// A warning.
    pub fn warning(message: impl Into<String>, place: Option<Located>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Warning,
            message: message.into(),
            place,
            label: None,
            notes: Vec::new(),
        }
    }

    /// An error.
    pub fn error(message: impl Into<String>, place: Option<Located>) -> Diagnostic {
        Diagnostic { severity: Severity::Error, ..Diagnostic::warning(message, place) }
    }

    /// Worth knowing.
    pub fn note(message: impl Into<String>, place: Option<Located>) -> Diagnostic {
        Diagnostic { severity: Severity::Note, ..Diagnostic::warning(message, place) }
    }

    /// The same with a label.
    pub fn with_label(mut self, label: impl Into<String>) -> Diagnostic {
        self.label = Some(label.into());
        self
    }

    /// The same with one more note.
    pub fn with_note(mut self, note: impl Into<String>) -> Diagnostic {
        self.notes.push(note.into());
        self
    }
}

impl From<Error> for Diagnostic {
    fn from(e: Error) -> Diagnostic {
        e.diagnostic()
    }
}

/// Longest piece of a source line that is shown.
const SHOWN: usize = 96;
/// Where labels start.
const LABEL_COLUMN: usize = 25;

/// A text with its control characters but line ends and tabs as escapes: what a file says must not move
/// the cursor of a terminal.
pub fn printable(text: &str) -> Cow<'_, str> {
    let harms = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(harms) {
        return Cow::Borrowed(text);
    }
    let shown = |c: char| if harms(c) { c.escape_default().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(shown).collect())
}

/// The line, or the piece of it around the byte `at`, fit for a terminal.
fn excerpt(line: &str, at: usize) -> String {
    let clean = |text: &str| -> String {
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>()
    };
    if line.chars().nth(SHOWN).is_none() {
        return clean(line).trim().to_string();
    }
    let back = line[..at].char_indices().rev().nth(SHOWN / 3 - 1);
    let start = back.map_or(0, |(i, _)| i);
    let rest = &line[start..];
    let end = rest.char_indices().nth(SHOWN).map_or(rest.len(), |(i, _)| i);
    let head = if start > 0 { "…" } else { "" };
    let tail = if end < rest.len() { "…" } else { "" };
    format!("{head}{}{tail}", clean(&rest[..end]).trim())
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity, printable(&self.message))?;
        if let Some(place) = &self.place {
            write!(f, "\n  --> {place}")?;
            let (line, at) = place.source.line_of(place.span.start);
            let line = excerpt(line, at);
            match self.label.as_deref().map(printable) {
                Some(label) => {
                    let gap = LABEL_COLUMN.saturating_sub(line.chars().count()).max(2);
                    write!(f, "\n    |  {line}{:gap$}{label}", "")?;
                }
                None if line.is_empty() => {}
                None => write!(f, "\n    |  {line}")?,
            }
        } else if let Some(label) = &self.label {
            write!(f, "\n    |  {}", printable(label))?;
        }
        for note in &self.notes {
            write!(f, "\n    = {}", printable(note))?;
        }
        Ok(())
    }
}
