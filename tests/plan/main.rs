//! Plans of inference: every rule, random nets, and what stays true whatever is planned.

mod deployed;
mod images;
mod keep;
mod memory;
mod random;
mod rules;
mod threads;
mod train;
mod tuned;

use cortado::net::{Net, NetOptions, StepInfo, threads::pool};
use cortado_layers::rng::{fnv1a, splitmix};
use cortado_layers::{Phase, Shape};
use cortado_proto::NetDef;
use cortado_proto::span::Source;

/// A net of a text in phase TEST, with weights, statistics and inputs made by a rule.
pub fn net(text: &str, options: &NetOptions) -> Net {
    let def = NetDef::from_text(&Source::new("net.prototxt", text)).unwrap();
    let mut net = Net::build(def, options).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let mut params: Vec<(usize, Vec<f32>)> = Vec::new();
    for layer in net.layers() {
        for (i, (id, shape)) in layer.params().enumerate() {
            let fan_in = (shape.count() / shape.first().copied().unwrap_or(1).max(1)) as f32;
            let values = noise(&format!("{}/{i}", layer.name()), shape.count());
            let of = |v: f32| match (layer.def().r#type(), i) {
                ("BatchNorm", 1) => 3.0 + v,
                ("BatchNorm", 2) => 2.0,
                ("Scale", 0) => 1.0 + 0.5 * v,
                ("Convolution" | "Deconvolution" | "InnerProduct", 0) => v * (3.0 / fan_in).sqrt(),
                _ => 0.5 * v,
            };
            params.push((id, values.into_iter().map(of).collect()));
        }
    }
    for (id, values) in params {
        net.store.data_mut(id).copy_from_slice(&values);
    }
    feed(&mut net);
    net
}

/// Fills the inputs.
pub fn feed(net: &mut Net) {
    let inputs: Vec<String> = net.inputs().into_iter().map(str::to_owned).collect();
    for name in inputs {
        let input = net.input_mut(&name).unwrap();
        input.data.copy_from_slice(&noise(&name, input.shape.count()));
    }
}

/// Numbers in [-1, 1) that depend on a name.
fn noise(name: &str, count: usize) -> Vec<f32> {
    let of = |i: u64| (splitmix(fnv1a(name).wrapping_add(i)) >> 40) as f32 * 2f32.powi(-23) - 1.0;
    (0..count as u64).map(of).collect()
}

/// Options without gradients.
pub fn options(plan: bool) -> NetOptions {
    NetOptions { plan, gradients: false, pool: pool(2), ..NetOptions::new(Phase::Test) }
}

/// Name, shape and data of every output.
pub fn outputs(net: &Net) -> Vec<(String, Shape, Vec<f32>)> {
    let of = |name: &str| {
        let blob = net.blob(name).unwrap_or_else(|| panic!("there is no output {name}"));
        (name.to_owned(), blob.shape.clone(), blob.data.to_vec())
    };
    net.outputs().into_iter().map(of).collect()
}

/// Panics unless the values agree within 1e-4 of the largest.
pub fn same(found: &[f32], wanted: &[f32], what: &str) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    let largest = wanted.iter().fold(1e-3f32, |m, v| m.max(v.abs()));
    for (i, (a, b)) in found.iter().zip(wanted).enumerate() {
        assert!((a - b).abs() <= 1e-4 * largest, "{what}[{i}] is {a} instead of {b}");
    }
}

/// The bits of every output.
pub fn bits(net: &Net) -> Vec<Vec<u32>> {
    let of = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect();
    outputs(net).into_iter().map(|(_, _, values)| of(values)).collect()
}

/// Runs a net planned and layer by layer, twice each; their outputs must agree. Gives the plan.
pub fn agree(text: &str) -> Vec<StepInfo> {
    let mut wanted = net(text, &options(false));
    let mut planned = net(text, &options(true));
    let steps = planned.plan_steps().expect("the net is planned");
    for pass in 0..2 {
        let (a, b) = (wanted.forward().unwrap(), planned.forward().unwrap());
        same(&[b as f32], &[a as f32], "the loss");
        for ((name, shape, found), (_, of, wanted)) in
            outputs(&planned).iter().zip(&outputs(&wanted))
        {
            assert_eq!(shape, of, "{name}");
            same(found, wanted, &format!("pass {pass}: {name}"));
        }
    }
    // Those that take images a few at a time as well.
    let flat = |step: StepInfo| if step.parts.is_empty() { vec![step] } else { step.parts };
    steps.into_iter().flat_map(flat).collect()
}
