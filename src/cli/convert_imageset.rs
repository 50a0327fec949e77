//! `cortado convert-imageset`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args};
use cortado::data::Backend;
use cortado::tools::imageset::{ImageSet, convert};
use serde_json::json;

use super::log::{self, Progress};
use super::{Failure, RunArgs, say, whole};

/// Make a database of the pictures that a list names
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  cortado convert-imageset --resize_height=256 --resize_width=256 \\\n    \
    --shuffle pictures/ train.txt train_lmdb\n  \
    cortado convert-imageset --encoded pictures/ train.txt train_lmdb\n\n\
    Each line of the list is a path, a space and a whole number. The database appears under its name \
    when it is whole; a run that was killed starts anew."
)]
pub struct ConvertImagesetArgs {
    /// Folder before every path of the list
    #[arg(value_name = "ROOTFOLDER")]
    root: OsString,
    /// The list
    #[arg(value_name = "LISTFILE")]
    list: PathBuf,
    /// The database
    #[arg(value_name = "DB_NAME")]
    to: PathBuf,
    /// Pictures as one channel
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", action = ArgAction::Set, value_name = "BOOL", value_parser = clap::builder::BoolishValueParser::new(), hide_possible_values = true)]
    gray: bool,
    /// In a random order
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", action = ArgAction::Set, value_name = "BOOL", value_parser = clap::builder::BoolishValueParser::new(), hide_possible_values = true)]
    shuffle: bool,
    /// Seed of the random order
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Kind of database: lmdb or leveldb
    #[arg(long, default_value = "lmdb", value_parser = Backend::named)]
    backend: Backend,
    /// Width that pictures are resized to
    #[arg(long, default_value_t = 0, value_name = "PIXELS", value_parser = whole, allow_negative_numbers = true)]
    resize_width: usize,
    /// Height that pictures are resized to
    #[arg(long, default_value_t = 0, value_name = "PIXELS", value_parser = whole, allow_negative_numbers = true)]
    resize_height: usize,
    /// All pictures must have one size
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", action = ArgAction::Set, value_name = "BOOL", value_parser = clap::builder::BoolishValueParser::new(), hide_possible_values = true)]
    check_size: bool,
    /// Pictures as files (PNG, JPEG), not as values
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", action = ArgAction::Set, value_name = "BOOL", value_parser = clap::builder::BoolishValueParser::new(), hide_possible_values = true)]
    encoded: bool,
    /// Format of those: png, jpg; without it that of each file
    #[arg(long, default_value = "", value_name = "FORMAT")]
    encode_type: String,
    /// Leave damaged pictures out
    #[arg(long)]
    skip_bad: bool,
    /// Replace a database that is there
    #[arg(long)]
    overwrite: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    run: RunArgs,
}

/// Runs the command.
pub fn run(args: ConvertImagesetArgs) -> Result<(), Failure> {
    let set = ImageSet {
        root: args.root,
        backend: args.backend,
        gray: args.gray,
        shuffle: args.shuffle.then_some(args.seed),
        size: [args.resize_height, args.resize_width],
        check_size: args.check_size,
        encoded: args.encoded,
        encode_type: args.encode_type.to_ascii_lowercase(),
        skip_bad: args.skip_bad,
        overwrite: args.overwrite,
    };
    args.run.note();
    let progress = Progress::new(0, "converting");
    let mut tell = |done: u64, of: Option<u64>| progress.set_of(done, of);
    let pool = args.run.pool()?;
    let done = pool.install(|| convert(&args.list, &args.to, &set, &mut tell))?;
    drop(progress);
    done.skipped.iter().for_each(|why| log::line(&format!("left out: {why}")));
    match args.json {
        true => say(&json!({ "path": args.to, "records": done.records, "skipped": done.skipped })
            .to_string()),
        false => {
            let skipped = match done.skipped.len() {
                0 => String::new(),
                count => format!(", {count} left out"),
            };
            say(&format!("{}: {} pictures{skipped}", args.to.display(), done.records));
        }
    }
    Ok(())
}
