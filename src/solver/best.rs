//! The best weights by a test output (`keep_best`), and the end of patience with them.

use std::path::PathBuf;

use cortado_proto::SolverDef;
use cortado_proto::caffe::solver_parameter::SnapshotFormat;

use super::{Event, Solver, SolverError, Watcher, shown};
use crate::net::Net;

/// The best so far; part of a snapshot.
#[derive(Clone, Debug, Default)]
pub(super) struct Best {
    wanted: Option<Wanted>,
    /// Value and iteration of the best.
    pub found: Option<(f64, u64)>,
    /// Tests since.
    pub since: u32,
}

/// The output that decides.
#[derive(Clone, Debug)]
struct Wanted {
    net: usize,
    output: String,
    smaller: bool,
}

impl Best {
    /// What a solver file asks for.
    pub fn wanted(def: &SolverDef, tests: &[Net]) -> Result<Best, SolverError> {
        let Some(text) = &def.param.keep_best else { return Ok(Best::default()) };
        let (sign, output) = match text.split_at_checked(1) {
            Some(("-", name)) => (Some(true), name),
            Some(("+", name)) => (Some(false), name),
            _ => (None, text.as_str()),
        };
        let found = tests.iter().position(|net| net.outputs().contains(&output));
        let Some(net) = found else {
            let mut names: Vec<&str> = tests.iter().flat_map(Net::outputs).collect();
            names.dedup();
            let there = match names.is_empty() {
                true => "there is no test net".to_owned(),
                false => format!("the test nets have {}", names.join(", ")),
            };
            let why = format!("`keep_best` names the output `{output}`; {there}");
            return Err(SolverError::field(why, def.span_of("keep_best")));
        };
        let smaller = sign.unwrap_or(tests[net].loss_weight(output) != 0.0);
        Ok(Best {
            wanted: Some(Wanted { net, output: output.to_owned(), smaller }),
            ..Best::default()
        })
    }
}

impl Solver {
    /// The file that keeps the best weights: `PREFIX_best.caffemodel`.
    pub fn best_name(&self) -> PathBuf {
        let mut name = self.prefix().as_os_str().to_owned();
        name.push("_best.caffemodel");
        if self.param.snapshot_format() == SnapshotFormat::Hdf5 {
            name.push(".h5");
        }
        PathBuf::from(name)
    }

    /// Value of the best test output so far, and the iteration it was found after.
    pub fn best(&self) -> Option<(f64, u64)> {
        self.best.found
    }

    /// Looks at the outputs of a test; keeps the weights if they are the best.
    pub(super) fn judge(
        &mut self,
        net: usize,
        outputs: &[(String, f64)],
        watcher: &mut dyn Watcher,
    ) {
        let Some(wanted) = self.best.wanted.as_ref().filter(|wanted| wanted.net == net) else {
            return;
        };
        let value = outputs.iter().find(|(name, _)| *name == wanted.output);
        let Some(&(_, value)) = value else { return };
        let is_better = match self.best.found {
            None => !value.is_nan(),
            Some((best, _)) if wanted.smaller => value < best,
            Some((best, _)) => value > best,
        };
        if !is_better {
            self.best.since += 1;
            return;
        }
        let path = self.best_name();
        let said = format!("Best {} so far: {}; weights to", wanted.output, shown(value));
        watcher.event(&Event::Line(&format!("{said} {}", path.display())));
        match self.save_weights(&path) {
            Ok(_) => (self.best.found, self.best.since) = (Some((value, self.iter)), 0),
            // What is not on the disk is not the best.
            Err(e) => watcher.event(&Event::Line(&format!("warning: {e}; training goes on"))),
        }
    }

    /// Whether the last tests brought nothing better, so many that it is time to stop.
    pub(super) fn has_no_patience_left(&self, watcher: &mut dyn Watcher) -> bool {
        let patience = self.param.patience().max(0) as u32;
        if patience == 0 || self.best.since < patience {
            return false;
        }
        let (best, iter) = self.best.found.unwrap_or_default();
        let line = format!(
            "Nothing better in {} tests; the best, {}, was found at iteration {iter}",
            self.best.since,
            shown(best)
        );
        watcher.event(&Event::Line(&line));
        true
    }
}
