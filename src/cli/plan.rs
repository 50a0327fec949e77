//! `cortado time --plan`: the planned pass, step by step.

use std::time::Instant;

use cortado::net::{Deployed, StepInfo};
use serde_json::json;

use super::log::{self, Progress};
use super::roofline::{Machine, Work};
use super::{Failure, say};

/// Times of planned passes.
pub struct Planned {
    steps: Vec<StepInfo>,
    /// Milliseconds of each step at its fastest.
    of_step: Vec<f64>,
    /// Parts in which each step was shared out among the threads.
    tasks: Vec<usize>,
    /// Milliseconds of each pass, sorted.
    passes: Vec<f64>,
    machine: Machine,
}

impl Planned {
    /// Runs the planned net; `None` where it runs layer by layer.
    pub fn time(net: &mut Deployed, iterations: u64) -> Result<Option<Planned>, Failure> {
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
        let mut tasks = vec![0; steps.len()];
        for iteration in 0..iterations {
            let mut last = Instant::now();
            net.forward_watched(&mut |at| {
                of_step[at] = of_step[at].min(milliseconds(last));
                tasks[at] = cortado_kernels::tasks_shared().max(1);
                last = Instant::now();
            })?;
            progress.set(iterations + iteration + 1, String::new());
        }
        let machine = Machine::measure(net.pool());
        Ok(Some(Planned { steps, of_step, tasks, passes, machine }))
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
    pub fn table(&self, net: &Deployed) {
        let total: f64 = self.of_step.iter().sum();
        let share = |ms: f64| if total > 0.0 { 100.0 * ms / total } else { 0.0 };
        let wide = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0).max(4);
        let parts = || self.steps.iter().flat_map(|step| std::iter::once(step).chain(&step.parts));
        let work = wide(&mut parts().map(|step| step.work.chars().count()));
        let layout = wide(&mut parts().map(|step| step.layout.chars().count()));
        let head = ("min ms", "%", "work", "algorithm", "layout", "memory");
        say(&format!(
            "{:>10} {:>6} {} {:>5}  {:work$}  {:9}  {:layout$}  {:8}  layers [rules]",
            head.0,
            head.1,
            Machine::head(),
            "tasks",
            head.2,
            head.3,
            head.4,
            head.5
        ));
        let tell = |step: &StepInfo, numbers: String| {
            let rules = match step.rules.is_empty() {
                true => String::new(),
                false => format!(" [{}]", step.rules.join(", ")),
            };
            let name = match step.parts.is_empty() {
                true => step.layers.join(" + "),
                false => "these:".to_owned(),
            };
            let line = format!(
                "{numbers}  {:work$}  {:9}  {:layout$}  {:8}  {name}{rules}",
                step.work, step.algorithm, step.layout, step.memory,
            );
            say(line.trim_end());
        };
        for ((step, &ms), tasks) in self.steps.iter().zip(&self.of_step).zip(&self.tasks) {
            let machine = self.machine.columns(work_of(step), ms);
            tell(step, format!("{ms:>10.4} {:>6.1} {machine} {tasks:>5}", share(ms)));
            let blank = " ".repeat(10 + 1 + 6 + 1 + machine.len() + 1 + 5);
            step.parts.iter().for_each(|part| tell(part, blank.clone()));
        }
        let all = self.steps.iter().map(work_of).fold(Work { macs: 0, bytes: 0 }, |sum, work| {
            Work { macs: sum.macs + work.macs, bytes: sum.bytes + work.bytes }
        });
        let machine = self.machine.columns(all, total);
        say(&format!("{total:>10.4} {:>6} {machine}  {} steps", "", self.steps.len()));
        log::line(&format!(
            "The threads multiply and add at {:.1} GFLOP/s at best.",
            self.machine.peak * 1e-9
        ));
        let mib = net.plan_bytes() as f64 / f64::from(1 << 20);
        log::line(&format!("The plan's values share {mib:.1} MiB."));
    }

    /// For `--json`.
    pub fn report(&self) -> serde_json::Value {
        let steps: Vec<_> = self
            .steps
            .iter()
            .zip(&self.of_step)
            .zip(&self.tasks)
            .map(|((step, &ms), tasks)| {
                let parts: Vec<&Vec<String>> = step.parts.iter().map(|part| &part.layers).collect();
                json!({
                    "layers": step.layers,
                    "work": step.work,
                    "algorithm": step.algorithm,
                    "layout": step.layout,
                    "rules": step.rules,
                    "min_ms": ms,
                    "tasks": tasks,
                    "parts": parts,
                    "roofline": self.machine.json(work_of(step), ms),
                })
            })
            .collect();
        let (min, median) = (self.passes[0], self.median());
        let peak = self.machine.peak * 1e-9;
        json!({ "min_ms": min, "median_ms": median, "peak_gflops": peak, "steps": steps })
    }
}

fn work_of(step: &StepInfo) -> Work {
    Work { macs: step.macs, bytes: step.bytes }
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
