//! `cortado convert-cifar`.

use std::path::PathBuf;

use clap::Args;
use cortado::data::Backend;
use cortado::tools::cifar;
use serde_json::json;

use super::log::Progress;
use super::{Failure, say};

/// Make databases and the mean picture of CIFAR-10
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  cortado convert-cifar ~/Downloads/cifar-10-binary.tar.gz data/cifar10\n\n\
    Reads the binary version (a folder of data_batch_1.bin … test_batch.bin, or its archive) or \
    pictures named train/CLASS/NAME.jpg, in folders or in archives (.tar, .tar.gz, .tar.xz). \
    Writes cifar10_train_lmdb, cifar10_test_lmdb and mean.binaryproto; the channels are red, green, blue."
)]
pub struct ConvertCifarArgs {
    /// Folder, archive or file of the set
    #[arg(value_name = "INPUT")]
    from: PathBuf,
    /// Folder for the databases
    #[arg(value_name = "OUTPUT")]
    to: PathBuf,
    /// Kind of database: lmdb or leveldb
    #[arg(value_name = "DB_TYPE", default_value = "lmdb", value_parser = Backend::named)]
    backend: Backend,
    /// Replace databases that are there
    #[arg(long)]
    overwrite: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: ConvertCifarArgs) -> Result<(), Failure> {
    let progress = Progress::new(cifar::WHOLE.iter().sum(), "converting");
    let mut tell = |done: u64, of: Option<u64>| progress.set_of(done, of);
    let done = cifar::convert(&args.from, &args.to, args.backend, args.overwrite, &mut tell)?;
    drop(progress);
    if args.json {
        let databases: Vec<_> = done
            .databases
            .iter()
            .map(|(path, records)| json!({ "path": path, "records": records }))
            .collect();
        let mean = done.mean.map(|(path, values)| json!({ "path": path, "channels": values }));
        say(&json!({ "databases": databases, "mean": mean }).to_string());
        return Ok(());
    }
    for (path, records) in &done.databases {
        say(&format!("{}: {records} pictures", path.display()));
    }
    if let Some((path, values)) = &done.mean {
        let shown: Vec<String> = values.iter().map(|value| format!("{value:.2}")).collect();
        say(&format!("{}: mean of red, green, blue {}", path.display(), shown.join(", ")));
    }
    Ok(())
}
