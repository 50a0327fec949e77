//! Loading a net for a command.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use cortado::net::{CopyOptions, Net, NetOptions, NetState, Tuned};
use cortado_layers::Phase;

use super::{Failure, RunArgs, log};

/// A net and its weights.
#[derive(Args, Clone, Debug)]
pub struct ModelArgs {
    /// The net (.prototxt)
    #[arg(long, value_name = "FILE")]
    pub model: PathBuf,
    /// Trained weights (.caffemodel); several files, separated by commas, are loaded in turn
    #[arg(long, value_delimiter = ',', value_name = "FILE,…")]
    pub weights: Vec<PathBuf>,
    /// Pass over layers whose weights do not fit
    #[arg(long)]
    pub skip_mismatch: bool,
}

/// How a net that is only used runs.
#[derive(Args, Clone, Debug, Default)]
pub struct PlanArgs {
    /// Run layer by layer, without a plan
    #[arg(long)]
    pub no_plan: bool,
    /// Leave out algorithms that lose a few bits (Winograd's convolution)
    #[arg(long)]
    pub exact: bool,
    /// Take the algorithms that `cortado tune` has timed
    #[arg(long, value_name = "FILE", conflicts_with = "exact")]
    pub tuned: Option<PathBuf>,
}

impl ModelArgs {
    /// Builds the net and loads its weights; notes go to the log. Without `gradients` there is no
    /// backward pass.
    pub fn load(
        &self,
        phase: Phase,
        run: &RunArgs,
        plan: &PlanArgs,
        gradients: bool,
    ) -> Result<Net, Failure> {
        let options = options(phase, run, plan, gradients)?;
        let mut net = Net::from_file(&self.model, &options)?;
        run.note();
        net.notes().iter().for_each(|note| log::plain(&note.to_string()));
        load_weights(&mut net, &self.weights, self.skip_mismatch)?;
        Ok(net)
    }
}

/// How a command builds its nets.
pub fn options(
    phase: Phase,
    run: &RunArgs,
    plan: &PlanArgs,
    gradients: bool,
) -> Result<NetOptions, Failure> {
    let mut options = NetOptions::new(phase);
    (options.plan, options.exact, options.gradients) = (!plan.no_plan, plan.exact, gradients);
    let tuned = plan.tuned.as_deref().map(Tuned::read).transpose();
    options.tuned = tuned.map_err(|why| Failure::Input(format!("error: {why}")))?.map(Arc::new);
    options.state = NetState { phase, level: run.level, stages: run.stage.clone() };
    (options.pool, options.max_memory) = (run.pool(), run.max_memory);
    Ok(options)
}

/// Copies weight files into a net, one after the other, and reports what became of the layers: of each
/// file, then of all.
pub fn load_weights(net: &mut Net, files: &[PathBuf], skip_mismatch: bool) -> Result<(), Failure> {
    // Layers that had nothing from any file so far.
    let mut without: Option<Vec<String>> = None;
    for file in files {
        let report = net.copy_with(file, CopyOptions { skip_mismatch })?;
        for layer in &report.skipped {
            log::line(&format!("Ignoring source layer {layer}"));
        }
        log::line(&format!("{}: {report}", file.display()));
        let left = [report.fresh, report.mismatched].concat();
        match &mut without {
            None => without = Some(left),
            Some(without) => without.retain(|layer| left.contains(layer)),
        }
    }
    if let Some(list) = without.filter(|list| !list.is_empty() && files.len() > 1) {
        log::line(&format!("From no file, with start values of their own: {}", list.join(", ")));
    }
    Ok(())
}
