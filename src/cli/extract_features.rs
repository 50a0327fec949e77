//! `cortado extract-features`.

use std::path::PathBuf;

use clap::Args;
use cortado::tools::features::{Store, extract};
use cortado_layers::Phase;
use serde_json::json;

use super::log::{self, Progress};
use super::model::{ModelArgs, PlanArgs};
use super::{Failure, RunArgs, say};

/// Write blobs of many passes into databases or arrays
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  cortado extract-features net.caffemodel net.prototxt fc7 features_lmdb 10 lmdb\n  \
    cortado extract-features net.caffemodel net.prototxt fc7,prob f.npz,f.npz 10 npz\n\n\
    The net (phase TEST) reads its own data. Each blob goes into the store of the same place in the \
    list, one row per item. lmdb and leveldb hold a Datum with float_data per row, hdf5 and npz an \
    array named after the blob; blobs for one file go into it together."
)]
pub struct ExtractFeaturesArgs {
    /// Trained weights (.caffemodel)
    #[arg(value_name = "WEIGHTS")]
    weights: PathBuf,
    /// The net (.prototxt)
    #[arg(value_name = "NET")]
    net: PathBuf,
    /// Names of the blobs
    #[arg(value_name = "BLOB,…")]
    blobs: String,
    /// Where each goes
    #[arg(value_name = "STORE,…")]
    stores: String,
    /// Number of passes (mini-batches)
    #[arg(value_name = "PASSES", value_parser = clap::value_parser!(u64).range(1..))]
    passes: u64,
    /// Kind of store: lmdb, leveldb, hdf5 or npz
    #[arg(value_name = "DB_TYPE", value_parser = Store::named)]
    store: Store,
    /// Accepted for compatibility and ignored: everything runs on the CPU
    #[arg(value_name = "CPU|GPU", hide = true)]
    device: Vec<String>,
    /// Replace stores that are there
    #[arg(long)]
    overwrite: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    how: PlanArgs,
    #[command(flatten)]
    run: RunArgs,
}

/// Runs the command.
pub fn run(args: ExtractFeaturesArgs) -> Result<(), Failure> {
    let blobs: Vec<String> = args.blobs.split(',').map(str::to_owned).collect();
    let stores: Vec<PathBuf> = args.stores.split(',').map(PathBuf::from).collect();
    if blobs.len() != stores.len() {
        return Err(Failure::Usage(format!(
            "{} blobs and {} stores are named; as many are wanted",
            blobs.len(),
            stores.len()
        )));
    }
    let (kind, number) = (args.device.first(), args.device.get(1));
    let is_kind = |text: &String| ["cpu", "gpu"].iter().any(|kind| text.eq_ignore_ascii_case(kind));
    let is_number = |text: &String| text.trim_start_matches("DEVICE_ID=").parse::<u32>().is_ok();
    if args.device.len() > 2 || !kind.is_none_or(is_kind) || !number.is_none_or(is_number) {
        return Err(Failure::Usage(format!(
            "behind the kind of store stand CPU or GPU and a number at most, found `{}`",
            args.device.join(" ")
        )));
    }
    if kind.is_some_and(|device| device.eq_ignore_ascii_case("gpu")) {
        log::line("GPU is ignored: everything runs on the CPU here");
    }
    let model = ModelArgs { model: args.net, weights: vec![args.weights], skip_mismatch: false };
    let mut net = model.load(Phase::Test, &args.run, &args.how, false)?;
    let blobs: Vec<(String, PathBuf)> = blobs.into_iter().zip(stores).collect();
    let progress = Progress::new(args.passes, "extracting");
    let mut tell = |done: u64, of: Option<u64>| progress.set_of(done, of);
    let rows = extract(&mut net, &blobs, args.passes, args.store, args.overwrite, &mut tell)?;
    drop(progress);
    let written = blobs.iter().zip(&rows);
    if args.json {
        let entry = |((blob, path), rows): (&(String, PathBuf), &u64)| json!({ "blob": blob, "path": path, "rows": rows });
        say(&json!({ "features": written.map(entry).collect::<Vec<_>>() }).to_string());
        return Ok(());
    }
    for ((blob, path), rows) in written {
        say(&format!("{}: {rows} rows of `{blob}`", path.display()));
    }
    Ok(())
}
