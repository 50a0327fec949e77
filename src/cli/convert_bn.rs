//! `cortado convert-bn`.

use std::path::{Path, PathBuf};

use clap::Args;
use cortado::batch_norm::{self, Conversion, Trained};
use cortado::files::check_outputs;
use cortado_proto::wire;
use serde_json::json;

use super::fold::ProofArgs;
use super::model::read_net;
use super::{Failure, RunArgs, log, say};

/// Rewrite the forks' batch normalisation as Caffe's BatchNorm and Scale, net and weights
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  cortado convert-bn pspnet.prototxt new.prototxt \\\n    \
                        --weights pspnet.caffemodel new.caffemodel")]
pub struct ConvertBnArgs {
    /// The net (.prototxt)
    #[arg(value_name = "IN")]
    from: PathBuf,
    /// Where the new one goes
    #[arg(value_name = "OUT")]
    to: PathBuf,
    /// Trained weights, and where the new ones go
    #[arg(long, num_args = 2, value_names = ["IN", "OUT"])]
    weights: Vec<PathBuf>,
    #[command(flatten)]
    proof: ProofArgs,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    run: RunArgs,
}

/// Runs the command.
pub fn run(args: ConvertBnArgs) -> Result<(), Failure> {
    let given = args.proof.given(&args.run)?;
    args.run.note();
    let files = args.weights.first().cloned().into_iter().collect::<Vec<_>>();
    let outputs: Vec<&Path> =
        std::iter::once(&args.to).chain(args.weights.get(1)).map(PathBuf::as_path).collect();
    let inputs: Vec<&Path> =
        std::iter::once(&args.from).chain(&files).map(PathBuf::as_path).collect();
    check_outputs(&outputs, &inputs)?;
    // What comes out of a pipe is read once.
    if args.from.is_file() {
        read_net(&args.from)?;
    }
    let (trained, mut before) = Trained::read(&args.from, &files, &given)?;
    trained.notes.iter().for_each(|note| log::plain(&note.to_string()));
    let Conversion { text, blobs, layers } = batch_norm::convert(&trained)?;
    let (after, mut net) = trained.rebuilt(text.clone(), &blobs, &given)?;
    let errors = batch_norm::compare(&mut before, &mut net)?;
    if args.json {
        say(&json!({ "converted": layers, "outputs": errors }).to_string());
    } else {
        for layer in &layers {
            let now: Vec<String> =
                layer.now.iter().map(|(t, name)| format!("{t} {name}")).collect();
            let now = now.join(", ");
            say(&format!("{} ({}): {now}", layer.layer, layer.dialect));
        }
        let mut notes: Vec<&str> = layers.iter().filter_map(|layer| layer.note).collect();
        notes.dedup();
        notes.iter().for_each(|note| say(&format!("note: {note}")));
        if layers.is_empty() {
            say("nothing to convert: no layer is of a fork");
        }
    }
    args.proof.judge(&errors, args.json)?;
    match &args.weights[..] {
        [_, weights] => {
            let note = batch_norm::write_pair(&args.to, &text, weights, &after)?;
            note.iter().for_each(|note| log::plain(&note.to_string()));
        }
        _ => wire::write_file(&args.to, |out| out.write_all(text.as_bytes()))?,
    }
    Ok(())
}
