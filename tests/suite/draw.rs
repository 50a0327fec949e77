//! Pictures of nets.

use std::collections::BTreeMap;
use std::path::Path;

use cortado::draw::{Graph, place};
use cortado::net::NetOptions;
use cortado_layers::Phase;
use cortado_proto::NetDef;
use cortado_proto::span::Source;

use crate::support::{ROOT, cortado, none, stderr};

fn graph_of(file: &str, phase: Phase) -> Graph {
    let def = NetDef::read(Path::new(ROOT).join(file)).unwrap_or_else(|e| panic!("{e}"));
    Graph::of(def, &NetOptions::new(phase), None).unwrap_or_else(|e| panic!("{e}"))
}

fn graph(text: &str) -> Graph {
    let def =
        NetDef::from_text(&Source::new("net.prototxt", text)).unwrap_or_else(|e| panic!("{e}"));
    Graph::of(def, &NetOptions::new(Phase::Test), None).unwrap_or_else(|e| panic!("{e}"))
}

/// Pairs of boxes (with what hangs below them) that cover each other, and boxes beyond the margin.
fn overlaps(graph: &Graph) -> Vec<String> {
    let layout = place(graph);
    let name = |i: usize| &graph.nodes[i].lines[0].name;
    let mut found = Vec::new();
    for (i, a) in layout.boxes.iter().enumerate() {
        if a.x < 0.0 || a.y < 0.0 || a.x + a.w > layout.width || a.y + a.h > layout.height {
            found.push(format!("`{}` leaves the picture", name(i)));
        }
        for (j, b) in layout.boxes.iter().enumerate().skip(i + 1) {
            let apart = |x: f64, w: f64, y: f64, v: f64| x + w < y || y + v < x;
            if !apart(a.x, a.w, b.x, b.w) && !apart(a.y, a.h + 16.0, b.y, b.h + 16.0) {
                found.push(format!("`{}` and `{}` overlap", name(i), name(j)));
            }
        }
    }
    found
}

#[test]
fn boxes_do_not_overlap_and_every_layer_is_there() {
    let mut failures = Vec::new();
    for (file, phase) in [
        ("models/lenet/train_test.prototxt", Phase::Train),
        ("models/lenet/train_test.prototxt", Phase::Test),
        ("models/mnist_mlp_bn/train_test.prototxt", Phase::Train),
        ("models/resnet50/train_val.prototxt", Phase::Train),
        ("models/resnet152/deploy.prototxt", Phase::Test),
    ] {
        let graph = graph_of(file, phase);
        failures.extend(overlaps(&graph).into_iter().map(|why| format!("{file}: {why}")));
        let svg = graph.to_svg();
        let document = match roxmltree::Document::parse(&svg) {
            Ok(document) => document,
            Err(why) => panic!("{file}: {why}"),
        };
        let texts: Vec<&str> = document.descendants().filter_map(|n| n.text()).collect();
        let def = NetDef::read(Path::new(ROOT).join(file)).unwrap_or_else(|e| panic!("{e}"));
        // Both phases may have a layer of the same name and type.
        let mut wanted: BTreeMap<String, bool> = BTreeMap::new();
        for layer in &def.layers {
            let phases: Vec<_> = layer.include.iter().map(|rule| rule.phase() as i32).collect();
            let here = phases.is_empty() || phases.contains(&(phase as i32));
            *wanted.entry(format!("{} ({})", layer.name(), layer.r#type())).or_default() |= here;
        }
        for (told, here) in wanted {
            if texts.iter().any(|text| text.contains(&told)) != here {
                failures.push(format!("{file} {phase:?}: `{told}`, which belongs there: {here}"));
            }
        }
    }
    none(failures);
}

#[test]
fn layers_that_run_as_one_share_a_box() {
    let graph = graph_of("models/resnet50/deploy.prototxt", Phase::Test);
    let of = |name: &str| {
        let found = graph.nodes.iter().find(|node| node.lines[0].name == name);
        found.unwrap_or_else(|| panic!("no box {name}"))
    };
    let types: Vec<&str> = of("conv1").lines.iter().map(|l| l.type_name.as_str()).collect();
    assert_eq!(types, ["Convolution", "BatchNorm", "Scale", "ReLU"]);
    assert_eq!(of("conv1").lines[0].detail, "7×7 → 64 /2, pad 3");
    // 64 × 3 × 7 × 7 + 64 of the convolution, 129 of the statistics, 128 of the scale.
    assert_eq!(of("conv1").params(), 9408 + 64 + 129 + 128);
    assert_eq!(of("res2a").lines.len(), 2);
    let top = of("conv1").tops[0].shape.as_ref().map(|s| s.to_vec());
    assert_eq!(top.as_deref(), Some(&[1, 64, 112, 112][..]));
}

#[test]
fn a_value_that_somebody_else_reads_ends_a_box() {
    let graph = graph(
        r#"layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 4 } } }
           layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip"
                   inner_product_param { num_output: 4 } }
           layer { name: "relu" type: "ReLU" bottom: "ip" top: "act" }
           layer { name: "sum" type: "Eltwise" bottom: "ip" bottom: "act" top: "sum" }
           layer { name: "drop" type: "Dropout" bottom: "sum" top: "sum" }"#,
    );
    let boxes: Vec<usize> = graph.nodes.iter().map(|node| node.lines.len()).collect();
    assert_eq!(boxes, [1, 1, 1, 2]);
    assert_eq!(graph.edges.len(), 4);
}

#[test]
fn names_cannot_break_the_markup() {
    let graph = graph(
        r#"name: "<&\"net\">\001"
           layer { name: "a<b>&\"c\"" type: "Input" top: "x<1>" input_param { shape { dim: 1 } } }
           layer { name: "]]>" type: "Nonsense&" bottom: "x<1>" bottom: "no & where" top: "y" }"#,
    );
    for text in [
        graph.to_svg(),
        graph.to_html().replace("<!DOCTYPE html>", "").replace("<meta charset=\"utf-8\">", ""),
    ] {
        let document = roxmltree::Document::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        let told: String = document.descendants().filter_map(|n| n.text()).collect();
        assert!(told.contains("a<b>&\"c\"") && told.contains("no & where"), "{told}");
    }
    assert!(graph.to_dot().contains(r#"a<b>&\"c\""#), "{}", graph.to_dot());
}

#[test]
fn every_kind_of_picture_is_written() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let mut kinds =
        vec![("net.svg", &b"<svg"[..]), ("net.html", b"<!DOCTYPE"), ("net.dot", b"digraph")];
    // Needs a font of the machine.
    if cfg!(feature = "draw-png") && Path::new("/usr/share/fonts/truetype").exists() {
        kinds.push(("net.png", b"\x89PNG"));
    }
    for (name, head) in kinds {
        let path = folder.path().join(name);
        let to = path.to_string_lossy();
        let output = cortado(&["draw", "models/lenet/deploy.prototxt", "-o", &to]);
        assert!(output.status.success(), "{name}: {}", stderr(&output));
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(bytes.starts_with(head), "{name}");
    }
    let output = cortado(&["draw", "models/lenet/deploy.prototxt", "-o", "net.gif"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("found `net.gif`"), "{}", stderr(&output));
}

#[test]
fn curves_of_a_log_are_drawn_and_written_as_a_table() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let log = "I0914 10:00:02.0  7 solver.cpp:228] Iteration 0, loss = 2.5\n\
               I0914 10:00:02.0  7 solver.cpp:337] Iteration 0, Testing net (#0)\n\
               I0914 10:00:02.0  7 solver.cpp:404]     Test net output #0: accuracy<1> = 0.25\n\
               I0914 10:00:09.0  7 solver.cpp:228] Iteration 100, loss = 0.5\n";
    std::fs::write(at("a.log"), log).unwrap_or_else(|e| panic!("{e}"));
    let output = cortado(&["plot", &at("a.log"), "-o", &at("a.svg")]);
    assert!(output.status.success(), "{}", stderr(&output));
    let svg = std::fs::read_to_string(at("a.svg")).unwrap_or_default();
    let document = roxmltree::Document::parse(&svg).unwrap_or_else(|e| panic!("{e}"));
    let lines: Vec<&str> = document
        .descendants()
        .filter(|n| n.attribute("class") == Some("series"))
        .filter_map(|n| n.attribute("d"))
        .collect();
    assert_eq!(lines.len(), 2, "{svg}");
    assert!(document.descendants().any(|n| n.text() == Some("test accuracy<1>")), "{svg}");
    let output = cortado(&["plot", &at("a.log"), &at("a.log"), "-o", &at("a.csv")]);
    assert!(output.status.success(), "{}", stderr(&output));
    let table = std::fs::read_to_string(at("a.csv")).unwrap_or_default();
    assert!(table.starts_with("iteration,a: loss,a: test accuracy<1>,a: loss"), "{table}");
    assert!(table.contains("\n100,0.5,,0.5,\n"), "{table}");
    let output = cortado(&["plot", "README.md", "-o", &at("b.svg")]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn arrows_come_in_beside_the_tags_of_a_box() {
    let graph = graph(
        r#"layer { name: "d" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 } } }
           layer { name: "loss" type: "EuclideanLoss" bottom: "x" bottom: "label_from_elsewhere" top: "l" }"#,
    );
    let svg = graph.to_svg();
    let document = roxmltree::Document::parse(&svg).unwrap_or_else(|e| panic!("{e}"));
    let number = |text: Option<&str>| text.and_then(|t| t.parse::<f64>().ok()).unwrap_or(f64::NAN);
    let tag = document.descendants().find(|n| n.attribute("rx") == Some("7"));
    let tag = tag.unwrap_or_else(|| panic!("no tag: {svg}"));
    let right = number(tag.attribute("x")) + number(tag.attribute("width"));
    let arrow = document.descendants().find(|n| n.has_attribute("marker-end"));
    let way = arrow.and_then(|n| n.attribute("d")).unwrap_or_default();
    // A curve ends with x and y; a straight line keeps the x it starts with.
    let numbers: Vec<&str> = way.split(|c: char| !c.is_ascii_digit() && c != '.').collect();
    let x = match way.contains('C') {
        true => number(numbers.iter().rev().nth(1).copied()),
        false => number(numbers.get(1).copied()),
    };
    assert!(x > right, "{x} is within the tag, which ends at {right}: {svg}");
}
