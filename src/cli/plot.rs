//! `cortado plot`.

use std::path::{Path, PathBuf};

use clap::Args;
use cortado::files::check_outputs;
use cortado::plot::{
    Panel, Series, panels_of_readings, panels_of_series, read_csv, read_log, svg, to_csv,
};
use cortado::solver::read_readings;
use cortado_proto::{def::read_text, wire};
use serde_json::json;

use super::draw::png;
use super::{Failure, log, say};

/// Draw loss, scores and learning rate of training logs, the original Caffe's too, and what probes read
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  cortado train --solver solver.prototxt 2> train.log\n  \
                        cortado plot train.log -o curves.svg\n  \
                        cortado plot with_bn.log without.log -o both.png\n  \
                        cortado train --solver solver.prototxt --probe conv1,fc3\n  \
                        cortado plot net_probe.csv -o probe.svg")]
pub struct PlotArgs {
    /// Logs of training, tables with the iteration in the first column (.csv, parse-log's), files of probes
    #[arg(value_name = "LOG", required = true)]
    files: Vec<PathBuf>,
    /// Where the picture goes: .svg, .png, or .csv for the numbers
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: PlotArgs) -> Result<(), Failure> {
    let ending = |path: &PathBuf| {
        path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default()
    };
    let to = ending(&args.output);
    if !["svg", "png", "csv"].contains(&to.as_str()) {
        let found = args.output.display();
        return Err(Failure::Usage(format!("curves go to .svg, .png or .csv; found `{found}`")));
    }
    let inputs: Vec<&Path> = args.files.iter().map(PathBuf::as_path).collect();
    check_outputs(&[&args.output], &inputs)?;
    let (mut curves, mut panels): (Vec<Series>, Vec<Panel>) = (Vec::new(), Vec::new());
    for file in &args.files {
        let text = read_text(file)?;
        let stem = file.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let of_file = |name: String| match args.files.len() {
            1 => name,
            _ => format!("{stem}: {name}"),
        };
        let readings = panels_of_readings(&read_readings(text.text()));
        if !readings.is_empty() {
            panels.extend(readings.into_iter().map(|p| Panel { name: of_file(p.name), ..p }));
            continue;
        }
        let is_table = ending(file) == "csv" || has_heading(text.text());
        let series = if is_table { read_csv(text.text()) } else { read_log(text.text()) };
        if series.is_empty() {
            let file = file.display();
            let why = match is_table {
                true => {
                    "is a table without values: rows of numbers, parted by commas, the iteration first, are looked for"
                }
                false => "has no line of training: `Iteration N, loss = …` is looked for",
            };
            return Err(Failure::Input(format!("error: `{file}` {why}")));
        }
        curves.extend(series.into_iter().map(|s| Series { name: of_file(s.name), ..s }));
    }
    // A table has the order of the files, and no headings above its columns.
    let read = panels.iter().flat_map(|panel| {
        let values = panel.series.iter().any(|series| !series.bands.is_empty());
        panel.series.iter().map(move |series| match values {
            true => series.clone(),
            false => Series { name: format!("{} {}", series.name, panel.name), ..series.clone() },
        })
    });
    let all: Vec<Series> = curves.iter().cloned().chain(read).collect();
    panels.splice(0..0, panels_of_series(curves));
    let names: Vec<String> = args.files.iter().map(|f| f.display().to_string()).collect();
    let bytes = match to.as_str() {
        "csv" => to_csv(&all).into_bytes(),
        "svg" => svg(&names.join(", "), &panels).into_bytes(),
        _ => png(&svg(&names.join(", "), &panels), 1.5)?,
    };
    wire::write_file(&args.output, |out| out.write_all(&bytes))?;
    let shown: Vec<&str> = all.iter().map(|series| series.name.as_str()).collect();
    match args.json {
        true => say(&json!({ "path": args.output, "curves": shown }).to_string()),
        false => {
            log::plain(&format!("{} curves written to {}", all.len(), args.output.display()));
        }
    }
    Ok(())
}

/// Whether a text starts as a table does, with a word, a comma and no space: lines of logs have some.
fn has_heading(text: &str) -> bool {
    let first = text.lines().next().and_then(|line| line.split_once(','));
    let is_word = |cell: &str| cell.chars().all(|c| c.is_alphanumeric() || c == '_');
    first.is_some_and(|(cell, rest)| !cell.is_empty() && is_word(cell) && !rest.starts_with(' '))
}
