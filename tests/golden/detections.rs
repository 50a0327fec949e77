//! Detections of whole nets: as sets, since scores may lie closer than nets of different arithmetic
//! agree; and exactly, from the recorded bottoms of the layer that makes them.

use cortado::net::{Net, NetOptions};
use cortado_layers::Phase;
use cortado_proto::NetDef;

use super::compare::{DETECTIONS, Tolerance};
use super::file::Arrays;
use super::layers::set_input;

/// Whether the blob is a top of DetectionOutput.
pub fn is(net: &Net, blob: &str) -> bool {
    net.layers()
        .any(|l| l.def().r#type() == "DetectionOutput" && l.tops().any(|(top, _)| top == blob))
}

/// What is wrong with the detections of a net that has run.
pub fn wrong(net: &Net, arrays: &Arrays, near: Tolerance) -> Result<Vec<String>, String> {
    let mut wrong = Vec::new();
    let recorded: Vec<_> = arrays.under("output").filter(|(name, ..)| is(net, name)).collect();
    for (name, _, wanted) in recorded {
        let found = net.blob(name).ok_or_else(|| format!("there is no blob {name}"))?.data;
        let lost = lost(wanted, found, near).max(lost(found, wanted, near));
        // A few rows near the threshold, or a close pair, may differ.
        if lost > 3 {
            wrong.push(format!("{name}: {lost} rows differ"));
        }
        wrong.extend(alone(net, name, arrays, wanted)?);
    }
    Ok(wrong)
}

/// How many rows of `a` have no equal in `b`.
fn lost(a: &[f32], b: &[f32], near: Tolerance) -> usize {
    let missing = |row: &&[f32]| !b.chunks(7).any(|other| near.check(other, row).is_ok());
    a.chunks(7).filter(missing).count()
}

/// Runs the layer alone on its recorded bottoms, where they all are.
fn alone(net: &Net, top: &str, arrays: &Arrays, wanted: &[f32]) -> Result<Option<String>, String> {
    let layer = net.layers().find(|l| l.tops().any(|(name, _)| name == top));
    let Some(layer) = layer else { return Ok(None) };
    let mut own = layer.def().clone();
    own.param.bottom.truncate(3);
    let mut recorded = Vec::new();
    for bottom in &own.bottom {
        let Some(found) = arrays.under("output").find(|(name, ..)| name == bottom) else {
            return Ok(None);
        };
        recorded.push(found);
    }
    let text: String = recorded
        .iter()
        .map(|(name, shape, _)| {
            let dims: String = shape.iter().map(|d| format!("dim: {d} ")).collect();
            format!("layer {{ name: \"in_{name}\" type: \"Input\" top: \"{name}\" input_param {{ shape {{ {dims}}} }} }}\n")
        })
        .collect();
    let source = cortado_proto::span::Source::new("bottoms.prototxt", text);
    let mut def = NetDef::from_text(&source).map_err(|e| e.to_string())?;
    def.layers.push(own);
    let mut single = Net::build(def, &NetOptions::new(Phase::Test)).map_err(|e| e.to_string())?;
    for (name, shape, values) in recorded {
        set_input(&mut single, name, shape, values)?;
    }
    single.forward().map_err(|e| e.to_string())?;
    let found = single.blob(top).ok_or("the layer has no top")?;
    Ok(DETECTIONS
        .check(found.data, wanted)
        .err()
        .map(|why| format!("{top} from its bottoms: {why}")))
}
