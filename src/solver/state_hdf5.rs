//! Solver states in HDF5, as the original lays them out: `iter`, `learned_net`, `current_step`,
//! `history/<i>`. What the original does not know stands in the group `cortado`, which it passes over.

use std::path::Path;

use cortado_layers::Shape;
use cortado_proto::caffe::{DataPosition, SolverState};
use cortado_proto::wire;

use crate::hdf5::{self, Content, Reader};

pub(super) fn write(path: &Path, state: &SolverState) -> Result<(), cortado_proto::Error> {
    let mut history = Vec::new();
    for blob in &state.history {
        let (shape, _) = wire::blob_shape(blob)?;
        history.push((Shape::new(&shape), wire::blob_values(blob)?));
    }
    let mut contents = vec![
        ("iter".to_owned(), Content::Int(state.iter())),
        ("learned_net".to_owned(), Content::Text(state.learned_net().to_owned())),
        ("current_step".to_owned(), Content::Int(state.current_step())),
        ("history".to_owned(), Content::Group),
    ];
    for (i, (shape, values)) in history.iter().enumerate() {
        contents.push((format!("history/{i}"), Content::Floats(shape.clone(), values)));
    }
    let own = |name: &str| format!("cortado/{name}");
    let losses = Shape::from([state.smoothed_loss.len()]);
    if !state.smoothed_loss.is_empty() {
        contents.push((own("smoothed_loss"), Content::Floats(losses, &state.smoothed_loss)));
    }
    contents.extend(state.seed.map(|seed| (own("seed"), Content::Numbers(vec![seed]))));
    let count = state.forward_count;
    contents.extend(count.map(|count| (own("forward_count"), Content::Numbers(vec![count]))));
    for (i, at) in state.data_position.iter().enumerate() {
        let own = |name: &str| format!("cortado/data_position/{i}/{name}");
        contents.push((own("layer"), Content::Text(at.layer().to_owned())));
        contents.push((own("position"), Content::Numbers(vec![at.position()])));
    }
    hdf5::write(path, &contents)
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
    let own = |name: &str| -> Result<Option<u64>, String> {
        let path = format!("cortado/{name}");
        let there = reader.has(&path);
        there.then(|| reader.number(&path).map(|number| number as u64)).transpose()
    };
    let mut data_position = Vec::new();
    for i in 0.. {
        let group = format!("cortado/data_position/{i}");
        if !reader.has_group(&group) {
            break;
        }
        let layer = Some(reader.text(&format!("{group}/layer"))?);
        let position = own(&format!("data_position/{i}/position"))?;
        data_position.push(DataPosition { layer, position });
    }
    let losses = "cortado/smoothed_loss";
    let learned = "learned_net";
    Ok(SolverState {
        iter: Some(small("iter")?),
        learned_net: reader.has(learned).then(|| reader.text(learned)).transpose()?,
        history,
        current_step: Some(if reader.has("current_step") { small("current_step")? } else { 0 }),
        seed: own("seed")?,
        data_position,
        smoothed_loss: if reader.has(losses) { reader.read(losses)?.1 } else { Vec::new() },
        forward_count: own("forward_count")?,
        ..SolverState::default()
    })
}
