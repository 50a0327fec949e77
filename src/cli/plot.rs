//! `cortado plot`.

use std::path::PathBuf;

use clap::Args;
use cortado::plot::{Series, read_csv, read_log, svg, to_csv};
use cortado_proto::{def::read_text, wire};

use super::draw::png;
use super::{Failure, log};

/// Draw loss, scores and learning rate of training logs, the original Caffe's too
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  cortado train --solver solver.prototxt 2> train.log\n  \
                        cortado plot train.log -o curves.svg\n  \
                        cortado plot with_bn.log without.log -o both.png")]
pub struct PlotArgs {
    /// Logs of training, or tables (.csv) with the iteration in the first column
    #[arg(value_name = "LOG", required = true)]
    files: Vec<PathBuf>,
    /// Where the picture goes: .svg, .png, or .csv for the numbers
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
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
    let mut all: Vec<Series> = Vec::new();
    for file in &args.files {
        let text = read_text(file)?;
        let read = if ending(file) == "csv" { read_csv } else { read_log };
        let series = read(text.text());
        if series.is_empty() {
            let file = file.display();
            return Err(Failure::Input(format!(
                "error: `{file}` has no line of training: `Iteration N, loss = …` is looked for"
            )));
        }
        let stem = file.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        all.extend(series.into_iter().map(|s| match args.files.len() {
            1 => s,
            _ => Series { name: format!("{stem}: {}", s.name), ..s },
        }));
    }
    let names: Vec<String> = args.files.iter().map(|f| f.display().to_string()).collect();
    let bytes = match to.as_str() {
        "csv" => to_csv(&all).into_bytes(),
        "svg" => svg(&names.join(", "), &all).into_bytes(),
        _ => png(&svg(&names.join(", "), &all), 1.5)?,
    };
    wire::write_file(&args.output, |out| out.write_all(&bytes))?;
    log::plain(&format!("{} curves written to {}", all.len(), args.output.display()));
    Ok(())
}
