//! From a solver file to a solver: fields checked all at once, train and test nets built.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cortado_layers::Phase;
use cortado_proto::caffe::solver_parameter::{SnapshotFormat, SolverMode};
use cortado_proto::caffe::{self, SolverParameter};
use cortado_proto::{Diagnostic, NetDef, SolverDef, schema};

use super::nets::{NamedNets, named_nets};
use super::policy::POLICIES;
use super::precision::AP_VERSIONS;
use super::probe::Probes;
use super::step::Shown;
use super::test::DETECTION;
use super::update::{RULES, Regularization};
use super::{Best, LrPolicy, Pace, Solver, SolverError, SolverOptions, UpdateRule, Watch};
use crate::files;
use crate::net::{Net, NetOptions, NetState};

impl Solver {
    /// Builds a solver with its train and test nets. All mistakes of the solver file come back
    /// together; then all of the first net that has any.
    pub fn build(mut def: SolverDef, options: &SolverOptions) -> Result<Solver, crate::Error> {
        cortado_proto::upgrade::solver(&mut def)?;
        let checked = check(&def).map_err(crate::Error::Solver)?;
        let mut notes = std::mem::take(&mut def.notes);
        notes.extend(super::unused::warnings(&def));
        if def.param.solver_mode.is_some() && def.param.solver_mode() == SolverMode::Gpu {
            let place = def.span_of("solver_mode");
            notes.push(Diagnostic::note("solver_mode: GPU runs on the CPU here", place));
        }
        let seed = seed(&def.param);
        let prefix = prefix(&def);
        let near = def.source.as_ref().map(|source| PathBuf::from(&source.name));
        let near = near.as_deref();
        let train = checked.nets.train.read(near)?;
        let tests = checked.nets.tests.into_iter().map(|test| test.read(near));
        let tests = tests.collect::<Result<Vec<NetDef>, _>>()?;
        let beside = |list: &String| -> String {
            let files = list.split(',').map(str::trim).filter(|file| !file.is_empty());
            let files = files.map(|file| files::resolve(file, near).display().to_string());
            files.collect::<Vec<_>>().join(",")
        };
        def.param.weights = def.param.weights.iter().map(beside).collect();
        let state = net_state(Phase::Train, options, &train.param, def.param.train_state.as_ref());
        let with = |state: NetState| NetOptions {
            gradients: state.phase == Phase::Train,
            // What is to be told layer by layer runs layer by layer.
            plan: state.phase == Phase::Test || !def.param.debug_info(),
            state,
            registry: options.registry.clone(),
            seed,
            pool: options.pool.clone(),
            max_memory: options.max_memory,
            exact: false,
            checkpoint_activations: options.checkpoint_activations,
            tuned: None,
        };
        let mut net = Net::build(train, &with(state))?;
        let weights = net.store.weight_count();
        let mut test_nets = Vec::with_capacity(tests.len());
        for (i, test) in tests.into_iter().enumerate() {
            let state = net_state(Phase::Test, options, &test.param, def.param.test_state.get(i));
            let mut built = Net::build_on(test, &with(state), std::mem::take(&mut net.store))?;
            net.store = std::mem::take(&mut built.store);
            test_nets.push(built);
        }
        let is_hdf5 = def.param.snapshot_format() == SnapshotFormat::Hdf5;
        if let Some(twice) = is_hdf5.then(|| net.hdf5_collision()).flatten() {
            let why = format!(
                "the names of two layers clash in HDF5 files: `{twice}` would stand in them twice; rename \
                 one, or write `snapshot_format: BINARYPROTO`"
            );
            return Err(SolverError::field(why, def.span_of("snapshot_format")).into());
        }
        let best = Best::wanted(&def, &test_nets)?;
        let probes = Probes::wanted(&def, &net)?;
        net.hold(&probes.blobs())?;
        let second = if checked.rule.histories() > 1 { weights } else { 0 };
        Ok(Solver {
            net,
            test_nets,
            policy: checked.policy,
            rule: checked.rule,
            regularization: checked.regularization,
            prefix,
            seed,
            iter: 0,
            pace: Pace::default(),
            best,
            probes,
            began: None,
            asked: false,
            saved: None,
            disk: options.disk.clone(),
            guards: options.guards,
            watch: Watch::default(),
            claim: None,
            resumed: false,
            history: [vec![0.0; weights], vec![0.0; second]],
            losses: VecDeque::new(),
            smoothed: 0.0,
            shown_at: Shown::now(0, Duration::ZERO),
            notes,
            param: def.param,
        })
    }
}

/// Holds a solver's fields against each other, without its nets.
///
/// # Errors
/// All mistakes of the file.
pub fn examine(def: &mut SolverDef) -> Result<(), crate::Error> {
    cortado_proto::upgrade::solver(def)?;
    def.notes.extend(super::unused::warnings(def));
    check(def).map(|_| ()).map_err(crate::Error::Solver)
}

struct Checked {
    policy: LrPolicy,
    rule: UpdateRule,
    regularization: Regularization,
    nets: NamedNets,
}

/// Holds every field that can be wrong by itself against what its policy and type want.
fn check(def: &SolverDef) -> Result<Checked, Vec<SolverError>> {
    let p = &def.param;
    let mut errors = Vec::new();
    let mut say = |field: &str, why: String| {
        errors.push(SolverError::field(why, def.span_of(field)));
    };
    for (field, value) in [
        ("max_iter", p.max_iter()),
        ("test_interval", p.test_interval()),
        ("display", p.display()),
        ("snapshot", p.snapshot()),
        ("keep_last", p.keep_last()),
        ("patience", p.patience()),
        ("rampup_interval", p.rampup_interval()),
        ("warmup_iter", p.warmup_iter()),
    ] {
        if value < 0 {
            say(field, format!("`{field}` must not be negative, found {value}"));
        }
    }
    if !["classification", DETECTION].contains(&p.eval_type()) {
        let why =
            format!("`eval_type` is classification or {DETECTION}, found `{}`", p.eval_type());
        say("eval_type", why);
    }
    if AP_VERSIONS.iter().all(|(name, _)| *name != p.ap_version()) {
        let names = AP_VERSIONS.map(|(name, _)| name).join(", ");
        say("ap_version", format!("`ap_version` is one of {names}, found `{}`", p.ap_version()));
    }
    if p.iter_size() < 1 {
        say("iter_size", format!("`iter_size` is at least 1, found {}", p.iter_size()));
    }
    if p.average_loss() < 1 {
        say("average_loss", format!("`average_loss` is at least 1, found {}", p.average_loss()));
    }
    if let Some(probe) = p.probe.as_ref().filter(|probe| probe.interval() < 1) {
        say("probe.interval", format!("`interval` is at least 1, found {}", probe.interval()));
    }
    let policy = LrPolicy::named(p.lr_policy());
    match policy {
        None if p.lr_policy.is_none() => {
            let names = POLICIES.map(|(name, _)| name).join(", ");
            say("", format!("`lr_policy` must be given: one of {names}"));
        }
        None => say("lr_policy", format!("there is no lr_policy `{}`", p.lr_policy())),
        Some(LrPolicy::Step) if p.stepsize() <= 0 => {
            say("lr_policy", "lr_policy `step` wants a `stepsize` above 0".to_owned());
        }
        Some(LrPolicy::Poly | LrPolicy::Cosine) if p.max_iter() <= 0 => {
            let why = format!("lr_policy `{}` wants a `max_iter` above 0", p.lr_policy());
            say("lr_policy", why);
        }
        Some(LrPolicy::Plateau) if p.plateau_winsize.is_empty() => {
            say("lr_policy", "lr_policy `plateau` wants `plateau_winsize`".to_owned());
        }
        Some(policy) if policy != LrPolicy::Fixed && p.gamma() < 0.0 => {
            say("gamma", format!("`gamma` must not be negative, found {}", p.gamma()));
        }
        Some(_) => {}
    }
    if !(0.0..=p.base_lr()).contains(&p.min_lr()) && p.min_lr.is_some() {
        let (least, base) = (p.min_lr(), p.base_lr());
        say("min_lr", format!("`min_lr` is between 0 and base_lr, {base}, found {least}"));
    }
    if p.patience() > 0 && p.keep_best.is_none() {
        say("patience", "`patience` wants `keep_best`: the output that has to improve".to_owned());
    }
    let rule = UpdateRule::named(p.r#type());
    match rule {
        None => say("type", format!("there is no solver type `{}`", p.r#type())),
        Some(UpdateRule::AdaGrad | UpdateRule::RmsProp) if p.momentum() != 0.0 => {
            let why = format!("{} takes no momentum, found {}", p.r#type(), p.momentum());
            say("momentum", why);
        }
        Some(UpdateRule::RmsProp) if !(0.0..1.0).contains(&p.rms_decay()) => {
            let why = format!("`rms_decay` is between 0 and 1, found {}", p.rms_decay());
            say("rms_decay", why);
        }
        Some(UpdateRule::Lars) if !(p.larc_eta() > 0.0) => {
            say("larc_eta", format!("`larc_eta` is above 0, found {}", p.larc_eta()));
        }
        Some(_) => {}
    }
    let regularization = match p.regularization_type() {
        "L1" => Some(Regularization::L1),
        "L2" => Some(Regularization::L2),
        other => {
            say("regularization_type", format!("regularization_type is L1 or L2, found `{other}`"));
            None
        }
    };
    let nets = named_nets(def).map_err(|error| errors.push(error)).ok();
    match (errors.is_empty(), policy, rule, regularization, nets) {
        (true, Some(policy), Some(rule), Some(regularization), Some(nets)) => {
            Ok(Checked { policy, rule, regularization, nets })
        }
        _ => Err(errors.into_iter().map(|error| helped(error, p)).collect()),
    }
}

/// Adds the names that come near.
fn helped(error: SolverError, p: &SolverParameter) -> SolverError {
    let SolverError::Field { why, .. } = &error else { return error };
    let similar = if why.starts_with("there is no lr_policy") {
        schema::similar(p.lr_policy(), POLICIES.iter().map(|(name, _)| *name))
    } else if why.starts_with("there is no solver type") {
        schema::similar(p.r#type(), RULES.iter().map(|(name, _)| *name))
    } else {
        Vec::new()
    };
    if similar.is_empty() {
        error
    } else {
        error.note(format!("similar: `{}`", similar.join("`, `")))
    }
}

/// `random_seed`, or one drawn from the clock.
fn seed(p: &SolverParameter) -> u64 {
    match p.random_seed() {
        seed if seed >= 0 => seed as u64,
        _ => SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |t| t.as_nanos() as u64),
    }
}

/// Where snapshots go: `snapshot_prefix`; the solver file's name where it is empty or a directory.
fn prefix(def: &SolverDef) -> PathBuf {
    let source = def.source.as_ref().map_or("solver", |source| source.name.as_str());
    let stem = Path::new(source).with_extension("");
    match def.param.snapshot_prefix() {
        "" => stem,
        given if Path::new(given).is_dir() => {
            Path::new(given).join(stem.file_name().unwrap_or(stem.as_os_str()))
        }
        given => PathBuf::from(given),
    }
}

/// The state of a net: its phase, then what the net says, then what the solver says, then, for the net
/// that trains, what the command line says.
pub fn net_state(
    phase: Phase,
    options: &SolverOptions,
    net: &caffe::NetParameter,
    own: Option<&caffe::NetState>,
) -> NetState {
    let mut state = NetState { phase, level: 0, stages: Vec::new() };
    for more in [net.state.as_ref(), own].into_iter().flatten() {
        if more.phase.is_some() {
            state.phase = crate::net::phase_of(more.phase());
        }
        state.level = more.level.unwrap_or(state.level);
        state.stages.extend(more.stage.iter().cloned());
    }
    if phase == Phase::Train {
        state.stages.extend(options.stages.iter().cloned());
        // 0 is what stands where no level was given.
        state.level = if options.level != 0 { options.level } else { state.level };
    }
    state
}
