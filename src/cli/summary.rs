//! `cortado summary`.

use std::collections::HashSet;

use clap::Args;
use cortado::net::{LayerInfo, Net};
use cortado_layers::Shape;
use serde::Serialize;

use super::model::{ModelArgs, PlanArgs};
use super::time::PhaseArg;
use super::{Failure, RunArgs, say};

/// List the layers of a net with shapes, parameters, multiply-adds and memory
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  cortado summary models/resnet50/deploy.prototxt")]
pub struct SummaryArgs {
    /// The net (.prototxt)
    #[arg(value_name = "FILE", required_unless_present = "model")]
    file: Option<std::path::PathBuf>,
    /// The net (.prototxt), in Caffe's spelling
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    model: Option<std::path::PathBuf>,
    /// Phase of the net
    #[arg(long, value_enum, ignore_case = true, default_value = "TEST", value_name = "PHASE")]
    phase: PhaseArg,
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
    let model = ModelArgs { model: file, weights: Vec::new(), skip_mismatch: false };
    let net = model.load(args.phase.into(), &args.run, &PlanArgs::default(), true)?;
    let summary = summarise(&net);
    match args.json {
        true => say(&serde_json::to_string(&summary).map_err(|e| Failure::Input(e.to_string()))?),
        false => table(&net, &summary),
    }
    Ok(())
}

fn summarise(net: &Net) -> Summary {
    let mut seen = HashSet::new();
    let layers: Vec<Row> = net.layers().map(|layer| row(&layer, &mut seen)).collect();
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
    say(&format!("net {}", net.name()));
    say(&format!(
        "{:width$}  {:16} {:20} {:>12} {:>16} {:>10}",
        "layer", "type", "output", "params", "MACs", "memory"
    ));
    for row in rows {
        let tops: Vec<String> = row.tops.iter().map(|dims| Shape::new(dims).to_string()).collect();
        let line = format!(
            "{:width$}  {:16} {:20} {:>12} {:>16} {:>10}",
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
