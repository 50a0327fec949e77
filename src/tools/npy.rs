//! Arrays in files of others: NumPy's `.npy` and `.npz` (a zip archive, not compressed), and
//! safetensors. Little-endian floats throughout.

use std::io::{self, Write};
use std::path::Path;

use cortado_proto::wire::write_file;
use serde_json::json;

use super::ToolError;

/// A named array.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Its name.
    pub name: String,
    /// Extent of each axis.
    pub shape: Vec<usize>,
    /// The values.
    pub data: Vec<f32>,
}

/// Writes one array as `.npy`.
///
/// # Errors
/// The file can't be written.
pub fn save_npy(path: &Path, shape: &[usize], data: &[f32]) -> Result<(), ToolError> {
    write_file(path, |out| npy(shape, data, out)).map_err(|e| ToolError(e.to_string()))
}

/// Writes arrays as `.npz` or, by the ending of the name, as `.safetensors`.
///
/// # Errors
/// The name ends otherwise; the file can't be written or grows too large for its format.
pub fn save_arrays(path: &Path, arrays: &[Array]) -> Result<(), ToolError> {
    let written = match path.extension().and_then(|ending| ending.to_str()) {
        Some("npz") => write_file(path, |out| npz(arrays, out)),
        Some("safetensors") => write_file(path, |out| safetensors(arrays, out)),
        _ => {
            let shown = path.display();
            return Err(ToolError(format!("`{shown}` must end in .npz or .safetensors")));
        }
    };
    written.map_err(|e| ToolError(e.to_string()))
}

fn npy(shape: &[usize], data: &[f32], out: &mut dyn Write) -> io::Result<()> {
    out.write_all(&npy_header(shape))?;
    out.write_all(&bytes(data))
}

/// Magic, version 1.0, the length of the description, the description, padded to 64 bytes in all.
fn npy_header(shape: &[usize]) -> Vec<u8> {
    let axes: String = shape.iter().map(|axis| format!("{axis}, ")).collect();
    let axes = if shape.len() == 1 { axes.trim_end() } else { axes.trim_end_matches(", ") };
    let mut text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({axes}), }}");
    while !(10 + text.len() + 1).is_multiple_of(64) {
        text.push(' ');
    }
    text.push('\n');
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend((text.len() as u16).to_le_bytes());
    header.extend(text.bytes());
    header
}

fn bytes(data: &[f32]) -> Vec<u8> {
    data.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Reads an array of floats or doubles from a `.npy` file.
///
/// # Errors
/// It is none, holds other values, or is cut off.
pub fn read_npy(path: &Path) -> Result<Array, ToolError> {
    let shown = path.display();
    let file = cortado_proto::read_file(path, u64::MAX)
        .map_err(|e| ToolError(format!("can't read `{shown}`: {e}")))?;
    parse_npy(&file).map_err(|why| ToolError(format!("`{shown}` {why}")))
}

fn parse_npy(file: &[u8]) -> Result<Array, String> {
    let cut_off = || "is cut off in its header".to_owned();
    let [b'\x93', b'N', b'U', b'M', b'P', b'Y', version, _, rest @ ..] = file else {
        return Err("is no .npy file".to_owned());
    };
    let (length, rest) = match (version, rest) {
        (1, [a, b, rest @ ..]) => (u16::from_le_bytes([*a, *b]) as usize, rest),
        (_, [a, b, c, d, rest @ ..]) => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
        _ => return Err(cut_off()),
    };
    let (header, values) = rest.split_at_checked(length).ok_or_else(cut_off)?;
    let header = String::from_utf8_lossy(header).replace(' ', "");
    let field = |name: &str| header.split_once(&format!("'{name}':")).map(|(_, rest)| rest);
    if field("fortran_order").is_none_or(|text| !text.starts_with("False")) {
        return Err("holds its axes in Fortran's order; C's is wanted".to_owned());
    }
    let size = match field("descr").and_then(|text| text.split('\'').nth(1)) {
        Some("<f4") => 4,
        Some("<f8") => 8,
        other => {
            let found = other.unwrap_or("nothing");
            return Err(format!("holds values of type {found}; <f4 and <f8 are read"));
        }
    };
    let axes = field("shape").and_then(|text| text.strip_prefix('(')?.split(')').next());
    let axes = axes.ok_or_else(|| "names no shape".to_owned())?;
    let shape: Option<Vec<usize>> =
        axes.split(',').filter(|axis| !axis.is_empty()).map(|axis| axis.parse().ok()).collect();
    let shape = shape.ok_or_else(|| format!("has the shape ({axes})"))?;
    let wanted = shape.iter().try_fold(size, |n: usize, &axis| n.checked_mul(axis));
    if wanted != Some(values.len()) {
        return Err(format!("has the shape ({axes}) and {} bytes of values", values.len()));
    }
    let value = |b: &[u8]| match *b {
        [a, b, c, d] => f32::from_le_bytes([a, b, c, d]),
        [a, b, c, d, e, f, g, h] => f64::from_le_bytes([a, b, c, d, e, f, g, h]) as f32,
        _ => 0.0,
    };
    let data = values.chunks_exact(size).map(value).collect();
    Ok(Array { name: String::new(), shape, data })
}

/// A zip archive of stored members (PKWARE, APPNOTE.TXT, sections 4.3.7, 4.3.12, 4.3.16).
fn npz(arrays: &[Array], out: &mut dyn Write) -> io::Result<()> {
    let too_large = |_| io::Error::other("an .npz file holds up to 4 GiB; take .safetensors");
    let (mut at, mut directory) = (0u64, Vec::new());
    for array in arrays {
        let name = format!("{}.npy", array.name);
        let (header, values) = (npy_header(&array.shape), bytes(&array.data));
        let mut crc = flate2::Crc::new();
        crc.update(&header);
        crc.update(&values);
        let size = u32::try_from(header.len() + values.len()).map_err(too_large)?;
        let name_length = u16::try_from(name.len()).map_err(too_large)?;
        // Version 2.0, names in UTF-8, stored, no date.
        let mut common = Vec::new();
        [20u16, 0x800, 0, 0, 0x21].iter().for_each(|v| common.extend(v.to_le_bytes()));
        [crc.sum(), size, size].iter().for_each(|v| common.extend(v.to_le_bytes()));
        [name_length, 0].iter().for_each(|v| common.extend(v.to_le_bytes()));
        let offset = u32::try_from(at).map_err(too_large)?;
        for part in [b"PK\x03\x04", &common[..], name.as_bytes(), &header, &values] {
            out.write_all(part)?;
            at += part.len() as u64;
        }
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.bytes());
    }
    let start = u32::try_from(at).map_err(too_large)?;
    let count = u16::try_from(arrays.len())
        .map_err(|_| io::Error::other("an .npz file holds up to 65535 arrays"))?;
    out.write_all(&directory)?;
    out.write_all(b"PK\x05\x06\0\0\0\0")?;
    [count, count].iter().try_for_each(|v| out.write_all(&v.to_le_bytes()))?;
    [directory.len() as u32, start].iter().try_for_each(|v| out.write_all(&v.to_le_bytes()))?;
    out.write_all(&[0, 0])
}

/// The length of the description (u64), the description as JSON, the values.
fn safetensors(arrays: &[Array], out: &mut dyn Write) -> io::Result<()> {
    let (mut at, mut header) = (0, serde_json::Map::new());
    for array in arrays {
        let end = at + 4 * array.data.len();
        let entry = json!({ "dtype": "F32", "shape": array.shape, "data_offsets": [at, end] });
        header.insert(array.name.clone(), entry);
        at = end;
    }
    let mut header = serde_json::Value::Object(header).to_string();
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    arrays.iter().try_for_each(|array| out.write_all(&bytes(&array.data)))
}
