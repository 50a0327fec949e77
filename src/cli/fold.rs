//! `cortado fold`.

use std::path::{Path, PathBuf};

use clap::Args;
use cortado::batch_norm::{self, Given, OutputError, Trained};
use cortado::files::check_outputs;
use cortado::net::{NetOptions, NetState};
use cortado_layers::{Phase, Shape};
use serde_json::json;

use super::model::read_net;
use super::{Failure, RunArgs, log, say, tolerance, without_data};

/// Fold BatchNorm, Scale and Bias into the layers beside them, and prove that the outputs stay
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  cortado fold deploy.prototxt net.caffemodel \\\n    \
                        -o folded.prototxt folded.caffemodel")]
pub struct FoldArgs {
    /// The net (.prototxt); its layers of phase TEST are folded
    #[arg(value_name = "NET")]
    net: PathBuf,
    /// Trained weights
    #[arg(value_name = "WEIGHTS")]
    weights: PathBuf,
    /// Where the folded net and its weights go
    #[arg(short, long, num_args = 2, value_names = ["NET2", "WEIGHTS2"])]
    output: Vec<PathBuf>,
    #[command(flatten)]
    proof: ProofArgs,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    run: RunArgs,
}

/// How the outputs of the nets before and after are compared.
#[derive(Args, Clone, Debug)]
pub struct ProofArgs {
    /// Largest relative difference of an output on noise; nothing is written beyond it
    #[arg(long, default_value_t = 1e-4, value_name = "ERROR", value_parser = tolerance, allow_negative_numbers = true)]
    tolerance: f64,
    /// Shape of what data layers read, where their fields do not say it
    #[arg(long, value_name = "NxCxHxW", value_parser = without_data::shape)]
    assume_shape: Option<Shape>,
}

impl ProofArgs {
    /// How nets are built for the comparison.
    pub fn given(&self, run: &RunArgs) -> Result<Given, Failure> {
        let mut options = NetOptions::new(Phase::Test);
        options.state =
            NetState { phase: Phase::Test, level: run.level, stages: run.stage.clone() };
        options.pool = run.pool()?;
        Ok(Given { options, assumed: self.assume_shape.clone() })
    }

    /// Prints the differences; fails where one is too large.
    pub fn judge(&self, errors: &[OutputError], quiet: bool) -> Result<(), Failure> {
        for error in errors.iter().filter(|_| !quiet) {
            let OutputError { blob, relative, off, .. } = error;
            let rare = match *relative > self.tolerance && error.is_within(self.tolerance) {
                true => format!(
                    ", in {:.2} % of its values: where pooling chose another of two nearly equal values",
                    100.0 * off
                ),
                false => String::new(),
            };
            say(&format!("output {blob}: largest relative error {relative:.1e}{rare}"));
        }
        let wrong = errors.iter().filter(|error| !error.is_within(self.tolerance));
        match wrong.max_by(|a, b| a.relative.total_cmp(&b.relative)) {
            None => Ok(()),
            Some(worst) => Err(Failure::Input(format!(
                "error: output `{}` differs by {:.1e}, more than {:.1e}: nothing is written",
                worst.blob, worst.relative, self.tolerance
            ))),
        }
    }
}

/// Copies that the net makes for several readers are told by the blob that they are copies of.
fn by_their_own_names(errors: Vec<OutputError>, trained: &Trained) -> Vec<OutputError> {
    let copies: Vec<(String, &String)> = trained
        .layers
        .iter()
        .flat_map(|layer| {
            let name = layer.def.name();
            let tops = layer.def.top.iter().enumerate();
            tops.map(move |(i, top)| (format!("{top}_{name}_{i}_split_"), top))
        })
        .collect();
    let mut told: Vec<OutputError> = Vec::new();
    for mut error in errors {
        let copy = copies.iter().find(|(prefix, _)| error.blob.starts_with(prefix));
        if let Some((prefix, top)) = copy {
            let rest = error.blob[prefix.len()..].trim_start_matches(|c: char| c.is_ascii_digit());
            error.blob = format!("{top}{rest}");
        }
        if !told.iter().any(|known| known.blob == error.blob) {
            told.push(error);
        }
    }
    told
}

/// Runs the command.
pub fn run(args: FoldArgs) -> Result<(), Failure> {
    let given = args.proof.given(&args.run)?;
    args.run.note();
    let outputs: Vec<&Path> = args.output.iter().map(PathBuf::as_path).collect();
    check_outputs(&outputs, &[&args.net, &args.weights])?;
    // What comes out of a pipe is read once.
    if args.net.is_file() {
        read_net(&args.net)?;
    }
    let (trained, mut before) = Trained::read(&args.net, &[args.weights], &given)?;
    trained.notes.iter().for_each(|note| log::plain(&note.to_string()));
    for layer in &trained.rest {
        let name = layer.param.name();
        log::plain(&format!("note: `{name}` is left out: the net has no such layer in phase TEST"));
    }
    let folded = batch_norm::fold(&trained);
    let (after, mut net) = trained.rebuilt(folded.text.clone(), &folded.blobs, &given)?;
    let errors = by_their_own_names(batch_norm::compare(&mut before, &mut net)?, &trained);
    if args.json {
        let report = json!({
            "folded": folded.folds,
            "kept": folded.kept,
            "outputs": errors,
            "layers": [trained.layers.len(), after.layers.len()],
        });
        say(&report.to_string());
    } else {
        for fold in &folded.folds {
            say(&format!("folded {} ({}) into {}", fold.layer, fold.type_name, fold.into));
        }
        for kept in &folded.kept {
            say(&format!("kept   {} ({}): {}", kept.layer, kept.type_name, kept.why));
        }
        say(&format!("{} layers, before {}", after.layers.len(), trained.layers.len()));
    }
    args.proof.judge(&errors, args.json)?;
    if let [net, weights] = outputs[..] {
        let note = batch_norm::write_pair(net, &folded.text, weights, &after)?;
        note.iter().for_each(|note| log::plain(&note.to_string()));
    }
    Ok(())
}
