//! What is watched for while a net trains: numbers that are no numbers, gradients that explode, ReLUs
//! that died, labels that can't be right. Each can be turned off.

use std::collections::{HashMap, HashSet};

use cortado_kernels::kernels;

use super::{Event, Solver, SolverError, Watcher, shown};
use crate::net::{Mark, Net};

/// Which guards stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guards {
    /// Stops at a loss or gradient that is not finite, names where it begins, explains a loss of
    /// 87.3365.
    pub non_finite: bool,
    /// Warns of a gradient far beyond those before.
    pub gradients: bool,
    /// Warns of ReLU layers most of whose channels never fire.
    pub relus: bool,
    /// Warns of labels that are not whole, or always the same.
    pub labels: bool,
}

impl Default for Guards {
    fn default() -> Guards {
        Guards { non_finite: true, gradients: true, relus: true, labels: true }
    }
}

impl Guards {
    /// None stands.
    pub const NONE: Guards =
        Guards { non_finite: false, gradients: false, relus: false, labels: false };
}

/// A gradient so many times its running mean has exploded.
const EXPLOSION: f64 = 50.0;
/// Iterations after which the running mean means something, and between two warnings.
const SETTLED: u64 = 20;
const BETWEEN: u64 = 100;
/// Iterations between two looks at the ReLUs, and looks after which a channel counts as dead.
const RELU_EVERY: u64 = 20;
const RELU_LOOKS: u32 = 5;
/// Iterations in which labels are looked at.
const LABEL_LOOKS: u64 = 20;

/// What the guards have seen.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Sum of the squares of the last pass's gradient, where it has been worked out.
    squares: Option<f64>,
    /// Running mean of the gradient's L2 norm, over so many iterations.
    norm: f64,
    seen: u64,
    warned_at: Option<u64>,
    /// By layer: looks, and which channels fired in any.
    fired: HashMap<usize, (u32, Vec<bool>)>,
    /// By layer: the label that all items had so far.
    only: HashMap<usize, f32>,
    looks: u64,
    /// What was said and is not said again.
    told: HashSet<String>,
}

impl Solver {
    /// After a pass that began at `from`: stops when its loss or its gradients are not finite.
    pub(super) fn check_finite(&mut self, loss: f64, from: &Mark) -> Result<(), crate::Error> {
        let squares = self.gradient_squares();
        self.watch.squares = Some(squares);
        if loss.is_finite() && squares.is_finite() {
            return Ok(());
        }
        let first = self.net.find_non_finite(from)?;
        Err(SolverError::Diverged { iter: self.iter, loss, first }.into())
    }

    fn gradient_squares(&self) -> f64 {
        let diffs = self.net.store.diffs();
        self.net.pool().install(|| kernels().sum_sq(diffs))
    }

    /// Before the passes of an iteration: what is to be looked at while it is there.
    pub(super) fn look_ahead(&mut self) {
        if self.guards.relus && self.iter.is_multiple_of(RELU_EVERY) {
            self.net.watch_relus();
        }
    }

    /// After the passes of an iteration: looks around, and says what it sees.
    pub(super) fn look(&mut self, watcher: &mut dyn Watcher) {
        let mut lines = Vec::new();
        if self.guards.non_finite {
            explain_floor(&self.net, &mut lines);
        }
        if self.guards.gradients {
            let known = self.watch.squares.take();
            let squares = known.unwrap_or_else(|| self.gradient_squares());
            lines.extend(self.watch.gradient(squares.sqrt(), self.iter));
        }
        if self.guards.relus && self.iter.is_multiple_of(RELU_EVERY) {
            let fired = self.net.take_fired();
            self.watch.relus(fired, &mut lines);
        }
        if self.guards.labels && self.watch.looks < LABEL_LOOKS {
            self.watch.labels(&self.net, &mut lines);
        }
        for line in lines {
            if self.watch.told.insert(line.clone()) {
                watcher.event(&Event::Line(&format!("warning: {line}")));
            }
        }
    }
}

/// What a loss of 87.3365 means.
fn explain_floor(net: &Net, lines: &mut Vec<String>) {
    for (layer, _) in net.losses_at_floor() {
        lines.push(format!(
            "the loss of layer `{layer}` is 87.3365 = -ln(FLT_MIN): the right class has probability 0, \
             and its gradient no direction; the scores below it are too large: lower base_lr, scale the \
             data, or look at the labels"
        ));
    }
}

impl Watch {
    fn gradient(&mut self, norm: f64, iter: u64) -> Option<String> {
        let mean = self.norm;
        let settled = self.seen >= SETTLED;
        let weight = if self.seen == 0 { 1.0 } else { 0.05 };
        self.norm += weight * (norm - self.norm);
        self.seen += 1;
        let recent = self.warned_at.is_some_and(|at| iter < at + BETWEEN);
        if !settled || recent || mean <= 0.0 || norm <= EXPLOSION * mean {
            return None;
        }
        self.warned_at = Some(iter);
        Some(format!(
            "the gradient of iteration {iter} has the L2 norm {}, {} times that of those before; \
             clip_gradients or a lower base_lr would tame it",
            shown(norm),
            shown((norm / mean).round())
        ))
    }

    fn relus(&mut self, now: Vec<(usize, String, Vec<bool>)>, lines: &mut Vec<String>) {
        for (i, name, now) in now {
            let channels = now.len();
            let (looks, fired) = self.fired.entry(i).or_insert_with(|| (0, vec![false; channels]));
            if fired.len() != channels {
                continue;
            }
            *looks += 1;
            fired.iter_mut().zip(now).for_each(|(fired, now)| *fired |= now);
            let dead = fired.iter().filter(|&&fired| !fired).count();
            if *looks < RELU_LOOKS {
                continue;
            }
            if 2 * dead > channels {
                lines.push(format!(
                    "{dead} of {channels} channels of the ReLU layer `{name}` gave nothing but 0 in \
                     {RELU_LOOKS} looks: they learn no more; a lower base_lr, or ReLU with a \
                     negative_slope, keeps them alive"
                ));
            }
            self.fired.remove(&i);
        }
    }

    fn labels(&mut self, net: &Net, lines: &mut Vec<String>) {
        self.looks += 1;
        for (i, name, labels) in net.labels() {
            if let Some(label) = labels.iter().find(|label| label.fract() != 0.0) {
                lines.push(format!(
                    "a label of layer `{name}` is {label}: classes are whole numbers, what follows the \
                     point is dropped"
                ));
            }
            let Some(&first) = labels.first() else { continue };
            let only = *self.only.entry(i).or_insert(first);
            if labels.iter().any(|&label| label != only) {
                self.only.insert(i, f32::NAN);
            }
            if self.looks == LABEL_LOOKS && self.only[&i] == first && labels.len() > 1 {
                lines.push(format!(
                    "all labels of layer `{name}` in {LABEL_LOOKS} iterations are {first}: is the data \
                     sorted by class (`shuffle: true` mixes it), or are the labels missing?"
                ));
            }
        }
    }
}
