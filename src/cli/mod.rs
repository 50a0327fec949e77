//! The command line: one file per command. Caffe's spellings work too (`-solver=x`, `-gpu 0`).

mod bn_recalibrate;
mod caffemodel;
mod check;
mod classify;
mod compute_mean;
mod convert_bn;
mod convert_cifar;
mod convert_imageset;
mod convert_mnist;
mod db;
mod deploy;
mod device_query;
mod draw;
mod extract_features;
mod fold;
mod layers;
mod lint;
mod log;
mod model;
mod parse_log;
mod plan;
mod plot;
mod roofline;
mod skeleton;
mod spelling;
mod study;
mod summary;
mod test;
mod time;
mod time_data;
mod train;
mod tune;
mod upgrade;
mod watchdog;
mod without_data;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use cortado::Error;
use cortado::net::{default_memory, threads};
use cortado_proto::printable;
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
    Tune(tune::TuneArgs),
    Summary(summary::SummaryArgs),
    Classify(classify::ClassifyArgs),
    Layers(layers::LayersArgs),
    Check(check::CheckArgs),
    Lint(lint::LintArgs),
    Deploy(deploy::DeployArgs),
    Draw(draw::DrawArgs),
    Plot(plot::PlotArgs),
    Study(study::StudyArgs),
    Fold(fold::FoldArgs),
    ConvertBn(convert_bn::ConvertBnArgs),
    BnRecalibrate(bn_recalibrate::BnRecalibrateArgs),
    #[command(aliases = ["upgrade_net_proto_text", "upgrade_net_proto_binary"])]
    UpgradeNet(upgrade::UpgradeNetArgs),
    #[command(alias = "upgrade_solver_proto_text")]
    UpgradeSolver(upgrade::UpgradeSolverArgs),
    #[command(alias = "convert_imageset")]
    ConvertImageset(convert_imageset::ConvertImagesetArgs),
    #[command(aliases = ["convert_mnist", "convert_mnist_data"])]
    ConvertMnist(convert_mnist::ConvertMnistArgs),
    #[command(aliases = ["convert_cifar", "convert_cifar_data"])]
    ConvertCifar(convert_cifar::ConvertCifarArgs),
    #[command(aliases = ["compute_mean", "compute_image_mean"])]
    ComputeMean(compute_mean::ComputeMeanArgs),
    #[command(alias = "extract_features")]
    ExtractFeatures(extract_features::ExtractFeaturesArgs),
    #[command(alias = "device_query")]
    DeviceQuery(device_query::DeviceQueryArgs),
    #[command(alias = "parse_log")]
    ParseLog(parse_log::ParseLogArgs),
    Db(db::DbArgs),
    Caffemodel(caffemodel::CaffemodelArgs),
}

/// Arguments of every command that runs a net.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Number of threads, 0 for one per core; results do not depend on it
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = thread_count, allow_negative_numbers = true)]
    threads: usize,
    /// Level of the net, for its `include` and `exclude` rules
    #[arg(long, default_value_t = 0, value_name = "N", allow_hyphen_values = true)]
    level: i32,
    /// Stages of the net, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    stage: Vec<String>,
    /// Memory a net may take, such as 500M or 8G; more is an error before anything is allocated. Without it
    /// what the machine has, up to 64G
    #[arg(long, default_value_t = default_memory(), hide_default_value = true, value_name = "SIZE", value_parser = size)]
    max_memory: u64,
    /// Accepted for compatibility and ignored: everything runs on the CPU
    #[arg(long, value_name = "ID", hide = true)]
    gpu: Option<String>,
}

/// A number that is one: neither infinite nor NaN.
fn finite(text: &str) -> Result<f32, String> {
    let number = text.parse().ok().filter(|number: &f32| number.is_finite());
    number.ok_or_else(|| format!("wants a finite number, found `{text}`"))
}

/// The largest difference that counts as none.
fn tolerance(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|&number: &f64| number >= 0.0);
    number.ok_or_else(|| format!("wants a number of 0 or more, found `{text}`"))
}

/// A whole number.
fn whole(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("wants a whole number of 0 or more, found `{text}`"))
}

/// A number from 1 on.
fn positive(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|&number: &usize| number > 0);
    number.ok_or_else(|| format!("wants a whole number of 1 or more, found `{text}`"))
}

/// A number of threads.
fn thread_count(text: &str) -> Result<usize, String> {
    let most = threads::most();
    let count = text.parse().ok().filter(|&count| count <= most);
    count.ok_or_else(|| format!("wants a number of threads up to {most}, found `{text}`"))
}

/// A number of bytes: `1000`, `500M`, `8G`.
fn size(text: &str) -> Result<u64, String> {
    let wanted = || format!("wants a number of bytes such as 500M or 8G, found `{text}`");
    let shift = match text.to_ascii_uppercase().trim_end_matches('B').chars().last() {
        Some('K') => 10,
        Some('M') => 20,
        Some('G') => 30,
        Some('T') => 40,
        _ => 0,
    };
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| wanted())?;
    let units = text.len() - digits.len();
    let is_known = units == 0 || (shift > 0 && units <= 2);
    number
        .checked_shl(shift)
        .filter(|bytes| is_known && bytes >> shift == number)
        .ok_or_else(wanted)
}

impl RunArgs {
    fn pool(&self) -> Result<Arc<ThreadPool>, Failure> {
        match self.threads {
            0 => Ok(threads::default_pool()),
            count => {
                threads::try_pool(count).map_err(|why| Failure::Input(format!("error: {why}")))
            }
        }
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
            // Help and version go to stdout and are no failure.
            match error.print() {
                Err(why) if !error.use_stderr() => unsaid(&why),
                _ => {}
            }
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    let result = match cli.command {
        Command::Train(args) => train::run(args),
        Command::Test(args) => test::run(args),
        Command::Time(args) => time::run(args),
        Command::Tune(args) => tune::run(args),
        Command::Summary(args) => summary::run(args),
        Command::Classify(args) => classify::run(args),
        Command::Layers(args) => layers::run(args),
        Command::Lint(args) => lint::run(args),
        Command::Check(args) => check::run(args),
        Command::Deploy(args) => deploy::run(args),
        Command::Draw(args) => draw::run(args),
        Command::Plot(args) => plot::run(args),
        Command::Study(args) => study::run(args),
        Command::Fold(args) => fold::run(args),
        Command::ConvertBn(args) => convert_bn::run(args),
        Command::BnRecalibrate(args) => bn_recalibrate::run(args),
        Command::UpgradeNet(args) => upgrade::net(args),
        Command::UpgradeSolver(args) => upgrade::solver(args),
        Command::ConvertImageset(args) => convert_imageset::run(args),
        Command::ConvertMnist(args) => convert_mnist::run(args),
        Command::ConvertCifar(args) => convert_cifar::run(args),
        Command::ComputeMean(args) => compute_mean::run(args),
        Command::ExtractFeatures(args) => extract_features::run(args),
        Command::DeviceQuery(args) => device_query::run(args),
        Command::ParseLog(args) => parse_log::run(args),
        Command::Db(args) => db::run(args),
        Command::Caffemodel(args) => caffemodel::run(args),
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
    use std::io::{IsTerminal, Write};
    let mut out = std::io::stdout().lock();
    // Files and pipes get every byte as it is.
    let text = if out.is_terminal() { printable(text) } else { text.into() };
    let written = out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n"));
    if let Err(why) = written.and_then(|()| out.flush()) {
        unsaid(&why);
    }
}

/// Ends the program whose stdout takes no more: quietly where nobody reads it any longer.
fn unsaid(why: &std::io::Error) -> ! {
    if why.kind() == std::io::ErrorKind::BrokenPipe {
        std::process::exit(0);
    }
    log::plain(&format!("error: can't write to the standard output: {why}"));
    std::process::exit(1);
}
