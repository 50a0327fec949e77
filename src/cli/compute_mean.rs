//! `cortado compute-mean`.

use std::path::PathBuf;

use clap::Args;
use cortado::tools::mean;
use serde_json::json;

use super::log::{self, Progress};
use super::{Failure, RunArgs, say};

/// Compute the mean picture of a database, and the mean of each channel
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  cortado compute-mean train_lmdb mean.binaryproto\n  \
                        cortado compute-mean train_lmdb mean.npy")]
pub struct ComputeMeanArgs {
    /// The database (LMDB or LevelDB)
    #[arg(value_name = "INPUT_DB")]
    from: PathBuf,
    /// Where the mean picture goes (.binaryproto or .npy); without it the channels are only printed
    #[arg(value_name = "OUTPUT_FILE")]
    to: Option<PathBuf>,
    /// Accepted for compatibility: the kind of database is told by what it holds
    #[arg(long, value_name = "KIND", hide = true)]
    backend: Option<String>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    run: RunArgs,
}

/// Runs the command.
pub fn run(args: ComputeMeanArgs) -> Result<(), Failure> {
    args.run.note();
    let progress = Progress::new(0, "summing up");
    let mut tell = |done: u64, of: Option<u64>| progress.set_of(done, of);
    let pool = args.run.pool();
    let mean = pool.install(|| mean::of_db(&args.from, &mut tell))?;
    drop(progress);
    if let Some(to) = &args.to {
        mean.save(to)?;
        log::line(&format!("Write to {}", to.display()));
    }
    let channels = mean.channels();
    if args.json {
        let [c, h, w] = mean.shape();
        let report = json!({
            "records": mean.count(), "shape": [c, h, w], "channels": channels, "path": args.to,
        });
        say(&report.to_string());
        return Ok(());
    }
    log::line(&format!("Number of channels: {}", channels.len()));
    for (channel, value) in channels.iter().enumerate() {
        log::line(&format!("mean_value channel [{channel}]: {value}"));
    }
    let shown: Vec<String> = channels.iter().map(|value| format!("mean_value: {value}")).collect();
    say(&shown.join(" "));
    Ok(())
}
