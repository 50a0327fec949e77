//! `cortado test`.

use std::collections::BTreeMap;

use clap::Args;
use cortado::solver::shown;
use cortado_layers::Phase;
use serde_json::json;

use super::log::{self, Progress};
use super::model::{ModelArgs, PlanArgs};
use super::{Failure, RunArgs, say};

/// Score trained weights: the mean of every output of the TEST net over many batches
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  cortado test --model models/lenet/train_test.prototxt \\\n    \
    --weights models/lenet/lenet_quick_iter_1500.caffemodel --iterations 100"
)]
pub struct TestArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Number of batches
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    iterations: u64,
    /// Print the means as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    run: RunArgs,
}

/// Runs the command.
pub fn run(args: TestArgs) -> Result<(), Failure> {
    let mut net = args.model.load(Phase::Test, &args.run, &args.plan, false)?;
    log::line(&format!("Running for {} iterations.", args.iterations));
    let progress = Progress::new(args.iterations, "testing");
    let (mut sums, mut total): (Vec<(String, f64)>, f64) = (Vec::new(), 0.0);
    for batch in 0..args.iterations {
        total += net.forward()?;
        let mut index = 0;
        for name in net.outputs() {
            let Some(blob) = net.blob(name) else { continue };
            for &value in blob.data {
                log::line(&format!("Batch {batch}, {name} = {}", shown(value.into())));
                if batch == 0 {
                    sums.push((name.to_owned(), 0.0));
                }
                if let Some((_, sum)) = sums.get_mut(index) {
                    *sum += f64::from(value);
                }
                index += 1;
            }
        }
        progress.set(batch + 1, String::new());
    }
    drop(progress);
    net.close()?;
    let batches = args.iterations as f64;
    log::line(&format!("Loss: {}", shown(total / batches)));
    let mut outputs: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (name, sum) in sums {
        let (mean, weight) = (sum / batches, net.loss_weight(&name));
        let loss = match weight {
            0.0 => String::new(),
            weight => {
                format!(" (* {} = {} loss)", shown(weight.into()), shown(f64::from(weight) * mean))
            }
        };
        log::line(&format!("{name} = {}{loss}", shown(mean)));
        outputs.entry(name).or_default().push(mean);
    }
    if args.json {
        let report = json!({
            "model": args.model.model,
            "iterations": args.iterations,
            "loss": total / batches,
            "outputs": outputs,
        });
        say(&report.to_string());
    }
    Ok(())
}
