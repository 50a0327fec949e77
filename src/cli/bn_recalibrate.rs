//! `cortado bn-recalibrate`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use cortado::batch_norm;
use cortado::net::{NetOptions, NetState};
use cortado::solver::shown;
use cortado_layers::Phase;
use cortado_proto::NetDef;
use serde_json::json;

use super::log::{self, Progress};
use super::model::{ModelArgs, PlanArgs};
use super::{Failure, RunArgs, say};

/// Replace the moving averages of trained weights by exact statistics over many batches
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  cortado bn-recalibrate --model train_val.prototxt \\\n    \
                        --weights net.caffemodel -o exact.caffemodel --iterations 200")]
pub struct BnRecalibrateArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Where the new weights go
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Number of training batches
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    iterations: u64,
    /// Number of test batches to score before and after; 0 for none
    #[arg(long, default_value_t = 50, value_name = "N")]
    test_iterations: u64,
    /// Print drifts and scores as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    run: RunArgs,
}

/// Runs the command.
pub fn run(args: BnRecalibrateArgs) -> Result<(), Failure> {
    if args.model.weights.is_empty() {
        return Err(Failure::Usage("--weights are wanted".to_owned()));
    }
    let inputs: Vec<&Path> = std::iter::once(&args.model.model)
        .chain(&args.model.weights)
        .map(PathBuf::as_path)
        .collect();
    batch_norm::check_outputs(&[&args.output], &inputs)?;
    let before = match score(&args, &args.model.weights) {
        Ok(before) => before,
        Err(Failure::Input(why)) => {
            log::plain(&format!(
                "{why}\nnote: the net has no TEST phase that runs: nothing is scored"
            ));
            BTreeMap::new()
        }
        Err(usage) => return Err(usage),
    };
    let mut options = NetOptions::new(Phase::Train);
    options.state =
        NetState { phase: Phase::Train, level: args.run.level, stages: args.run.stage.clone() };
    options.pool = args.run.pool()?;
    let def = NetDef::read(&args.model.model)?;
    let progress = Progress::new(args.iterations, "gathering");
    let made = batch_norm::recalibrate(
        def,
        &args.model.weights,
        &options,
        args.iterations,
        &mut |batch| progress.set(batch, String::new()),
    )?;
    drop(progress);
    if made.drifts.is_empty() {
        let file = args.model.model.display();
        return Err(Failure::Input(format!(
            "error: `{file}` has no layer that keeps statistics in TRAIN"
        )));
    }
    made.save(&args.output)?.iter().for_each(|note| log::plain(&note.to_string()));
    let after = match before.is_empty() {
        true => BTreeMap::new(),
        false => score(&args, std::slice::from_ref(&args.output))?,
    };
    if args.json {
        let report = json!({
            "batches": args.iterations,
            "drift": made.drifts,
            "before": before,
            "after": after,
        });
        say(&report.to_string());
        return Ok(());
    }
    let width = made.drifts.iter().map(|d| d.layer.chars().count()).max().unwrap_or(5).max(5);
    say(&format!("{:width$}  {:>8}  {:>10}  {:>10}", "layer", "channels", "mean", "deviation"));
    for drift in &made.drifts {
        say(&format!(
            "{:width$}  {:>8}  {:>10.4}  {:>10.4}",
            drift.layer, drift.channels, drift.mean, drift.deviation
        ));
    }
    say("mean: largest change in standard deviations; deviation: largest relative change");
    for (name, now) in &after {
        let was = before.get(name).copied().unwrap_or(f64::NAN);
        say(&format!("{name} = {} before, {} after", shown(was), shown(*now)));
    }
    Ok(())
}

/// Means of the outputs of the TEST net; nothing when no batches are wanted.
fn score(args: &BnRecalibrateArgs, weights: &[PathBuf]) -> Result<BTreeMap<String, f64>, Failure> {
    let mut sums = BTreeMap::new();
    if args.test_iterations == 0 {
        return Ok(sums);
    }
    let model = ModelArgs {
        model: args.model.model.clone(),
        weights: weights.to_vec(),
        skip_mismatch: false,
    };
    let mut net = model.load(Phase::Test, &args.run, &PlanArgs::default(), false)?;
    for _ in 0..args.test_iterations {
        net.forward()?;
        for name in net.outputs() {
            let Some(blob) = net.blob(name) else { continue };
            let mean = blob.data.iter().map(|&v| f64::from(v)).sum::<f64>();
            *sums.entry(name.to_owned()).or_insert(0.0) +=
                mean / blob.data.len().max(1) as f64 / args.test_iterations as f64;
        }
    }
    Ok(sums)
}
