//! `cortado deploy`.

use std::collections::HashSet;
use std::path::PathBuf;

use clap::Args;
use cortado::net::{Assumed, default_shapes};
use cortado_proto::caffe::{BlobShape, InputParameter, LayerParameter, NetStateRule, Phase};
use cortado_proto::{NetDef, text, wire};
use serde_json::json;

use super::{Failure, check, log, say, skeleton};

/// Make a deploy net from a training net: Input for the data, no losses, Softmax for its loss
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  cortado deploy train_val.prototxt -o deploy.prototxt\n  \
                        cortado deploy --reverse deploy.prototxt -o train_val.prototxt")]
pub struct DeployArgs {
    /// The net that trains and tests (with --reverse, the deploy net)
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where the deploy net goes [default: printed]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Shape of the input, where the data layer's fields do not say it
    #[arg(long, value_name = "[BLOB=]NxCxHxW", value_parser = check::assumption)]
    assume_shape: Vec<check::Assumption>,
    /// The other way: a training net to fill in, with data layers, losses, rates and fillers
    #[arg(long, conflicts_with = "assume_shape")]
    reverse: bool,
    /// Print what was done as JSON
    #[arg(long, requires = "output")]
    json: bool,
}

/// Runs the command.
pub fn run(args: DeployArgs) -> Result<(), Failure> {
    let mut def = NetDef::read(&args.file)?;
    cortado_proto::upgrade::net(&mut def)?;
    if args.reverse {
        let made = skeleton::reverse(&mut def);
        if made.is_empty() {
            let file = args.file.display();
            return Err(Failure::Input(format!(
                "error: `{file}` has neither an input nor a Softmax or Sigmoid at its end: it is no deploy net"
            )));
        }
        match args.json {
            true => say(&json!({ "path": args.output, "made": made }).to_string()),
            false => log::plain(&format!(
                "made: {}; the sources and batch sizes are placeholders",
                made.join(", ")
            )),
        }
        return write(&def, args.output);
    }
    let dropped = deploy(&mut def, &check::assumed(&args.assume_shape));
    if def.layers.is_empty() {
        let file = args.file.display();
        return Err(Failure::Input(format!(
            "error: `{file}` has no layer that a deploy net keeps"
        )));
    }
    match args.json {
        true => say(&json!({ "path": args.output, "dropped": dropped }).to_string()),
        false => log::plain(&format!("dropped: {}", dropped.join(", "))),
    }
    write(&def, args.output)
}

fn write(def: &NetDef, output: Option<PathBuf>) -> Result<(), Failure> {
    let text = text::print(&def.to_message());
    match output {
        None => say(text.trim_end()),
        Some(path) => wire::write_file(&path, |out| out.write_all(text.as_bytes()))?,
    }
    Ok(())
}

/// Whether a layer belongs to the net that runs, without stages.
fn in_test(layer: &LayerParameter) -> bool {
    let fits = |rule: &NetStateRule| {
        let phase = rule.phase.is_none() || rule.phase() == Phase::Test;
        let level = rule.min_level() <= 0 && rule.max_level.is_none_or(|max| max >= 0);
        phase && level && rule.stage.is_empty()
    };
    match layer.include.is_empty() {
        true => !layer.exclude.iter().any(fits),
        false => layer.include.iter().any(fits),
    }
}

/// What takes a loss's place: it makes the values that the loss compares.
fn head(loss: &str) -> Option<&'static str> {
    match loss {
        "SoftmaxWithLoss" => Some("Softmax"),
        "SigmoidCrossEntropyLoss" => Some("Sigmoid"),
        _ => None,
    }
}

fn measures(layer: &LayerParameter) -> bool {
    let name = layer.r#type();
    name.contains("Loss") || matches!(name, "Accuracy" | "DetectionEvaluate" | "HDF5Output")
}

/// Strips a net in place; names of what was dropped.
fn deploy(def: &mut NetDef, given: &Assumed) -> Vec<String> {
    let mut dropped = Vec::new();
    let data = |layer: &LayerParameter| {
        default_shapes(&layer.clone().into(), given).filter(|shapes| !shapes.is_empty())
    };
    // Training data stands in where the net has no data to test.
    let tests = def.layers.iter().any(|l| in_test(l) && data(l).is_some());
    def.layers.retain(|l| in_test(l) || (!tests && data(l).is_some()));
    let heads = def.layers.iter().filter(|l| head(l.r#type()).is_some()).count();
    let read_by_net: HashSet<String> = def
        .layers
        .iter()
        .filter(|l| !measures(l) && l.r#type() != "Silence")
        .flat_map(|l| l.bottom.clone())
        .collect();
    let mut gone: HashSet<String> = HashSet::new();
    let mut seen_heads: HashSet<String> = HashSet::new();
    let mut kept = Vec::with_capacity(def.layers.len());
    for mut layer in std::mem::take(&mut def.layers) {
        let name = layer.name().to_owned();
        if let Some(shapes) = data(&layer) {
            let all: Vec<String> = layer.top.clone();
            let is_label = |(i, top): &(usize, &String)| *i > 0 && top.contains("label");
            for (i, (top, shape)) in all.iter().zip(&shapes).enumerate() {
                let label = is_label(&(i, top)) || !read_by_net.contains(top);
                if label {
                    gone.insert(top.clone());
                    continue;
                }
                let mut dim: Vec<i64> = shape.iter().map(|&d| d as i64).collect();
                if let (Some(batch), None) = (dim.first_mut(), &given.first) {
                    *batch = 1;
                }
                layer.param = LayerParameter {
                    name: Some(top.clone()),
                    r#type: Some("Input".to_owned()),
                    top: vec![top.clone()],
                    input_param: Some(InputParameter { shape: vec![BlobShape { dim }] }),
                    ..LayerParameter::default()
                };
                kept.push(layer.clone());
            }
            dropped.push(name);
            continue;
        }
        if let Some(type_name) = head(layer.r#type()) {
            let bottom = layer.bottom.first().cloned().unwrap_or_default();
            dropped.push(name.clone());
            if gone.contains(&bottom) || !seen_heads.insert(bottom.clone()) {
                continue;
            }
            // Alone it is called as published deploy nets call it.
            let name = if heads == 1 { "prob".to_owned() } else { name };
            layer.param = LayerParameter {
                name: Some(name.clone()),
                r#type: Some(type_name.to_owned()),
                bottom: vec![bottom],
                top: vec![name],
                softmax_param: layer.softmax_param,
                ..LayerParameter::default()
            };
            kept.push(layer);
            continue;
        }
        if measures(&layer) || layer.bottom.iter().any(|b| gone.contains(b)) {
            gone.extend(layer.top.iter().filter(|t| !layer.bottom.contains(t)).cloned());
            dropped.push(name);
            continue;
        }
        layer.include.clear();
        layer.exclude.clear();
        layer.loss_weight.clear();
        layer.propagate_down.clear();
        // Rates do not matter any more; names share weights.
        layer.param.param.iter_mut().for_each(|p| (p.lr_mult, p.decay_mult) = (None, None));
        if layer.param.param.iter().all(|p| p.name().is_empty()) {
            layer.param.param.clear();
        }
        kept.push(layer);
    }
    def.layers = kept;
    dropped
}
