//! `cortado bn-recalibrate`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use cortado::batch_norm;
use cortado::files::check_outputs;
use cortado::net::{Net, belongs};
use cortado::solver::shown;
use cortado_layers::Phase;
use cortado_proto::NetDef;
use serde_json::json;

use super::log::{self, Progress};
use super::model::{ModelArgs, PlanArgs, not_a_state, options, read_net};
use super::{Failure, RunArgs, say, without_data};

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
    check_outputs(&[&args.output], &inputs)?;
    args.model.weights.iter().try_for_each(|file| not_a_state(file))?;
    let mut def = read_net(&args.model.model)?;
    cortado_proto::upgrade::net(&mut def)?;
    args.run.note();
    let is_tested = tests(&def, &args.run);
    let is_scored = is_tested && args.test_iterations > 0;
    let before = is_scored.then(|| score(&def, &args, &args.model.weights)).transpose()?;
    let options = options(Phase::Train, &args.run, &PlanArgs::default(), false)?;
    let progress = Progress::new(args.iterations, "gathering");
    let made = batch_norm::recalibrate(
        def.clone(),
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
    let written = std::slice::from_ref(&args.output);
    let after = is_scored.then(|| score(&def, &args, written)).transpose()?;
    if !is_tested {
        log::plain("note: the net has no TEST phase: nothing is scored");
    }
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
    let scores = before.into_iter().flatten().zip(after.into_iter().flatten());
    for ((name, was), (_, now)) in scores {
        say(&format!("{name} = {} before, {} after", shown(was), shown(now)));
    }
    Ok(())
}

/// Whether anything starts in phase TEST.
fn tests(def: &NetDef, run: &RunArgs) -> bool {
    let state = without_data::state(Phase::Test, run);
    def.layers.iter().any(|l| l.bottom.is_empty() && !l.top.is_empty() && belongs(l, &state))
}

/// Means of the outputs of the TEST net.
fn score(
    def: &NetDef,
    args: &BnRecalibrateArgs,
    weights: &[PathBuf],
) -> Result<BTreeMap<String, f64>, Failure> {
    let options = options(Phase::Test, &args.run, &PlanArgs::default(), false)?;
    let mut net = Net::build(def.clone(), &options).map_err(unscored)?;
    net.notes().iter().for_each(|note| log::plain(&note.to_string()));
    // Statistics that are made anew may be in no file; what else may not is judged with them.
    for file in weights {
        let report = net.copy_from(file)?;
        log::line(&format!("{}: {report}", file.display()));
    }
    let mut sums = BTreeMap::new();
    for _ in 0..args.test_iterations {
        net.forward().map_err(unscored)?;
        for name in net.outputs() {
            let Some(blob) = net.blob(name) else { continue };
            let mean = blob.data.iter().map(|&v| f64::from(v)).sum::<f64>();
            *sums.entry(name.to_owned()).or_insert(0.0) +=
                mean / blob.data.len().max(1) as f64 / args.test_iterations as f64;
        }
    }
    Ok(sums)
}

/// What keeps phase TEST from running, and how to do without.
fn unscored(error: impl Into<Failure>) -> Failure {
    match error.into() {
        Failure::Input(why) => Failure::Input(format!(
            "{why}\n\nnote: phase TEST runs for the scores before and after; `--test-iterations 0` \
             does without"
        )),
        usage @ Failure::Usage(_) => usage,
    }
}
