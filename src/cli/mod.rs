//! The command line: one file per command. Caffe's spellings work too (`-solver=x`, `-gpu 0`).

mod check;
mod classify;
mod convert_cifar;
mod deploy;
mod draw;
mod layers;
mod log;
mod model;
mod plan;
mod roofline;
mod skeleton;
mod spelling;
mod summary;
mod test;
mod time;
mod train;
mod upgrade;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use cortado::Error;
use cortado::net::threads;
use rayon::ThreadPool;

/// What a command ends with when it fails.
#[derive(Debug)]
pub enum Failure {
    /// The arguments contradict each other; exit code 2, as for arguments clap refuses.
    Usage(String),
    /// A file is missing, damaged or makes no sense; exit code 1.
    Input(String),
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::Input(told(&error.into()))
    }
}

/// An error as the user reads it: with the source lines.
fn told(error: &Error) -> String {
    match error {
        Error::Proto(errors) => {
            let shown: Vec<String> = errors.iter().map(|e| e.diagnostic().to_string()).collect();
            shown.join("\n\n")
        }
        other => {
            let text = other.to_string();
            if text.starts_with("error: ") { text } else { format!("error: {text}") }
        }
    }
}

/// Exit code for a bug of ours.
pub const INTERNAL: u8 = 70;

#[derive(Parser)]
#[command(
    name = "cortado",
    version,
    about = "Reads, trains, tests and times Caffe networks on any CPU",
    after_help = "Example:\n  cortado train --solver models/lenet/quick_solver.prototxt\n\n\
                  Exit codes: 0 done, 1 bad input, 2 wrong usage, 70 a bug in cortado.\n\
                  Caffe's spellings work too: cortado train -solver=models/lenet/solver.prototxt -gpu 0"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Train(train::TrainArgs),
    Test(test::TestArgs),
    Time(time::TimeArgs),
    Summary(summary::SummaryArgs),
    Classify(classify::ClassifyArgs),
    Layers(layers::LayersArgs),
    Check(check::CheckArgs),
    Deploy(deploy::DeployArgs),
    Draw(draw::DrawArgs),
    UpgradeNet(upgrade::UpgradeNetArgs),
    UpgradeSolver(upgrade::UpgradeSolverArgs),
    ConvertCifar(convert_cifar::ConvertCifarArgs),
}

/// Arguments of every command that runs a net.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Number of threads, 0 for one per core; results do not depend on it
    #[arg(long, default_value_t = 0, value_name = "N")]
    threads: usize,
    /// Level of the net, for its `include` and `exclude` rules
    #[arg(long, default_value_t = 0, value_name = "N", allow_hyphen_values = true)]
    level: i32,
    /// Stages of the net, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    stage: Vec<String>,
    /// Accepted for compatibility and ignored: everything runs on the CPU
    #[arg(long, value_name = "ID", hide = true)]
    gpu: Option<String>,
}

impl RunArgs {
    fn pool(&self) -> Arc<ThreadPool> {
        if self.threads == 0 { threads::default_pool() } else { threads::pool(self.threads) }
    }

    /// Says once what was ignored.
    fn note(&self) {
        if let Some(gpu) = &self.gpu {
            log::line(&format!("-gpu {gpu} is ignored: everything runs on the CPU here"));
        }
        if let Ok(wanted) = std::env::var("CORTADO_ISA")
            && let Err(why) = cortado_kernels::select(&wanted)
        {
            log::line(&format!("CORTADO_ISA is ignored: {why}"));
        }
    }
}

/// Runs the program with its arguments.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(spelling::rewritten(arguments)) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout and are no failure; a closed pipe is none either.
            let _ = error.print();
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    let result = match cli.command {
        Command::Train(args) => train::run(args),
        Command::Test(args) => test::run(args),
        Command::Time(args) => time::run(args),
        Command::Summary(args) => summary::run(args),
        Command::Classify(args) => classify::run(args),
        Command::Layers(args) => layers::run(args),
        Command::Check(args) => check::run(args),
        Command::Deploy(args) => deploy::run(args),
        Command::Draw(args) => draw::run(args),
        Command::UpgradeNet(args) => upgrade::net(args),
        Command::UpgradeSolver(args) => upgrade::solver(args),
        Command::ConvertCifar(args) => convert_cifar::run(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(why)) => {
            log::plain(&format!("error: {why}\n\nFor more information, try '--help'."));
            ExitCode::from(2)
        }
        Err(Failure::Input(why)) => {
            log::plain(&why);
            ExitCode::from(1)
        }
    }
}

/// Prints to stdout; a reader who closed the pipe (`| head`) ends the program quietly.
pub fn say(text: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n"));
    if written.and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}
