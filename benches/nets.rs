//! Speed of whole networks in use, planned and layer by layer in turns, one JSON line per network.
//!
//! `cargo bench --bench nets -- [net.prototxt ...] [--threads N] [--batch N] [--iterations N]
//! [--exact] [--test]`. Without files: `models/resnet50`.
//! Weights are random and statistics those of noise, so that no value overflows or vanishes.

use std::time::Instant;

use cortado::net::{Net, NetOptions, threads::pool};
use cortado_layers::rng::splitmix;
use cortado_layers::{Phase, Shape};
use cortado_proto::NetDef;

fn main() -> Result<(), String> {
    let options = Options::parse(std::env::args().skip(1))?;
    options.files.iter().try_for_each(|file| run(file, &options))
}

struct Options {
    files: Vec<String>,
    threads: usize,
    batch: Option<usize>,
    iterations: usize,
    exact: bool,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
        let (mut files, mut threads, mut batch) = (Vec::new(), 0, None);
        let (mut iterations, mut exact) = (20, false);
        while let Some(arg) = args.next() {
            let mut number = || -> Result<usize, String> {
                let value = args.next().ok_or(format!("`{arg}` wants a value"))?;
                value.parse().map_err(|_| format!("`{value}` is no number"))
            };
            match arg.as_str() {
                "--threads" => threads = number()?,
                "--batch" => batch = Some(number()?),
                "--iterations" => iterations = number()?.max(1),
                "--test" => iterations = 1,
                "--exact" => exact = true,
                // Given by `cargo bench`.
                "--bench" => {}
                file => files.push(file.to_owned()),
            }
        }
        if files.is_empty() {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/models");
            files = vec![format!("{folder}/resnet50/deploy.prototxt")];
        }
        Ok(Options { files, threads, batch, iterations, exact })
    }
}

fn run(file: &str, options: &Options) -> Result<(), String> {
    let threads = pool(options.threads);
    let mut nets = Vec::new();
    for plan in [true, false] {
        let build = NetOptions {
            plan,
            exact: options.exact,
            gradients: false,
            pool: threads.clone(),
            ..NetOptions::new(Phase::Test)
        };
        let def = NetDef::read(file).map_err(|error| error.to_string())?;
        let mut net = Net::build(def, &build).map_err(|errors| errors.to_string())?;
        prepare(&mut net, options.batch)?;
        net.forward().map_err(|error| error.to_string())?;
        nets.push((net, Vec::new()));
    }
    for _ in 0..options.iterations {
        for (net, times) in &mut nets {
            let start = Instant::now();
            net.forward().map_err(|error| error.to_string())?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    let [(planned, with), (_, without)] = &mut nets[..] else { return Ok(()) };
    let spread = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        (times[0], times[times.len() / 2])
    };
    let ((min, median), (layers_min, layers_median)) = (spread(with), spread(without));
    println!(
        "{{\"net\":\"{}\",\"isa\":\"{}\",\"threads\":{},\"steps\":{},\"planned_min_ms\":{min:.3},\
         \"planned_median_ms\":{median:.3},\"layers_min_ms\":{layers_min:.3},\
         \"layers_median_ms\":{layers_median:.3}}}",
        planned.name(),
        cortado_kernels::kernels().isa(),
        threads.current_num_threads(),
        planned.plan_steps().map_or(0, |steps| steps.len()),
    );
    Ok(())
}

/// Weights, statistics and inputs.
fn prepare(net: &mut Net, batch: Option<usize>) -> Result<(), String> {
    let mut values: Vec<(usize, f32, f32)> = Vec::new();
    for layer in net.layers() {
        for (i, (id, shape)) in layer.params().enumerate() {
            let fan_in = (shape.count() / shape.first().copied().unwrap_or(1).max(1)).max(1);
            // Middle and half the width of the values.
            let (middle, width) = match (layer.def().r#type(), i) {
                ("BatchNorm", 1 | 2) | ("Scale", 0) => (1.0, 0.0),
                (_, 0) => (0.0, (6.0 / fan_in as f32).sqrt()),
                _ => (0.0, 0.1),
            };
            values.push((id, middle, width));
        }
    }
    for (id, middle, width) in values {
        noise(net.store.data_mut(id), middle, width);
    }
    for name in net.inputs().into_iter().map(str::to_owned).collect::<Vec<_>>() {
        let mut shape = net.shape(&name).cloned().unwrap_or_default().to_vec();
        if let (Some(batch), Some(n)) = (batch, shape.first_mut()) {
            *n = batch;
        }
        net.reshape_input(&name, Shape::new(&shape)).map_err(|errors| errors.to_string())?;
        if let Some(input) = net.input_mut(&name) {
            noise(input.data, 0.0, 1.0);
        }
    }
    Ok(())
}

fn noise(values: &mut [f32], middle: f32, width: f32) {
    for (i, value) in values.iter_mut().enumerate() {
        let unit = (splitmix(i as u64) >> 40) as f32 * 2f32.powi(-23) - 1.0;
        *value = middle + width * unit;
    }
}
