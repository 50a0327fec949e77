//! `cortado convert-mnist`.

use std::path::PathBuf;

use clap::Args;
use cortado::data::Backend;
use cortado::tools::mnist;
use serde_json::json;

use super::log::Progress;
use super::{Failure, say};

/// Make a database of MNIST's pair of files
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  cortado convert-mnist models/lenet/data/train-images-idx3-ubyte.gz \\\n    \
    models/lenet/data/train-labels-idx1-ubyte.gz mnist_train_lmdb\n\n\
    The files may be gzipped."
)]
pub struct ConvertMnistArgs {
    /// The images (idx3)
    #[arg(value_name = "IMAGES")]
    images: PathBuf,
    /// The labels (idx1)
    #[arg(value_name = "LABELS")]
    labels: PathBuf,
    /// The database
    #[arg(value_name = "DB_NAME")]
    to: PathBuf,
    /// Kind of database: lmdb or leveldb
    #[arg(long, default_value = "lmdb", value_parser = Backend::named)]
    backend: Backend,
    /// Replace a database that is there
    #[arg(long)]
    overwrite: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: ConvertMnistArgs) -> Result<(), Failure> {
    let progress = Progress::new(0, "converting");
    let mut tell = |done: u64, of: Option<u64>| progress.set_of(done, of);
    let ConvertMnistArgs { images, labels, to, backend, overwrite, json } = args;
    let records = mnist::convert(&images, &labels, &to, backend, overwrite, &mut tell)?;
    drop(progress);
    match json {
        true => say(&json!({ "path": to, "records": records }).to_string()),
        false => say(&format!("{}: {records} pictures", to.display())),
    }
    Ok(())
}
