//! `cortado time --data`: how fast the data layers deliver, and whether a training step waits for them.

use std::time::Instant;

use cortado::net::Net;
use serde_json::json;

use super::log::{self, Progress};
use super::{Failure, say};

/// Passes before those that count: they empty what was prepared while nobody asked.
const WARM_UP: u64 = 8;

/// Times the data layers alone, then steps of the whole net with its waits.
pub fn run(net: &mut Net, iterations: u64, as_json: bool) -> Result<(), Failure> {
    let sources: Vec<usize> =
        net.layers().filter(|layer| layer.reads_data()).map(|layer| layer.index).collect();
    if sources.is_empty() {
        let why = "error: the net has no layer that reads data; give the net that trains";
        return Err(Failure::Input(why.to_owned()));
    }
    let names: Vec<String> = sources.iter().map(|&i| net.layer(i).name().to_owned()).collect();
    let progress = Progress::new(2 * iterations, "timing the data");
    let mut start = Instant::now();
    for pass in 0..WARM_UP + iterations {
        if pass == WARM_UP {
            start = Instant::now();
        }
        for &source in &sources {
            net.forward_range(source..source + 1)?;
        }
        progress.set(pass.saturating_sub(WARM_UP), String::new());
    }
    let alone = start.elapsed().as_secs_f64() / iterations as f64;
    let (mut start, mut waited) = (Instant::now(), net.waited());
    for pass in 0..=iterations {
        // The first step fills memory for the first time.
        if pass == 1 {
            (start, waited) = (Instant::now(), net.waited());
        }
        net.forward_layers()?;
        net.backward()?;
        progress.set(iterations + pass, String::new());
    }
    let step = start.elapsed().as_secs_f64() / iterations as f64;
    let waited = (net.waited() - waited).as_secs_f64() / iterations as f64;
    drop(progress);
    let batch = net.batch_size();
    let rate = |seconds: f64| if seconds > 0.0 { batch as f64 / seconds } else { 0.0 };
    let share = if step > 0.0 { 100.0 * waited / step } else { 0.0 };
    if as_json {
        let report = json!({
            "layers": names,
            "batch": batch,
            "data_ms": 1e3 * alone,
            "data_images_per_second": rate(alone),
            "step_ms": 1e3 * step,
            "step_images_per_second": rate(step),
            "waiting_ms": 1e3 * waited,
            "waiting_percent": share,
            "threads": net.pool().current_num_threads(),
            "iterations": iterations,
        });
        say(&report.to_string());
    }
    log::line(&format!(
        "Data alone ({}): {:.0} images/s, {:.4} ms a batch of {batch}.",
        names.join(", "),
        rate(alone),
        1e3 * alone
    ));
    log::line(&format!(
        "Forward-Backward with data: {:.0} images/s, {:.4} ms; {share:.2}% waiting for data.",
        rate(step),
        1e3 * step
    ));
    Ok(())
}
