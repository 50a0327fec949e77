//! `cortado parse-log`.

use std::path::PathBuf;

use clap::Args;
use cortado::tools::TrainingLog;
use serde_json::json;

use super::{Failure, say};

/// Turn the log of a training into tables
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  cortado train --solver solver.prototxt 2> train.log\n  \
    cortado parse-log train.log tables/\n\n\
    Writes NAME.train and NAME.test (NumIters,Seconds,LearningRate and the outputs), as Caffe's \
    parse_log.py does, from this program's logs and from Caffe's.")]
pub struct ParseLogArgs {
    /// The log
    #[arg(value_name = "LOG")]
    log: PathBuf,
    /// Folder for the tables, made where it is not there
    #[arg(value_name = "OUTPUT_DIR", default_value = ".")]
    folder: PathBuf,
    /// What stands between two values
    #[arg(long, default_value_t = ',', value_name = "CHAR")]
    delimiter: char,
    /// Accepted for compatibility: what was written is always told
    #[arg(long, hide = true)]
    verbose: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: ParseLogArgs) -> Result<(), Failure> {
    std::fs::create_dir_all(&args.folder).map_err(|e| {
        Failure::Input(format!("error: cannot make the folder `{}`: {e}", args.folder.display()))
    })?;
    let written = TrainingLog::convert(&args.log, &args.folder, args.delimiter)?;
    if args.json {
        let entry = |(path, rows): &(PathBuf, usize)| json!({ "path": path, "rows": rows });
        let tables: Vec<_> = written.iter().map(entry).collect();
        say(&json!({ "tables": tables }).to_string());
        return Ok(());
    }
    written.iter().for_each(|(path, rows)| say(&format!("{}: {rows} rows", path.display())));
    Ok(())
}
