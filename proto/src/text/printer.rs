//! Message → text, as Google's `TextFormat` prints it: fields in number order, two spaces per level,
//! floats as short as they read back.

use std::collections::HashMap;
use std::fmt::Write;

use prost::encoding::decode_varint;
use prost::{Message, Name};

use crate::schema::{self, Kind, schema};

/// The message as text.
pub fn print<M: Message + Name>(message: &M) -> String {
    print_with(message, &[])
}

/// The message as text, with fields that the schema does not know: the path of the block each stands
/// in (empty for the message itself), and its text.
pub fn print_with<M: Message + Name>(message: &M, unknown: &[(String, String)]) -> String {
    let mut printer = Printer { out: String::new(), path: Vec::new(), unknown };
    if let Some(index) = schema().index(M::NAME) {
        printer.walk(&message.encode_to_vec(), &schema().messages[index]);
    }
    printer.out
}

struct Printer<'a> {
    out: String,
    /// The blocks around, as paths name them.
    path: Vec<String>,
    unknown: &'a [(String, String)],
}

impl Printer<'_> {
    /// Prints the fields of encoded bytes. The bytes come from our own encoder, so a field that does
    /// not follow the wire format ends the walk.
    fn walk(&mut self, mut bytes: &[u8], message: &schema::Message) -> Option<()> {
        let mut seen: HashMap<u32, usize> = HashMap::new();
        while !bytes.is_empty() {
            let key = decode_varint(&mut bytes).ok()?;
            let field = message.field_number((key >> 3) as u32);
            match key & 7 {
                0 => {
                    let value = decode_varint(&mut bytes).ok()?;
                    if let Some(f) = field {
                        self.line(f, &varint(f.kind, value));
                    }
                }
                1 => {
                    let value = f64::from_le_bytes(bytes.split_off(..8)?.try_into().ok()?);
                    if let Some(f) = field {
                        self.line(f, &double(value));
                    }
                }
                5 => {
                    let value = f32::from_le_bytes(bytes.split_off(..4)?.try_into().ok()?);
                    if let Some(f) = field {
                        self.line(f, &float(value));
                    }
                }
                2 => {
                    let length = decode_varint(&mut bytes).ok()?;
                    let content = bytes.split_off(..usize::try_from(length).ok()?)?;
                    if let Some(f) = field {
                        let index = seen.entry(f.number).or_default();
                        self.delimited(f, content, *index)?;
                        *index += 1;
                    }
                }
                _ => return None,
            }
        }
        if !self.unknown.is_empty() {
            let path = self.path.join(".");
            let indent = 2 * self.path.len();
            for (_, text) in self.unknown.iter().filter(|(at, _)| *at == path) {
                let _ = writeln!(self.out, "{:indent$}{text}", "");
            }
        }
        Some(())
    }

    fn delimited(&mut self, f: &schema::Field, mut content: &[u8], index: usize) -> Option<()> {
        match f.kind {
            Kind::Message(message) => {
                let indent = 2 * self.path.len();
                let _ = writeln!(self.out, "{:indent$}{} {{", "", f.name);
                let repeated = f.count == schema::Count::Repeated;
                let index = if repeated { format!("[{index}]") } else { String::new() };
                self.path.push(format!("{}{index}", f.name));
                self.walk(content, &schema().messages[message])?;
                self.path.pop();
                let _ = writeln!(self.out, "{:indent$}}}", "");
            }
            Kind::String | Kind::Bytes => self.line(f, &quoted(content)),
            // Packed numbers.
            kind => {
                while !content.is_empty() {
                    let text = match kind {
                        Kind::Float => {
                            float(f32::from_le_bytes(content.split_off(..4)?.try_into().ok()?))
                        }
                        Kind::Double => {
                            double(f64::from_le_bytes(content.split_off(..8)?.try_into().ok()?))
                        }
                        kind => varint(kind, decode_varint(&mut content).ok()?),
                    };
                    self.line(f, &text);
                }
            }
        }
        Some(())
    }

    fn line(&mut self, f: &schema::Field, value: &str) {
        let indent = 2 * self.path.len();
        let _ = writeln!(self.out, "{:indent$}{}: {value}", "", f.name);
    }
}

fn varint(kind: Kind, value: u64) -> String {
    match kind {
        Kind::Bool => (value != 0).to_string(),
        Kind::Int32 | Kind::Int64 => (value as i64).to_string(),
        Kind::Enum(e) => {
            let number = value as i64;
            let values = &schema().enums[e].values;
            let named = values.iter().find(|&&(_, n)| i64::from(n) == number);
            named.map_or_else(|| number.to_string(), |(name, _)| name.clone())
        }
        _ => value.to_string(),
    }
}

/// C escapes; bytes beyond ASCII as three octal digits.
fn quoted(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for &b in bytes {
        match b {
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            b'"' => out.push_str("\\\""),
            b'\'' => out.push_str("\\'"),
            b'\\' => out.push_str("\\\\"),
            0x20..0x7f => out.push(b as char),
            _ => {
                let _ = write!(out, "\\{b:03o}");
            }
        }
    }
    out.push('"');
    out
}

/// Six digits when they read back as the same number, else nine.
fn float(value: f32) -> String {
    let short = general(value.into(), 6);
    if short.parse() == Ok(value) { short } else { general(value.into(), 9) }
}

/// Fifteen digits when they read back as the same number, else seventeen.
fn double(value: f64) -> String {
    let short = general(value, 15);
    if short.parse() == Ok(value) { short } else { general(value, 17) }
}

/// C's `%.{digits}g`.
fn general(value: f64, digits: usize) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf".into() } else { "-inf".into() };
    }
    let scientific = format!("{value:.*e}", digits - 1);
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |s: &str| {
        if s.contains('.') {
            s.trim_end_matches('0').trim_end_matches('.').into()
        } else {
            s.to_string()
        }
    };
    if exponent < -4 || exponent >= digits as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", trim(mantissa), exponent.abs())
    } else {
        let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
        trim(&format!("{value:.decimals$}"))
    }
}
