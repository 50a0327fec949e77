//! What the subjects share.

use std::path::Path;
use std::process::{Command, Output};

use cortado::net::{Net, NetErrors, NetOptions, threads};
use cortado::solver::{Solver, SolverOptions};
use cortado_layers::Phase;
use cortado_proto::span::Source;
use cortado_proto::{NetDef, SolverDef};

/// The repository's root, from which the commands of the README run.
pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A net from text, or its mistakes.
pub fn try_net(text: &str, options: &NetOptions) -> Result<Net, String> {
    let def = NetDef::from_text(&Source::new("net.prototxt", text)).map_err(|e| e.to_string())?;
    Net::build(def, options).map_err(|e: NetErrors| e.to_string())
}

/// A net from text that has no mistakes.
pub fn net(text: &str, phase: Phase) -> Net {
    try_net(text, &NetOptions::new(phase)).unwrap_or_else(|why| panic!("{why}"))
}

/// A solver from text, on so many threads.
pub fn solver(text: &str, thread_count: usize) -> Solver {
    let source = Source::new("solver.prototxt", text);
    let def = SolverDef::from_text(&source).unwrap_or_else(|e| panic!("{e}"));
    let options = SolverOptions { pool: threads::pool(thread_count), ..SolverOptions::default() };
    Solver::build(def, &options).unwrap_or_else(|e| panic!("{e}"))
}

/// Removes the states of a run that went further: beside them, those of this one would say that they are
/// newer.
pub fn leave_alone(solver: &Solver) {
    for path in solver.later_snapshots() {
        std::fs::remove_file(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }
}

/// Runs the program in a folder.
pub fn cortado_in(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cortado"));
    command.current_dir(folder).args(arguments);
    command.output().unwrap_or_else(|e| panic!("cannot start the program: {e}"))
}

/// Runs the program in the repository's root.
pub fn cortado(arguments: &[&str]) -> Output {
    cortado_in(Path::new(ROOT), arguments)
}

/// What a run printed on stderr.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a run printed on stdout.
pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Panics with all failures, one paragraph each.
pub fn none(failures: Vec<String>) {
    assert!(failures.is_empty(), "{} failed:\n\n{}", failures.len(), failures.join("\n\n"));
}

/// A folder of these files.
pub fn folder_of(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap_or_else(|e| panic!("{e}"));
    }
    folder
}

/// All that a run says, behind its exit code.
pub fn told(folder: &Path, arguments: &[&str]) -> String {
    let output = cortado_in(folder, arguments);
    format!("{:?} {}{}", output.status.code(), stdout(&output), stderr(&output))
}
