//! Training: the original's solver loop with its update order, log lines and snapshots.
//!
//! One iteration: test when due, `iter_size` forward and backward passes, the learning rate of the
//! policy, clipping (before averaging, as the original does it), averaging, decay, and the one call
//! that writes weights ([`update`]).

mod best;
mod claim;
mod config;
mod error;
mod guards;
mod nets;
mod policy;
mod precision;
mod probe;
mod probe_file;
mod rehearsal;
mod report;
mod restore;
mod snapshot;
mod state_hdf5;
mod step;
mod test;
mod unused;
mod update;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cortado_layers::Registry;
use cortado_proto::caffe::SolverParameter;
use cortado_proto::wire::{Disk, RealDisk};
use cortado_proto::{Diagnostic, SolverDef};
use rayon::ThreadPool;

use crate::net::{CopyOptions, CopyReport, Mark, Net, NetOptions, Pulse, WeightsError};
use best::Best;
use claim::Claim;
use guards::Watch;

pub use crate::net::shown;
pub use config::{examine, net_state};
pub use error::SolverError;
pub use guards::Guards;
pub use nets::{NamedNet, NamedNets, named_nets};
pub use policy::{LrPolicy, Pace};
pub use probe::{PERCENTILES, Reading};
pub use probe_file::{ProbeFile, read_readings};
pub use rehearsal::Rehearsal;
pub use report::Event;
pub use restore::newest_snapshot;
pub use snapshot::snapshot_names;
pub use step::Feed;
pub use test::Means;
pub use update::UpdateRule;

/// What the outside asks of a running solver, looked at before every iteration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Request {
    /// Go on.
    #[default]
    Nothing,
    /// Write a snapshot and go on.
    Snapshot,
    /// Stop (with a snapshot, unless `snapshot_after_train` is off).
    Stop,
}

/// Who watches a solver: gets its events, and may ask it to stop.
pub trait Watcher {
    /// Something happened.
    fn event(&mut self, event: &Event<'_>);
    /// Anything asked?
    fn request(&mut self) -> Request {
        Request::Nothing
    }
}

/// Watches in silence.
impl Watcher for () {
    fn event(&mut self, _event: &Event<'_>) {}
}

/// How a solver is built.
pub struct SolverOptions {
    /// Layer types its nets may use.
    pub registry: Registry,
    /// Threads.
    pub pool: Arc<ThreadPool>,
    /// Level of the net that trains, in place of the one its file gives; 0: none.
    pub level: i32,
    /// Stages added to the state of the net that trains.
    pub stages: Vec<String>,
    /// Memory each net may take, in bytes.
    pub max_memory: u64,
    /// Whether training keeps few activations and computes the others again; see
    /// [`NetOptions::checkpoint_activations`].
    pub checkpoint_activations: bool,
    /// What is watched for in training.
    pub guards: Guards,
    /// Where snapshots are written.
    pub disk: Arc<dyn Disk>,
}

impl Default for SolverOptions {
    fn default() -> SolverOptions {
        let net = NetOptions::new(cortado_layers::Phase::Train);
        let NetOptions { registry, pool, max_memory, .. } = net;
        let (guards, disk) = (Guards::default(), Arc::new(RealDisk));
        SolverOptions {
            registry,
            pool,
            level: 0,
            stages: Vec::new(),
            max_memory,
            checkpoint_activations: false,
            guards,
            disk,
        }
    }
}

/// A solver with its nets.
pub struct Solver {
    param: SolverParameter,
    net: Net,
    /// Share the weights of `net`, which are lent to them while they run.
    test_nets: Vec<Net>,
    policy: LrPolicy,
    rule: UpdateRule,
    regularization: update::Regularization,
    prefix: PathBuf,
    seed: u64,
    iter: u64,
    pace: Pace,
    best: Best,
    probes: probe::Probes,
    /// Where everything stood when the running iteration began; between iterations none.
    began: Option<Began>,
    /// A snapshot was asked for while something else ran.
    asked: bool,
    /// The iteration of the last snapshot written.
    saved: Option<u64>,
    disk: Arc<dyn Disk>,
    guards: Guards,
    watch: Watch,
    claim: Option<Claim>,
    /// Whether the losses behind the shown one come from a snapshot.
    resumed: bool,
    /// One value per weight, and one more where the rule keeps two.
    history: [Vec<f32>; 2],
    losses: VecDeque<f32>,
    smoothed: f64,
    shown_at: step::Shown,
    notes: Vec<Diagnostic>,
}

/// Where everything stood at the beginning of an iteration.
struct Began {
    net: Mark,
    tests: Vec<Mark>,
    best: Best,
}

impl Solver {
    /// Builds the solver of a file, with its train and test nets.
    pub fn from_file(
        path: impl AsRef<Path>,
        options: &SolverOptions,
    ) -> Result<Solver, crate::Error> {
        Solver::build(SolverDef::read(path.as_ref())?, options)
    }

    /// The file's parameters.
    pub fn param(&self) -> &SolverParameter {
        &self.param
    }

    /// The net that trains.
    pub fn net(&self) -> &Net {
        &self.net
    }

    /// The net that trains, to change.
    pub fn net_mut(&mut self) -> &mut Net {
        &mut self.net
    }

    /// Copies weights into the net that trains, and into test nets for the layers that only they have.
    ///
    /// # Errors
    /// The file can't be read, or does not fit.
    pub fn copy_with(
        &mut self,
        path: impl AsRef<Path>,
        options: CopyOptions,
    ) -> Result<CopyReport, WeightsError> {
        let path = path.as_ref();
        let mut report = self.net.copy_with(path, options)?;
        if self.net.store.params().len() > self.net.store.trained().len() {
            for i in 0..self.test_nets.len() {
                let copied = self.with_test_net(i, |net| net.copy_with(path, options));
                let copied = copied.transpose()?.map_or(Vec::new(), |report| report.copied);
                report.skipped.retain(|layer| !copied.contains(layer));
            }
        }
        Ok(report)
    }

    /// Number of test nets.
    pub fn test_net_count(&self) -> usize {
        self.test_nets.len()
    }

    /// Runs something on a test net, which holds the weights meanwhile.
    pub fn with_test_net<T>(&mut self, index: usize, run: impl FnOnce(&mut Net) -> T) -> Option<T> {
        let net = self.test_nets.get_mut(index)?;
        net.store = std::mem::take(&mut self.net.store);
        let result = run(net);
        self.net.store = std::mem::take(&mut net.store);
        Some(result)
    }

    /// Lets the layers of all nets that write files write what they still hold.
    pub fn close(&mut self) -> Result<(), crate::Error> {
        let nets = std::iter::once(&mut self.net).chain(&mut self.test_nets);
        nets.into_iter().try_for_each(|net| Ok(net.close()?))
    }

    /// Iterations done.
    pub fn iter(&self) -> u64 {
        self.iter
    }

    /// Iterations wanted.
    pub fn max_iter(&self) -> u64 {
        self.param.max_iter().max(0) as u64
    }

    /// The learning rate of the coming iteration.
    pub fn rate(&self) -> f32 {
        let mut pace = self.pace;
        self.policy.rate(&self.param, self.iter, self.smoothed as f32, &mut pace)
    }

    /// Loss of the last iterations, averaged over `average_loss` of them.
    pub fn smoothed_loss(&self) -> f64 {
        self.smoothed
    }

    /// The seed in use, also when the file asked for a drawn one.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Where the readings of probes are to go: `probe { file }`, or `PREFIX_probe.csv`. `None` where
    /// nothing is probed.
    pub fn probe_file(&self) -> Option<PathBuf> {
        let probe = self.param.probe.as_ref().filter(|probe| !probe.blob.is_empty())?;
        Some(match &probe.file {
            Some(file) => PathBuf::from(file),
            None => {
                let mut name = self.prefix.as_os_str().to_owned();
                name.push("_probe.csv");
                PathBuf::from(name)
            }
        })
    }

    /// Something to watch from another thread where the passes of all nets are.
    pub fn pulses(&self) -> Vec<Arc<Pulse>> {
        std::iter::once(&self.net).chain(&self.test_nets).map(Net::pulse).collect()
    }

    /// Notes where everything stands as an iteration begins.
    fn begin(&mut self) {
        let tests = self.test_nets.iter().map(Net::mark).collect();
        self.began = Some(Began { net: self.net.mark(), tests, best: self.best.clone() });
    }

    /// Goes back to the beginning of an iteration that did not end.
    fn rewind(&mut self) -> Result<(), crate::Error> {
        let Some(began) = self.began.take() else { return Ok(()) };
        self.net.go_to(&began.net)?;
        for (net, mark) in self.test_nets.iter_mut().zip(&began.tests) {
            net.go_to(mark)?;
        }
        self.best = began.best;
        Ok(())
    }

    /// Warnings and notes about the solver file and its nets.
    pub fn notes(&self) -> Vec<Diagnostic> {
        let nets = std::iter::once(&self.net).chain(&self.test_nets);
        self.notes.iter().chain(nets.flat_map(|net| net.notes())).cloned().collect()
    }
}
