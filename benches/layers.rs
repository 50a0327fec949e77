//! One layer at a time, forward and backward: `SHAPE [SHAPE …] | layer { … }`, where a shape is that
//! of a bottom.

mod support;

use cortado_layers::check::SingleLayer;
use cortado_layers::{Phase, Registry, Shape, Tensor};
use serde_json::{Map, json};
use support::Problems;

fn bottoms(shapes: &str) -> Vec<Tensor> {
    let shape = |text: &str| -> Shape {
        let dims: Vec<usize> = text.split('x').map(|d| d.parse().unwrap_or(0)).collect();
        Shape::new(&dims)
    };
    let fill = |(b, shape): (usize, Shape)| {
        let mut tensor = Tensor::zeros(shape);
        // Labels, the second bottom, stay 0.
        if b == 0 {
            let values = tensor.data_mut().iter_mut().enumerate();
            values.for_each(|(i, v)| *v = (i % 97) as f32 / 48.5 - 1.0);
        }
        tensor
    };
    shapes.split_whitespace().map(shape).enumerate().map(fill).collect()
}

fn main() {
    let problems = Problems::read("layers");
    for line in &problems.lines {
        let (shapes, layer) = line.split_once('|').unwrap_or_else(|| panic!("no `|` in {line}"));
        let registry = Registry::builtin();
        let mut single = SingleLayer::build(&registry, layer, Phase::Train, bottoms(shapes))
            .unwrap_or_else(|e| panic!("{line}: {e}"));
        let forward =
            problems.measure(|| single.forward().unwrap_or_else(|e| panic!("{line}: {e}")));
        let mut told = Map::new();
        told.insert("problem".into(), json!(line));
        told.insert("isa".into(), json!(cortado_kernels::kernels().isa()));
        forward.report("forward_", &mut told);
        let diffs: Vec<Tensor> = single.tops.clone();
        let backward = problems
            .measure(|| drop(single.backward(&diffs).unwrap_or_else(|e| panic!("{line}: {e}"))));
        backward.report("backward_", &mut told);
        println!("{}", serde_json::Value::Object(told));
    }
}
