//! How near a piece of work comes to what the machine can do.

use cortado_kernels::kernels;
use serde_json::json;

/// The machine, as its threads were measured.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// Floating-point operations per second with operands in registers.
    pub peak: f64,
}

/// What was done in some time.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Multiply-adds.
    pub macs: u64,
    /// Bytes of all operands and results, each counted once.
    pub bytes: u64,
}

impl Machine {
    /// Measures the threads of a pool, for about a tenth of a second.
    pub fn measure(pool: &rayon::ThreadPool) -> Machine {
        Machine { peak: pool.install(|| kernels().peak(50_000, 20)) }
    }

    /// The names of the columns.
    pub fn head() -> String {
        format!("{:>8} {:>7} {:>7}", "GFLOP/s", "% peak", "GB/s")
    }

    /// The columns of some work.
    pub fn columns(self, work: Work, ms: f64) -> String {
        let [gflops, share, gb] = self.numbers(work, ms);
        let shown = |x: Option<f64>, width: usize| match x {
            Some(x) => format!("{x:>width$.1}"),
            None => format!("{:>width$}", "-"),
        };
        let arithmetic = (work.macs > 0).then_some(gflops);
        let share = arithmetic.map(|_| share);
        format!("{} {} {}", shown(arithmetic, 8), shown(share, 7), shown(Some(gb), 7))
    }

    /// The same for `--json`.
    pub fn json(self, work: Work, ms: f64) -> serde_json::Value {
        let [gflops, share, gb] = self.numbers(work, ms);
        json!({ "macs": work.macs, "bytes": work.bytes, "gflops": gflops, "of_peak": share / 100.0, "gb_per_s": gb })
    }

    /// GFLOP/s, percent of the peak, GB/s.
    fn numbers(self, work: Work, ms: f64) -> [f64; 3] {
        let seconds = (ms * 1e-3).max(1e-9);
        let flops = 2.0 * work.macs as f64 / seconds;
        [flops * 1e-9, 100.0 * flops / self.peak.max(1.0), work.bytes as f64 / seconds * 1e-9]
    }
}

/// Most memory that the program has held at one time, in MiB; nothing where the system does not say.
pub fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}
