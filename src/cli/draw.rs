//! `cortado draw`.

use std::path::PathBuf;

use clap::Args;
use cortado::draw::Graph;
use cortado::files::check_outputs;
use cortado::net::{Assumed, NetOptions};
use cortado_layers::Shape;
use cortado_proto::wire;
use serde_json::json;

use super::model::read_net;
use super::time::PhaseArg;
use super::{Failure, RunArgs, log, say, without_data};

/// Draw a net: layers that run as one in one box, with shapes and numbers of parameters
#[derive(Args, Debug)]
#[command(
    alias = "draw_net",
    after_help = "Examples:\n  cortado draw models/resnet50/deploy.prototxt -o resnet50.svg\n  \
                        cortado draw train_val.prototxt --phase TRAIN -o net.png"
)]
pub struct DrawArgs {
    /// The net (.prototxt)
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where the picture goes; its ending tells the kind: .svg, .png, .html or .dot
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Phase of the net [default: TEST, or TRAIN where only that builds]
    #[arg(long, value_enum, ignore_case = true, value_name = "PHASE")]
    phase: Option<PhaseArg>,
    /// Shape of what data layers read, where their fields do not say it
    #[arg(long, value_name = "NxCxHxW", value_parser = without_data::shape)]
    assume_shape: Option<Shape>,
    /// Size of a PNG, in pixels per unit of the SVG
    #[arg(long, default_value_t = 1.5, value_name = "FACTOR")]
    scale: f32,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    run: RunArgs,
}

/// Runs the command.
pub fn run(args: DrawArgs) -> Result<(), Failure> {
    let ending = args.output.extension().map(|e| e.to_string_lossy().to_lowercase());
    let ending = ending.unwrap_or_default();
    if !["svg", "png", "html", "dot"].contains(&ending.as_str()) {
        let found = args.output.display();
        return Err(Failure::Usage(format!(
            "a picture ends in .svg, .png, .html or .dot; found `{found}`"
        )));
    }
    if !(args.scale > 0.0) {
        return Err(Failure::Usage(format!("--scale is above 0, found {}", args.scale)));
    }
    check_outputs(&[&args.output], &[&args.file])?;
    let def = read_net(&args.file)?;
    let given = Assumed { first: args.assume_shape.clone(), ..Assumed::default() };
    without_data::known(&given, &without_data::data_tops(&def))?;
    let phase = without_data::shown_phase(&def, args.phase, &args.run, &given);
    let options =
        NetOptions { state: without_data::state(phase, &args.run), ..NetOptions::new(phase) };
    let graph = Graph::of(def, &options, args.assume_shape.as_ref())?;
    if graph.nodes.is_empty() {
        let file = args.file.display();
        return Err(Failure::Input(format!("error: `{file}` has no layer in this phase")));
    }
    if graph.mistakes > 0 {
        let file = args.file.display();
        let phase = without_data::name_of(phase);
        log::plain(&format!(
            "in phase {phase} the net has mistakes: what depends on them is drawn without shapes \
             (`cortado check --phase {phase} {file}` tells them)"
        ));
    }
    let bytes = match ending.as_str() {
        "svg" => graph.to_svg().into_bytes(),
        "html" => graph.to_html().into_bytes(),
        "dot" => graph.to_dot().into_bytes(),
        _ => png(&graph.to_svg(), args.scale)?,
    };
    wire::write_file(&args.output, |out| out.write_all(&bytes))?;
    if args.json {
        say(&json!({ "path": args.output, "boxes": graph.nodes.len() }).to_string());
    }
    Ok(())
}

/// The bytes of a PNG.
#[cfg(feature = "draw-png")]
pub fn png(svg: &str, scale: f32) -> Result<Vec<u8>, Failure> {
    let (bytes, fits) =
        cortado::draw::png(svg, scale).map_err(|why| Failure::Input(format!("error: {why}")))?;
    if fits < scale {
        log::plain(&format!(
            "note: the picture is drawn at scale {fits}: {scale} is too large for a PNG"
        ));
    }
    Ok(bytes)
}

/// Says how to get PNGs.
#[cfg(not(feature = "draw-png"))]
pub fn png(_: &str, _: f32) -> Result<Vec<u8>, Failure> {
    Err(Failure::Usage(
        "this program was built without PNG (`--features draw-png`); write .svg or .html"
            .to_owned(),
    ))
}
