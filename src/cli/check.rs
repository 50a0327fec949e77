//! `cortado check`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use cortado::hdf5;
use cortado::lint::{self, Level, WeightLayer, Weights};
use cortado::net::{
    Net, NetError, NetErrorKind, NetOptions, Outline, OutlineLayer, default_memory, default_shapes,
    fork_of,
};
use cortado::solver::{NamedNet, SolverOptions};
use cortado_layers::{Phase, Shape};
use cortado_proto::def::read_text;
use cortado_proto::{Diagnostic, FileKind, NetDef, Severity, SolverDef, Source, wire};
use serde::Serialize;

use super::time::PhaseArg;
use super::without_data::{
    Assumption, assumed, assumption, data_tops, known, name_of, outline, stages,
};
use super::{Failure, RunArgs, say};

/// Tell whether nets and solvers load, and what is wrong with them, without data or weights
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  cortado check models/lenet/train_test.prototxt\n  \
                        cortado check --assume-shape 1x3x224x224 my_nets/")]
pub struct CheckArgs {
    /// Files (.prototxt, .caffemodel, .solverstate, .binaryproto), or folders whose .prototxt files are
    /// checked
    #[arg(value_name = "FILE|DIR", required = true)]
    paths: Vec<PathBuf>,
    /// Phase to check nets in [default: both]
    #[arg(long, value_enum, ignore_case = true, value_name = "PHASE")]
    phase: Option<PhaseArg>,
    /// Shape of what data layers read, where their fields do not say it; of one blob, after its name
    #[arg(long, value_name = "[BLOB=]NxCxHxW", value_parser = assumption)]
    assume_shape: Vec<Assumption>,
    /// Print a JSON list, one item per file
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warnings,
    Refused,
    /// Neither a net nor a solver.
    Other,
}

#[derive(Serialize)]
struct Report {
    file: String,
    kind: &'static str,
    verdict: Verdict,
    /// In one line, why it is refused.
    cause: Option<String>,
    errors: Vec<Told>,
    warnings: Vec<Told>,
    notes: Vec<Told>,
    /// One per phase the net builds in.
    phases: BTreeMap<&'static str, Vec<Layer>>,
    #[serde(skip)]
    shown: Vec<Diagnostic>,
    #[serde(skip)]
    data_tops: Vec<String>,
}

#[derive(Serialize)]
struct Told {
    message: String,
    line: Option<u32>,
    column: Option<u32>,
    notes: Vec<String>,
}

impl Told {
    fn in_short(&self) -> String {
        match self.line {
            Some(line) => format!("line {line}: {}", self.message),
            None => self.message.clone(),
        }
    }
}

#[derive(Serialize)]
struct Layer {
    name: String,
    #[serde(rename = "type")]
    type_name: String,
    bottoms: Vec<String>,
    tops: Vec<(String, Vec<usize>)>,
    params: Vec<Vec<usize>>,
}

/// Runs the command.
pub fn run(args: CheckArgs) -> Result<(), Failure> {
    let mut files = Vec::new();
    for path in &args.paths {
        match path.is_dir() {
            true => files_below(path, &mut files),
            false => files.push(path.clone()),
        }
    }
    if files.is_empty() {
        return Err(Failure::Input(
            "error: there is no .prototxt file in these folders".to_owned(),
        ));
    }
    let reports: Vec<Report> = files.iter().map(|file| examine(file, &args)).collect();
    let tops: Vec<String> = reports.iter().flat_map(|report| report.data_tops.clone()).collect();
    // Of a file that is refused before its data layers are known, other things are to be told.
    if !reports.iter().any(|r| r.verdict == Verdict::Refused && r.data_tops.is_empty()) {
        known(&assumed(&args.assume_shape), &tops)?;
    }
    if args.json {
        say(&serde_json::to_string(&reports).map_err(|e| Failure::Input(e.to_string()))?);
    } else {
        let in_full = args.paths.iter().all(|path| !path.is_dir());
        reports.iter().for_each(|report| print(report, in_full));
        if reports.len() > 1 {
            summary(&reports);
        }
    }
    let refused = reports.iter().filter(|r| r.verdict == Verdict::Refused).count();
    match refused {
        0 => Ok(()),
        n => Err(Failure::Input(format!("error: {n} of {} files refused", reports.len()))),
    }
}

/// The nets and solvers in a folder and those below it.
pub fn files_below(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() && !path.is_symlink() {
            files_below(&path, files);
        } else if path.extension().is_some_and(|e| e == "prototxt" || e == "pbtxt" || e == "pt") {
            files.push(path);
        }
    }
}

fn examine(file: &Path, args: &CheckArgs) -> Report {
    // A pipe has no beginning that could be looked at twice.
    if file.is_file() && hdf5::is_hdf5(file) {
        return hdf5_file(file);
    }
    match file.extension().and_then(|ending| ending.to_str()) {
        Some("caffemodel") => return weights(file),
        Some("solverstate") => return training_state(file),
        Some("binaryproto") => return blob(file),
        _ => {}
    }
    match read_text(file) {
        Ok(source) => text(file, &source, args),
        Err(error) => report(file, "unreadable", vec![error.diagnostic()], None),
    }
}

/// Why a text does not load, where it does not, and where in it that stands.
pub fn refusal(file: &Path, source: &Arc<Source>) -> Option<Diagnostic> {
    let run = RunArgs {
        threads: 0,
        level: 0,
        stage: Vec::new(),
        max_memory: default_memory(),
        gpu: None,
    };
    let args =
        CheckArgs { paths: Vec::new(), phase: None, assume_shape: Vec::new(), json: false, run };
    // A solver's net has a file of its own, and may need the stages of a study.
    let here = |d: &Diagnostic| d.place.as_ref().is_none_or(|at| at.source.name == source.name);
    let mut told = text(file, source, &args).shown.into_iter();
    told.find(|d| d.severity == Severity::Error && here(d))
}

fn text(file: &Path, source: &Arc<Source>, args: &CheckArgs) -> Report {
    match FileKind::of(source) {
        FileKind::Solver => solver(file, source, args),
        FileKind::Net => net(file, source, args),
        _ => {
            let (document, errors) = cortado_proto::text::tree(source);
            let mut shown: Vec<Diagnostic> = errors.iter().map(|e| e.diagnostic()).collect();
            if document.root.fields.is_empty() && shown.is_empty() {
                shown.push(Diagnostic::error("the file holds no layers", None));
            }
            let mut report = report(file, "other", shown, None);
            if report.verdict == Verdict::Ok {
                report.verdict = Verdict::Other;
            }
            report
        }
    }
}

/// Trained weights: names, types and blobs are read, whatever fork wrote the rest.
fn weights(file: &Path) -> Report {
    let model = match wire::Model::open(file) {
        Ok(model) => model,
        Err(error) => return report(file, "weights", vec![error.diagnostic()], None),
    };
    let registry = cortado::registry();
    let mut forks: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for layer in &model.layers {
        let origin = match registry.get(&layer.type_name) {
            Some(kind) if kind.dialect == "caffe" => continue,
            Some(kind) => kind.dialect,
            None => fork_of(&layer.type_name).map_or("an unknown fork", |fork| fork.origin),
        };
        forks.entry(origin).or_default().insert(&layer.type_name);
    }
    let mut shown = Vec::new();
    for (origin, types) in forks.iter().filter(|(_, types)| !types.contains("")) {
        let types: Vec<&str> = types.iter().copied().collect();
        let what = format!("written by a fork: {} of {origin}", types.join(", "));
        shown.push(Diagnostic::note(what, None));
    }
    let foreign: BTreeSet<u32> =
        model.layers.iter().flat_map(|layer| layer.foreign.iter().copied()).collect();
    if !foreign.is_empty() {
        let numbers: Vec<String> = foreign.iter().map(u32::to_string).collect();
        let what = format!(
            "fields that forks use for different things ({}): names, types and blobs are read without them",
            numbers.join(", ")
        );
        shown.push(Diagnostic::note(what, None));
    }
    with_layers(report(file, "weights", shown, None), Weights::Model(model).layers())
}

fn with_layers(mut report: Report, layers: Result<Vec<WeightLayer>, String>) -> Report {
    let layer = |layer: WeightLayer| Layer {
        name: layer.name,
        type_name: layer.type_name,
        bottoms: Vec::new(),
        tops: Vec::new(),
        params: layer.blobs.into_iter().map(|(_, shape)| shape.to_vec()).collect(),
    };
    let layers = layers.unwrap_or_default().into_iter().map(layer).collect();
    report.phases.insert("WEIGHTS", layers);
    report
}

/// Weights, or the state of a training.
fn hdf5_file(file: &Path) -> Report {
    let refused = |why: String| vec![Diagnostic::error(why, None)];
    let reader = match hdf5::Reader::open(file) {
        Ok(reader) => reader,
        Err(why) => return report(file, "unreadable", refused(why), None),
    };
    if reader.has_group("history") && !reader.has_group("data") {
        let state = reader.number("iter").and_then(|iteration| {
            let (_, blobs) = reader.names("history")?;
            blobs.iter().try_for_each(|i| reader.shape(&format!("history/{i}")).map(|_| ()))?;
            let named = reader.has("learned_net").then(|| reader.text("learned_net"));
            Ok(state_note(iteration, &named.transpose()?.unwrap_or_default()))
        });
        let shown = state.map_or_else(refused, |note| vec![note]);
        return report(file, "state of a training", shown, None);
    }
    let layers = Weights::of_hdf5(reader).layers();
    let shown = match &layers {
        Ok(layers) if layers.iter().all(|layer| layer.blobs.is_empty()) => {
            refused("the HDF5 file holds neither weights nor the state of a training".to_owned())
        }
        Ok(_) => Vec::new(),
        Err(why) => refused(why.clone()),
    };
    with_layers(report(file, "weights", shown, None), layers)
}

/// One blob: a mean picture, or the matrix of an InfogainLoss.
fn blob(file: &Path) -> Report {
    let shown = match wire::read_blob(file) {
        Ok((_, values)) if values.is_empty() => Diagnostic::error("the file holds no values", None),
        Ok((shape, _)) => Diagnostic::note(format!("its shape is {}", Shape::new(&shape)), None),
        Err(error) => error.diagnostic(),
    };
    report(file, "mean or matrix", vec![shown], None)
}

/// The state of a training: where it is, and where its weights are.
fn training_state(file: &Path) -> Report {
    let shown = match wire::read_state(file) {
        Ok(state) => state_note(state.iter().into(), state.learned_net()),
        Err(error) => error.diagnostic(),
    };
    report(file, "state of a training", vec![shown], None)
}

fn state_note(iteration: i64, weights: &str) -> Diagnostic {
    let what = format!(
        "iteration {iteration}; its weights are in `{weights}`; `cortado train --snapshot` goes on \
         from it"
    );
    Diagnostic::note(what, None)
}

fn solver(file: &Path, source: &Arc<Source>, args: &CheckArgs) -> Report {
    let mut def = match SolverDef::from_text(source) {
        Ok(def) => def,
        Err(errors) => {
            return report(file, "solver", errors.iter().map(|e| e.diagnostic()).collect(), None);
        }
    };
    let mut shown = std::mem::take(&mut def.notes);
    match cortado::solver::examine(&mut def) {
        Ok(()) => {}
        Err(cortado::Error::Proto(errors)) => {
            shown.extend(errors.iter().map(|e| e.diagnostic()));
        }
        Err(cortado::Error::Solver(errors)) => {
            shown.extend(errors.iter().map(cortado::solver::SolverError::diagnostic));
        }
        Err(other) => shown.push(Diagnostic::error(other.to_string(), None)),
    }
    // What it knows but does not do.
    shown.append(&mut def.notes);
    let subject = lint::Subject::of_text(source).unwrap_or_default();
    let doubts = lint::lint(&subject).into_iter().filter(|doubt| doubt.level == Level::Warning);
    shown.extend(doubts.map(|doubt| Diagnostic::warning(doubt.message, doubt.place)));
    let own = shown.iter().any(|d| d.severity == Severity::Error);
    let mut data = Vec::new();
    for error in mistakes_of_nets(&def, file, args, &mut shown, &mut data) {
        if !shown.contains(&error) {
            shown.push(error);
        }
    }
    let first = shown.iter().find(|d| d.severity == Severity::Error).filter(|_| !own);
    let cause = first.map(|first| format!("its net is refused: {}", first.message));
    Report { data_tops: data, ..report(file, "solver", shown, cause) }
}

/// What is wrong with the nets that a solver trains and tests, found and filtered as training does it.
fn mistakes_of_nets(
    def: &SolverDef,
    file: &Path,
    args: &CheckArgs,
    shown: &mut Vec<Diagnostic>,
    data: &mut Vec<String>,
) -> Vec<Diagnostic> {
    // What is wrong with their number has been told.
    let Ok(named) = cortado::solver::named_nets(def) else { return Vec::new() };
    let mut mistakes = Vec::new();
    let mut read = |net: NamedNet| -> Option<NetDef> {
        let (field, path) = match net {
            NamedNet::Here(net) => return Some(*net),
            NamedNet::File { field, path } => (field, path),
        };
        let found = cortado::files::resolve(&path, Some(file));
        if !found.exists() {
            let what = format!("`{path}` is not there: only the solver itself is checked");
            let note = Diagnostic::note(what, def.span_of(&field));
            if !shown.contains(&note) {
                shown.push(note);
            }
            return None;
        }
        match read_text(&found) {
            Ok(source) => {
                let (net, errors) = NetDef::examine(&source);
                mistakes.extend(errors.iter().map(|e| e.diagnostic()));
                net.filter(|_| errors.is_empty())
            }
            Err(error) => {
                mistakes.push(error.diagnostic());
                None
            }
        }
    };
    let p = &def.param;
    let train = (read(named.train), Phase::Train, p.train_state.as_ref());
    let tests = named.tests.into_iter().enumerate();
    let nets: Vec<_> = std::iter::once(train)
        .chain(tests.map(|(i, net)| (read(net), Phase::Test, p.test_state.get(i))))
        .collect();
    let given = assumed(&args.assume_shape);
    let (level, stages) = (args.run.level, args.run.stage.clone());
    let flags = SolverOptions { level, stages, ..SolverOptions::default() };
    for (net, phase, own) in nets {
        let Some(net) = net else { continue };
        data.extend(data_tops(&net));
        let state = cortado::solver::net_state(phase, &flags, &net.param, own);
        let options = NetOptions { state, ..NetOptions::new(phase) };
        let outline = Net::outline(net, &options, &|layer| default_shapes(layer, &given));
        mistakes.extend(outline.errors.iter().map(NetError::diagnostic));
    }
    mistakes
}

fn net(file: &Path, source: &Arc<Source>, args: &CheckArgs) -> Report {
    let (def, errors) = NetDef::examine(source);
    let mut shown: Vec<Diagnostic> = errors.iter().map(|e| e.diagnostic()).collect();
    let Some(def) = def else { return report(file, "net", shown, None) };
    if def.is_empty() && shown.is_empty() {
        shown.push(Diagnostic::error("the net holds no layers", None));
    }
    let text_is_wrong = !shown.is_empty();
    let phases = match args.phase {
        Some(phase) => vec![phase.into()],
        None => vec![Phase::Train, Phase::Test],
    };
    let given = assumed(&args.assume_shape);
    let outlines_of = |stages: &[String]| -> Vec<(&'static str, Outline)> {
        let run = RunArgs { stage: stages.to_vec(), ..args.run.clone() };
        let outline = |&phase: &Phase| (name_of(phase), outline(&def, phase, &run, &given));
        phases.iter().map(outline).collect()
    };
    // A net for one phase alone is none for the other: dumps of training logs, nets without test data.
    let whole = |outlines: &[(&str, Outline)]| {
        outlines.iter().any(|(_, o)| o.errors.is_empty() && !o.layers.is_empty())
    };
    let mut outlines = outlines_of(&args.run.stage);
    // The fewest mistakes are nearest to what was meant: of a net whose rules ask for stages, or that
    // has data in one phase only.
    let least = |outlines: &[(&str, Outline)]| outlines.iter().map(|(_, o)| o.errors.len()).min();
    if !whole(&outlines) && args.run.stage.is_empty() {
        let staged = stages(&def)
            .into_iter()
            .map(|stage| (outlines_of(std::slice::from_ref(&stage)), stage));
        let best = staged.min_by_key(|(found, _)| least(found));
        if let Some((found, stage)) = best.filter(|(found, _)| least(found) < least(&outlines)) {
            outlines = found;
            let what =
                format!("checked with `--stage {stage}`: there are rules that ask for stages");
            shown.push(Diagnostic::warning(what, None));
        }
    }
    let builds = whole(&outlines);
    if !builds && let Some(least) = least(&outlines) {
        outlines.retain(|(_, outline)| outline.errors.len() == least);
    }
    let mut add = |found: Diagnostic| {
        if !shown.contains(&found) {
            shown.push(found);
        }
    };
    for (phase, outline) in &outlines {
        outline.notes.iter().cloned().for_each(&mut add);
        let breaks_a_rule = |e: &NetError| matches!(e.kind, NetErrorKind::Rule(_));
        if builds
            && !outline.errors.iter().any(breaks_a_rule)
            && let Some(first) = outline.errors.first()
        {
            let what = format!("builds in one phase only; in {phase}: {}", first.kind);
            add(Diagnostic { severity: Severity::Warning, message: what, ..first.diagnostic() });
            continue;
        }
        let wiring = |kind: &NetErrorKind| {
            use NetErrorKind as K;
            matches!(kind, K::UnknownType(_) | K::UnknownBottom(_) | K::TopMadeTwice { .. })
        };
        // What is wrong in the text may be why a layer does not build.
        let errors = outline.errors.iter().filter(|e| !text_is_wrong || wiring(&e.kind));
        errors.map(|e| e.diagnostic()).for_each(&mut add);
    }
    let mut missing: BTreeMap<String, usize> = BTreeMap::new();
    let most = outlines.iter().max_by_key(|(_, o)| unknown(o).count());
    for name in most.into_iter().flat_map(|(_, o)| unknown(o)) {
        *missing.entry(name).or_default() += 1;
    }
    let cause = (!missing.is_empty() && !text_is_wrong).then(|| {
        let list = missing.iter().map(|(name, n)| match fork_of(name) {
            Some(fork) => format!("{name} ({n}×, from {})", fork.origin),
            None => format!("{name} ({n}×)"),
        });
        let s = if missing.len() == 1 { "type" } else { "types" };
        format!("unsupported layer {s}: {}", list.collect::<Vec<_>>().join(", "))
    });
    if cause.is_some() {
        shown.push(rest(&def, &missing));
    }
    shown.extend(
        lint::unused_blocks(&def)
            .into_iter()
            .map(|(message, place)| Diagnostic::warning(message, place)),
    );
    let mut report = report(file, "net", shown, cause);
    report.data_tops = data_tops(&def);
    for (phase, outline) in outlines.into_iter().filter(|(_, o)| o.errors.is_empty()) {
        report.phases.insert(phase, outline.layers.into_iter().map(layer).collect());
    }
    report
}

/// What a net needs beside the types that are missing.
fn rest(def: &NetDef, missing: &BTreeMap<String, usize>) -> Diagnostic {
    let mut today = def.clone();
    // What can't be upgraded has been told.
    let _ = cortado_proto::upgrade::net(&mut today);
    let known = today.layers.iter().map(|l| l.r#type()).filter(|name| !missing.contains_key(*name));
    let count = known.clone().count();
    let types: BTreeSet<&str> = known.collect();
    let types: Vec<&str> = types.into_iter().collect();
    let what = match count {
        0 => "the net has no other layers".to_owned(),
        n => format!("the other {n} layers are of types that are here: {}", types.join(", ")),
    };
    Diagnostic::note(what, None)
}

fn unknown(outline: &Outline) -> impl Iterator<Item = String> {
    outline.errors.iter().filter_map(|e| match &e.kind {
        NetErrorKind::UnknownType(name) => Some(name.clone()),
        _ => None,
    })
}

fn layer(layer: OutlineLayer) -> Layer {
    let dims = |shape: Shape| shape.to_vec();
    Layer {
        name: layer.name,
        type_name: layer.type_name,
        bottoms: layer.bottoms,
        tops: layer.tops.into_iter().map(|(name, shape)| (name, dims(shape))).collect(),
        params: layer.params.into_iter().map(dims).collect(),
    }
}

fn report(
    file: &Path,
    kind: &'static str,
    shown: Vec<Diagnostic>,
    cause: Option<String>,
) -> Report {
    let of = |severity: Severity| -> Vec<Told> {
        shown.iter().filter(|d| d.severity == severity).map(told).collect()
    };
    let (errors, warnings, notes) =
        (of(Severity::Error), of(Severity::Warning), of(Severity::Note));
    let first = errors.first().map(Told::in_short);
    let (verdict, cause) = match first {
        Some(first) => (Verdict::Refused, Some(cause.unwrap_or(first))),
        None if warnings.is_empty() => (Verdict::Ok, None),
        None => (Verdict::Warnings, None),
    };
    Report {
        file: file.display().to_string(),
        kind,
        verdict,
        cause,
        errors,
        warnings,
        notes,
        phases: BTreeMap::new(),
        shown,
        data_tops: Vec::new(),
    }
}

fn told(diagnostic: &Diagnostic) -> Told {
    let at = diagnostic.place.as_ref().map(|place| place.position());
    Told {
        message: diagnostic.message.clone(),
        line: at.as_ref().map(|at| at.line),
        column: at.as_ref().map(|at| at.column),
        notes: diagnostic.notes.clone(),
    }
}

fn print(report: &Report, in_full: bool) {
    let count = report.warnings.len();
    let s = if count == 1 { "" } else { "s" };
    match report.verdict {
        Verdict::Ok => say(&format!("ok        {} ({})", report.file, report.kind)),
        Verdict::Warnings => {
            say(&format!("warnings  {} ({}, {count} warning{s})", report.file, report.kind));
        }
        Verdict::Refused => {
            let cause = report.cause.as_deref().unwrap_or_default();
            match &report.errors[..] {
                [only] if in_full && only.in_short() == cause => {
                    say(&format!("refused   {}", report.file));
                }
                _ => say(&format!("refused   {}: {cause}", report.file)),
            }
        }
        Verdict::Other => say(&format!("other     {} (neither net nor solver)", report.file)),
    }
    if in_full {
        report.shown.iter().for_each(|diagnostic| say(&format!("\n{diagnostic}")));
    }
}

fn summary(reports: &[Report]) {
    let count = |verdict| reports.iter().filter(|r| r.verdict == verdict).count();
    say(&format!(
        "{} files: {} ok, {} with warnings, {} refused, {} of another kind",
        reports.len(),
        count(Verdict::Ok),
        count(Verdict::Warnings),
        count(Verdict::Refused),
        count(Verdict::Other)
    ));
}
