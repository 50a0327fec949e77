//! Every layer type of the registry, from tables of cases: `cases/<family>.rs`.
//!
//! Failures are listed together, by type and case.

mod behaviour;
mod cases;
mod checker;
mod robust;

use std::collections::BTreeMap;

use cortado_layers::check::{GradientCase, SingleLayer};
use cortado_layers::{BUILTIN, GradBottoms, LayerKind, Phase, Registry, Shape, Tensor};
use cortado_proto::def::NetDef;
use cortado_proto::span::Source;

/// The cases of each type.
fn by_type() -> BTreeMap<&'static str, Vec<&'static GradientCase>> {
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (type_name, case) in cases::gradients() {
        found.entry(*type_name).or_default().push(case);
    }
    found
}

/// Panics with all failures, one paragraph each.
fn none(failures: Vec<String>) {
    assert!(failures.is_empty(), "{} failed:\n  {}", failures.len(), failures.join("\n  "));
}

#[test]
fn every_gradient_agrees_with_finite_differences() {
    let registry = Registry::builtin();
    let run = |(type_name, case): &(&str, GradientCase)| {
        case.run(&registry).err().map(|why| format!("{type_name}: {why}"))
    };
    none(cases::gradients().filter_map(run).collect());
}

#[test]
fn every_type_with_a_gradient_has_gradient_cases() {
    let cases = by_type();
    let lacks =
        |kind: &&&LayerKind| kind.grads != GradBottoms::None && !cases.contains_key(kind.type_name);
    none(BUILTIN.iter().filter(lacks).map(|kind| kind.type_name.to_owned()).collect());
}

#[test]
fn every_case_is_of_a_known_type() {
    let registry = Registry::builtin();
    let unknown = |type_name: &&&str| registry.get(type_name).is_none();
    none(by_type().keys().filter(unknown).map(|name| (*name).to_owned()).collect());
}

#[test]
fn the_list_is_sorted_and_names_no_type_twice() {
    let names: Vec<&str> = BUILTIN.iter().map(|kind| kind.type_name).collect();
    let wrong = |pair: &&[&str]| pair[0] >= pair[1];
    let told = |pair: &[&str]| format!("{} stands before {}", pair[0], pair[1]);
    none(names.windows(2).filter(wrong).map(told).collect());
}

/// The layers of a page's example that are of the page's type.
fn example(kind: &LayerKind) -> Result<(), String> {
    let source = Source::new("example.prototxt", kind.doc.example);
    let net = NetDef::from_text(&source).map_err(|e| format!("{}: {e}", kind.type_name))?;
    let mut own = net.layers.iter().filter(|def| def.r#type() == kind.type_name).peekable();
    if own.peek().is_none() {
        return Err(format!("{}: the example has no such layer", kind.type_name));
    }
    for def in own {
        // Python's own module alone can build one.
        if kind.type_name != "Python" {
            (kind.build)(def).map_err(|e| format!("{}: {e}", kind.type_name))?;
        }
        let (bottoms, tops) = (def.bottom.len(), def.top.len());
        if !kind.bottoms.allows(bottoms) || !(kind.tops.allows(tops) || kind.auto_tops) {
            return Err(format!("{}: {bottoms} bottoms, {tops} tops", kind.type_name));
        }
    }
    Ok(())
}

#[test]
fn every_page_is_whole_and_its_example_loads() {
    let mut failures = Vec::new();
    for kind in BUILTIN {
        let doc = kind.doc;
        for (what, text) in [
            ("summary", doc.summary),
            ("forward", doc.forward),
            ("example", doc.example),
            ("source", doc.source),
        ] {
            if text.is_empty() {
                failures.push(format!("{}: no {what}", kind.type_name));
            }
        }
        if kind.grads != GradBottoms::None && doc.backward.is_empty() {
            failures.push(format!("{}: no backward", kind.type_name));
        }
        if (kind.bottoms.min > 0 && doc.bottoms.is_empty())
            || (kind.tops.min > 0 && doc.tops.is_empty())
        {
            failures.push(format!("{}: bottoms or tops are missing", kind.type_name));
        }
        failures.extend(example(kind).err());
    }
    none(failures);
}

#[test]
fn mistakes_are_told_in_one_sentence_with_field_and_values() {
    let registry = Registry::builtin();
    let mut failures = Vec::new();
    for (layer, bottoms, wanted) in cases::errors() {
        let tensors = bottoms.iter().map(|&(dims, values)| tensor(dims, values)).collect();
        let run = SingleLayer::build(&registry, layer, Phase::Train, tensors);
        let told = match run.and_then(|mut single| single.forward()) {
            Ok(()) => "no error".to_owned(),
            Err(error) => format!("{:?}: {error}", error.at),
        };
        if told != *wanted {
            failures.push(format!("{layer}\n    wanted {wanted}\n    found  {told}"));
        }
    }
    none(failures);
}

/// A tensor of these dims, with the values repeated.
fn tensor(dims: &[usize], values: &[f32]) -> Tensor {
    let mut tensor = Tensor::zeros(Shape::new(dims));
    let data = tensor.data_mut().iter_mut().enumerate();
    data.for_each(|(i, v)| *v = values.get(i % values.len().max(1)).copied().unwrap_or(0.0));
    tensor
}
