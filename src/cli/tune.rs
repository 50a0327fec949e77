//! `cortado tune`.

use std::path::PathBuf;

use clap::Args;
use cortado::files::check_outputs;
use cortado_layers::Phase;
use serde_json::json;

use super::model::{ModelArgs, PlanArgs};
use super::{Failure, RunArgs, log, positive, say};

/// Time the algorithms of every convolution of a net on this machine, and keep the choices
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  cortado tune --model deploy.prototxt -o tuned.json\n  \
cortado classify --model deploy.prototxt --weights net.caffemodel --tuned tuned.json cat.jpg\n\n\
Choices hold for this instruction set, this number of threads and these shapes; everything else goes by \
the built-in rules. Results of a tuned net may differ in the last bits from those of another machine.")]
pub struct TuneArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// File for the choices; those that it holds already stay
    #[arg(short, long, value_name = "FILE", default_value = "tuned.json")]
    output: PathBuf,
    /// Tries of each algorithm, of which the fastest counts
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = positive, allow_negative_numbers = true)]
    rounds: usize,
    /// Print the times as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    run: RunArgs,
}

/// Runs the command.
pub fn run(args: TuneArgs) -> Result<(), Failure> {
    check_outputs(&[&args.output], &[])?;
    let mut net = args.model.load(Phase::Test, &args.run, &PlanArgs::default(), false)?;
    if net.plan_steps().is_none() {
        return Err(Failure::Input(format!("error: {}", net.why_unplanned())));
    }
    let (tuned, timings) = net.tune(args.rounds);
    tuned.write(&args.output).map_err(|why| Failure::Input(format!("error: {why}")))?;
    if args.json {
        let of = |t: &cortado::net::Timing| {
            json!({ "layer": t.layer, "direct_ms": t.direct, "winograd_ms": t.winograd,
                    "as_by_rule": t.as_by_rule })
        };
        say(&json!({ "timings": timings.iter().map(of).collect::<Vec<_>>() }).to_string());
    } else if timings.is_empty() {
        say("there is nothing to choose: no convolution of this net has two algorithms here");
    } else {
        say(&format!("{:>10} {:>12}  layer", "direct ms", "winograd ms"));
        for t in &timings {
            let other = if t.as_by_rule { "" } else { "  (the rules say otherwise)" };
            say(&format!("{:>10.4} {:>12.4}  {}{other}", t.direct, t.winograd, t.layer));
        }
    }
    log::line(&format!("{} choices are in {}", tuned.len(), args.output.display()));
    Ok(())
}
