//! `cortado summary`.

use std::collections::{HashMap, HashSet};

use clap::Args;
use cortado::net::{LayerInfo, Net, default_shapes};
use cortado_layers::Shape;
use cortado_proto::NetDef;
use serde::Serialize;

use super::model::{PlanArgs, options, read_net};
use super::time::PhaseArg;
use super::{Failure, RunArgs, log, say, without_data};

/// List the layers of a net with shapes, parameters, multiply-adds and memory
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  cortado summary models/resnet50/deploy.prototxt\n  \
                        cortado summary --assume-shape 32x3x227x227 train_val.prototxt")]
pub struct SummaryArgs {
    /// The net (.prototxt)
    #[arg(value_name = "FILE", required_unless_present = "model")]
    file: Option<std::path::PathBuf>,
    /// The net (.prototxt), in Caffe's spelling
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    model: Option<std::path::PathBuf>,
    /// Phase of the net [default: TEST, or TRAIN where only that builds]
    #[arg(long, value_enum, ignore_case = true, value_name = "PHASE")]
    phase: Option<PhaseArg>,
    /// Shape of what data layers read, without looking at the data; of one blob, after its name
    #[arg(long, value_name = "[BLOB=]NxCxHxW", value_parser = without_data::assumption)]
    assume_shape: Vec<without_data::Assumption>,
    /// Print the table as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    run: RunArgs,
}

/// A line of the table.
#[derive(Serialize)]
struct Row {
    name: String,
    #[serde(rename = "type")]
    type_name: String,
    tops: Vec<Vec<usize>>,
    /// Elements of its own parameters; those it shares count where they are made.
    params: usize,
    /// Multiply-adds of convolutions and inner products.
    macs: u64,
    /// Bytes of the memory its tops add to the net.
    activation_bytes: usize,
}

#[derive(Serialize)]
struct Summary {
    name: String,
    layers: Vec<Row>,
    params: usize,
    macs: u64,
    activation_bytes: usize,
}

/// Runs the command.
pub fn run(args: SummaryArgs) -> Result<(), Failure> {
    let Some(file) = args.file.or(args.model) else {
        return Err(Failure::Usage("a net is wanted".to_owned()));
    };
    let def = read_net(&file)?;
    let given = without_data::assumed(&args.assume_shape);
    without_data::known(&given, &without_data::data_tops(&def))?;
    let phase = without_data::shown_phase(&def, args.phase, &args.run, &given);
    let options = options(phase, &args.run, &PlanArgs::default(), true)?;
    // Data that is there tells shapes better than fields do.
    let looked_at =
        if args.assume_shape.is_empty() { Net::build(def.clone(), &options).ok() } else { None };
    let net = match looked_at {
        Some(net) => net,
        None => Net::without_data(def.clone(), &options, &|layer| default_shapes(layer, &given))?,
    };
    args.run.note();
    net.notes().iter().for_each(|note| log::plain(&note.to_string()));
    let summary = summarise(&net, &def);
    match args.json {
        true => say(&serde_json::to_string(&summary).map_err(|e| Failure::Input(e.to_string()))?),
        false => table(&net, &summary),
    }
    Ok(())
}

fn summarise(net: &Net, def: &NetDef) -> Summary {
    let mut seen = HashSet::new();
    // Where the data is not there, other layers stand in.
    let read = def.layers.iter().filter(|layer| layer.bottom.is_empty());
    let types: HashMap<&str, &str> = read.map(|l| (l.name(), l.r#type())).collect();
    let layers: Vec<Row> = net
        .layers()
        .map(|layer| {
            let own = types.get(layer.name()).filter(|_| layer.bottoms().next().is_none());
            let row = row(&layer, &mut seen);
            let type_name = own.map_or(row.type_name, |&own| own.to_owned());
            Row { type_name, ..row }
        })
        .collect();
    Summary {
        name: net.name().to_owned(),
        params: layers.iter().map(|row| row.params).sum(),
        macs: layers.iter().map(|row| row.macs).sum(),
        activation_bytes: layers.iter().map(|row| row.activation_bytes).sum(),
        layers,
    }
}

fn row(layer: &LayerInfo<'_>, seen: &mut HashSet<usize>) -> Row {
    let own = layer.params().filter(|&(id, _)| seen.insert(id));
    let params = own.map(|(_, shape)| shape.count()).sum();
    let tops: Vec<&Shape> = layer.tops().map(|(_, shape)| shape).collect();
    let new_memory = !layer.is_alias() && !layer.in_place();
    Row {
        name: layer.name().to_owned(),
        type_name: layer.def().r#type().to_owned(),
        params,
        macs: layer.macs(),
        activation_bytes: if new_memory { tops.iter().map(|t| 4 * t.count()).sum() } else { 0 },
        tops: tops.into_iter().map(|shape| shape.to_vec()).collect(),
    }
}

fn table(net: &Net, summary: &Summary) {
    let rows: Vec<&Row> = summary.layers.iter().filter(|row| row.type_name != "Split").collect();
    let width = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(5).max(5);
    let types = rows.iter().map(|row| row.type_name.chars().count()).max().unwrap_or(0).max(16);
    say(&format!("net {}", net.name()));
    say(&format!(
        "{:width$}  {:types$} {:20} {:>12} {:>16} {:>10}",
        "layer", "type", "output", "params", "MACs", "memory"
    ));
    for row in rows {
        let tops: Vec<String> = row.tops.iter().map(|dims| Shape::new(dims).to_string()).collect();
        let line = format!(
            "{:width$}  {:types$} {:20} {:>12} {:>16} {:>10}",
            row.name,
            row.type_name,
            tops.join(" "),
            zero_as_dash(row.params as u64, row.params.to_string()),
            zero_as_dash(row.macs, row.macs.to_string()),
            zero_as_dash(row.activation_bytes as u64, bytes(row.activation_bytes)),
        );
        say(line.trim_end());
    }
    say(&format!(
        "total: {} parameters ({}), {} MACs (convolutions and inner products), {} of activations",
        scaled(summary.params as u64),
        bytes(4 * summary.params),
        scaled(summary.macs),
        bytes(summary.activation_bytes)
    ));
}

fn zero_as_dash(value: u64, text: String) -> String {
    if value == 0 { "-".to_owned() } else { text }
}

/// `25.6 M`, `3.86 G`: three digits.
fn scaled(value: u64) -> String {
    let (unit, size) = match value {
        1_000_000_000.. => (" G", 1e9),
        1_000_000.. => (" M", 1e6),
        1_000.. => (" k", 1e3),
        _ => return value.to_string(),
    };
    let value = value as f64 / size;
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$}{unit}")
}

fn bytes(value: usize) -> String {
    match value {
        0x10_0000.. => format!("{:.1} MiB", value as f64 / f64::from(1 << 20)),
        0x400.. => format!("{:.1} KiB", value as f64 / 1024.0),
        _ => format!("{value} B"),
    }
}
