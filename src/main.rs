//! The `cortado` program: parses its arguments, runs a command, prints what went wrong.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    match std::panic::catch_unwind(|| cli::run(std::env::args_os())) {
        Ok(code) => code,
        Err(_) => {
            eprintln!(
                "cortado: internal error. This is a bug in cortado, not in your files; please report \
                 the message above and the command."
            );
            ExitCode::from(cli::INTERNAL)
        }
    }
}
