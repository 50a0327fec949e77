//! One run of a study: training with the variant's stages and fields; what came of it is kept in
//! `runs/VARIANT-SEED.json` (the weights beside it where nets are scored together), and taken from there
//! while nothing of what made it has changed.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use cortado_proto::caffe::StudyVariant;
use cortado_proto::{NetDef, SolverDef, schema, upgrade, wire};
use prost::Message;
use rayon::ThreadPool;
use serde::{Deserialize, Serialize};

use super::Study;
use crate::files;
use crate::solver::{
    Event, ProbeFile, Reading, Solver, SolverError, SolverOptions, Watcher, read_readings,
};
use crate::tools::ToolError;

/// A run that has ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The variant's name.
    pub variant: String,
    /// The seed.
    pub seed: i32,
    /// How it ended.
    pub outcome: Outcome,
    /// Iteration and measure of every test.
    pub curve: Vec<(u64, f64)>,
    /// Seconds that it took.
    pub seconds: f64,
    /// The version of the program.
    pub version: String,
    /// The day.
    pub date: String,
    /// Checksum of all that made it.
    pub made_from: u32,
    /// What probes read.
    #[serde(skip)]
    pub readings: Vec<Reading>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// All iterations are done.
    #[default]
    Done,
    /// Its numbers were no longer finite.
    Diverged,
}

impl Run {
    /// The best measure of all tests.
    pub fn best(&self) -> Option<f64> {
        self.curve.iter().map(|&(_, value)| value).max_by(f64::total_cmp)
    }

    /// The measure of the last test; none where the run diverged.
    pub fn last(&self) -> Option<f64> {
        self.curve.last().map(|&(_, value)| value).filter(|_| self.outcome == Outcome::Done)
    }

    /// The first test that came so far.
    pub fn reached(&self, mark: f64) -> Option<u64> {
        self.curve.iter().find(|&&(_, value)| value >= mark).map(|&(iter, _)| iter)
    }
}

/// Gathers what a run tells.
struct Gather<'a> {
    measure: &'a str,
    curve: Vec<(u64, f64)>,
    probes: Option<ProbeFile>,
    failed: Option<std::io::Error>,
    tell: &'a (dyn Fn(u64, u64) + Sync),
}

impl Watcher for Gather<'_> {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Iteration { done, of, .. } => (self.tell)(*done, *of),
            Event::Tested { net: 0, iter, outputs } => {
                // Accuracy takes scores that are no numbers for right.
                let finite = outputs.iter().all(|(_, value)| value.is_finite());
                let value = outputs.iter().find(|(name, _)| finite && name == self.measure);
                self.curve.extend(value.map(|&(_, value)| (*iter, value)));
            }
            Event::Probed(readings) => {
                let written = self.probes.as_mut().map(|file| file.write(readings));
                if let Some(Err(why)) = written {
                    self.failed.get_or_insert(why);
                }
            }
            _ => {}
        }
    }
}

/// The files of a solver's nets.
fn net_files(def: &SolverDef) -> impl Iterator<Item = PathBuf> {
    let near = def.source.as_ref().map(|source| PathBuf::from(&source.name));
    let named = [&def.param.net, &def.param.train_net];
    let named = named.into_iter().flatten().chain(&def.param.test_net);
    named.map(move |net| files::resolve(net, near.as_deref()))
}

/// What is wrong with a stage that no rule of the nets names: it is misspelt, and changes nothing.
fn unknown_stage(def: &SolverDef, stages: &[String]) -> Result<Option<String>, crate::Error> {
    let mut nets = def.test_net_params();
    nets.extend(def.net_param().into_iter().chain(def.train_net_param()));
    for file in net_files(def) {
        nets.push(NetDef::read(file)?);
    }
    for net in &mut nets {
        upgrade::net(net)?;
    }
    let layers = nets.iter().flat_map(|net| &net.layers);
    let rules = layers.flat_map(|layer| layer.include.iter().chain(&layer.exclude));
    let named = rules.flat_map(|rule| rule.stage.iter().chain(&rule.not_stage)).map(String::as_str);
    let named: BTreeSet<&str> = named.collect();
    let unknown = stages.iter().find(|stage| !named.contains(stage.as_str()));
    Ok(unknown.map(|stage| {
        let mut near = schema::similar(stage, named.iter().copied());
        let word = if near.is_empty() { "there are" } else { "similar" };
        if near.is_empty() {
            near.extend(named.iter().map(|&name| name.to_owned()));
        }
        match &near[..] {
            [] => format!("no rule of the net names the stage `{stage}`, or any other"),
            near => {
                let near = near.join("`, `");
                format!("no rule of the net names the stage `{stage}`; {word}: `{near}`")
            }
        }
    }))
}

impl Study {
    pub(super) fn file(&self, variant: &StudyVariant, seed: i32, ending: &str) -> PathBuf {
        self.results().join("runs").join(format!("{}-{seed}.{ending}", variant.name()))
    }

    /// The solver of a run, and the stages of its nets.
    pub(super) fn solver(
        &self,
        variant: &StudyVariant,
        seed: i32,
    ) -> Result<(SolverDef, Vec<String>), crate::Error> {
        let mut def = SolverDef::read(self.folder.join(self.param.solver()))?;
        let short = self.param.short.as_ref().filter(|_| self.short);
        let mut set = variant.set.clone();
        set.extend(short.iter().flat_map(|short| short.set.clone()));
        set.push(format!("random_seed={seed}"));
        set.push("snapshot=0".to_owned());
        set.push("snapshot_after_train=false".to_owned());
        def.set(&set)?;
        let mut stages = variant.stage.clone();
        stages.extend(short.iter().flat_map(|short| short.stage.clone()));
        let unknown = unknown_stage(&def, &stages)?;
        let told = |why| ToolError(format!("variant `{}`: {why}", variant.name()));
        unknown.map_or(Ok((def, stages)), |why| Err(told(why).into()))
    }

    /// A checksum of what makes a run: the solver, the net's text, the stages, the version.
    fn fingerprint(&self, def: &SolverDef, stages: &[String]) -> u32 {
        let mut sum = crc32fast::Hasher::new();
        sum.update(&def.param.encode_to_vec());
        sum.update(stages.join(",").as_bytes());
        sum.update(self.param.measure().as_bytes());
        sum.update(env!("CARGO_PKG_VERSION").as_bytes());
        for net in net_files(def) {
            sum.update(&std::fs::read(net).unwrap_or_default());
        }
        sum.finalize()
    }

    /// The run of a variant with a seed, if it is kept and still holds.
    ///
    /// # Errors
    /// The solver file has mistakes.
    pub fn kept(&self, variant: &StudyVariant, seed: i32) -> Result<Option<Run>, crate::Error> {
        let (def, stages) = self.solver(variant, seed)?;
        let text = std::fs::read_to_string(self.file(variant, seed, "json")).unwrap_or_default();
        let run: Option<Run> = serde_json::from_str(&text).ok();
        let Some(mut run) = run.filter(|run| run.made_from == self.fingerprint(&def, &stages))
        else {
            return Ok(None);
        };
        if self.ensemble().is_some() && !self.file(variant, seed, "caffemodel").exists() {
            return Ok(None);
        }
        let readings = std::fs::read_to_string(self.file(variant, seed, "csv"));
        run.readings = read_readings(&readings.unwrap_or_default());
        Ok(Some(run))
    }

    /// Trains a variant with a seed and keeps what came of it. `tell` hears of iterations: done, of all.
    ///
    /// # Errors
    /// The solver or its net has mistakes, data can't be read, results can't be written.
    pub fn train(
        &self,
        variant: &StudyVariant,
        seed: i32,
        pool: Arc<ThreadPool>,
        tell: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<Run, crate::Error> {
        let (def, stages) = self.solver(variant, seed)?;
        let made_from = self.fingerprint(&def, &stages);
        let options = SolverOptions { pool, stages, ..SolverOptions::default() };
        let mut solver = Solver::build(def, &options)?;
        let folder = self.results().join("runs");
        let told = |why: std::io::Error| ToolError(format!("`{}`: {why}", folder.display()));
        std::fs::create_dir_all(&folder).map_err(told)?;
        let csv = self.file(variant, seed, "csv");
        let probes = solver.probe_file().map(|_| ProbeFile::open(&csv, 0));
        let probes = probes.transpose().map_err(told)?;
        let measure = self.param.measure();
        let mut gather = Gather { measure, curve: Vec::new(), probes, failed: None, tell };
        let start = Instant::now();
        let outcome = match solver.solve(&mut gather) {
            Ok(_) => Outcome::Done,
            Err(crate::Error::Solver(errors))
                if errors.iter().any(|e| matches!(e, SolverError::Diverged { .. })) =>
            {
                Outcome::Diverged
            }
            Err(error) => return Err(error),
        };
        if let Some(why) = gather.failed {
            return Err(told(why).into());
        }
        if gather.curve.is_empty() && outcome == Outcome::Done {
            let why = format!("the test net of `{}` has no output `{measure}`", variant.name());
            return Err(ToolError(why).into());
        }
        if self.ensemble().is_some() {
            solver.net().save(self.file(variant, seed, "caffemodel"))?;
        }
        let run = Run {
            variant: variant.name().to_owned(),
            seed,
            outcome,
            curve: gather.curve,
            seconds: start.elapsed().as_secs_f64(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            date: jiff::Zoned::now().date().to_string(),
            made_from,
            readings: read_readings(&std::fs::read_to_string(&csv).unwrap_or_default()),
        };
        let text = serde_json::to_string(&run).map_err(|e| ToolError(e.to_string()))?;
        let path = self.file(variant, seed, "json");
        wire::write_file(&path, |out| writeln!(out, "{text}"))?;
        Ok(run)
    }
}
