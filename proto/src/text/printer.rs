//! Message → text, as Google's `TextFormat` prints it: fields in number order, two spaces per level,
//! floats as short as they read back.

use std::fmt::Write;

use prost::encoding::decode_varint;
use prost::{Message, Name};

use crate::schema::{self, Kind, schema};

/// The message as text.
pub fn print<M: Message + Name>(message: &M) -> String {
    let mut out = String::new();
    if let Some(index) = schema().index(M::NAME) {
        walk(&message.encode_to_vec(), &schema().messages[index], 0, &mut out);
    }
    out
}

/// Prints the fields of encoded bytes. The bytes come from our own encoder, so a field that does not
/// follow the wire format ends the walk.
fn walk(mut bytes: &[u8], message: &schema::Message, depth: usize, out: &mut String) -> Option<()> {
    while !bytes.is_empty() {
        let key = decode_varint(&mut bytes).ok()?;
        let field = message.field_number((key >> 3) as u32);
        match key & 7 {
            0 => {
                let value = decode_varint(&mut bytes).ok()?;
                if let Some(f) = field {
                    line(f, depth, out, &varint(f.kind, value));
                }
            }
            1 => {
                let value = f64::from_le_bytes(bytes.split_off(..8)?.try_into().ok()?);
                if let Some(f) = field {
                    line(f, depth, out, &double(value));
                }
            }
            5 => {
                let value = f32::from_le_bytes(bytes.split_off(..4)?.try_into().ok()?);
                if let Some(f) = field {
                    line(f, depth, out, &float(value));
                }
            }
            2 => {
                let length = decode_varint(&mut bytes).ok()?;
                let content = bytes.split_off(..usize::try_from(length).ok()?)?;
                if let Some(f) = field {
                    delimited(f, content, depth, out)?;
                }
            }
            _ => return None,
        }
    }
    Some(())
}

fn delimited(f: &schema::Field, mut content: &[u8], depth: usize, out: &mut String) -> Option<()> {
    match f.kind {
        Kind::Message(index) => {
            let _ = writeln!(out, "{:1$}{2} {{", "", depth * 2, f.name);
            walk(content, &schema().messages[index], depth + 1, out)?;
            let _ = writeln!(out, "{:1$}}}", "", depth * 2);
        }
        Kind::String | Kind::Bytes => line(f, depth, out, &quoted(content)),
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
                line(f, depth, out, &text);
            }
        }
    }
    Some(())
}

fn line(f: &schema::Field, depth: usize, out: &mut String, value: &str) {
    let _ = writeln!(out, "{:1$}{2}: {value}", "", depth * 2, f.name);
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
