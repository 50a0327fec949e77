//! `cortado caffemodel`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use cortado::files::check_outputs;
use cortado::tools::{npy, weights};
use cortado_layers::Shape;
use serde_json::json;

use super::model::not_a_state;
use super::{Failure, say, tolerance};

/// Look into files of trained weights, compare and change them
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  cortado caffemodel list net.caffemodel\n  \
    cortado caffemodel diff a.caffemodel b.caffemodel --tolerance 1e-6\n  \
    cortado caffemodel extract net.caffemodel weights.npz\n  \
    cortado caffemodel replace net.caffemodel conv1 0 conv1.npy new.caffemodel\n  \
    cortado caffemodel average a.caffemodel b.caffemodel --output mean.caffemodel")]
pub struct CaffemodelArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// List the blobs with their shapes and statistics
    #[command(after_help = "Example:\n  cortado caffemodel list net.caffemodel")]
    List {
        /// The weights (.caffemodel, .caffemodel.h5)
        file: PathBuf,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Compare two files; exit code 1 when they differ
    #[command(
        after_help = "Example:\n  cortado caffemodel diff a.caffemodel b.caffemodel --tolerance 1e-6"
    )]
    Diff {
        /// The weights
        first: PathBuf,
        /// The others
        second: PathBuf,
        /// Values that differ by no more than this are the same
        #[arg(long, default_value_t = 0.0, value_name = "X", value_parser = tolerance, allow_negative_numbers = true)]
        tolerance: f64,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Write the blobs as arrays named layer/number
    #[command(
        after_help = "Examples:\n  cortado caffemodel extract net.caffemodel weights.npz\n  \
        cortado caffemodel extract net.caffemodel conv1.safetensors --layer conv1\n\n\
        Of several layers named ip the second is ip#1, the third ip#2."
    )]
    Extract {
        /// The weights
        file: PathBuf,
        /// Where they go (.npz, .safetensors)
        output: PathBuf,
        /// Of this layer only
        #[arg(long, value_name = "NAME")]
        layer: Option<String>,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Write the file anew with other values in one blob
    #[command(
        after_help = "Example:\n  cortado caffemodel replace net.caffemodel conv1 0 conv1.npy new.caffemodel"
    )]
    Replace {
        /// The weights
        file: PathBuf,
        /// Name of the layer (of several named ip the second is ip#1)
        layer: String,
        /// Number of the blob
        index: usize,
        /// The values (.npy)
        values: PathBuf,
        /// Where the new file goes
        output: PathBuf,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Write the mean of several files
    #[command(
        after_help = "Example:\n  cortado caffemodel average a.caffemodel b.caffemodel --output mean.caffemodel"
    )]
    Average {
        /// The weights
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Where the mean goes
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command.
pub fn run(args: CaffemodelArgs) -> Result<(), Failure> {
    match args.action {
        Action::List { file, json } => list(&file, json),
        Action::Diff { first, second, tolerance, json } => {
            diff(&first, &second, tolerance as f32, json)
        }
        Action::Extract { file, output, layer, json } => {
            prepared(&[&file], &output)?;
            let arrays = weights::arrays(weights::read(&file)?, layer.as_deref())?;
            npy::save_arrays(&output, &arrays)?;
            match json {
                true => say(&json!({ "path": output, "arrays": arrays.len() }).to_string()),
                false => say(&format!("{}: {} arrays", output.display(), arrays.len())),
            }
            Ok(())
        }
        Action::Replace { file, layer, index, values, output, json } => {
            prepared(&[&file, &values], &output)?;
            let values = npy::read_npy(&values)?;
            weights::replace(&file, &layer, index, &values, &output)?;
            match json {
                true => say(&json!({ "path": output, "layer": layer, "index": index }).to_string()),
                false => say(&format!("written to {}", output.display())),
            }
            Ok(())
        }
        Action::Average { files, output, json } => {
            let paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
            prepared(&paths, &output)?;
            weights::average(&paths, &output)?;
            match json {
                true => say(&json!({ "path": output, "files": files }).to_string()),
                false => say(&format!("{}: the mean of {} files", output.display(), files.len())),
            }
            Ok(())
        }
    }
}

/// Before the work is done: all files are weights, and the result takes the place of none of them.
fn prepared(files: &[&Path], output: &Path) -> Result<(), Failure> {
    files.iter().try_for_each(|file| not_a_state(file))?;
    Ok(check_outputs(&[output], files)?)
}

fn list(file: &Path, as_json: bool) -> Result<(), Failure> {
    not_a_state(file)?;
    let blobs = weights::read(file)?;
    let values: usize = blobs.iter().map(|blob| blob.data.len()).sum();
    if as_json {
        let entry = |blob: &weights::WeightBlob| {
            let s = blob.statistics();
            json!({
                "layer": blob.layer, "twin": blob.twin, "type": blob.type_name, "index": blob.index,
                "shape": blob.shape, "min": s.min, "max": s.max, "mean": s.mean, "std": s.std,
                "zeros": s.zeros, "not_finite": s.not_finite,
            })
        };
        let entries: Vec<_> = blobs.iter().map(entry).collect();
        say(&json!({ "blobs": entries, "values": values }).to_string());
        return Ok(());
    }
    let width = blobs.iter().map(|blob| blob.name().chars().count()).max().unwrap_or(0).max(4);
    say(&format!(
        "{:width$}  {:14} {:>16} {:>11} {:>11} {:>11} {:>11}",
        "blob", "type", "shape", "min", "max", "mean", "std"
    ));
    for blob in &blobs {
        let s = blob.statistics();
        let odd = match s.not_finite {
            0 => String::new(),
            count => format!("  {count} not finite"),
        };
        say(&format!(
            "{:width$}  {:14} {:>16} {:>11.4e} {:>11.4e} {:>11.4e} {:>11.4e}{odd}",
            blob.name(),
            blob.type_name,
            Shape::new(&blob.shape).to_string(),
            s.min,
            s.max,
            s.mean,
            s.std
        ));
    }
    say(&format!("{} blobs, {values} values", blobs.len()));
    Ok(())
}

fn diff(first: &Path, second: &Path, tolerance: f32, as_json: bool) -> Result<(), Failure> {
    [first, second].into_iter().try_for_each(not_a_state)?;
    let found = weights::diff(&weights::read(first)?, &weights::read(second)?, tolerance);
    let told: Vec<String> = found.iter().map(ToString::to_string).collect();
    if as_json {
        say(&json!({ "differences": told }).to_string());
    }
    if !told.is_empty() {
        let (first, second) = (first.display(), second.display());
        let many = told.len();
        let told = told.join("\n");
        return Err(Failure::Input(format!(
            "error: `{first}` and `{second}` differ in {many} blobs\n{told}"
        )));
    }
    if !as_json {
        say("the same");
    }
    Ok(())
}
