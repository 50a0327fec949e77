//! `cortado time --plan`: the planned pass, step by step.

use std::time::Instant;

use cortado::net::{Net, StepInfo};
use serde_json::json;

use super::log::{self, Progress};
use super::{Failure, say};

/// Times of planned passes.
pub struct Planned {
    steps: Vec<StepInfo>,
    /// Milliseconds of each step at its fastest.
    of_step: Vec<f64>,
    /// Milliseconds of each pass, sorted.
    passes: Vec<f64>,
}

impl Planned {
    /// Runs the planned net; `None` where it runs layer by layer.
    pub fn time(net: &mut Net, iterations: u64) -> Result<Option<Planned>, Failure> {
        let Some(steps) = net.plan_steps() else { return Ok(None) };
        net.forward()?;
        let progress = Progress::new(2 * iterations, "timing the plan");
        let mut passes = Vec::new();
        for iteration in 0..iterations {
            let start = Instant::now();
            net.forward()?;
            passes.push(milliseconds(start));
            progress.set(iteration + 1, String::new());
        }
        passes.sort_by(f64::total_cmp);
        let mut of_step = vec![f64::INFINITY; steps.len()];
        for iteration in 0..iterations {
            let mut last = Instant::now();
            net.forward_watched(&mut |at| {
                of_step[at] = of_step[at].min(milliseconds(last));
                last = Instant::now();
            })?;
            progress.set(iterations + iteration + 1, String::new());
        }
        Ok(Some(Planned { steps, of_step, passes }))
    }

    fn median(&self) -> f64 {
        self.passes[self.passes.len() / 2]
    }

    /// Mean of the passes.
    pub fn mean(&self) -> f64 {
        self.passes.iter().sum::<f64>() / self.passes.len() as f64
    }

    /// The times in one line.
    pub fn log(&self) {
        let (mean, min, median) = (self.mean(), self.passes[0], self.median());
        log::line(&format!(
            "Planned, in {} steps: {mean:.4} ms (min {min:.4}, median {median:.4}).",
            self.steps.len()
        ));
    }

    /// The steps as a table.
    pub fn table(&self, net: &Net) {
        let total: f64 = self.of_step.iter().sum();
        let share = |ms: f64| if total > 0.0 { 100.0 * ms / total } else { 0.0 };
        let names: Vec<String> = self.steps.iter().map(|step| step.layers.join(" + ")).collect();
        let wide = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0).max(4);
        let work = wide(&mut self.steps.iter().map(|step| step.work.chars().count()));
        let layout = wide(&mut self.steps.iter().map(|step| step.layout.chars().count()));
        let head = ("min ms", "%", "work", "algorithm", "layout", "memory");
        say(&format!(
            "{:>10} {:>6}  {:work$}  {:9}  {:layout$}  {:8}  layers [rules]",
            head.0, head.1, head.2, head.3, head.4, head.5
        ));
        for ((step, name), &ms) in self.steps.iter().zip(&names).zip(&self.of_step) {
            let rules = match step.rules.is_empty() {
                true => String::new(),
                false => format!(" [{}]", step.rules.join(", ")),
            };
            let line = format!(
                "{ms:>10.4} {:>6.1}  {:work$}  {:9}  {:layout$}  {:8}  {name}{rules}",
                share(ms),
                step.work,
                step.algorithm,
                step.layout,
                step.memory,
            );
            say(line.trim_end());
        }
        say(&format!("{total:>10.4}  {} steps", self.steps.len()));
        let mib = net.plan_bytes() as f64 / f64::from(1 << 20);
        log::line(&format!("The plan's values share {mib:.1} MiB."));
    }

    /// For `--json`.
    pub fn report(&self) -> serde_json::Value {
        let steps: Vec<_> = self
            .steps
            .iter()
            .zip(&self.of_step)
            .map(|(step, ms)| {
                json!({
                    "layers": step.layers,
                    "work": step.work,
                    "algorithm": step.algorithm,
                    "layout": step.layout,
                    "rules": step.rules,
                    "min_ms": ms,
                })
            })
            .collect();
        json!({ "min_ms": self.passes[0], "median_ms": self.median(), "steps": steps })
    }
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
