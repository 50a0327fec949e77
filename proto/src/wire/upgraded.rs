//! A binary net in today's form, weights included. Layers that need no change, and fields that the
//! schema does not know, are written back byte for byte.

use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};

use super::cursor::{Cursor, Wire};
use super::decode_net;
use super::seal::is_seal;
use crate::def::NetDef;
use crate::error::Errors;
use crate::schema::schema;
use crate::upgrade;

/// Numbers of `NetParameter`'s fields that become layers.
const LAYERS: u32 = 2;
const LAYER: u32 = 100;
const INPUTS: [u32; 3] = [3, 4, 8];

/// The net in today's form, and what was done, one sentence each.
///
/// # Errors
/// The bytes are damaged, or an old field makes no sense.
pub fn upgraded_net(bytes: &[u8]) -> Result<(Vec<u8>, Vec<String>), Errors> {
    let mut net = NetDef::from_message(decode_net(bytes)?);
    let today: Vec<_> = net.layers.iter().map(|layer| layer.param.param.clone()).collect();
    let done = upgrade::net(&mut net)?;
    if done.is_empty() {
        return Ok((bytes.to_vec(), done));
    }
    let mut out = Vec::with_capacity(bytes.len());
    let (mut old_raw, mut new_raw) = (Vec::new(), Vec::new());
    let mut at = Cursor::new(bytes, 0);
    while !at.done() {
        let start = at.offset() as usize;
        match at.key()? {
            (LAYERS, Wire::Delimited) => old_raw.push(at.delimited()?.rest()),
            (LAYER, Wire::Delimited) => new_raw.push(at.delimited()?.rest()),
            (number, wire) => {
                at.skip(number, wire)?;
                if !INPUTS.contains(&number) && !is_seal(number) {
                    out.extend_from_slice(&bytes[start..at.offset() as usize]);
                }
            }
        }
    }
    // An Input layer comes first, then those of the old form, then those of today's.
    let first_today = net.layers.len() - today.len();
    let inputs = usize::from(first_today == old_raw.len() + 1);
    for (i, layer) in net.layers.iter().enumerate() {
        let message;
        let content = match i.checked_sub(first_today) {
            Some(j) if layer.param.param == today[j] => new_raw[j],
            // The upgrade of BatchNorm changes the `param` blocks alone.
            Some(j) => {
                message = with_params(&layer.param, new_raw[j])?;
                &message
            }
            None => {
                // "padding" layers of the oldest form fold away: then the lists do not run parallel.
                let parallel = first_today == old_raw.len() + inputs;
                let raw = i.checked_sub(inputs).filter(|_| parallel).map(|j| old_raw[j]);
                message = with_unknown(&layer.param, raw.unwrap_or(&[]))?;
                &message
            }
        };
        encode_key(LAYER, WireType::LengthDelimited, &mut out);
        encode_varint(content.len() as u64, &mut out);
        out.extend_from_slice(content);
    }
    Ok((out, done))
}

/// The old bytes of a layer with the `param` blocks of the new one. All else stays as it is, whatever a
/// fork means by the other numbers.
fn with_params(
    layer: &crate::caffe::LayerParameter,
    raw: &[u8],
) -> Result<Vec<u8>, crate::error::Error> {
    const PARAM: u32 = 6;
    let mut out = Vec::with_capacity(raw.len());
    let mut at = Cursor::new(raw, 0);
    while !at.done() {
        let start = at.offset() as usize;
        let (number, wire) = at.key()?;
        at.skip(number, wire)?;
        if number != PARAM {
            out.extend_from_slice(&raw[start..at.offset() as usize]);
        }
    }
    for param in &layer.param {
        encode_key(PARAM, WireType::LengthDelimited, &mut out);
        encode_varint(param.encoded_len() as u64, &mut out);
        out.extend(param.encode_to_vec());
    }
    Ok(out)
}

/// The layer's bytes, and the fields of its old bytes whose numbers no layer message knows.
fn with_unknown(
    layer: &crate::caffe::LayerParameter,
    raw: &[u8],
) -> Result<Vec<u8>, crate::error::Error> {
    let messages = ["LayerParameter", "V1LayerParameter"].map(|name| schema().message(name));
    let known = |n: u32| messages.iter().flatten().any(|m| m.field_number(n).is_some());
    let mut out = layer.encode_to_vec();
    let mut at = Cursor::new(raw, 0);
    while !at.done() {
        let start = at.offset() as usize;
        let (number, wire) = at.key()?;
        at.skip(number, wire)?;
        if !known(number) {
            out.extend_from_slice(&raw[start..at.offset() as usize]);
        }
    }
    Ok(out)
}
