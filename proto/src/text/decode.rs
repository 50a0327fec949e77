//! Tree → message. The tree is encoded to wire bytes by the run-time schema and the bytes are decoded:
//! one path for every message type, and every error of the file is found on the way.

use prost::bytes::BufMut;
use prost::encoding::{WireType, encode_key, encode_varint};

use super::UnknownField;
use super::tree::{Document, Field, Literal, Message, Misfit, Scalar, Value};
use crate::error::{Error, ErrorKind};
use crate::schema::{self, Count, Kind, Schema};
use crate::span::Span;

/// Blocks a layer type from outside may bring along: only directly inside these.
const OPEN_MESSAGES: [&str; 2] = ["LayerParameter", V1_LAYER];

const V1_LAYER: &str = "V1LayerParameter";

/// A layer takes a few letters in a file and kilobytes in memory.
const MAX_LAYERS: u32 = 10_000;

pub(crate) struct Encoded {
    pub bytes: Vec<u8>,
    pub errors: Vec<Error>,
    pub unknown: Vec<UnknownField>,
    /// An unclosed block was blamed already: the end of the file needs no error of its own.
    pub unclosed_found: bool,
}

/// Encodes the document as message number `message` of the schema.
///
/// `strict` takes every unknown field for an error; without it, one that nothing known looks like is
/// handed out: a fork has it.
pub(crate) fn encode(document: &Document, message: usize, strict: bool) -> Encoded {
    let mut e = Encoder {
        schema: schema::schema(),
        document,
        strict,
        at_home: at_home(document, message),
        stack: Vec::new(),
        errors: Vec::new(),
        unknown: Vec::new(),
        shifted: false,
    };
    let mut bytes = Vec::new();
    let root = Frame { message, block: "", index: None, open: Span::default() };
    e.message(&document.root, root, &mut bytes);
    let Encoder { errors, unknown, shifted, .. } = e;
    Encoded { bytes, errors, unknown, unclosed_found: shifted }
}

/// Whether most fields of the file's top level are those of its message: a file of another kind holds
/// none.
fn at_home(document: &Document, message: usize) -> bool {
    let root = &schema::schema().messages[message];
    let fields = &document.root.fields;
    2 * fields.iter().filter(|f| root.field(&f.name).is_some()).count() > fields.len()
}

/// One open block on the way from the root to here.
#[derive(Clone, Copy)]
struct Frame<'a> {
    message: usize,
    block: &'a str,
    /// Set for repeated fields.
    index: Option<u32>,
    open: Span,
}

struct Encoder<'a> {
    schema: &'static Schema,
    document: &'a Document,
    strict: bool,
    at_home: bool,
    stack: Vec<Frame<'a>>,
    errors: Vec<Error>,
    unknown: Vec<UnknownField>,
    /// Behind a missing closing brace: fields belong to an outer block.
    shifted: bool,
}

impl<'a> Encoder<'a> {
    fn error(&mut self, kind: ErrorKind, span: Span) -> &mut Error {
        self.errors.push(Error::at(kind, self.document.located(span)));
        let last = self.errors.len() - 1;
        &mut self.errors[last]
    }

    /// `layer[3].convolution_param`
    fn path(&self) -> String {
        let mut path = String::new();
        for frame in &self.stack[1..] {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(frame.block);
            if let Some(i) = frame.index {
                path.push_str(&format!("[{i}]"));
            }
        }
        path
    }

    fn message(&mut self, block: &'a Message, frame: Frame<'a>, out: &mut Vec<u8>) {
        self.stack.push(frame);
        let schema = self.schema;
        let message = &schema.messages[frame.message];
        // How often each field stood, by its position in the schema.
        let mut seen = vec![0u32; message.fields.len()];
        for field in &block.fields {
            match message.field(&field.name) {
                Some(f) => {
                    let at = message.fields.partition_point(|g| g.number < f.number);
                    self.field(field, f, &mut seen[at], out);
                }
                None => self.unknown_field(field, message),
            }
        }
        for (f, &n) in message.fields.iter().zip(&seen) {
            if f.count == Count::Required && n == 0 && !self.shifted {
                let path = self.path();
                let path =
                    if path.is_empty() { f.name.clone() } else { format!("{path}.{}", f.name) };
                let open = Span { start: frame.open.start, end: frame.open.start + 1 };
                self.error(ErrorKind::MissingField { path }, open);
            }
        }
        self.stack.pop();
    }

    fn field(&mut self, field: &'a Field, f: &schema::Field, seen: &mut u32, out: &mut Vec<u8>) {
        let list = matches!(field.value, Value::List(..));
        if list && f.count != Count::Repeated {
            let why = "may be given once and takes no list".to_string();
            self.error(ErrorKind::Value { field: field.name.clone(), why }, field.value.span());
            return;
        }
        if f.count != Count::Repeated && *seen > 0 && !self.shifted {
            self.error(ErrorKind::Repeated { field: field.name.clone() }, field.name_span);
        }
        if list && !field.colon && !matches!(f.kind, Kind::Message(_)) && !field.values().is_empty()
        {
            let expected = format!("`:` behind `{}`", field.name);
            self.error(ErrorKind::Syntax { expected, found: "`[`".into() }, field.value.span());
        }
        for value in field.values() {
            let index = *seen;
            *seen += 1;
            match (value, f.kind) {
                (Value::Message(block), Kind::Message(message)) => {
                    let name = self.schema.messages[message].name.as_str();
                    if index >= MAX_LAYERS && OPEN_MESSAGES.contains(&name) {
                        let what = format!("number of `{}` blocks", f.name);
                        let (value, limit) = (u64::from(index) + 1, MAX_LAYERS.into());
                        self.error(ErrorKind::Limit { what, value, limit }, block.span);
                        return;
                    }
                    let index = (f.count == Count::Repeated).then_some(index);
                    let mut inner = Vec::new();
                    let frame = Frame { message, block: &field.name, index, open: block.span };
                    self.message(block, frame, &mut inner);
                    encode_key(f.number, WireType::LengthDelimited, out);
                    encode_varint(inner.len() as u64, out);
                    out.extend_from_slice(&inner);
                }
                (Value::Scalar(s), kind) if !matches!(kind, Kind::Message(_)) => {
                    if let Err(misfit) = scalar(s, f, out) {
                        self.bad_scalar(field, s, f, misfit);
                    }
                }
                (value, kind) => {
                    let expected = match kind {
                        Kind::Message(_) => "a block `{ … }`".to_string(),
                        kind => wanted(kind).to_string(),
                    };
                    let found = value.describe();
                    let kind = ErrorKind::WrongType { field: field.name.clone(), expected, found };
                    self.error(kind, value.span());
                }
            }
        }
    }

    fn bad_scalar(&mut self, field: &Field, s: &Scalar, f: &schema::Field, misfit: Misfit) {
        if self.forks_type(s, f) {
            self.hand_out(field, V1_LAYER);
            return;
        }
        if let (Kind::Enum(e), Literal::Word(_) | Literal::Integer(_)) = (f.kind, &s.literal) {
            let written = s.describe();
            let value = written.trim_matches('`').to_string();
            let values = &self.schema.enums[e].values;
            let mut near = schema::similar(&value, values.iter().map(|(n, _)| n.as_str()));
            let kind = ErrorKind::UnknownEnumValue { field: f.name.clone(), value };
            let known = near.is_empty() && values.len() <= 8;
            if known {
                near = values.iter().map(|(n, _)| n.clone()).collect();
            }
            let mut error = Error::at(kind, self.document.located(s.span));
            if known {
                error = error.note(format!("values: {}", near.join(", ")));
            } else {
                error = error.similar(&near);
            }
            self.errors.push(error);
            return;
        }
        if let (Kind::String, Literal::String(_)) = (f.kind, &s.literal) {
            self.error(ErrorKind::NotUtf8 { field: f.name.clone() }, s.span);
            return;
        }
        let wanted = if misfit == Misfit::Range { f.kind.name() } else { wanted(f.kind) };
        let kind = s.misfit(misfit, &f.name, wanted);
        let cure = cure(s, f).filter(|note| note.len() < 60);
        self.error(kind, s.span).notes.extend(cure);
    }

    /// A word that the enum of layer types of the generation before lacks: a fork's type.
    fn forks_type(&self, s: &Scalar, f: &schema::Field) -> bool {
        let word = matches!(s.literal, Literal::Word(_)) && !s.negative;
        let owner = self.stack.last().map(|frame| &self.schema.messages[frame.message]);
        !self.strict && word && f.name == "type" && owner.is_some_and(|m| m.name == V1_LAYER)
    }

    fn hand_out(&mut self, field: &Field, message: &str) {
        self.unknown.push(UnknownField {
            path: self.path(),
            message: message.to_string(),
            name: field.name.clone(),
            node: field.clone(),
            place: self.document.located(field.name_span),
        });
    }

    fn unknown_field(&mut self, field: &'a Field, message: &'static schema::Message) {
        // Behind a forgotten brace fields land one block too deep.
        if !self.document.unclosed.is_empty() {
            let schema = self.schema;
            let outer = self.stack[..self.stack.len() - 1]
                .iter()
                .rposition(|frame| schema.messages[frame.message].field(&field.name).is_some());
            if let Some(outer) = outer {
                if !self.shifted {
                    self.shifted = true;
                    // The block to close is the one just inside the field's owner.
                    let frame = self.stack[outer + 1];
                    let owner = &schema.messages[self.stack[outer].message].name;
                    let before = format!(" before `{}`", field.name);
                    let kind = ErrorKind::Unclosed { block: frame.block.to_string(), before };
                    let open = Span { start: frame.open.start, end: frame.open.start + 1 };
                    let place = self.document.located(field.name_span);
                    let at = place.position();
                    self.error(kind, open)
                        .notes
                        .push(format!("`{}` in line {} belongs to `{owner}`", field.name, at.line));
                }
                let f = schema.messages[self.stack[outer].message].field(&field.name);
                if let Some(f) = f {
                    // Only to find its own errors: the file is refused anyway.
                    let inner = self.stack.split_off(outer + 1);
                    self.field(field, f, &mut 0, &mut Vec::new());
                    self.stack.extend(inner);
                }
                return;
            }
        }
        let blocks = field.values().iter().all(|v| matches!(v, Value::Message(_)));
        if blocks && !field.values().is_empty() && OPEN_MESSAGES.contains(&message.name.as_str()) {
            self.hand_out(field, &message.name);
            return;
        }
        // Looking for what may be meant takes time; nobody reads it after so many errors.
        let error = if self.errors.len() + self.unknown.len() < super::MAX_ERRORS {
            unknown_field_error(&message.name, &field.name)
        } else {
            Error::new(ErrorKind::UnknownField { message: String::new(), field: String::new() })
        };
        let few = self.unknown.len() < super::MAX_ERRORS;
        if !self.strict && few && error.notes.is_empty() && self.at_home {
            self.hand_out(field, &message.name);
            return;
        }
        self.errors.push(error.with_place(Some(self.document.located(field.name_span))));
    }
}

/// The error for a field that `message` does not have, with what may be meant.
pub(crate) fn unknown_field_error(message: &str, name: &str) -> Error {
    let kind = ErrorKind::UnknownField { message: message.to_string(), field: name.to_string() };
    let error = Error::new(kind);
    let inside = schema::blocks_with(message, name);
    if (1..=6).contains(&inside.len()) {
        let list: Vec<_> = inside.iter().map(|b| format!("`{b}`")).collect();
        return error.note(format!("`{name}` is a field of {}", list.join(", ")));
    }
    let mut near = schema::suggest(message, name);
    if near.is_empty() && name.len() >= 4 {
        let fields = schema::schema().message(message).map_or(&[][..], |m| &m.fields);
        let ends = |f: &&schema::Field| f.name.ends_with(&format!("_{name}"));
        near = fields.iter().filter(ends).map(|f| f.name.clone()).take(3).collect();
    }
    error.similar(&near)
}

/// What to write instead of a value of the wrong type.
fn cure(s: &Scalar, f: &schema::Field) -> Option<String> {
    let text = match &s.literal {
        Literal::Word(text) => text.clone(),
        Literal::String(text) => String::from_utf8_lossy(text).trim().to_string(),
        Literal::Integer(_) | Literal::Float(_) => return None,
    };
    let quoted = matches!(s.literal, Literal::String(_));
    let value = match f.kind {
        Kind::String => format!("\"{text}\""),
        Kind::Bool => match text.to_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => "true".to_string(),
            "false" | "no" | "off" | "0" => "false".to_string(),
            _ => return None,
        },
        Kind::Enum(e) if quoted => {
            let values = &schema::schema().enums[e].values;
            match values.iter().find(|(name, _)| name.eq_ignore_ascii_case(&text)) {
                Some((name, _)) => name.clone(),
                None => {
                    let names: Vec<_> = values.iter().map(|(name, _)| name.as_str()).collect();
                    return Some(format!("values: {}", names.join(", ")));
                }
            }
        }
        Kind::Message(_) | Kind::Bytes | Kind::Enum(_) => return None,
        _ if quoted && text.parse::<f64>().is_ok() => text,
        _ => return None,
    };
    Some(format!("write `{}: {value}`", f.name))
}

fn wanted(kind: Kind) -> &'static str {
    match kind {
        Kind::Double | Kind::Float => "a number",
        Kind::Int32 => "an integer (int32)",
        Kind::Int64 => "an integer (int64)",
        Kind::Uint32 => "an integer from 0 (uint32)",
        Kind::Uint64 => "an integer from 0 (uint64)",
        Kind::Bool => "true or false",
        Kind::String | Kind::Bytes => "a string in quotes",
        Kind::Enum(_) => "one of its names without quotes",
        Kind::Message(_) => "a block",
    }
}

/// One scalar with its key.
fn scalar(s: &Scalar, f: &schema::Field, out: &mut Vec<u8>) -> Result<(), Misfit> {
    let mut varint = |value: u64| {
        encode_key(f.number, WireType::Varint, out);
        encode_varint(value, out);
    };
    match f.kind {
        Kind::Int32 => varint(s.integer(i32::MIN.into(), i32::MAX.into())? as i64 as u64),
        Kind::Int64 => varint(s.integer(i64::MIN.into(), i64::MAX.into())? as i64 as u64),
        Kind::Uint32 => varint(s.integer(0, u32::MAX.into())? as u64),
        Kind::Uint64 => varint(s.integer(0, u64::MAX.into())? as u64),
        Kind::Bool => varint(s.boolean()?.into()),
        Kind::Enum(e) => varint(enum_number(s, e)? as i64 as u64),
        Kind::Float => {
            let value = s.float()?;
            encode_key(f.number, WireType::ThirtyTwoBit, out);
            out.put_f32_le(value as f32);
        }
        Kind::Double => {
            let value = s.float()?;
            encode_key(f.number, WireType::SixtyFourBit, out);
            out.put_f64_le(value);
        }
        Kind::String | Kind::Bytes => {
            let bytes = s.bytes()?;
            if f.kind == Kind::String && std::str::from_utf8(bytes).is_err() {
                return Err(Misfit::Type);
            }
            encode_key(f.number, WireType::LengthDelimited, out);
            encode_varint(bytes.len() as u64, out);
            out.extend_from_slice(bytes);
        }
        Kind::Message(_) => return Err(Misfit::Type),
    }
    Ok(())
}

fn enum_number(s: &Scalar, e: usize) -> Result<i32, Misfit> {
    let values = &schema::schema().enums[e].values;
    let found = match &s.literal {
        Literal::Word(word) if !s.negative => values.iter().find(|(name, _)| name == word),
        Literal::Integer(_) => {
            let number = s.integer(i32::MIN.into(), i32::MAX.into())?;
            values.iter().find(|&&(_, n)| i128::from(n) == number)
        }
        _ => None,
    };
    found.map(|&(_, n)| n).ok_or(Misfit::Type)
}
