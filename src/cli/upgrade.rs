//! `cortado upgrade-net` and `cortado upgrade-solver`.

use std::path::{Path, PathBuf};

use clap::Args;
use cortado::files::check_outputs;
use cortado_proto::text::{self, Upgraded};
use cortado_proto::{Errors, SolverDef, def::read_text, wire};
use serde_json::json;

use super::model::read_net;
use super::{Failure, log, say};

/// Rewrite a net of any generation in today's form; comments and unknown fields are kept
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  cortado upgrade-net old.prototxt new.prototxt\n  \
                        cortado upgrade-net old.caffemodel new.caffemodel")]
pub struct UpgradeNetArgs {
    /// The net, as text or binary
    #[arg(value_name = "IN")]
    from: PathBuf,
    /// Where the new one goes
    #[arg(value_name = "OUT")]
    to: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Rewrite a solver in today's form; comments are kept
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  cortado upgrade-solver old_solver.prototxt solver.prototxt")]
pub struct UpgradeSolverArgs {
    /// The solver
    #[arg(value_name = "IN")]
    from: PathBuf,
    /// Where the new one goes
    #[arg(value_name = "OUT")]
    to: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `upgrade-net`.
pub fn net(args: UpgradeNetArgs) -> Result<(), Failure> {
    check_outputs(&[&args.to], &[])?;
    if !is_binary(&args.from) {
        // What comes out of a pipe is read once.
        if args.from.is_file() {
            read_net(&args.from)?;
        }
        let source = read_text(&args.from)?;
        return write(&args.to, text::upgraded_net(&source)?, args.json);
    }
    let bytes = cortado_proto::read_file(&args.from, u64::MAX).map_err(|e| {
        Failure::Input(format!("error: cannot read `{}`: {e}", args.from.display()))
    })?;
    let (bytes, done) = wire::upgraded_net(&bytes)
        .map_err(|e| Failure::Input(format!("error: `{}`: {e}", args.from.display())))?;
    save(&args.to, &bytes)?;
    tell(&args.to, &done, args.json);
    Ok(())
}

/// Runs `upgrade-solver`.
pub fn solver(args: UpgradeSolverArgs) -> Result<(), Failure> {
    check_outputs(&[&args.to], &[])?;
    if args.from.is_file() {
        SolverDef::read(&args.from)?;
    }
    let source = read_text(&args.from)?;
    write(&args.to, text::upgraded_solver(&source)?, args.json)
}

/// Text holds no control characters but white space; binary starts with the tag and the length of a name.
fn is_binary(path: &Path) -> bool {
    use std::io::Read;
    let mut head = Vec::new();
    let read = std::fs::File::open(path).and_then(|f| f.take(1 << 16).read_to_end(&mut head));
    let control = |b: &u8| *b < 0x20 && !b.is_ascii_whitespace();
    read.is_ok() && head.iter().any(control)
}

fn write(to: &Path, upgraded: Upgraded, as_json: bool) -> Result<(), Failure> {
    upgraded.notes.iter().for_each(|note| log::plain(&note.to_string()));
    save(to, upgraded.text.as_bytes())?;
    tell(to, &upgraded.done, as_json);
    Ok(())
}

fn save(to: &Path, bytes: &[u8]) -> Result<(), Errors> {
    wire::write_file(to, |out| out.write_all(bytes)).map_err(Errors::from)
}

fn tell(to: &Path, done: &[String], as_json: bool) {
    if as_json {
        say(&json!({ "path": to, "upgraded": done }).to_string());
        return;
    }
    match done.is_empty() {
        true => log::plain("nothing to upgrade: the file is written as it is"),
        false => done.iter().for_each(|what| log::plain(what)),
    }
    log::plain(&format!("written to {}", to.display()));
}
