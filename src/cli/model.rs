//! Loading a net for a command.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use cortado::net::{
    Assumed, CopyOptions, CopyReport, Net, NetErrors, NetOptions, NetState, Tuned, WeightsError,
};
use cortado_layers::Phase;
use cortado_proto::def::read_text;
use cortado_proto::{Errors, FileKind, NetDef, SolverDef, wire};

use super::{Failure, RunArgs, log, told, without_data};

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
        let def = read_net(&self.model)?;
        let built = Net::build(def.clone(), &options);
        let mut net = built.map_err(|errors| other_phase(errors, &def, phase, run))?;
        if net.layers().next().is_none() {
            let file = self.model.display();
            return Err(Failure::Input(format!("error: `{file}` has no layer in this phase")));
        }
        run.note();
        net.notes().iter().for_each(|note| log::plain(&note.to_string()));
        load_weights(
            |file, options| net.copy_with(file, options),
            &self.weights,
            self.skip_mismatch,
        )?;
        Ok(net)
    }

    /// Says so where scores come from start values.
    pub fn warn_untrained(&self, net: &Net) {
        let learned = net.layers().any(|layer| layer.params().next().is_some());
        if self.weights.is_empty() && learned {
            log::plain(
                "warning: without `--weights` the net runs on what its fillers make: its scores say \
                 nothing",
            );
        }
    }
}

/// Reads a net; of a solver it tells where the net is.
pub fn read_net(file: &Path) -> Result<NetDef, Failure> {
    let shown = file.display();
    // What comes out of a pipe is read once.
    let source = read_text(file).map_err(Errors::from)?;
    if FileKind::of(&source) != FileKind::Solver {
        let def = NetDef::from_text(&source)?;
        return match def.is_empty() {
            true => Err(Failure::Input(format!("error: `{shown}` holds no layers"))),
            false => Ok(def),
        };
    }
    let p = SolverDef::from_text(&source).map(|def| def.param).unwrap_or_default();
    let named = p.net.or(p.train_net).or(p.test_net.into_iter().next());
    let net = match named {
        Some(net) => {
            format!("its net is `{}`", cortado::files::resolve(&net, Some(file)).display())
        }
        None => "a net is wanted here".to_owned(),
    };
    Err(Failure::Input(format!("error: `{shown}` is a solver; {net}")))
}

/// Mistakes of a net, with a hint where it builds in the other phase.
fn other_phase(errors: NetErrors, def: &NetDef, phase: Phase, run: &RunArgs) -> Failure {
    let why = told(&errors.into());
    let (other, name) = match phase {
        Phase::Train => (Phase::Test, "TEST"),
        Phase::Test => (Phase::Train, "TRAIN"),
    };
    let given = Assumed::default();
    let builds = |phase| without_data::builds(def, phase, run, &given);
    let hint = match !builds(phase) && builds(other) {
        true => format!("\n\nnote: it builds in phase {name} only (`--phase {name}`)"),
        false => String::new(),
    };
    Failure::Input(why + &hint)
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
    (options.pool, options.max_memory) = (run.pool()?, run.max_memory);
    Ok(options)
}

/// Copies weight files, one after the other, and reports what became of the layers: of each
/// file, then of all.
pub fn load_weights(
    mut copy: impl FnMut(&Path, CopyOptions) -> Result<CopyReport, WeightsError>,
    files: &[PathBuf],
    skip_mismatch: bool,
) -> Result<(), Failure> {
    // Layers that had nothing from any file so far.
    let mut without: Option<Vec<String>> = None;
    for file in files {
        not_a_state(file)?;
        let report = copy(file, CopyOptions { skip_mismatch })?;
        for layer in &report.skipped {
            log::line(&format!("Ignoring source layer {layer}"));
        }
        log::line(&format!("{}: {report}", file.display()));
        let nothing = report.copied.is_empty() && report.mismatched.is_empty();
        if nothing && !report.fresh.is_empty() {
            return Err(nothing_copied(file, &report.skipped, &report.fresh));
        }
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

/// Snapshots come in pairs, of which the other file has the weights.
pub fn not_a_state(file: &Path) -> Result<(), Failure> {
    let name = file.to_string_lossy();
    if !name.trim_end_matches(".h5").ends_with(".solverstate") || !file.exists() {
        return Ok(());
    }
    let learned = wire::read_state(file).ok().and_then(|state| state.learned_net);
    let weights = learned.map_or("the `.caffemodel` beside it".to_owned(), |l| format!("`{l}`"));
    Err(Failure::Input(format!(
        "error: `{name}` is the state of a training: its weights are in {weights}; `cortado train \
         --snapshot {name}` goes on from it"
    )))
}

/// A file of another net is hardly meant.
fn nothing_copied(file: &Path, has: &[String], wants: &[String]) -> Failure {
    const SHOWN: usize = 6;
    let list = |names: &[String]| match names.len() {
        0 => "no layers with weights".to_owned(),
        n if n > SHOWN => format!("{} and {} more", names[..SHOWN].join(", "), n - SHOWN),
        _ => names.join(", "),
    };
    Failure::Input(format!(
        "error: no layer of the net has its weights in `{}`\n    = the file has: {}\n    = the net \
         wants: {}\n    = layers are found by name: give the weights of this net, or leave \
         `--weights` out",
        file.display(),
        list(has),
        list(wants)
    ))
}
