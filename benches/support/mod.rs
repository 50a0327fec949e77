//! What the benchmarks share: problem strings in, JSON lines out.

#![allow(dead_code)] // Each benchmark uses its part.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

/// The lines of `benches/shapes/<name>.txt` (`#` begins a comment), or the one given on the command
/// line after `--`. With `--test`, each runs once.
pub struct Problems {
    pub lines: Vec<String>,
    pub test: bool,
}

impl Problems {
    pub fn read(name: &str) -> Problems {
        // Cargo adds `--bench`.
        let given: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
        let test = given.iter().any(|a| a == "--test");
        let given: Vec<String> = given.into_iter().filter(|a| a != "--test").collect();
        if !given.is_empty() {
            return Problems { lines: vec![given.join(" ")], test };
        }
        let path = format!("{}/benches/shapes/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or("").trim());
        Problems { lines: lines.filter(|l| !l.is_empty()).map(str::to_owned).collect(), test }
    }

    /// Runs `f` until about a second is measured, after one run that warms up.
    pub fn measure(&self, mut f: impl FnMut()) -> Samples {
        f();
        let (least, time) =
            if self.test { (1, Duration::ZERO) } else { (5, Duration::from_millis(1500)) };
        let start = Instant::now();
        let mut ms = Vec::new();
        while ms.len() < least || (start.elapsed() < time && ms.len() < 10_000) {
            let run = Instant::now();
            f();
            ms.push(run.elapsed().as_secs_f64() * 1e3);
        }
        ms.sort_by(f64::total_cmp);
        Samples(ms)
    }
}

/// Milliseconds, sorted.
pub struct Samples(Vec<f64>);

impl Samples {
    pub fn min(&self) -> f64 {
        self.0[0]
    }

    pub fn median(&self) -> f64 {
        self.0[self.0.len() / 2]
    }

    /// `prefix_median_ms`, `prefix_min_ms` and the number of runs.
    pub fn report(&self, prefix: &str, to: &mut Map<String, Value>) {
        to.insert(format!("{prefix}median_ms"), json!(round(self.median())));
        to.insert(format!("{prefix}min_ms"), json!(round(self.min())));
        to.insert(format!("{prefix}runs"), json!(self.0.len()));
    }
}

pub fn round(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// The most memory this process had at any time, where the system tells.
pub fn peak_rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some((kib / 1024.0 * 10.0).round() / 10.0)
}
