//! `cortado device-query`.

use clap::Args;
use cortado::machine::{listed, physical};
use serde_json::json;

use super::{Failure, say};

/// Tell what the machine has: processor, threads, instruction sets, memory
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  cortado device-query --json")]
pub struct DeviceQueryArgs {
    /// Accepted for compatibility and ignored: everything runs on the CPU
    #[arg(long, value_name = "ID", hide = true)]
    gpu: Option<String>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: DeviceQueryArgs) -> Result<(), Failure> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let sets: Vec<&str> = cortado_kernels::available().iter().map(|set| set.isa()).collect();
    let used = cortado_kernels::kernels().isa();
    let processor = listed("/proc/cpuinfo", "model name");
    let memory = physical();
    if args.json {
        let report = json!({
            "processor": processor, "threads": threads, "isa": used, "available": sets,
            "memory": memory,
        });
        say(&report.to_string());
        return Ok(());
    }
    let unknown = || "not known".to_owned();
    let memory = memory
        .map_or_else(unknown, |bytes| format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64));
    say(&format!("Processor:         {}", processor.unwrap_or_else(unknown)));
    say(&format!("Threads:           {threads}"));
    say(&format!("Instruction sets:  {} (in use: {used})", sets.join(", ")));
    say(&format!("Memory:            {memory}"));
    if let Some(gpu) = args.gpu {
        say(&format!("Device id {gpu}:       no GPU is used; everything runs on the CPU"));
    }
    Ok(())
}
