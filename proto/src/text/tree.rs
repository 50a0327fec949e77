//! A text file as a tree that keeps every span and comment. It knows the grammar, not the schema:
//! which fields exist is decided when the tree becomes a message.

use std::sync::Arc;

use crate::error::ErrorKind;
use crate::span::{Located, Source, Span};

/// A whole file.
#[derive(Debug, Clone)]
pub struct Document {
    /// The text all spans point into.
    pub source: Arc<Source>,
    /// The fields at the top level.
    pub root: Message,
    /// Comments, from `#` to the end of the line.
    pub comments: Vec<Span>,
    /// Blocks still open where the file ends, outermost first: field name and opening brace.
    pub unclosed: Vec<(String, Span)>,
}

/// The fields between braces.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// In the order of the file.
    pub fields: Vec<Field>,
    /// From the opening to the closing brace.
    pub span: Span,
}

/// A name and what follows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// The name.
    pub name: String,
    /// Where the name stands.
    pub name_span: Span,
    /// From the name to the end of the value.
    pub span: Span,
    /// A colon stands behind the name.
    pub colon: bool,
    /// What it is set to.
    pub value: Value,
}

/// What a field is set to.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number, word or string.
    Scalar(Scalar),
    /// A block.
    Message(Message),
    /// `[a, b, c]`
    List(Vec<Value>, Span),
}

/// A number, word or string.
#[derive(Debug, Clone, PartialEq)]
pub struct Scalar {
    /// The value as written.
    pub literal: Literal,
    /// A minus stands in front.
    pub negative: bool,
    /// With the minus; for strings written in pieces, all of them.
    pub span: Span,
}

/// The kinds of scalars the grammar tells apart.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// A bare word: enum value, `true`, `inf`.
    Word(String),
    /// Decimal, hexadecimal or octal digits.
    Integer(String),
    /// A number with point, exponent or trailing `f`.
    Float(String),
    /// A string, unescaped; pieces are joined.
    String(Vec<u8>),
}

impl Field {
    /// The values: the items of a list, or the one value.
    pub fn values(&self) -> &[Value] {
        match &self.value {
            Value::List(items, _) => items,
            one => std::slice::from_ref(one),
        }
    }
}

impl Value {
    /// Where the value stands.
    pub fn span(&self) -> Span {
        match self {
            Value::Scalar(s) => s.span,
            Value::Message(m) => m.span,
            Value::List(_, span) => *span,
        }
    }

    /// What it is, for messages.
    pub(crate) fn describe(&self) -> String {
        match self {
            Value::Scalar(s) => s.describe(),
            Value::Message(_) => "a block".to_string(),
            Value::List(..) => "a list".to_string(),
        }
    }
}

/// Why a scalar does not become the wanted type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misfit {
    Type,
    Range,
}

impl Scalar {
    pub(crate) fn describe(&self) -> String {
        let minus = if self.negative { "-" } else { "" };
        match &self.literal {
            Literal::Word(w) => format!("`{minus}{w}`"),
            Literal::Integer(n) | Literal::Float(n) => format!("`{minus}{n}`"),
            Literal::String(s) => {
                let text = String::from_utf8_lossy(s);
                if text.chars().count() > 40 { "a string".into() } else { format!("\"{text}\"") }
            }
        }
    }

    /// Digits in C's notation: `0x1F`, `017`, `15`. `None` where they exceed 64 bits.
    fn digits(text: &str) -> Option<u64> {
        if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            u64::from_str_radix(hex, 16).ok()
        } else if text.len() > 1 && text.starts_with('0') {
            u64::from_str_radix(text, 8).ok()
        } else {
            text.parse().ok()
        }
    }

    /// An integer in `min..=max`; a minus is only taken where `min` is negative.
    pub(crate) fn integer(&self, min: i128, max: i128) -> Result<i128, Misfit> {
        let Literal::Integer(text) = &self.literal else { return Err(Misfit::Type) };
        let size = i128::from(Scalar::digits(text).ok_or(Misfit::Range)?);
        let value = if self.negative { -size } else { size };
        if self.negative && min == 0 || value < min || value > max {
            return Err(Misfit::Range);
        }
        Ok(value)
    }

    /// A number: decimal, `inf`, `infinity` or `nan` in any case.
    pub(crate) fn float(&self) -> Result<f64, Misfit> {
        let size = match &self.literal {
            Literal::Integer(text) => {
                if text.len() > 1 && text.starts_with('0') {
                    return Err(Misfit::Type);
                }
                match text.parse::<u64>() {
                    Ok(n) => n as f64,
                    Err(_) => text.parse().map_err(|_| Misfit::Type)?,
                }
            }
            Literal::Float(text) => {
                text.trim_end_matches(['f', 'F']).parse().map_err(|_| Misfit::Type)?
            }
            Literal::Word(word) => match word.to_ascii_lowercase().as_str() {
                "inf" | "infinity" => f64::INFINITY,
                "nan" => f64::NAN,
                _ => return Err(Misfit::Type),
            },
            Literal::String(_) => return Err(Misfit::Type),
        };
        Ok(if self.negative { -size } else { size })
    }

    /// `true`, `True`, `t`, `1` and their opposites.
    pub(crate) fn boolean(&self) -> Result<bool, Misfit> {
        match &self.literal {
            Literal::Word(w) if !self.negative => match w.as_str() {
                "true" | "True" | "t" => Ok(true),
                "false" | "False" | "f" => Ok(false),
                _ => Err(Misfit::Type),
            },
            _ => self.integer(0, 1).map(|v| v == 1),
        }
    }

    /// The bytes of a string.
    pub(crate) fn bytes(&self) -> Result<&[u8], Misfit> {
        match &self.literal {
            Literal::String(s) => Ok(s),
            _ => Err(Misfit::Type),
        }
    }

    pub(crate) fn misfit(&self, misfit: Misfit, field: &str, wanted: &str) -> ErrorKind {
        match misfit {
            Misfit::Type => ErrorKind::WrongType {
                field: field.to_string(),
                expected: wanted.to_string(),
                found: self.describe(),
            },
            Misfit::Range => ErrorKind::OutOfRange {
                field: field.to_string(),
                value: self.describe(),
                kind: wanted.to_string(),
            },
        }
    }
}

impl Message {
    /// All values of the fields of this name, lists flattened, each with its field.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a Field, &'a Value)> {
        let fields = self.fields.iter().filter(move |f| f.name == name);
        fields.flat_map(|f| f.values().iter().map(move |v| (f, v)))
    }
}

impl Document {
    /// A span of this document with its source.
    pub fn located(&self, span: Span) -> Located {
        Located { source: self.source.clone(), span }
    }
}
