//! `cortado compute-mean`.

use std::path::{Path, PathBuf};

use clap::Args;
use cortado::data::Backend;
use cortado::files::check_outputs;
use cortado::tools::mean;
use serde_json::json;

use super::log::{self, Progress};
use super::{Failure, RunArgs, say};

/// Compute mean picture and standard deviations of a database, and the matrix that whitens it
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  cortado compute-mean train_lmdb mean.binaryproto\n  \
                        cortado compute-mean train_lmdb mean.npy\n  \
                        cortado compute-mean train_lmdb mean.binaryproto --zca zca.binaryproto")]
pub struct ComputeMeanArgs {
    /// The database (LMDB or LevelDB)
    #[arg(value_name = "INPUT_DB")]
    from: PathBuf,
    /// Where the mean picture goes (.binaryproto or .npy); without it the channels are only printed
    #[arg(value_name = "OUTPUT_FILE")]
    to: Option<PathBuf>,
    /// Where the standard deviation of each pixel goes (.binaryproto or .npy)
    #[arg(long, value_name = "FILE")]
    std: Option<PathBuf>,
    /// Where the matrix goes that makes pixels uncorrelated, of variance one (.binaryproto or .npy)
    #[arg(long, value_name = "FILE")]
    zca: Option<PathBuf>,
    /// What is added to all variances before whitening, as a share of their mean
    #[arg(long, default_value_t = 0.01, value_name = "SHARE")]
    zca_eps: f64,
    /// Accepted for compatibility: the kind of database is told by what it holds
    #[arg(long, value_name = "KIND", hide = true, value_parser = Backend::named)]
    backend: Option<Backend>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    run: RunArgs,
}

/// Runs the command.
pub fn run(args: ComputeMeanArgs) -> Result<(), Failure> {
    let outputs: Vec<&Path> =
        [&args.to, &args.std, &args.zca].into_iter().flatten().map(PathBuf::as_path).collect();
    check_outputs(&outputs, &[&args.from])?;
    args.run.note();
    let progress = Progress::new(0, "summing up");
    let mut tell = |done: u64, of: Option<u64>| progress.set_of(done, of);
    let pool = args.run.pool()?;
    if !(args.zca_eps > 0.0 && args.zca_eps.is_finite()) {
        let why = format!("--zca-eps is {}; more than 0 is wanted", args.zca_eps);
        return Err(Failure::Usage(why));
    }
    let mut mean = pool.install(|| match args.zca {
        Some(_) => mean::whitening_of_db(&args.from, &mut tell),
        None => mean::of_db(&args.from, &mut tell),
    })?;
    drop(progress);
    if let Some(to) = &args.zca {
        pool.install(|| mean.save_whitening(to, args.zca_eps))?;
        log::line(&format!("Write to {}", to.display()));
    }
    if let Some(to) = &args.std {
        mean.save_deviation(to)?;
        log::line(&format!("Write to {}", to.display()));
    }
    if let Some(to) = &args.to {
        mean.save(to)?;
        log::line(&format!("Write to {}", to.display()));
    }
    let (channels, deviations) = (mean.channels(), mean.channel_deviations());
    if args.json {
        let [c, h, w] = mean.shape();
        let report = json!({
            "records": mean.count(), "shape": [c, h, w], "channels": channels, "path": args.to,
            "deviations": deviations, "std": args.std, "zca": args.zca,
        });
        say(&report.to_string());
        return Ok(());
    }
    log::line(&format!("Number of channels: {}", channels.len()));
    for (channel, value) in channels.iter().enumerate() {
        log::line(&format!("mean_value channel [{channel}]: {value}"));
    }
    let shown = |name: &str, values: &[f32]| {
        let all: Vec<String> = values.iter().map(|value| format!("{name}: {value}")).collect();
        say(&all.join(" "));
    };
    shown("mean_value", &channels);
    shown("std_value", &deviations);
    Ok(())
}
