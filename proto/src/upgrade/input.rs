//! `input: "data" input_dim: 1 …` or `input_shape { }` → a layer of type Input, put first.
//! Names without any shape say nothing and are dropped, as the original does.

use crate::caffe::{BlobShape, InputParameter, LayerParameter};
use crate::def::{LayerDef, NetDef, Origin};
use crate::error::Error;

pub(super) fn needs(net: &NetDef) -> bool {
    !net.param.input.is_empty()
}

pub(super) fn apply(net: &mut NetDef) -> Result<String, Error> {
    let names = std::mem::take(&mut net.param.input);
    let shapes = std::mem::take(&mut net.param.input_shape);
    let dims = std::mem::take(&mut net.param.input_dim);
    let count = names.len();
    let shape = if !shapes.is_empty() {
        if shapes.len() != count {
            return Err(wrong(
                net,
                "input_shape",
                format!("stands {} times for {count} inputs", shapes.len()),
            ));
        }
        shapes
    } else if !dims.is_empty() {
        if dims.len() != 4 * count {
            let why = format!("stands {} times for {count} inputs of 4 axes each", dims.len());
            return Err(wrong(net, "input_dim", why));
        }
        dims.chunks(4).map(|d| BlobShape { dim: d.iter().map(|&d| d.into()).collect() }).collect()
    } else {
        return Ok(format!("dropped `input` without shape: {}", names.join(", ")));
    };
    let done = format!("`input` fields became an Input layer: {}", names.join(", "));
    let param = LayerParameter {
        name: Some("input".into()),
        r#type: Some("Input".into()),
        top: names,
        input_param: Some(InputParameter { shape }),
        ..LayerParameter::default()
    };
    let place = net.place.part("input").derived(Origin::Upgrade("input fields".into()));
    net.layers.insert(0, LayerDef { param, place, extensions: Vec::new() });
    Ok(done)
}

fn wrong(net: &NetDef, field: &str, why: String) -> Error {
    Error::value(field, why).with_place(net.place.span_of(Some(field)))
}
