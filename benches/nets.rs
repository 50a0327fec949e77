//! Whole nets: `infer FILE [batch=N] [threads=N]` and `train FILE data=NxCxHxW [threads=N]`.
//!
//! `infer` times the forward pass of a deploy file in TEST (`weights=FILE` loads some, in both). `train` times
//! forward, backward and an SGD update; data layers are replaced by memory, and the Softmax at the end of
//! a deploy file by the loss; `checkpoint=1` computes activations again.

mod support;

use std::sync::Arc;

use cortado::net::{Net, NetOptions, threads};
use cortado::solver::{Solver, SolverOptions};
use cortado_layers::{LayerDef, Phase};
use cortado_proto::caffe::{BlobShape, InputParameter, LayerParameter, SolverParameter};
use cortado_proto::{NetDef, SolverDef};
use serde_json::{Map, json};
use support::{Problems, peak_rss_mb};

/// The value of `key=value` in a line.
fn option<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

fn number(line: &str, key: &str, default: usize) -> usize {
    option(line, key).map_or(default, |v| v.parse().unwrap_or_else(|_| panic!("{key} in {line}")))
}

/// Values in the range of a picture's pixels after scaling, always the same.
fn fill(net: &mut Net) {
    let names: Vec<String> = net.inputs().into_iter().map(str::to_owned).collect();
    for name in names {
        let Some(input) = net.input_mut(&name) else { continue };
        let is_label = input.shape.len() == 1;
        let values = input.data.iter_mut().enumerate();
        values.for_each(|(i, v)| {
            *v = if is_label { (i % 10) as f32 } else { (i % 251) as f32 / 125.0 - 1.0 }
        });
    }
}

fn main() {
    let problems = Problems::read("nets");
    for line in &problems.lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [what, file, ..] = words[..] else { panic!("no file in {line}") };
        let mut told = Map::new();
        told.insert("problem".into(), json!(line));
        told.insert("start_rss_mb".into(), json!(peak_rss_mb()));
        told.insert("isa".into(), json!(cortado_kernels::kernels().isa()));
        let pool = threads::pool(number(line, "threads", 0));
        let samples = match what {
            "infer" => {
                let options = NetOptions { pool, ..NetOptions::new(Phase::Test) };
                let mut net = Net::from_file(file, &options).unwrap_or_else(|e| panic!("{e}"));
                if let Some(batch) = option(line, "batch") {
                    let name = net.inputs()[0].to_owned();
                    let shape = net.blob(&name).map(|b| b.shape.clone()).unwrap_or_default();
                    let batch = batch.parse().unwrap_or_else(|_| panic!("batch in {line}"));
                    net.reshape_input(&name, shape.with_axis(0, batch))
                        .unwrap_or_else(|e| panic!("{e}"));
                }
                if let Some(file) = option(line, "weights") {
                    net.copy_from(file).unwrap_or_else(|e| panic!("{e}"));
                }
                fill(&mut net);
                let mut net = net.deploy();
                let macs: u64 = net.layers().map(|layer| layer.macs()).sum();
                told.insert("macs".into(), json!(macs));
                problems.measure(|| {
                    net.forward().unwrap_or_else(|e| panic!("{e}"));
                })
            }
            "train" => {
                let shape = option(line, "data").unwrap_or_else(|| panic!("no data in {line}"));
                let again = number(line, "checkpoint", 0) != 0;
                let mut solver = solver(file, shape, pool, again);
                if let Some(file) = option(line, "weights") {
                    solver.net_mut().copy_from(file).unwrap_or_else(|e| panic!("{e}"));
                }
                fill(solver.net_mut());
                problems.measure(|| {
                    solver.step(1, &mut ()).unwrap_or_else(|e| panic!("{e}"));
                })
            }
            _ => panic!("`infer` or `train`, found {what}"),
        };
        samples.report("", &mut told);
        told.insert("peak_rss_mb".into(), json!(peak_rss_mb()));
        println!("{}", serde_json::Value::Object(told));
    }
}

/// A solver on the file's net, its data layers replaced by inputs of this shape and labels.
fn solver(file: &str, shape: &str, pool: Arc<rayon::ThreadPool>, again: bool) -> Solver {
    let dims: Vec<i64> = shape.split('x').map(|d| d.parse().unwrap_or(0)).collect();
    let mut net = NetDef::read(file).unwrap_or_else(|e| panic!("{e}"));
    net.layers.retain(|layer| !["Data", "Input"].contains(&layer.r#type()));
    net.param.input.clear();
    net.param.input_dim.clear();
    net.param.input_shape.clear();
    for layer in &mut net.layers {
        if let Some(param) = &mut layer.param.batch_norm_param {
            param.use_global_stats = None;
        }
    }
    if let Some(last) = net.layers.last_mut().filter(|layer| layer.r#type() == "Softmax") {
        last.param.r#type = Some("SoftmaxWithLoss".into());
        last.param.bottom.push("label".into());
    }
    let of = |dims: &[i64]| BlobShape { dim: dims.to_vec() };
    let input = LayerParameter {
        name: Some("data".into()),
        r#type: Some("Input".into()),
        top: vec!["data".into(), "label".into()],
        input_param: Some(InputParameter { shape: vec![of(&dims), of(&dims[..1])] }),
        ..LayerParameter::default()
    };
    net.layers.insert(0, LayerDef::new(input));
    let mut param = SolverParameter {
        base_lr: Some(1e-4),
        momentum: Some(0.9),
        weight_decay: Some(5e-4),
        lr_policy: Some("fixed".into()),
        max_iter: Some(i32::MAX),
        random_seed: Some(1),
        ..SolverParameter::default()
    };
    param.train_net_param = Some(net.to_message());
    let options = SolverOptions { pool, checkpoint_activations: again, ..SolverOptions::default() };
    Solver::build(SolverDef::from_message(param), &options).unwrap_or_else(|e| panic!("{e}"))
}
