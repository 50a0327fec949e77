//! `cortado db`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use cortado::data::{Backend, Item, Picture, Pixels, image};
use cortado::tools::ToolError;
use cortado::tools::dbs::{self, Db, Entry};
use cortado_layers::Shape;
use serde_json::json;

use super::log::{self, Progress};
use super::{Failure, say};

/// Look into databases (LMDB, LevelDB), copy and shuffle them
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  cortado db list train_lmdb --limit 10\n  \
    cortado db show train_lmdb 3 --output picture.png\n  cortado db verify train_lmdb\n  \
    cortado db copy train_leveldb train_lmdb\n  cortado db shuffle train_lmdb shuffled_lmdb --seed 7")]
pub struct DbArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// List the records: number, key, label, shape
    #[command(after_help = "Example:\n  cortado db list train_lmdb --limit 10")]
    List {
        /// The database
        db: PathBuf,
        /// Number of records to list
        #[arg(long, default_value_t = u64::MAX, hide_default_value = true, value_name = "N")]
        limit: u64,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one record, as numbers or as a picture
    #[command(after_help = "Example:\n  cortado db show train_lmdb 3 --output picture.png")]
    Show {
        /// The database
        db: PathBuf,
        /// Its key, or its number
        record: String,
        /// Write it as a picture (.png, .jpg)
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Decode every record and tell those that are damaged
    #[command(after_help = "Example:\n  cortado db verify train_lmdb")]
    Verify {
        /// The database
        db: PathBuf,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Copy a database, also to another kind
    #[command(after_help = "Example:\n  cortado db copy train_leveldb train_lmdb")]
    Copy {
        /// The database
        from: PathBuf,
        /// The new one
        to: PathBuf,
        #[command(flatten)]
        new: NewArgs,
    },
    /// Write the records in a random order
    #[command(after_help = "Example:\n  cortado db shuffle train_lmdb shuffled_lmdb --seed 7")]
    Shuffle {
        /// The database
        from: PathBuf,
        /// The new one
        to: PathBuf,
        /// Seed of the random order
        #[arg(long, default_value_t = 1, value_name = "N")]
        seed: u64,
        #[command(flatten)]
        new: NewArgs,
    },
}

#[derive(Args, Debug)]
struct NewArgs {
    /// Kind of the new database: lmdb or leveldb
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
pub fn run(args: DbArgs) -> Result<(), Failure> {
    match args.action {
        Action::List { db, limit, json } => list(&mut Db::open(&db)?, limit, json),
        Action::Show { db, record, output, json } => {
            let (entry, item) = Db::open(&db)?.item(&record)?;
            show(&entry, &item, output, json)
        }
        Action::Verify { db, json } => verify(&db, json),
        Action::Copy { from, to, new } => {
            let progress = Progress::new(0, "copying");
            let mut tell = |done: u64, of: Option<u64>| progress.set_of(done, of);
            let records = dbs::copy(&from, &to, new.backend, new.overwrite, &mut tell)?;
            drop(progress);
            written(&to, records, new.json);
            Ok(())
        }
        Action::Shuffle { from, to, seed, new } => {
            let progress = Progress::new(0, "shuffling");
            let mut tell = |done: u64, of: Option<u64>| progress.set_of(done, of);
            let records = dbs::shuffle(&from, &to, new.backend, seed, new.overwrite, &mut tell)?;
            drop(progress);
            written(&to, records, new.json);
            Ok(())
        }
    }
}

fn written(to: &std::path::Path, records: u64, as_json: bool) {
    match as_json {
        true => say(&json!({ "path": to, "records": records }).to_string()),
        false => say(&format!("{}: {records} records", to.display())),
    }
}

fn as_value(entry: &Entry) -> serde_json::Value {
    json!({
        "index": entry.index, "key": entry.key, "shape": entry.shape, "label": entry.label,
        "encoded": entry.encoded, "bytes": entry.bytes,
    })
}

fn list(db: &mut Db, limit: u64, as_json: bool) -> Result<(), Failure> {
    let records = db.records();
    let mut entries = Vec::new();
    db.list(limit, &mut |entry| match (entry, as_json) {
        (Ok(entry), true) => entries.push(as_value(&entry)),
        (Ok(entry), false) => {
            let [c, h, w] = entry.shape;
            let shape = if entry.encoded { "encoded".to_owned() } else { format!("{c}x{h}x{w}") };
            say(&format!(
                "{:>8}  label {:<6} {shape:<12} {:>8} bytes  {}",
                entry.index, entry.label, entry.bytes, entry.key
            ));
        }
        (Err(why), _) => log::plain(&format!("damaged: {why}")),
    })?;
    match as_json {
        true => say(&json!({ "records": records, "entries": entries }).to_string()),
        false => say(&format!("{records} records")),
    }
    Ok(())
}

fn show(entry: &Entry, item: &Item, output: Option<PathBuf>, as_json: bool) -> Result<(), Failure> {
    if let Some(path) = &output {
        let Pixels::U8(data) = &item.pixels else {
            let why = format!("error: record {} holds floats, no picture", entry.index);
            return Err(Failure::Input(why));
        };
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let picture = Picture { shape: item.shape, data: data.clone() };
        let bytes = image::encode(&picture, &ending.to_ascii_lowercase()).map_err(ToolError)?;
        cortado_proto::wire::write_file(path, |out| std::io::Write::write_all(out, &bytes))?;
    }
    let values: Vec<f32> = match &item.pixels {
        Pixels::U8(data) => data.iter().map(|&value| value.into()).collect(),
        Pixels::F32(data) => data.clone(),
    };
    if as_json {
        let mut report = as_value(entry);
        report["shape"] = json!(item.shape);
        report["values"] = json!(values);
        report["picture"] = json!(output);
        say(&report.to_string());
        return Ok(());
    }
    say(&format!(
        "record {} (key `{}`): {}, label {}, {} bytes",
        entry.index,
        entry.key,
        Shape::new(&item.shape),
        entry.label,
        entry.bytes
    ));
    match output {
        Some(path) => say(&format!("written to {}", path.display())),
        None => {
            for row in values.chunks(item.shape[2].max(1)) {
                say(&row.iter().map(f32::to_string).collect::<Vec<_>>().join(" "));
            }
        }
    }
    Ok(())
}

fn verify(path: &std::path::Path, as_json: bool) -> Result<(), Failure> {
    let mut db = Db::open(path)?;
    let progress = Progress::new(0, "verifying");
    let mut tell = |done: u64, of: Option<u64>| progress.set_of(done, of);
    let bad = db.verify(&mut tell)?;
    drop(progress);
    let records = db.records();
    if as_json {
        say(&json!({ "records": records, "damaged": bad }).to_string());
    }
    if !bad.is_empty() {
        let shown: Vec<&str> = bad.iter().take(100).map(String::as_str).collect();
        return Err(Failure::Input(format!(
            "error: {} of {records} records of `{}` are damaged\n{}",
            bad.len(),
            path.display(),
            shown.join("\n")
        )));
    }
    if !as_json {
        say(&format!("{}: {records} records, all whole", path.display()));
    }
    Ok(())
}
