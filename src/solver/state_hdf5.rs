//! Solver states in HDF5, as the original lays them out: `iter`, `learned_net`, `current_step`,
//! `history/<i>`. What the original does not know stands in the group `cortado`, which it passes over,
//! with a checksum.

use std::path::Path;

use cortado_layers::Shape;
use cortado_proto::caffe::SolverState;
use cortado_proto::wire::{self, Disk};
use prost::Message;

use crate::hdf5::{self, Content, Reader};

/// What stands in fields that the original does not know, as bytes of the message.
const OWN: &str = "cortado/state";
/// Checksum of the whole message.
const CHECKSUM: &str = "cortado/checksum";

pub(super) fn write(
    disk: &dyn Disk,
    path: &Path,
    state: &SolverState,
) -> Result<(), cortado_proto::Error> {
    let mut history = Vec::new();
    for blob in &state.history {
        let (shape, _) = wire::blob_shape(blob)?;
        history.push((Shape::new(&shape), wire::blob_values(blob)?));
    }
    let own = SolverState {
        iter: None,
        learned_net: None,
        history: Vec::new(),
        current_step: None,
        ..state.clone()
    };
    let bytes = own.encode_to_vec().into_iter().map(u64::from).collect();
    let mut contents = vec![
        ("iter".to_owned(), Content::Int(state.iter())),
        ("learned_net".to_owned(), Content::Text(state.learned_net().to_owned())),
        ("current_step".to_owned(), Content::Int(state.current_step())),
        (OWN.to_owned(), Content::Numbers(bytes)),
        (CHECKSUM.to_owned(), Content::Numbers(vec![checksum(state)])),
        ("history".to_owned(), Content::Group),
    ];
    for (i, (shape, values)) in history.iter().enumerate() {
        contents.push((format!("history/{i}"), Content::Floats(shape.clone(), values)));
    }
    hdf5::write_on(disk, path, &contents).map(|_| ())
}

fn checksum(state: &SolverState) -> u64 {
    u64::from(crc32fast::hash(&state.encode_to_vec()))
}

/// The generation alone.
pub(super) fn generation(path: &Path) -> Option<u32> {
    own(&Reader::open(path).ok()?).ok()?.generation
}

/// What the original does not know; nothing in a file of its own.
fn own(reader: &Reader) -> Result<SolverState, String> {
    if !reader.has_group("cortado") {
        return Ok(SolverState::default());
    }
    let bytes: Vec<u8> = reader.numbers(OWN)?.into_iter().map(|n| n as u8).collect();
    wire::decode_state(&bytes).map_err(|e| e.to_string())
}

pub(super) fn read(path: &Path) -> Result<SolverState, String> {
    let reader = Reader::open(path)?;
    if !reader.has_group("history") && reader.has_group("data") {
        return Err("these are weights, not a solver's state".to_owned());
    }
    let small = |name: &str| -> Result<i32, String> {
        let number = reader.number(name)?;
        i32::try_from(number).map_err(|_| format!("`{name}` is {number}, too large"))
    };
    let (_, blobs) = reader.names("history")?;
    let mut history = Vec::new();
    for i in 0..blobs.len() {
        let (shape, values) = reader.read(&format!("history/{i}"))?;
        history.push(wire::blob_proto(&shape, &values));
    }
    let is_ours = reader.has_group("cortado");
    let learned = "learned_net";
    let state = SolverState {
        iter: Some(small("iter")?),
        learned_net: reader.has(learned).then(|| reader.text(learned)).transpose()?,
        history,
        current_step: Some(if reader.has("current_step") { small("current_step")? } else { 0 }),
        ..own(&reader)?
    };
    if is_ours && reader.number(CHECKSUM)? as u64 != checksum(&state) {
        return Err("the file has changed since it was written: its checksum differs".to_owned());
    }
    Ok(state)
}
