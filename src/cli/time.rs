//! `cortado time`.

use std::time::Instant;

use clap::{Args, ValueEnum};
use cortado::net::{LayerInfo, Net};
use cortado::solver::Rehearsal;
use cortado_layers::Phase;
use serde_json::json;

use super::log::{self, Progress};
use super::model::{ModelArgs, PlanArgs};
use super::plan::Planned;
use super::roofline::{Machine, Work, peak_memory};
use super::{Failure, RunArgs, say, time_data};

/// Time forward pass, backward pass and update of every layer
#[derive(Args, Debug)]
#[command(
    alias = "net_speed_benchmark",
    after_help = "Examples:\n  cortado time --model models/resnet50/deploy.prototxt --phase TEST --iterations 10\n  \
                  cortado time --model models/lenet/train_test.prototxt --data"
)]
pub struct TimeArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Number of timed iterations
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    iterations: u64,
    /// Phase of the net [default: TRAIN]
    #[arg(long, value_enum, ignore_case = true, value_name = "PHASE")]
    phase: Option<PhaseArg>,
    /// Print the table as JSON
    #[arg(long)]
    json: bool,
    /// Time the planned forward pass of phase TEST instead, and print its steps
    #[arg(long, conflicts_with = "no_plan")]
    plan: bool,
    /// Time the data layers instead: how fast they deliver, and how long a step waits for them
    #[arg(long, conflicts_with = "plan")]
    data: bool,
    #[command(flatten)]
    how: PlanArgs,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "UPPER")]
pub enum PhaseArg {
    Train,
    Test,
}

impl From<PhaseArg> for Phase {
    fn from(phase: PhaseArg) -> Phase {
        match phase {
            PhaseArg::Train => Phase::Train,
            PhaseArg::Test => Phase::Test,
        }
    }
}

/// Runs the command.
pub fn run(args: TimeArgs) -> Result<(), Failure> {
    let phase = match (args.plan, args.phase) {
        (true, Some(PhaseArg::Train)) => {
            return Err(Failure::Usage("--plan times phase TEST: TRAIN has no plan".to_owned()));
        }
        (true, _) => Phase::Test,
        (false, phase) => phase.map_or(Phase::Train, Into::into),
    };
    let mut net = args.model.load(phase, &args.run, &args.how, !args.plan)?;
    if args.plan {
        return planned(&args, net);
    }
    if args.data {
        return time_data::run(&mut net, args.iterations, args.json);
    }
    log::line("Performing Forward");
    let loss = net.forward_layers()?;
    log::line(&format!("Initial loss: {loss}"));
    net.backward()?;
    log::line("*** Benchmark begins ***");
    log::line(&format!("Testing for {} iterations.", args.iterations));
    let progress = Progress::new(args.iterations, "timing");
    let layers = net.layers().len();
    let mut forward = vec![0.0; layers];
    let mut backward = vec![0.0; layers];
    let mut update = vec![0.0; layers];
    let mut rehearsal = (phase == Phase::Train).then(|| Rehearsal::new(&net));
    let start = Instant::now();
    let pool = net.pool().clone();
    for iteration in 0..args.iterations {
        let pass = || -> Result<(), cortado::Error> {
            for (i, total) in forward.iter_mut().enumerate() {
                *total += timed(|| net.forward_range(i..i + 1))?;
            }
            net.seed_diffs();
            for (i, total) in backward.iter_mut().enumerate().rev() {
                *total += timed(|| net.backward_range(i..i + 1))?;
            }
            if let Some(rehearsal) = &mut rehearsal {
                for (i, total) in update.iter_mut().enumerate() {
                    let step = || -> Result<(), cortado::Error> {
                        rehearsal.step(&mut net, i);
                        Ok(())
                    };
                    *total += timed(step)?;
                }
            }
            Ok(())
        };
        pool.install(|| cortado_kernels::together(pass))?;
        progress.set(iteration + 1, String::new());
    }
    drop(progress);
    let n = args.iterations as f64;
    let total = start.elapsed().as_secs_f64() * 1e3;
    let updated = rehearsal.map(|rehearsal| {
        let bytes = (0..layers).map(|i| rehearsal.bytes(&net, i)).collect();
        update.iter_mut().for_each(|ms| *ms /= n);
        Updated { ms: update, bytes }
    });
    let mut net = net.deploy();
    let planned = Planned::time(&mut net, args.iterations)?;
    let machine = Machine::measure(net.pool());
    forward.iter_mut().chain(&mut backward).for_each(|ms| *ms /= n);
    let (layers, bwd): (f64, f64) = (forward.iter().sum(), backward.iter().sum());
    let upd: Option<f64> = updated.as_ref().map(|updated| updated.ms.iter().sum());
    // What a pass costs: by plan where there is one.
    let (fwd, both) = match &planned {
        Some(planned) => (planned.mean(), planned.mean() + bwd),
        None => (layers, total / n - upd.unwrap_or(0.0)),
    };
    match args.json {
        true => {
            let passes = [&forward[..], &backward];
            let mut report = report(&args, &net, machine, passes, updated.as_ref());
            report["forward_ms"] = fwd.into();
            report["backward_ms"] = bwd.into();
            report["forward_backward_ms"] = both.into();
            report["forward_by_layers_ms"] = layers.into();
            report["update_ms"] = upd.into();
            report["plan"] = planned.as_ref().map(Planned::report).into();
            say(&report.to_string());
        }
        false => table(&net, machine, &forward, &backward, updated.as_ref()),
    }
    log::line(&format!("Average Forward pass: {fwd:.4} ms."));
    if let Some(planned) = &planned {
        planned.log();
        log::line(&format!("Layer by layer, as in the table: {layers:.4} ms."));
    }
    log::line(&format!("Average Backward pass: {bwd:.4} ms."));
    log::line(&format!("Average Forward-Backward: {both:.4} ms."));
    if let Some(upd) = upd {
        log::line(&format!("Average Update: {upd:.4} ms (SGD with momentum and decay)."));
    }
    log::line(&format!("Total Time: {total:.4} ms."));
    log_memory();
    log::line("*** Benchmark ends ***");
    Ok(())
}

/// Times the plan alone.
fn planned(args: &TimeArgs, net: Net) -> Result<(), Failure> {
    let mut net = net.deploy();
    let Some(planned) = Planned::time(&mut net, args.iterations)? else {
        return Err(Failure::Input(format!("error: {}", net.why_unplanned())));
    };
    match args.json {
        true => say(&planned.report().to_string()),
        false => planned.table(&net),
    }
    planned.log();
    log_memory();
    Ok(())
}

fn log_memory() {
    if let Some(mib) = peak_memory() {
        log::line(&format!("Peak memory: {mib:.1} MiB."));
    }
}

/// Milliseconds a pass takes.
fn timed<T, E: Into<cortado::Error>>(
    pass: impl FnOnce() -> Result<T, E>,
) -> Result<f64, cortado::Error> {
    let start = Instant::now();
    pass().map_err(Into::into)?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

/// What the updates of each layer took.
struct Updated {
    ms: Vec<f64>,
    bytes: Vec<u64>,
}

impl Updated {
    fn gb_per_s(ms: f64, bytes: u64) -> f64 {
        bytes as f64 / (ms * 1e6).max(1e-9)
    }
}

fn table(
    net: &Net,
    machine: Machine,
    forward: &[f64],
    backward: &[f64],
    updated: Option<&Updated>,
) {
    let update = updated.map_or(&[][..], |updated| &updated.ms);
    let total: f64 = forward.iter().chain(backward).chain(update).sum();
    let share = |ms: f64| if total > 0.0 { 100.0 * ms / total } else { 0.0 };
    let width = net.layers().map(|layer| layer.name().chars().count()).max().unwrap_or(5).max(5);
    let head = Machine::head();
    let update_head =
        updated.map_or(String::new(), |_| format!(" {:>10} {:>6} {:>7}", "update ms", "%", "GB/s"));
    let update = |ms: f64, bytes: u64| match bytes {
        0 => format!(" {:>10} {:>6} {:>7}", "-", "-", "-"),
        _ => format!(" {ms:>10.4} {:>6.1} {:>7.1}", share(ms), Updated::gb_per_s(ms, bytes)),
    };
    say(&format!(
        "{:width$}  {:16} {:>11} {:>6} {head} {:>12} {:>6} {head}{update_head}",
        "layer", "type", "forward ms", "%", "backward ms", "%"
    ));
    for (i, layer) in net.layers().enumerate() {
        let (f, b) = (forward[i], backward[i]);
        let [there, back] = work(layer);
        let backward = if layer.needs_backward() {
            format!("{b:>12.4} {:>6.1} {}", share(b), machine.columns(back, b))
        } else {
            format!("{:>12} {:>6} {:>8} {:>7} {:>7}", "-", "-", "-", "-", "-")
        };
        let type_name = layer.def().r#type();
        let (name, share) = (layer.name(), share(f));
        let forward = machine.columns(there, f);
        let update = updated.map_or(String::new(), |of| update(of.ms[i], of.bytes[i]));
        say(&format!(
            "{name:width$}  {type_name:16} {f:>11.4} {share:>6.1} {forward} {backward}{update}"
        ));
    }
    let (f, b): (f64, f64) = (forward.iter().sum(), backward.iter().sum());
    let (f_share, b_share) = (share(f), share(b));
    let all = net.layers().map(work).fold([Work { macs: 0, bytes: 0 }; 2], |sums, layer| {
        [0, 1].map(|i| Work {
            macs: sums[i].macs + layer[i].macs,
            bytes: sums[i].bytes + layer[i].bytes,
        })
    });
    let [there, back] = [machine.columns(all[0], f), machine.columns(all[1], b)];
    let update =
        updated.map_or(String::new(), |of| update(of.ms.iter().sum(), of.bytes.iter().sum()));
    say(&format!(
        "{:width$}  {:16} {f:>11.4} {f_share:>6.1} {there} {b:>12.4} {b_share:>6.1} {back}{update}",
        "total", ""
    ));
}

/// What a layer does forward and backward. Backward reads and writes the diffs as well.
fn work(layer: LayerInfo<'_>) -> [Work; 2] {
    let bytes = layer.bytes();
    let back = if layer.needs_backward() { 2 * bytes } else { 0 };
    [Work { macs: layer.macs(), bytes }, Work { macs: layer.backward_macs(), bytes: back }]
}

fn report(
    args: &TimeArgs,
    net: &Net,
    machine: Machine,
    [forward, backward]: [&[f64]; 2],
    updated: Option<&Updated>,
) -> serde_json::Value {
    let layers: Vec<_> = net
        .layers()
        .enumerate()
        .map(|(i, layer)| {
            let [there, back] = work(layer);
            let mut row = json!({
                "name": layer.name(),
                "type": layer.def().r#type(),
                "forward_ms": forward[i],
                "backward_ms": backward[i],
                "forward": machine.json(there, forward[i]),
                "backward": machine.json(back, backward[i]),
            });
            if let Some(Updated { ms, bytes }) = updated {
                row["update_ms"] = ms[i].into();
                let gb_per_s = Updated::gb_per_s(ms[i], bytes[i]);
                row["update"] = json!({ "bytes": bytes[i], "gb_per_s": gb_per_s });
            }
            row
        })
        .collect();
    json!({
        "model": args.model.model,
        "isa": cortado_kernels::kernels().isa(),
        "threads": net.pool().current_num_threads(),
        "iterations": args.iterations,
        "peak_gflops": machine.peak * 1e-9,
        "peak_memory_mib": peak_memory(),
        "layers": layers,
    })
}
