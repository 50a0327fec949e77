//! Holds what we make of published nets and solvers against what the original Caffe makes of them.
//!
//! Walks `corpus/prototxt` in the folder named by `CORTADO_SHARED` (default `../shared`): every file
//! parses, or stands in `refused.tsv` with the reason; the shapes of blobs and parameters are those the
//! reference recorded. Arguments choose files by a part of their name.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::process::ExitCode;
use std::sync::Arc;

use cortado::batch_norm::{Conversion, Given, OutputError, Trained, compare, convert, fold};
use cortado::draw::{Graph, place};
use cortado::lint::{Subject, lint};
use cortado::net::{Net, NetErrorKind, NetOptions, Outline};
use cortado_layers::{LayerDef, Phase, Shape};
use cortado_proto::{FileKind, NetDef, SolverDef, Source};
use serde_json::Value;

/// Files that are refused: which part of what is told, and why. `text` where the file itself is no valid
/// text, `net` or `solver` where what it says can't be.
const REFUSED: &str = include_str!("refused.tsv");

/// Shapes of data that is not there and that the file does not tell, as a user would give them.
const ASSUMED: &str = include_str!("assumed.tsv");

/// Of all nets so many build, at least.
const BUILD: f64 = 0.95;

/// What the reference recorded.
const RECORDS: [&str; 3] = ["shapes.jsonl", "shapes_ssd.jsonl", "shapes_tolerant.jsonl"];

fn main() -> ExitCode {
    let filters: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let chosen =
        |file: &str| filters.is_empty() || filters.iter().any(|f| file.contains(f.as_str()));
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let shared = std::env::var_os("CORTADO_SHARED").map_or(own.join("../shared"), PathBuf::from);
    let root = shared.join("corpus/prototxt");
    if !root.is_dir() {
        println!("{} is not there: nothing is checked (set CORTADO_SHARED)", root.display());
        return ExitCode::SUCCESS;
    }
    let mut failed = texts(&root, &chosen);
    for records in RECORDS {
        failed += shapes(&root, records, &chosen);
    }
    failed += pictures(&root, &chosen);
    failed += advice(&root, &chosen);
    match std::env::var_os("CORTADO_LARGE") {
        Some(_) => failed += normalisation(&root, &chosen),
        None => {
            println!("normalisation: not tried every day: CORTADO_LARGE=1 builds and runs the nets")
        }
    }
    failed += builds(&root, &chosen, filters.is_empty());
    println!("{failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn source(root: &Path, file: &str) -> Option<Arc<Source>> {
    Some(Source::from_bytes(file, std::fs::read(root.join(file)).ok()?))
}

/// A file of the list.
struct Refused {
    file: &'static str,
    of: &'static str,
    told: &'static str,
}

fn refused() -> impl Iterator<Item = Refused> {
    REFUSED.lines().skip(1).filter_map(|line| {
        let mut columns = line.split('\t');
        Some(Refused { file: columns.next()?, of: columns.next()?, told: columns.next()? })
    })
}

/// What `cortado check` says of files or folders: a list, one item per file.
fn check(paths: &[PathBuf], more: &[&str]) -> Vec<Value> {
    let mut program = Command::new(env!("CARGO_BIN_EXE_cortado"));
    program.arg("check").arg("--json").args(more).args(paths);
    let output = program.output().expect("the program runs");
    match serde_json::from_slice(&output.stdout) {
        Ok(Value::Array(list)) => list,
        _ => panic!("check says {}", String::from_utf8_lossy(&output.stderr)),
    }
}

/// Every net builds and every solver makes sense, or is one of the refused, for the one reason listed.
fn builds(root: &Path, chosen: &dyn Fn(&str) -> bool, all: bool) -> usize {
    let mut wanted: HashMap<&str, Refused> = refused().map(|r| (r.file, r)).collect();
    let mut reports: BTreeMap<String, Value> = BTreeMap::new();
    let name = |report: &Value| {
        let file = PathBuf::from(report["file"].as_str().unwrap_or_default());
        file.strip_prefix(root).unwrap_or(&file).to_string_lossy().into_owned()
    };
    for report in check(&[root.to_path_buf()], &[]) {
        reports.insert(name(&report), report);
    }
    for line in ASSUMED.lines().skip(1) {
        let mut columns = line.split('\t');
        let (Some(file), Some(shapes)) = (columns.next(), columns.next()) else { continue };
        let more: Vec<String> =
            shapes.split(' ').map(|shape| format!("--assume-shape={shape}")).collect();
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        for report in check(&[root.join(file)], &more) {
            reports.insert(name(&report), report);
        }
    }
    let (mut nets, mut built, mut failed) = (0, 0, 0);
    for (file, report) in reports.iter().filter(|(file, _)| chosen(file)) {
        let is_net = report["kind"] == "net";
        nets += usize::from(is_net);
        match (report["verdict"] == "refused", wanted.remove(file.as_str())) {
            (false, None) => built += usize::from(is_net),
            (true, Some(refused)) => {
                let cause = report["cause"].as_str().unwrap_or_default();
                if !cause.contains(refused.told) {
                    println!("FAILED {file}: refused for another cause than listed: {cause}");
                    failed += 1;
                }
            }
            (false, Some(_)) => {
                println!("FAILED {file}: is fine, though refused.tsv lists it");
                failed += 1;
            }
            (true, None) => {
                println!("FAILED {file}: {}", report["cause"]);
                failed += 1;
            }
        }
    }
    for file in wanted.keys().filter(|file| chosen(file)) {
        println!("FAILED {file}: listed as refused, and not there");
        failed += 1;
    }
    let part = f64::from(built as u32) / f64::from(nets.max(1) as u32);
    println!("check: {built} of {nets} nets build ({:.1} %), {failed} failed", 100.0 * part);
    if all && part < BUILD {
        println!("FAILED: at least {} % of all nets build", 100.0 * BUILD);
        failed += 1;
    }
    failed
}

/// Every file parses, or is one of the refused.
fn texts(root: &Path, chosen: &dyn Fn(&str) -> bool) -> usize {
    let refused: HashMap<&str, &str> = refused()
        .filter(|refused| refused.of == "text")
        .map(|refused| (refused.file, refused.told))
        .collect();
    let index = std::fs::read_to_string(root.join("index.tsv")).unwrap_or_default();
    let malformed = std::fs::read_to_string(root.join("_malformed/index.tsv")).unwrap_or_default();
    let first = |text: &str| -> Vec<String> {
        text.lines().skip(1).filter_map(|l| l.split('\t').next()).map(str::to_owned).collect()
    };
    let mut files = first(&index);
    files.extend(first(&malformed).iter().map(|file| format!("_malformed/{file}")));
    let (mut parsed, mut failed, mut as_listed) = (0, 0, 0);
    for file in files.iter().filter(|file| chosen(file)) {
        let Some(source) = source(root, file) else {
            println!("FAILED {file}: can't be read");
            failed += 1;
            continue;
        };
        let errors = match FileKind::of(&source) {
            FileKind::Solver => SolverDef::from_text(&source).err(),
            _ => NetDef::from_text(&source).err(),
        };
        match (errors, refused.get(file.as_str())) {
            (None, None) => parsed += 1,
            (Some(errors), Some(why)) if errors.to_string().contains(why) => as_listed += 1,
            (None, Some(_)) => {
                println!("FAILED {file}: parses, though refused.tsv lists it");
                failed += 1;
            }
            (Some(errors), _) => {
                println!("FAILED {file}: {errors}");
                failed += 1;
            }
        }
    }
    println!("texts: {parsed} parse, {as_listed} are refused as listed, {failed} failed");
    failed
}

/// Files of the index that are nets and parse.
fn nets(root: &Path, chosen: &dyn Fn(&str) -> bool) -> Vec<(String, NetDef)> {
    let index = std::fs::read_to_string(root.join("index.tsv")).unwrap_or_default();
    let files = index.lines().skip(1).filter_map(|line| line.split('\t').next());
    let net = |file: &str| {
        let source = source(root, file)?;
        (FileKind::of(&source) == FileKind::Net).then(|| NetDef::from_text(&source).ok())?
    };
    files.filter(|file| chosen(file)).filter_map(|f| Some((f.to_owned(), net(f)?))).collect()
}

/// Every net can be drawn: valid markup with every layer, no boxes over each other.
fn pictures(root: &Path, chosen: &dyn Fn(&str) -> bool) -> usize {
    let (mut drawn, mut failed) = (0, 0);
    for (file, def) in nets(root, chosen) {
        // One that does not come up to date is no net; `texts` and `shapes` tell of it.
        let Ok(graph) = Graph::of(def, &NetOptions::new(Phase::Train), None) else { continue };
        let svg = graph.to_svg();
        let why = match roxmltree::Document::parse(&svg) {
            Err(why) => Some(why.to_string()),
            Ok(document) => {
                let texts: Vec<&str> = document.descendants().filter_map(|n| n.text()).collect();
                let lines = graph.nodes.iter().flat_map(|node| &node.lines);
                let told = lines.map(|line| format!("{} ({})", line.name, line.type_name));
                let missing = told.into_iter().find(|t| !texts.iter().any(|text| text.contains(t)));
                missing.map(|name| format!("`{name}` is not in the picture")).or(overlap(&graph))
            }
        };
        match why {
            None => drawn += 1,
            Some(why) => {
                println!("FAILED {file}: {why}");
                failed += 1;
            }
        }
    }
    println!("pictures: {drawn} drawn, {failed} failed");
    failed
}

/// Findings that were looked at by hand: file, line, rule, whether they are right, why.
const ADVICE: &str = include_str!("../lint_sample.tsv");

/// Every file can be linted; in those of the sample exactly the findings that were judged are found.
fn advice(root: &Path, chosen: &dyn Fn(&str) -> bool) -> usize {
    let mut judged: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for line in ADVICE.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [file, line, rule, ..] = columns[..] else { continue };
        let findings = judged.entry(file).or_default();
        // A file in which nothing is to be found.
        if rule != "-" {
            findings.push(format!("{line} {rule}"));
        }
    }
    let index = std::fs::read_to_string(root.join("index.tsv")).unwrap_or_default();
    let files = index.lines().skip(1).filter_map(|line| line.split('\t').next());
    let (mut linted, mut found, mut failed) = (0, 0, 0);
    for file in files.filter(|file| chosen(file)) {
        let Some(subject) = source(root, file).and_then(|source| Subject::of_text(&source)) else {
            continue;
        };
        linted += 1;
        let findings = lint(&subject).into_iter().map(|f| {
            let line = f.place.as_ref().map_or(0, |place| place.position().line);
            format!("{line} {}", f.rule.name)
        });
        let findings: Vec<String> = findings.collect();
        found += findings.len();
        if let Some(wanted) = judged.get(file).filter(|wanted| **wanted != findings) {
            println!("FAILED {file}: found {findings:?}, judged were {wanted:?}");
            failed += 1;
        }
    }
    println!("advice: {linted} files linted, {found} findings, {failed} not as judged");
    failed
}

/// Nets with batch normalisation fold and convert, on weights of noise, with the same outputs; what
/// stays in them says why. Large inputs are made smaller: what is compared is arithmetic.
fn normalisation(root: &Path, chosen: &dyn Fn(&str) -> bool) -> usize {
    let (mut whole, mut partly, mut converted, mut failed) = (0, 0, 0, 0);
    let (mut worst_fold, mut worst_conversion) = (0f64, 0f64);
    let mut not_run: BTreeMap<String, usize> = BTreeMap::new();
    for (file, def) in nets(root, chosen) {
        let norm = |layer: &LayerDef| matches!(layer.r#type(), "BatchNorm" | "BN");
        if !def.layers.iter().any(norm) {
            continue;
        }
        match normalised(root, &file) {
            Err(why) => {
                *not_run.entry(why.lines().next().unwrap_or_default().into()).or_default() += 1
            }
            Ok((folds, kept, error, conversion)) => {
                worst_fold = worst_fold.max(error);
                worst_conversion = worst_conversion.max(conversion.unwrap_or(0.0));
                converted += usize::from(conversion.is_some());
                let unexplained = kept.iter().any(String::is_empty);
                if std::env::args().len() > 1 {
                    println!(
                        "{file}: {folds} folded, {} kept, {error:.1e}, {conversion:?}",
                        kept.len()
                    );
                }
                let right = error <= MOST && conversion.unwrap_or(0.0) <= MOST;
                match (right && !unexplained, kept.is_empty() && folds > 0) {
                    (false, _) => {
                        println!("FAILED {file}: error {error:e}, {conversion:?}, kept {kept:?}");
                        failed += 1;
                    }
                    (true, true) => whole += 1,
                    (true, false) => partly += 1,
                }
            }
        }
    }
    println!(
        "normalisation: {whole} fold whole, {partly} partly or not, each layer with its reason (largest \
         relative error {worst_fold:.1e}); {converted} converted (largest {worst_conversion:.1e}); \
         {failed} failed"
    );
    for (why, count) in not_run {
        println!("    not run: {count} for {why}");
    }
    failed
}

/// Largest relative error.
const MOST: f64 = 1e-4;
/// Multiply-adds of a pass, up to which nets are run.
const MOST_MACS: u64 = 1 << 36;

/// Layers folded, the reasons of those kept, the largest error of folding, and of conversion.
type Normalised = (usize, Vec<String>, f64, Option<f64>);

fn normalised(root: &Path, file: &str) -> Result<Normalised, String> {
    let text = std::fs::read_to_string(root.join(file)).map_err(|e| e.to_string())?;
    let given = Given { assumed: Some(Shape::new(&[1, 3, 96, 96])), ..Given::nothing() };
    let source = Source::new(file, smaller(&text));
    let told = |e: cortado::Error| e.to_string();
    let (net, mut first) = match Trained::from_text(source, &given) {
        Ok(built) => built,
        Err(_) => {
            let given = Given::nothing();
            Trained::from_text(Source::new(file, text), &given).map_err(told)?
        }
    };
    // Hours of arithmetic prove no more than seconds.
    let macs: u64 = first.layers().map(|layer| layer.macs()).sum();
    if macs > MOST_MACS {
        return Err("nets that take too long".to_owned());
    }
    // What hangs on choices between nearly equal values is not measured by its largest error.
    let largest = |errors: Vec<OutputError>| {
        let measured = errors.iter().filter(|e| e.relative <= MOST || !e.is_within(MOST));
        measured.map(|e| e.relative).fold(0.0, f64::max)
    };
    let done = fold(&net);
    let (_, mut second) = net.rebuilt(done.text, &done.blobs, &given).map_err(told)?;
    let error = largest(compare(&mut first, &mut second).map_err(told)?);
    let Conversion { text, blobs, layers } = convert(&net).map_err(told)?;
    let conversion = match layers.is_empty() {
        true => None,
        false => {
            let (_, mut second) = net.rebuilt(text, &blobs, &given).map_err(told)?;
            Some(largest(compare(&mut first, &mut second).map_err(told)?))
        }
    };
    Ok((done.folds.len(), done.kept.into_iter().map(|k| k.why).collect(), error, conversion))
}

/// The same with pictures of 96 × 96 where they are of the usual sizes.
fn smaller(text: &str) -> String {
    ["224", "227", "299", "300", "321", "416", "473", "512"].iter().fold(
        text.to_owned(),
        |text, side| {
            text.replace(&format!("dim: {side} "), "dim: 96 ")
                .replace(&format!("dim: {side}\n"), "dim: 96\n")
        },
    )
}

fn overlap(graph: &Graph) -> Option<String> {
    let boxes = place(graph).boxes;
    let apart = |x: f64, w: f64, y: f64, v: f64| x + w < y || y + v < x;
    for (i, a) in boxes.iter().enumerate() {
        let mut others = boxes[..i].iter().enumerate();
        let over = others.find(|(_, b)| !apart(a.x, a.w, b.x, b.w) && !apart(a.y, a.h, b.y, b.h));
        if let Some((j, _)) = over {
            let name = |i: usize| &graph.nodes[i].lines[0].name;
            return Some(format!("`{}` and `{}` overlap", name(i), name(j)));
        }
    }
    None
}

/// Shapes of blobs and parameters as one file of records has them.
fn shapes(root: &Path, records: &str, chosen: &dyn Fn(&str) -> bool) -> usize {
    let text = std::fs::read_to_string(root.join(records)).unwrap_or_default();
    let (mut equal, mut failed, mut refused, mut accepted) = (0, 0, 0, 0);
    let mut missing: BTreeMap<String, usize> = BTreeMap::new();
    for line in text.lines() {
        let Ok(record) = serde_json::from_str::<Value>(line) else {
            println!("FAILED {records}: a line that is no JSON");
            failed += 1;
            continue;
        };
        let file = record["file"].as_str().unwrap_or_default();
        if !chosen(file) {
            continue;
        }
        let phase = if record["phase"] == "TRAIN" { Phase::Train } else { Phase::Test };
        let outline = outline(root, file, phase, &record);
        // What the original refuses we may load: it knows no forks, and no old forms beside new ones.
        if record["ok"] != true {
            match outline {
                Some(outline) if outline.errors.is_empty() => accepted += 1,
                _ => refused += 1,
            }
            continue;
        }
        let Some(outline) = outline else {
            println!("FAILED {file} ({phase:?}): does not parse");
            failed += 1;
            continue;
        };
        let unknown: Vec<&str> = outline
            .errors
            .iter()
            .filter_map(|e| match &e.kind {
                NetErrorKind::UnknownType(name) => Some(name.as_str()),
                // Runs in the Python module, which is not here.
                NetErrorKind::Layer(_) if e.type_name.as_deref() == Some("Python") => {
                    Some("Python")
                }
                _ => None,
            })
            .collect();
        if let Some(first) = unknown.first() {
            *missing.entry((*first).to_owned()).or_default() += 1;
            continue;
        }
        match differences(&outline, &record) {
            None => equal += 1,
            Some(why) => {
                println!("FAILED {file} ({phase:?}): {why}");
                failed += 1;
            }
        }
    }
    let skipped: usize = missing.values().sum();
    println!(
        "{records}: {equal} equal, {failed} failed, {skipped} skipped; of those the original refuses, \
         {refused} refused here too, {accepted} load"
    );
    for (name, count) in missing {
        println!("    skipped for the type {name}: {count}");
    }
    failed
}

fn outline(root: &Path, file: &str, phase: Phase, record: &Value) -> Option<Outline> {
    let mut def = NetDef::from_text(&source(root, file)?).ok()?;
    let replaced = record["replaced"].as_array().cloned().unwrap_or_default();
    if record["batch_set_to_1"] == true {
        cortado_proto::upgrade::net(&mut def).ok()?;
        for layer in &mut def.layers {
            let inputs = layer.param.input_param.iter_mut().flat_map(|p| &mut p.shape);
            inputs.filter_map(|shape| shape.dim.first_mut()).for_each(|batch| *batch = 1);
            let dummies = layer.param.dummy_data_param.iter_mut().flat_map(|p| &mut p.shape);
            dummies.filter_map(|shape| shape.dim.first_mut()).for_each(|batch| *batch = 1);
        }
    }
    let data = |layer: &LayerDef| {
        if layer.r#type() == "HDF5Output" {
            return Some(Vec::new());
        }
        let tops = |r: &Value| {
            let tops = r["tops"].as_array()?;
            Some(tops.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>())
        };
        let include: Vec<String> =
            layer.include.iter().map(|rule| rule.phase().as_str_name().to_owned()).collect();
        let same = |r: &&Value| {
            let phases = r["include"].as_array().cloned().unwrap_or_default();
            let phases: Vec<&str> = phases
                .iter()
                .filter_map(Value::as_str)
                .map(|p| p.trim_start_matches("phase: "))
                .map(|p| if p == "TRAIN" { "TRAIN" } else { "TEST" })
                .collect();
            r["was"] == layer.r#type()
                && r["layer"] == layer.name()
                && tops(r).as_ref() == Some(&layer.top)
                && (include.is_empty() || phases.is_empty() || phases == include)
        };
        let found = replaced.iter().find(same)?;
        let shapes = found["shapes"].as_array()?.iter().map(shape_of);
        shapes.collect()
    };
    Some(Net::outline(def, &NetOptions::new(phase), &data))
}

fn shape_of(value: &Value) -> Option<Shape> {
    let dims: Option<Vec<usize>> =
        value.as_array()?.iter().map(|d| d.as_u64().map(|d| d as usize)).collect();
    Some(Shape::new(&dims?))
}

/// The first thing that is not as recorded.
fn differences(outline: &Outline, record: &Value) -> Option<String> {
    if let Some(error) = outline.errors.first() {
        return Some(format!("refused here: {error}"));
    }
    let last: HashMap<&str, &Shape> = outline
        .layers
        .iter()
        .flat_map(|layer| layer.tops.iter().map(|(name, shape)| (name.as_str(), shape)))
        .collect();
    for (name, shape) in record["blobs"].as_object().into_iter().flatten() {
        let wanted = shape_of(shape);
        match last.get(name.as_str()) {
            Some(found) if Some(*found) == wanted.as_ref() => {}
            Some(found) => {
                return Some(format!("blob `{name}` is {found}, the reference has {shape}"));
            }
            None => return Some(format!("there is no blob `{name}` of shape {shape}")),
        }
    }
    let dropped = record["dropped_fields"].as_str().unwrap_or_default();
    let recorded = record["layers"].as_array().map_or(&[][..], Vec::as_slice);
    let names: Vec<&str> = recorded.iter().filter_map(|l| l["name"].as_str()).collect();
    let ours: Vec<&str> = outline.layers.iter().map(|l| l.name.as_str()).collect();
    if names != ours {
        let at = names
            .iter()
            .zip(&ours)
            .position(|(a, b)| a != b)
            .unwrap_or(names.len().min(ours.len()));
        let (theirs, ours) = (names.get(at), ours.get(at));
        return Some(format!("layer {at} is {ours:?}, the reference has {theirs:?}"));
    }
    for (theirs, ours) in recorded.iter().zip(&outline.layers) {
        let Some(params) = theirs["params"].as_array() else { continue };
        let mut params: Option<Vec<Shape>> = params.iter().map(shape_of).collect();
        // The reference dropped the field that asks for two blobs more.
        if theirs["type"] == "BatchNorm" && dropped.contains("BatchNormParameter.scale_bias") {
            params.iter_mut().for_each(|p| p.extend([p[0].clone(), p[0].clone()]));
        }
        if params.as_ref() != Some(&ours.params) {
            let found: Vec<String> = ours.params.iter().map(Shape::to_string).collect();
            return Some(format!(
                "layer `{}` has parameters {found:?}, the reference has {}",
                ours.name, theirs["params"]
            ));
        }
    }
    None
}
