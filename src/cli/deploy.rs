//! `cortado deploy`.

use std::collections::HashSet;
use std::path::PathBuf;

use clap::Args;
use cortado::files::check_outputs;
use cortado::net::{Assumed, NetError, NetErrorKind, belongs, default_shapes};
use cortado_layers::{LayerDef, Phase, Shape};
use cortado_proto::caffe::{BlobShape, InputParameter, LayerParameter};
use cortado_proto::{NetDef, Origin, wire};
use serde_json::{Value, json};

use super::model::read_net;
use super::{Failure, RunArgs, log, say, skeleton, without_data};

/// Make a deploy net from a training net: Input for the data, no losses, Softmax for its loss
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  cortado deploy train_val.prototxt -o deploy.prototxt\n  \
                        cortado deploy --stage test train_val.prototxt -o deploy.prototxt\n  \
                        cortado deploy --reverse deploy.prototxt -o train_val.prototxt")]
pub struct DeployArgs {
    /// The net that trains and tests (with --reverse, the deploy net)
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where the deploy net goes [default: printed]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Shape of the input, where the data layer's fields do not say it
    #[arg(long, value_name = "[BLOB=]NxCxHxW", value_parser = without_data::assumption)]
    assume_shape: Vec<without_data::Assumption>,
    /// The other way: a training net to fill in, with data layers, losses, rates and fillers
    #[arg(long, conflicts_with = "assume_shape")]
    reverse: bool,
    /// Print what was done as JSON; without --output the net's text is its field `net`
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    run: RunArgs,
}

/// Runs the command.
pub fn run(args: DeployArgs) -> Result<(), Failure> {
    if let Some(output) = &args.output {
        check_outputs(&[output], &[&args.file])?;
    }
    let mut def = read_net(&args.file)?;
    cortado_proto::upgrade::net(&mut def)?;
    if args.reverse {
        return reverse(def, args);
    }
    let given = without_data::assumed(&args.assume_shape);
    without_data::known(&given, &tops(&def))?;
    let stages = without_data::stages(&def);
    let Made { def, dropped, left_out, guessed, mistakes } = best(&def, &args, &given)?;
    let shapes = |e: &NetError| matches!(e.kind, NetErrorKind::Layer(_));
    let hint = match guessed.first().filter(|_| mistakes.iter().any(shapes)) {
        Some((blob, shape)) => format!(
            "; `{blob}` is taken to be {shape}, `--assume-shape {blob}=NxCxHxW` says what it is"
        ),
        None if !stages.is_empty() => {
            format!(
                "; there are rules that ask for stages: `--stage {}`",
                stages.join("`, `--stage ")
            )
        }
        None => String::new(),
    };
    judge(&mistakes, &args, &hint)?;
    let told = match dropped.is_empty() {
        true => "nothing was dropped".to_owned(),
        false => format!("dropped: {}", dropped.join(", ")),
    };
    let report = json!({ "path": args.output, "dropped": dropped, "left_out": left_out });
    write(&def, &args, report, &told, &left_out)
}

/// The other way.
fn reverse(mut def: NetDef, args: DeployArgs) -> Result<(), Failure> {
    let file = args.file.display();
    let deployed = without_data::outline(&def, Phase::Test, &args.run, &Assumed::default());
    let is_fed = def.layers.iter().any(|layer| layer.r#type() == "Input");
    if is_fed || deployed.errors.is_empty() {
        judge(&deployed.errors, &args, "")?;
    }
    let made = skeleton::reverse(&mut def, &deployed);
    let Some(made) = made.filter(|_| is_fed || deployed.errors.is_empty()) else {
        return Err(Failure::Input(format!(
            "error: `{file}` has neither an input nor a Softmax or Sigmoid at its end: it is no deploy net"
        )));
    };
    for (phase, shapes) in [Phase::Train, Phase::Test].into_iter().zip(&made.shapes) {
        let given = Assumed { blobs: shapes.clone(), ..Assumed::default() };
        judge(&without_data::outline(&def, phase, &args.run, &given).errors, &args, "")?;
    }
    let told =
        format!("made: {}; the sources and batch sizes are placeholders", made.done.join(", "));
    let report = json!({ "path": args.output, "made": made.done, "left": made.left });
    write(&def, &args, report, &told, &made.left)
}

/// Fails where what was made does not load.
fn judge(mistakes: &[NetError], args: &DeployArgs, hint: &str) -> Result<(), Failure> {
    if mistakes.is_empty() {
        return Ok(());
    }
    let file = args.file.display();
    let unknown = |e: &&NetError| {
        matches!(e.kind, NetErrorKind::UnknownType(_)) || e.type_name.as_deref() == Some("Python")
    };
    if let Some(unknown) = mistakes.iter().find(unknown) {
        let why = &unknown.kind;
        log::plain(&format!("warning: whether the net loads can't be told: {why}"));
        return Ok(());
    }
    let mut told: Vec<String> = mistakes.iter().map(|e| e.diagnostic().to_string()).collect();
    told.push(format!(
        "error: what would be made of `{file}` does not load: nothing is written{hint}"
    ));
    Err(Failure::Input(told.join("\n\n")))
}

/// Writes or prints a net, and tells what was done.
fn write(
    def: &NetDef,
    args: &DeployArgs,
    mut report: Value,
    told: &str,
    notes: &[String],
) -> Result<(), Failure> {
    let text = def.to_text();
    match &args.output {
        Some(path) => wire::write_file(path, |out| out.write_all(text.as_bytes()))?,
        None if args.json => report["net"] = text.into(),
        None => say(text.trim_end()),
    }
    match args.json {
        true => say(&report.to_string()),
        false => log::plain(told),
    }
    notes.iter().for_each(|what| log::plain(&format!("note: {what}")));
    Ok(())
}

/// A deploy net, and what became of the rest.
struct Made {
    def: NetDef,
    dropped: Vec<String>,
    /// What data layers did to their values, with the flags that do it now.
    left_out: Vec<String>,
    /// Shapes of inputs that nobody gave.
    guessed: Vec<(String, Shape)>,
    mistakes: Vec<NetError>,
}

/// The deploy net with the fewest mistakes: of the layers that test or, where those are none, of those
/// that train; of one item, or of as many as the layers of the file ask for.
fn best(def: &NetDef, args: &DeployArgs, given: &Assumed) -> Result<Made, Failure> {
    let mut best: Option<(Phase, Made)> = None;
    for (phase, one) in
        [(Phase::Test, true), (Phase::Test, false), (Phase::Train, true), (Phase::Train, false)]
    {
        let mut made = deploy(def.clone(), phase, one, args, given);
        if made.def.layers.is_empty() {
            continue;
        }
        made.mistakes =
            without_data::outline(&made.def, Phase::Test, &args.run, &Assumed::default()).errors;
        if made.mistakes.is_empty() {
            best = Some((phase, made));
            break;
        }
        best = best.or(Some((phase, made)));
    }
    let Some((phase, made)) = best else {
        let file = args.file.display();
        return Err(Failure::Input(format!(
            "error: `{file}` has no layer that a deploy net keeps"
        )));
    };
    if phase == Phase::Train {
        log::plain("note: the layers are those of phase TRAIN: those of TEST alone make no net");
    }
    Ok(made)
}

/// What takes a loss's place: it makes the values that the loss compares.
fn head(loss: &str) -> Option<&'static str> {
    match loss {
        "SoftmaxWithLoss" => Some("Softmax"),
        "SigmoidCrossEntropyLoss" => Some("Sigmoid"),
        _ => None,
    }
}

fn measures(layer: &LayerParameter) -> bool {
    let name = layer.r#type();
    name.contains("Loss") || matches!(name, "Accuracy" | "DetectionEvaluate" | "HDF5Output")
}

/// Blobs whose shapes can be given.
fn tops(def: &NetDef) -> Vec<String> {
    let reads = |l: &&LayerDef| data_of(l, true, &Assumed::default()).is_some();
    def.layers.iter().filter(reads).flat_map(|layer| layer.top.clone()).collect()
}

/// Shapes of what a layer reads from outside; made-up data counts where there is no other.
fn data_of(layer: &LayerDef, made_up: bool, given: &Assumed) -> Option<Vec<Shape>> {
    let dummy = layer.dummy_data_param.as_ref().filter(|_| layer.r#type() == "DummyData");
    let Some(p) = dummy.filter(|_| made_up) else {
        return default_shapes(layer, given).filter(|shapes| !shapes.is_empty());
    };
    let axis = |list: &[u32], i: usize| list.get(i).or(list.first()).map_or(1, |&d| d as usize);
    let of_top = |(i, top): (usize, &String)| {
        let own = match p.shape.get(i).or(p.shape.first()) {
            Some(shape) => Shape::from_file(&shape.dim).unwrap_or_default(),
            None => {
                Shape::new(&[&p.num, &p.channels, &p.height, &p.width].map(|list| axis(list, i)))
            }
        };
        let named = given.blobs.iter().find(|(name, _)| name == top).map(|(_, shape)| shape);
        named.or(given.first.as_ref().filter(|_| i == 0)).cloned().unwrap_or(own)
    };
    Some(layer.top.iter().enumerate().map(of_top).collect())
}

/// What a data layer does to its values, which a deploy net leaves to whoever feeds it.
fn transform(layer: &LayerDef) -> Option<String> {
    let p = layer.transform_param.as_ref()?;
    let (mut what, mut flags) = (Vec::new(), Vec::new());
    if !p.mean_value.is_empty() {
        let values: Vec<String> = p.mean_value.iter().map(f32::to_string).collect();
        what.push(format!("`mean_value` {}", values.join(", ")));
        flags.push(format!("--mean {}", values.join(",")));
    }
    if p.mean_file.is_some() {
        what.push(format!("`mean_file` {}", p.mean_file()));
        flags.push(format!("--mean {}", p.mean_file()));
    }
    if p.scale() != 1.0 {
        what.push(format!("`scale` {}", p.scale()));
        flags.push(format!("--scale {}", p.scale()));
    }
    let (name, what, flags) = (layer.name(), what.join(" and "), flags.join(" "));
    (!what.is_empty()).then(|| {
        format!(
            "a deploy net leaves out {what} of `{name}`: `cortado classify {flags}` does the same"
        )
    })
}

/// Turns a net into one that runs, on one item at a time or on as many as it trains with.
fn deploy(mut def: NetDef, phase: Phase, one: bool, args: &DeployArgs, given: &Assumed) -> Made {
    let (mut dropped, mut left_out) = (Vec::new(), Vec::new());
    let mut guessed: Vec<(String, Shape)> = Vec::new();
    let fed = |l: &LayerDef| l.r#type() == "Input" || data_of(l, false, given).is_some();
    let made_up = !def.layers.iter().any(fed);
    let data = |layer: &LayerDef| data_of(layer, made_up, given);
    let in_phase = |phase| without_data::state(phase, &args.run);
    let (state, training) = (in_phase(phase), in_phase(Phase::Train));
    let runs = |layer: &LayerDef| belongs(layer, &state);
    // Training data stands in where the net has no data to test.
    let tests = def.layers.iter().any(|l| runs(l) && data(l).is_some());
    let trains = |l: &LayerDef| belongs(l, &training) && data(l).is_some();
    def.layers.retain(|l| runs(l) || (!tests && trains(l)));
    let heads = def.layers.iter().filter(|l| head(l.r#type()).is_some()).count();
    let read_by_net: HashSet<String> = def
        .layers
        .iter()
        .filter(|l| !measures(l) && l.r#type() != "Silence")
        .flat_map(|l| l.bottom.clone())
        .collect();
    let taken: HashSet<String> = def
        .layers
        .iter()
        .filter(|l| !measures(l))
        .flat_map(|l| l.top.iter().cloned().chain([l.name().to_owned()]))
        .collect();
    let mut gone: HashSet<String> = HashSet::new();
    // The heads that there are, by type and by what they read.
    let mut seen_heads: HashSet<(String, String)> = def
        .layers
        .iter()
        .filter_map(|l| Some((l.r#type().to_owned(), l.bottom.first()?.clone())))
        .collect();
    let mut kept: Vec<LayerDef> = Vec::with_capacity(def.layers.len());
    for mut layer in std::mem::take(&mut def.layers) {
        let name = layer.name().to_owned();
        if let Some(shapes) = data(&layer) {
            left_out.extend(transform(&layer).filter(|what| !left_out.contains(what)));
            let all: Vec<String> = layer.top.clone();
            for (i, (top, shape)) in all.iter().zip(&shapes).enumerate() {
                let is_label = i > 0 && top.contains("label");
                if is_label || !read_by_net.contains(top) {
                    gone.insert(top.clone());
                    continue;
                }
                if kept.iter().any(|l| l.r#type() == "Input" && l.top.contains(top)) {
                    continue;
                }
                let is_given = given.first.is_some() || given.blobs.iter().any(|(b, _)| b == top);
                let mut dim: Vec<i64> = shape.iter().map(|&d| d as i64).collect();
                if let (Some(batch), false, true) = (dim.first_mut(), is_given, one) {
                    *batch = 1;
                }
                if !is_given {
                    guessed.push((top.clone(), Shape::from_file(&dim).unwrap_or_default()));
                }
                let param = LayerParameter {
                    name: Some(top.clone()),
                    r#type: Some("Input".to_owned()),
                    top: vec![top.clone()],
                    input_param: Some(InputParameter { shape: vec![BlobShape { dim }] }),
                    ..LayerParameter::default()
                };
                let place = layer.place.derived(Origin::Code);
                kept.push(LayerDef { place, ..LayerDef::new(param) });
            }
            dropped.push(name);
            continue;
        }
        if let Some(type_name) = head(layer.r#type()) {
            let bottom = layer.bottom.first().cloned().unwrap_or_default();
            dropped.push(name.clone());
            let is_new = seen_heads.insert((type_name.to_owned(), bottom.clone()));
            if gone.contains(&bottom) || !is_new {
                continue;
            }
            // Alone it is called as published deploy nets call it.
            let name = if heads == 1 && !taken.contains("prob") { "prob".to_owned() } else { name };
            let param = LayerParameter {
                name: Some(name.clone()),
                r#type: Some(type_name.to_owned()),
                bottom: vec![bottom],
                top: vec![name],
                softmax_param: layer.param.softmax_param,
                ..LayerParameter::default()
            };
            let place = layer.place.derived(Origin::Code);
            kept.push(LayerDef { place, ..LayerDef::new(param) });
            continue;
        }
        if measures(&layer) || layer.bottom.iter().any(|b| gone.contains(b)) {
            gone.extend(layer.top.iter().filter(|t| !layer.bottom.contains(t)).cloned());
            dropped.push(name);
            continue;
        }
        layer.include.clear();
        layer.exclude.clear();
        layer.phase = None;
        layer.loss_weight.clear();
        layer.propagate_down.clear();
        // Rates do not matter any more; names share weights.
        layer.param.param.iter_mut().for_each(|p| (p.lr_mult, p.decay_mult) = (None, None));
        if layer.param.param.iter().all(|p| p.name().is_empty()) {
            layer.param.param.clear();
        }
        kept.push(layer);
    }
    def.layers = kept;
    Made { def, dropped, left_out, guessed, mistakes: Vec::new() }
}
