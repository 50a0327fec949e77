//! `cortado test`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use cortado::net::Net;
use cortado::solver::{Means, shown};
use cortado::tools::ensemble::Ensemble;
use cortado_layers::Phase;
use cortado_proto::NetDef;
use serde_json::json;

use super::log::{self, Progress};
use super::model::{ModelArgs, PlanArgs, options};
use super::{Failure, RunArgs, say};

/// Score trained weights: the mean of every output of the TEST net over many batches
#[derive(Args, Debug)]
#[command(
    alias = "test_net",
    after_help = "Example:\n  cortado test --model models/lenet/train_test.prototxt \\\n    \
    --weights models/lenet/lenet_quick_iter_1500.caffemodel --iterations 100\n  \
    cortado test --model train_test.prototxt --ensemble a.caffemodel,b.caffemodel"
)]
pub struct TestArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Weights of several nets; the mean of their probabilities is scored, by the Accuracy and loss
    /// layers
    #[arg(long, value_delimiter = ',', value_name = "FILE,…", conflicts_with = "weights")]
    ensemble: Vec<PathBuf>,
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

/// What runs: one net, or several whose probabilities are averaged.
enum Scored {
    Net(Box<Net>),
    Ensemble(Box<Ensemble>),
}

impl Scored {
    fn load(args: &TestArgs) -> Result<Scored, Failure> {
        if args.ensemble.is_empty() {
            let net = args.model.load(Phase::Test, &args.run, &args.plan, false)?;
            args.model.warn_untrained(&net);
            return Ok(Scored::Net(Box::new(net)));
        }
        let load = |weights: &PathBuf| {
            let member = ModelArgs { weights: vec![weights.clone()], ..args.model.clone() };
            member.load(Phase::Test, &args.run, &args.plan, false)
        };
        let members: Result<Vec<Net>, Failure> = args.ensemble.iter().map(load).collect();
        let options = options(Phase::Test, &args.run, &args.plan, false)?;
        let def = NetDef::read(&args.model.model)?;
        Ok(Scored::Ensemble(Box::new(Ensemble::new(def, members?, &options)?)))
    }

    fn forward(&mut self) -> Result<f64, Failure> {
        Ok(match self {
            Scored::Net(net) => net.forward()?,
            Scored::Ensemble(nets) => nets.forward()?,
        })
    }

    fn net(&self) -> &Net {
        match self {
            Scored::Net(net) => net,
            Scored::Ensemble(nets) => nets.head(),
        }
    }

    fn close(&mut self) -> Result<(), Failure> {
        match self {
            Scored::Net(net) => net.close()?,
            Scored::Ensemble(nets) => nets.close()?,
        }
        Ok(())
    }
}

/// Runs the command.
pub fn run(args: TestArgs) -> Result<(), Failure> {
    let mut scored = Scored::load(&args)?;
    log::line(&format!("Running for {} iterations.", args.iterations));
    let progress = Progress::new(args.iterations, "testing");
    let mut means = vec![Means::default(); scored.net().outputs().len()];
    let mut total = 0.0;
    for batch in 0..args.iterations {
        total += scored.forward()?;
        let net = scored.net();
        for (name, means) in net.outputs().into_iter().zip(&mut means) {
            let Some(blob) = net.blob(name) else { continue };
            for &value in blob.data {
                log::line(&format!("Batch {batch}, {name} = {}", shown(value.into())));
            }
            means.add(blob.data);
        }
        progress.set(batch + 1, String::new());
    }
    drop(progress);
    scored.close()?;
    let net = scored.net();
    let batches = args.iterations as f64;
    log::line(&format!("Loss: {}", shown(total / batches)));
    let mut outputs: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (name, means) in net.outputs().into_iter().zip(means) {
        let weight = net.loss_weight(name);
        for mean in means.values() {
            let loss = match weight {
                0.0 => String::new(),
                weight => {
                    let part = shown(f64::from(weight) * mean);
                    format!(" (* {} = {part} loss)", shown(weight.into()))
                }
            };
            log::line(&format!("{name} = {}{loss}", shown(mean)));
            outputs.entry(name).or_default().push(mean);
        }
    }
    if args.json {
        let report = json!({
            "model": args.model.model,
            "ensemble": args.ensemble,
            "iterations": args.iterations,
            "loss": total / batches,
            "outputs": outputs,
        });
        say(&report.to_string());
    }
    Ok(())
}
