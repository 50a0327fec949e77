//! `cortado train`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use cortado::solver::{
    Event, Guards, ProbeFile, Request, Solver, SolverOptions, Watcher, newest_snapshot, shown,
};
use cortado_proto::SolverDef;
use cortado_proto::caffe::ProbeParameter;
use serde_json::json;

use super::log::{self, Progress};
use super::model::load_weights;
use super::watchdog::Watchdog;
use super::{Failure, RunArgs, say};

/// Train a net from a solver file, or go on from a snapshot
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  cortado train --solver models/lenet/quick_solver.prototxt\n  \
    cortado train --solver solver.prototxt --snapshot lenet_iter_500.solverstate\n  \
    cortado train --solver solver.prototxt --snapshot auto\n  \
    cortado train --solver solver.prototxt --probe conv1,fc3 --probe-interval 50\n  \
    cortado train --solver solver.prototxt --weights base.caffemodel --set base_lr=0.001\n  \
    cortado train --solver solver.prototxt --checkpoint-activations\n\n\
    Ctrl-C stops after the running iteration and writes a snapshot; SIGHUP and SIGUSR1 write one and go on."
)]
pub struct TrainArgs {
    /// The solver (.prototxt)
    #[arg(long, value_name = "FILE")]
    solver: PathBuf,
    /// Go on from this snapshot (either of its files); `auto`: from the newest whole one of the
    /// solver's prefix, or from the start where there is none
    #[arg(long, value_name = "FILE|auto", conflicts_with = "weights")]
    snapshot: Option<PathBuf>,
    /// Start from these weights (.caffemodel), separated by commas
    #[arg(long, value_delimiter = ',', value_name = "FILE,…")]
    weights: Vec<PathBuf>,
    /// Pass over layers whose weights do not fit
    #[arg(long)]
    skip_mismatch: bool,
    /// Keep few activations and compute the others again in the backward pass: less memory, more
    /// time, the same weights bit for bit
    #[arg(long)]
    checkpoint_activations: bool,
    /// Put a value in place of the solver file's, such as base_lr=0.01; may be given often
    #[arg(long, value_name = "FIELD=VALUE")]
    set: Vec<String>,
    /// Record the values of these blobs or layers while training, separated by commas; `ip3:7` is
    /// unit 7 of `ip3`
    #[arg(long, value_delimiter = ',', value_name = "BLOB,…")]
    probe: Vec<String>,
    /// Iterations from one reading of the probes to the next [default: 100]
    #[arg(long, value_name = "N", requires = "probe")]
    probe_interval: Option<i32>,
    /// Where readings go: .csv or .jsonl [default: PREFIX_probe.csv]
    #[arg(long, value_name = "FILE", requires = "probe")]
    probe_file: Option<PathBuf>,
    /// Guards that do not stand, separated by commas
    #[arg(long, value_enum, value_delimiter = ',', value_name = "GUARD,…")]
    no_guard: Vec<Guard>,
    /// Say so when a layer has been at work for so long; 0 never
    #[arg(long, default_value_t = 60.0, value_name = "SECONDS", value_parser = seconds)]
    stall_seconds: f64,
    /// What Ctrl-C does
    #[arg(long, value_enum, default_value = "stop", value_name = "EFFECT")]
    sigint_effect: Effect,
    /// What SIGHUP does
    #[arg(long, value_enum, default_value = "snapshot", value_name = "EFFECT")]
    sighup_effect: Effect,
    /// Print what came of it as JSON when it ends
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Effect {
    Snapshot,
    Stop,
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Guard {
    /// Loss or gradient that is not finite
    Nan,
    /// Exploding gradients
    Gradients,
    /// Dead ReLUs
    Relus,
    /// Doubtful labels
    Labels,
    /// All of them
    All,
}

fn guards(off: &[Guard]) -> Guards {
    let stands = |guard: Guard| !off.contains(&guard) && !off.contains(&Guard::All);
    let mut guards = Guards::NONE;
    guards.non_finite = stands(Guard::Nan);
    guards.gradients = stands(Guard::Gradients);
    guards.relus = stands(Guard::Relus);
    guards.labels = stands(Guard::Labels);
    guards
}

fn seconds(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|seconds| (0.0..1e9).contains(seconds));
    number.ok_or_else(|| format!("wants seconds, 0 or more, found `{text}`"))
}

/// Runs the command.
pub fn run(args: TrainArgs) -> Result<(), Failure> {
    let options = SolverOptions {
        pool: args.run.pool()?,
        level: args.run.level,
        stages: args.run.stage.clone(),
        max_memory: args.run.max_memory,
        checkpoint_activations: args.checkpoint_activations,
        guards: guards(&args.no_guard),
        ..SolverOptions::default()
    };
    let mut watcher = Console::new(&args)?;
    let mut def = SolverDef::read(&args.solver)?;
    def.set(&args.set)?;
    if !args.probe.is_empty() {
        def.param.probe = Some(ProbeParameter {
            blob: args.probe.clone(),
            interval: args.probe_interval,
            file: args.probe_file.as_ref().map(|file| file.to_string_lossy().into_owned()),
        });
    }
    let mut solver = Solver::build(def, &options)?;
    args.run.note();
    let mut told = Vec::new();
    tell_notes(&solver, &mut told);
    solver.claim_prefix()?;
    match snapshot(&args, &solver)? {
        Some(state) => {
            log::line(&format!("Resuming from {}", state.display()));
            // A run with nothing left to train writes no other.
            let weights = state.to_string_lossy().replace(".solverstate", ".caffemodel");
            let weights = PathBuf::from(weights.strip_prefix("./").unwrap_or(&weights));
            watcher.saved = Some(weights).filter(|path| path.is_file());
            let report = solver.restore(state)?;
            log::line(&format!("{report}"));
            tell_notes(&solver, &mut told);
        }
        None => {
            let named = solver.param().weights.iter().flat_map(|list| list.split(','));
            let named: Vec<PathBuf> = named.map(|path| PathBuf::from(path.trim())).collect();
            let weights = if args.weights.is_empty() { named } else { args.weights.clone() };
            let copy = |file: &Path, options| solver.copy_with(file, options);
            load_weights(copy, &weights, args.skip_mismatch)?;
        }
    }
    warn_of_later(&args, &solver);
    log::line(&format!("Starting Optimization with seed {}", solver.seed()));
    if let Some(path) = solver.probe_file() {
        let opened = ProbeFile::open(&path, solver.iter());
        let shown = path.display();
        let file = opened.map_err(|e| Failure::Input(format!("error: {e}")))?;
        log::line(&format!("Readings of the probes go to {shown}"));
        watcher.probes = Some(file);
    }
    let patience = Duration::from_secs_f64(args.stall_seconds);
    let _watchdog = Watchdog::start(solver.pulses(), patience);
    let progress = Progress::new(solver.max_iter(), "training");
    progress.start_at(solver.iter());
    watcher.progress = Some(progress);
    let finished = solver.solve(&mut watcher)?;
    solver.close()?;
    if args.json {
        let report = json!({
            "iterations": solver.iter(),
            "finished": finished,
            "loss": watcher.loss,
            "tests": watcher.tests,
            "snapshot": watcher.saved,
        });
        say(&report.to_string());
    }
    Ok(())
}

/// Prints the notes that were not told yet.
fn tell_notes(solver: &Solver, told: &mut Vec<String>) {
    for note in solver.notes().iter().map(ToString::to_string) {
        if !told.contains(&note) {
            log::plain(&note);
            told.push(note);
        }
    }
}

impl TrainArgs {
    fn is_auto(&self) -> bool {
        self.snapshot.as_ref().is_some_and(|given| given.as_os_str() == "auto")
    }
}

/// The snapshot to go on from.
fn snapshot(args: &TrainArgs, solver: &Solver) -> Result<Option<PathBuf>, Failure> {
    if !args.is_auto() {
        return Ok(args.snapshot.clone());
    }
    let (newest, damaged) = newest_snapshot(solver.prefix());
    let prefix = solver.prefix().display();
    match (&newest, &damaged[..]) {
        (None, []) => log::line(&format!(
            "There is no snapshot `{prefix}_iter_N.solverstate` yet: starting from the beginning"
        )),
        (None, _) => {
            let list: Vec<String> = damaged.iter().map(|why| format!("\n  = {why}")).collect();
            return Err(Failure::Input(format!(
                "error: there are snapshots of `{prefix}`, and none is whole{}\n  = remove them to start \
                 over, or give weights to start from as --weights, without --snapshot",
                list.concat()
            )));
        }
        (Some(_), _) => damaged.iter().for_each(|why| log::line(&format!("warning: {why}"))),
    }
    Ok(newest)
}

/// Says what becomes of the states of a run that went further than this one begins.
fn warn_of_later(args: &TrainArgs, solver: &Solver) {
    let writes = solver.param().snapshot() > 0 || solver.param().snapshot_after_train();
    let later = solver.later_snapshots();
    if args.is_auto() || !writes || later.is_empty() {
        return;
    }
    let names: Vec<String> = later.iter().map(|path| format!("`{}`", path.display())).collect();
    log::line(&format!(
        "warning: a run went further than this one begins, to {}: what this one writes counts as newer, \
         and takes the place of files of the same iteration",
        names.join(", ")
    ));
}

/// Prints what a solver reports, and passes signals on to it.
struct Console {
    progress: Option<Progress>,
    accuracy: String,
    /// The smoothed loss.
    loss: Option<f64>,
    /// The last outputs of every test net.
    tests: Vec<BTreeMap<String, Vec<f64>>>,
    /// The last snapshot's weights.
    saved: Option<PathBuf>,
    probes: Option<ProbeFile>,
    stop: Arc<AtomicBool>,
    snapshot: Arc<AtomicBool>,
}

impl Console {
    fn new(args: &TrainArgs) -> Result<Console, Failure> {
        let (stop, snapshot) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let stops = RefCell::new(Vec::new());
        let on = |signal: i32, effect: Effect| -> std::io::Result<()> {
            let flag = match effect {
                Effect::Stop => &stop,
                Effect::Snapshot => &snapshot,
                Effect::None => &Arc::new(AtomicBool::new(false)),
            };
            if effect == Effect::Stop {
                stops.borrow_mut().push(signal);
            }
            signal_hook::flag::register(signal, flag.clone())?;
            Ok(())
        };
        let registered = on(signal_hook::consts::SIGINT, args.sigint_effect)
            .and_then(|()| on(signal_hook::consts::SIGTERM, Effect::Stop))
            .and_then(|()| on_others(&on, args.sighup_effect))
            .and_then(|()| hurry(stops.take()));
        registered.map_err(|e| Failure::Input(format!("error: cannot listen to signals: {e}")))?;
        Ok(Console {
            progress: None,
            accuracy: String::new(),
            loss: None,
            tests: Vec::new(),
            saved: None,
            probes: None,
            stop,
            snapshot,
        })
    }
}

/// A second signal that stops ends the program at once: nothing half-written is ever visible. Those that
/// come together are one: `timeout` and job managers send theirs to the program and to its group.
#[cfg(unix)]
fn hurry(stops: Vec<i32>) -> std::io::Result<()> {
    const TOGETHER: Duration = Duration::from_secs(1);
    let mut signals = signal_hook::iterator::Signals::new(stops)?;
    let wait = move || {
        let mut first: Option<Instant> = None;
        for _ in signals.forever() {
            let since = first.get_or_insert_with(Instant::now).elapsed();
            if since >= TOGETHER {
                log::line("stopped at once by a second signal, without a snapshot");
                signal_hook::low_level::exit(130);
            }
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(wait).map(drop)
}

#[cfg(not(unix))]
fn hurry(_stops: Vec<i32>) -> std::io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn on_others(
    on: &dyn Fn(i32, Effect) -> std::io::Result<()>,
    hangup: Effect,
) -> std::io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGUSR1, SIGXCPU, SIGXFSZ};
    on(SIGHUP, hangup)?;
    on(SIGUSR1, Effect::Snapshot)?;
    // The time is up soon.
    on(SIGXCPU, Effect::Stop)?;
    // A file over the limit becomes an error of the write.
    on(SIGXFSZ, Effect::None)
}

#[cfg(not(unix))]
fn on_others(
    _on: &dyn Fn(i32, Effect) -> std::io::Result<()>,
    _hangup: Effect,
) -> std::io::Result<()> {
    Ok(())
}

impl Watcher for Console {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Line(text) => log::line(text),
            Event::Iteration { done, loss, .. } => {
                self.loss = Some(*loss);
                if let Some(progress) = &self.progress {
                    progress.set(*done, format!("loss {}{}", shown(*loss), self.accuracy));
                }
            }
            Event::Tested { net, outputs, .. } => {
                self.tests.resize_with(self.tests.len().max(net + 1), BTreeMap::new);
                self.tests[*net].clear();
                for (name, value) in *outputs {
                    self.tests[*net].entry(name.clone()).or_default().push(*value);
                }
                let accuracy = outputs.iter().find(|(name, _)| name.contains("acc"));
                if let Some((name, value)) = accuracy {
                    self.accuracy = format!(", {name} {}", shown(*value));
                }
            }
            Event::Snapshot { model, .. } => self.saved = Some(model.to_path_buf()),
            Event::Probed(readings) => {
                let written = self.probes.as_mut().map(|file| file.write(readings));
                if let Some(Err(e)) = written {
                    log::line(&format!("warning: readings can't be written: {e}; they end here"));
                    self.probes = None;
                }
            }
            _ => {}
        }
    }

    fn request(&mut self) -> Request {
        if self.snapshot.swap(false, Ordering::Relaxed) {
            Request::Snapshot
        } else if self.stop.load(Ordering::Relaxed) {
            Request::Stop
        } else {
            Request::Nothing
        }
    }
}
