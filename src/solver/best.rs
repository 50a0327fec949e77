//! The best weights by a test output (`keep_best`), and the end of patience with them.

use std::path::PathBuf;

use cortado_proto::caffe::SolverState;
use cortado_proto::caffe::solver_parameter::SnapshotFormat;
use cortado_proto::{Diagnostic, SolverDef};

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
            names.sort_unstable();
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

    /// What decides, as a state names it: `-loss`, `+acc`.
    pub fn output(&self) -> Option<String> {
        let sign = |wanted: &Wanted| if wanted.smaller { '-' } else { '+' };
        self.wanted.as_ref().map(|wanted| format!("{}{}", sign(wanted), wanted.output))
    }
}

/// The part of the best by which a value must be better: less is the noise of rounding.
const NOISE: f64 = 1e-6;

impl Wanted {
    fn is_better(&self, value: f64, best: f64) -> bool {
        let least = if best.is_finite() { NOISE * best.abs() } else { 0.0 };
        let gain = if self.smaller { best - value } else { value - best };
        gain > least
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

    /// Takes the best of a snapshot, where the same output decides and its weights are there.
    pub(super) fn restore_best(&mut self, state: &SolverState) {
        (self.best.found, self.best.since) = (None, 0);
        let Some(output) = self.best.output() else { return };
        let (found, file) = (state.best.zip(state.best_iter), self.best_name());
        let other = state.best_output.as_ref().filter(|theirs| **theirs != output);
        let why = match (other, found) {
            (Some(other), _) => format!("`keep_best` is {output} here, {other} in the snapshot"),
            (None, Some(_)) if !file.is_file() => format!("`{}` is not there", file.display()),
            _ => {
                (self.best.found, self.best.since) = (found, state.tests_since_best());
                return;
            }
        };
        let note = format!("{why}: the next test is the first to be compared with");
        self.notes.push(Diagnostic::note(note, None));
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
        // Accuracy takes scores that are no numbers for right, as the original does.
        if let Some((name, _)) = outputs.iter().find(|(_, value)| !value.is_finite()) {
            let line =
                format!("warning: `{name}` is not finite: this test does not count as the best");
            watcher.event(&Event::Line(&line));
            return;
        }
        let is_better = match self.best.found {
            None => true,
            Some((best, _)) => wanted.is_better(value, best),
        };
        if !is_better || !self.net.store.is_finite() {
            self.best.since += 1;
            return;
        }
        let path = self.best_name();
        let counts = if wanted.smaller { "smaller" } else { "larger" };
        let said = format!(
            "Best {} so far ({counts} is better): {}; weights to",
            wanted.output,
            shown(value)
        );
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
