//! Shapes that nobody thought of: every case of the tables again with axes emptied, shortened and
//! left out, and every page's example with shapes of all kinds. A layer runs, or says in a sentence
//! what it can't do; it does not panic.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cortado_layers::check::{GradientCase, SingleLayer};
use cortado_layers::{BUILTIN, LayerDef, LayerError, Phase, Registry, Shape, Tensor};
use cortado_proto::def::NetDef;
use cortado_proto::span::Source;

use crate::cases;

/// The shapes near one: an axis of length 0, 1, or one more; without the first or last axes.
fn near(dims: &[usize]) -> Vec<Vec<usize>> {
    let mut shapes = Vec::new();
    for axis in 0..dims.len() {
        for length in [0, 1, dims[axis] + 1] {
            let mut changed = dims.to_vec();
            changed[axis] = length;
            shapes.push(changed);
        }
        shapes.push(dims[..axis].to_vec());
        shapes.push(dims[axis + 1..].to_vec());
    }
    shapes.push([dims, &[2]].concat());
    shapes
}

/// The lists of bottoms near those of a case: one bottom changed, or all of them alike.
fn variants(case: &GradientCase) -> Vec<Vec<Vec<usize>>> {
    let given: Vec<Vec<usize>> = case.bottoms.iter().map(|(dims, _)| dims.to_vec()).collect();
    let mut lists = Vec::new();
    for (i, dims) in given.iter().enumerate() {
        for changed in near(dims) {
            let mut list = given.clone();
            list[i] = changed;
            lists.push(list);
        }
    }
    let alike: Vec<Vec<Vec<usize>>> = given.iter().map(|dims| near(dims)).collect();
    let least = alike.iter().map(Vec::len).min().unwrap_or(0);
    lists.extend((0..least).map(|v| alike.iter().map(|list| list[v].clone()).collect()));
    lists
}

fn ones(dims: &[usize]) -> Tensor {
    let mut tensor = Tensor::zeros(Shape::new(dims));
    tensor.data_mut().fill(1.0);
    tensor
}

/// Both passes of a layer.
fn passes(mut single: SingleLayer) -> Result<(), LayerError> {
    single.forward()?;
    let top_diffs: Vec<Tensor> = single.tops.iter().map(|top| ones(top.shape())).collect();
    single.backward(&top_diffs)?;
    Ok(())
}

/// A case's layer, built for the shapes.
fn built(case: &GradientCase, shapes: &[Vec<usize>]) -> Result<(), LayerError> {
    let bottoms = shapes.iter().map(|dims| ones(dims)).collect();
    passes(SingleLayer::build(&Registry::builtin(), case.layer, case.phase, bottoms)?)
}

/// A case's layer, built as the case says and reshaped.
fn reshaped(case: &GradientCase, shapes: &[Vec<usize>]) -> Result<(), LayerError> {
    let (mut single, _) = case.build(&Registry::builtin())?;
    single.forward()?;
    single.bottoms = shapes.iter().map(|dims| ones(dims)).collect();
    passes(single)
}

/// How often layers ran and refused, and what went wrong.
#[derive(Default)]
struct Count {
    ran: usize,
    refused: usize,
    failures: Vec<String>,
}

impl Count {
    fn add(&mut self, what: &str, run: impl FnOnce() -> Result<(), LayerError>) {
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(())) => self.ran += 1,
            Ok(Err(error)) => {
                self.refused += 1;
                if error.why.is_empty() || error.why.ends_with('.') {
                    self.failures.push(format!("{what}: {:?}", error.why));
                }
            }
            Err(_) => self.failures.push(format!("{what}: a panic")),
        }
    }

    fn check(self) {
        let Count { ran, refused, failures } = self;
        assert!(failures.is_empty(), "{} failed:\n  {}", failures.len(), failures.join("\n  "));
        assert!(ran > 100 && refused > 100, "{ran} ran, {refused} were refused");
    }
}

#[test]
fn no_shape_near_a_case_makes_a_layer_panic() {
    let mut count = Count::default();
    for (type_name, case) in cases::gradients() {
        for shapes in variants(case) {
            let what = format!("{type_name}, {}, {shapes:?}", case.name);
            count.add(&format!("{what} when built"), || built(case, &shapes));
            count.add(&format!("{what} later"), || reshaped(case, &shapes));
        }
    }
    count.check();
}

/// The layers of the page's example that are of its type.
fn example(text: &str, type_name: &str) -> Vec<LayerDef> {
    let net = NetDef::from_text(&Source::new("example.prototxt", text)).expect("tested in main");
    net.layers.into_iter().filter(|def| def.r#type() == type_name).collect()
}

#[test]
fn no_shape_makes_an_example_panic() {
    let shapes: [&[usize]; 9] = [
        &[],
        &[0],
        &[2],
        &[2, 3],
        &[0, 3],
        &[2, 3, 4],
        &[2, 3, 4, 5],
        &[1, 0, 4, 5],
        &[1, 3, 2, 2, 2],
    ];
    let registry = Registry::builtin();
    let mut count = Count::default();
    for kind in BUILTIN {
        for def in example(kind.doc.example, kind.type_name) {
            for first in shapes {
                for others in shapes {
                    for phase in [Phase::Train, Phase::Test] {
                        let what = format!("{}, {first:?} and {others:?}", kind.type_name);
                        count.add(&what, || {
                            let dims = |i| if i == 0 { first } else { others };
                            let bottoms = (0..def.bottom.len()).map(|i| ones(dims(i))).collect();
                            passes(SingleLayer::of(&registry, &def, phase, bottoms)?)
                        });
                    }
                }
            }
        }
    }
    count.check();
}
