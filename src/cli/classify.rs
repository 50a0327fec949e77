//! `cortado classify`.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use cortado::data::image::{Color, Picture, check_size, decode, resize};
use cortado::data::mean::MeanPicture;
use cortado::files::{MOST_BYTES, read_file, read_lines};
use cortado::net::Net;
use cortado_layers::{Phase, Shape};
use serde_json::json;

use super::log::Progress;
use super::model::{ModelArgs, PlanArgs};
use super::{Failure, RunArgs, finite, positive, say};

/// Classify pictures with a deploy net
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  cortado classify --model models/resnet50/deploy.prototxt \\\n    \
    --weights ResNet-50-model.caffemodel --labels synset_words.txt --mean 104,117,123 cat.jpg\n\n\
    A picture is resized to the net's input, its channels put in the order of --channels, the mean \
    subtracted, the result multiplied by --scale: the convention of Caffe's deploy files."
)]
pub struct ClassifyArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Names of the classes, one per line
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// What is subtracted: a mean file (.binaryproto), or one value per channel, separated by commas
    #[arg(long, value_name = "FILE|B,G,R", allow_hyphen_values = true)]
    mean: Option<OsString>,
    /// Factor after the subtraction
    #[arg(long, default_value_t = 1.0, value_name = "X", value_parser = finite, allow_negative_numbers = true)]
    scale: f32,
    /// Order of the channels that the net was trained with
    #[arg(long, value_enum, ignore_case = true, default_value = "BGR", value_name = "ORDER")]
    channels: Channels,
    /// Shorter side to resize to before the centre is cut out; without it the whole picture is
    /// resized to the input
    #[arg(long, value_name = "PIXELS", value_parser = positive, allow_negative_numbers = true)]
    resize: Option<usize>,
    /// Number of classes to show
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = positive, allow_negative_numbers = true)]
    top: usize,
    /// Blob that holds the scores; the net's first output unless given
    #[arg(long, value_name = "BLOB")]
    output: Option<String>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    run: RunArgs,
    /// Pictures (JPEG, PNG)
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "UPPER")]
enum Channels {
    Bgr,
    Rgb,
}

/// Runs the command.
pub fn run(args: ClassifyArgs) -> Result<(), Failure> {
    let labels = args.labels.as_deref().map(read_labels).transpose()?;
    let mut net = args.model.load(Phase::Test, &args.run, &args.plan, false)?;
    args.model.warn_untrained(&net);
    let input = one_input(&net)?;
    if let Some(output) = args.output.as_deref().filter(|name| net.shape(name).is_some()) {
        net.keep(&[output])?;
    }
    let shape = net.shape(&input).cloned().unwrap_or_default();
    let [_, channels, height, width] = shape[..] else {
        return Err(bad(format!(
            "input `{input}` is {shape}; a picture wants 4 axes (N x C x H x W)"
        )));
    };
    if channels != 1 && channels != 3 {
        return Err(bad(format!("input `{input}` is {shape}; a picture has 1 or 3 channels")));
    }
    net.reshape_input(&input, [1, channels, height, width])?;
    let mut net = net.deploy();
    let mean = Mean::parse(args.mean.as_deref(), [channels, height, width])?;
    let (mut results, mut unread) = (Vec::new(), Vec::new());
    // Without JSON every picture's classes are told as they come.
    let progress = args.json.then(|| Progress::new(args.images.len() as u64, "classifying"));
    for (done, file) in args.images.iter().enumerate() {
        if let Some(progress) = &progress {
            progress.set(done as u64, String::new());
        }
        let picture = match read_picture(file, channels, args.resize, height, width) {
            // What is wrong with one picture keeps nobody from the others.
            Err(Failure::Input(why)) => {
                let why_alone = why.trim_start_matches("error: ");
                results.push(json!({ "image": file, "error": why_alone }));
                unread.push(why);
                continue;
            }
            picture => picture?,
        };
        let values = prepared(&picture, &mean, args.scale, args.channels);
        if let Some(blob) = net.input_mut(&input) {
            blob.data.copy_from_slice(&values);
        }
        net.forward()?;
        let best = best(&net, &args, labels.as_deref())?;
        match args.json {
            true => results.push(json!({ "image": file, "classes": best.iter().map(|b| json!({
                "index": b.index, "label": b.label, "score": b.score })).collect::<Vec<_>>() })),
            false => {
                say(&format!("{}", file.display()));
                best.iter().for_each(|b| say(&format!("  {:.4}  {}", b.score, b.label)));
            }
        }
    }
    drop(progress);
    if args.json {
        say(&json!(results).to_string());
    }
    if unread.is_empty() { Ok(()) } else { Err(Failure::Input(unread.join("\n"))) }
}

fn bad(why: String) -> Failure {
    Failure::Input(format!("error: {why}"))
}

fn one_input(net: &Net) -> Result<String, Failure> {
    match net.inputs()[..] {
        [input] => Ok(input.to_owned()),
        [] => Err(bad(
            "the net has no input: classify wants a deploy file, with an Input layer".into()
        )),
        ref more => Err(bad(format!("the net has {} inputs: {}", more.len(), more.join(", ")))),
    }
}

fn read_labels(path: &Path) -> Result<Vec<String>, Failure> {
    let text =
        read_lines(path).map_err(|e| bad(format!("cannot read `{}`: {e}", path.display())))?;
    Ok(text.trim_end().lines().map(|line| line.trim_end().to_owned()).collect())
}

fn read_picture(
    path: &Path,
    channels: usize,
    shorter: Option<usize>,
    height: usize,
    width: usize,
) -> Result<Picture, Failure> {
    let fail = |why: String| bad(format!("cannot read `{}`: {why}", path.display()));
    let bytes = read_file(path, MOST_BYTES).map_err(|e| fail(e.to_string()))?;
    let color = if channels == 1 { Color::Gray } else { Color::Bgr };
    let picture = decode(&bytes, color).map_err(fail)?;
    let [_, h, w] = picture.shape;
    if h == 0 || w == 0 {
        return Err(fail("it has no pixels".to_owned()));
    }
    let Some(shorter) = shorter else { return Ok(resize(&picture, height, width)) };
    if shorter < height.max(width) {
        return Err(Failure::Usage(format!(
            "--resize {shorter} is smaller than the input, {height}x{width}"
        )));
    }
    let other = |longer: usize, side: usize| longer.saturating_mul(shorter) / side;
    let (h, w) = match h < w {
        true => (shorter, other(w, h)),
        false => (other(h, w), shorter),
    };
    check_size(h, w).map_err(|why| Failure::Usage(format!("--resize {shorter}: {why}")))?;
    Ok(centre(&resize(&picture, h, w), height, width))
}

/// The middle of a picture.
fn centre(picture: &Picture, height: usize, width: usize) -> Picture {
    let [channels, h, w] = picture.shape;
    let (top, left) = ((h - height) / 2, (w - width) / 2);
    let rows = (0..channels).flat_map(|c| (0..height).map(move |y| (c * h + top + y) * w + left));
    let data = rows.flat_map(|at| picture.data[at..at + width].iter().copied()).collect();
    Picture { shape: [channels, height, width], data }
}

/// What is subtracted from each value, in the order of the input.
struct Mean(Vec<f32>);

impl Mean {
    fn parse(
        given: Option<&OsStr>,
        [channels, height, width]: [usize; 3],
    ) -> Result<Mean, Failure> {
        let plane = height * width;
        let Some(given) = given else { return Ok(Mean(vec![0.0; channels * plane])) };
        let file = Path::new(given);
        let shown = file.display();
        let numbers: Option<Vec<f32>> = given
            .to_str()
            .and_then(|text| text.split(',').map(|part| part.trim().parse().ok()).collect());
        let per_channel = match numbers {
            Some(values) if values.iter().any(|value| !value.is_finite()) => {
                return Err(Failure::Usage(format!("--mean {shown}: finite numbers are wanted")));
            }
            Some(values) if values.len() == channels => values,
            Some(values) if values.len() == 1 => vec![values[0]; channels],
            Some(values) => {
                let why =
                    format!("--mean has {} values, the input {channels} channels", values.len());
                return Err(Failure::Usage(why));
            }
            None => {
                let mean = MeanPicture::read(file).map_err(bad)?;
                if mean.shape[0] != channels {
                    let shape = Shape::new(&mean.shape);
                    return Err(bad(format!(
                        "`{shown}` is {shape}, the input has {channels} channels"
                    )));
                }
                if mean.shape == [channels, height, width] {
                    return Ok(Mean(mean.data));
                }
                // Of another size: the mean of each channel, as Caffe's example does it.
                let size = (mean.shape[1] * mean.shape[2]).max(1);
                let channel = mean.data.chunks(size);
                channel.map(|c| c.iter().sum::<f32>() / c.len() as f32).collect()
            }
        };
        Ok(Mean(per_channel.iter().flat_map(|&value| std::iter::repeat_n(value, plane)).collect()))
    }
}

/// The input of a net: channels in order, mean subtracted, scaled.
fn prepared(picture: &Picture, mean: &Mean, scale: f32, channels: Channels) -> Vec<f32> {
    let [count, height, width] = picture.shape;
    let plane = height * width;
    let source = |c: usize| if channels == Channels::Rgb { count - 1 - c } else { c };
    let ordered = (0..count).flat_map(|c| &picture.data[source(c) * plane..][..plane]);
    ordered.zip(&mean.0).map(|(&pixel, mean)| (f32::from(pixel) - mean) * scale).collect()
}

struct Best {
    index: usize,
    label: String,
    score: f32,
}

/// The classes of the highest scores.
fn best(net: &Net, args: &ClassifyArgs, labels: Option<&[String]>) -> Result<Vec<Best>, Failure> {
    let outputs = net.outputs();
    let name = match &args.output {
        Some(name) => name.as_str(),
        None => *outputs.first().ok_or_else(|| bad("the net has no output".to_owned()))?,
    };
    let blob = net.blob(name).ok_or_else(|| {
        bad(format!("the net has no blob `{name}`; its outputs are {}", outputs.join(", ")))
    })?;
    if let Some(labels) = labels.filter(|labels| labels.len() != blob.data.len()) {
        let (found, wanted) = (labels.len(), blob.data.len());
        let file = args.labels.as_deref().unwrap_or(Path::new("")).display();
        return Err(bad(format!("`{file}` has {found} labels, `{name}` {wanted} scores")));
    }
    let mut order: Vec<usize> = (0..blob.data.len()).collect();
    order.sort_by(|&a, &b| blob.data[b].total_cmp(&blob.data[a]).then(a.cmp(&b)));
    let of = |index: usize| Best {
        index,
        label: labels.map_or_else(|| format!("class {index}"), |labels| labels[index].clone()),
        score: blob.data[index],
    };
    Ok(order.into_iter().take(args.top).map(of).collect())
}
