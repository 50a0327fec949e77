//! `cortado train`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, ValueEnum};
use cortado::solver::{Event, Request, Solver, SolverOptions, Watcher, shown};

use super::log::{self, Progress};
use super::model::load_weights;
use super::{Failure, RunArgs};

/// Train a net from a solver file, or go on from a snapshot
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  cortado train --solver models/lenet/quick_solver.prototxt\n  \
    cortado train --solver solver.prototxt --snapshot lenet_iter_500.solverstate\n  \
    cortado train --solver solver.prototxt --weights base.caffemodel\n\n\
    Ctrl-C stops after the running iteration and writes a snapshot; SIGHUP writes one and goes on."
)]
pub struct TrainArgs {
    /// The solver (.prototxt)
    #[arg(long, value_name = "FILE")]
    solver: PathBuf,
    /// Go on from this snapshot (.solverstate)
    #[arg(long, value_name = "FILE", conflicts_with = "weights")]
    snapshot: Option<PathBuf>,
    /// Start from these weights (.caffemodel), separated by commas
    #[arg(long, value_delimiter = ',', value_name = "FILE,…")]
    weights: Vec<PathBuf>,
    /// What Ctrl-C does
    #[arg(long, value_enum, default_value = "stop", value_name = "EFFECT")]
    sigint_effect: Effect,
    /// What SIGHUP does
    #[arg(long, value_enum, default_value = "snapshot", value_name = "EFFECT")]
    sighup_effect: Effect,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Effect {
    Snapshot,
    Stop,
    None,
}

/// Runs the command.
pub fn run(args: TrainArgs) -> Result<(), Failure> {
    let options = SolverOptions {
        pool: args.run.pool(),
        level: args.run.level,
        stages: args.run.stage.clone(),
        ..SolverOptions::default()
    };
    let mut watcher = Console::new(&args)?;
    let mut solver = Solver::from_file(&args.solver, &options)?;
    args.run.note();
    solver.notes().iter().for_each(|note| log::plain(&note.to_string()));
    log::line(&format!("Starting Optimization with seed {}", solver.seed()));
    match &args.snapshot {
        Some(state) => {
            log::line(&format!("Resuming from {}", state.display()));
            let report = solver.restore(state)?;
            log::line(&format!("{report}"));
        }
        None => {
            let named = solver.param().weights.iter().flat_map(|list| list.split(','));
            let named: Vec<PathBuf> = named.map(|path| PathBuf::from(path.trim())).collect();
            let weights = if args.weights.is_empty() { named } else { args.weights };
            load_weights(solver.net_mut(), &weights)?;
        }
    }
    solver.check_prefix()?;
    let progress = Progress::new(solver.max_iter(), "training");
    progress.start_at(solver.iter());
    watcher.progress = Some(progress);
    solver.solve(&mut watcher)?;
    solver.close()?;
    Ok(())
}

/// Prints what a solver reports, and passes signals on to it.
struct Console {
    progress: Option<Progress>,
    accuracy: String,
    stop: Arc<AtomicBool>,
    snapshot: Arc<AtomicBool>,
}

impl Console {
    fn new(args: &TrainArgs) -> Result<Console, Failure> {
        let (stop, snapshot) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let on = |signal: i32, effect: Effect| -> std::io::Result<()> {
            let flag = match effect {
                Effect::Stop => &stop,
                Effect::Snapshot => &snapshot,
                Effect::None => &Arc::new(AtomicBool::new(false)),
            };
            if effect == Effect::Stop {
                // A second signal ends the program at once: nothing half-written is ever visible.
                signal_hook::flag::register_conditional_shutdown(signal, 130, flag.clone())?;
            }
            signal_hook::flag::register(signal, flag.clone())?;
            Ok(())
        };
        let registered = on(signal_hook::consts::SIGINT, args.sigint_effect)
            .and_then(|()| on(signal_hook::consts::SIGTERM, Effect::Stop))
            .and_then(|()| on_hangup(&on, args.sighup_effect));
        registered.map_err(|e| Failure::Input(format!("error: cannot listen to signals: {e}")))?;
        Ok(Console { progress: None, accuracy: String::new(), stop, snapshot })
    }
}

#[cfg(unix)]
fn on_hangup(
    on: &dyn Fn(i32, Effect) -> std::io::Result<()>,
    effect: Effect,
) -> std::io::Result<()> {
    on(signal_hook::consts::SIGHUP, effect)
}

#[cfg(not(unix))]
fn on_hangup(
    _on: &dyn Fn(i32, Effect) -> std::io::Result<()>,
    _effect: Effect,
) -> std::io::Result<()> {
    Ok(())
}

impl Watcher for Console {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Line(text) => log::line(text),
            Event::Iteration { done, loss, .. } => {
                if let Some(progress) = &self.progress {
                    progress.set(*done, format!("loss {}{}", shown(*loss), self.accuracy));
                }
            }
            Event::Tested { outputs, .. } => {
                let accuracy = outputs.iter().find(|(name, _)| name.contains("acc"));
                if let Some((name, value)) = accuracy {
                    self.accuracy = format!(", {name} {}", shown(*value));
                }
            }
            _ => {}
        }
    }

    fn request(&mut self) -> Request {
        if self.stop.load(Ordering::Relaxed) {
            Request::Stop
        } else if self.snapshot.swap(false, Ordering::Relaxed) {
            Request::Snapshot
        } else {
            Request::Nothing
        }
    }
}
