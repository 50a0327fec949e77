//! The forks' layers as Caffe's: BatchNorm normalises, Scale holds γ and β, ReLU is a layer.

use std::collections::{HashMap, HashSet};

use cortado_layers::Shape;
use cortado_layers::norm::batch_norm::keeps_averages;
use cortado_layers::norm::bn::{Dialect, dialect};
use cortado_proto::caffe::bn_parameter::BnMode;
use cortado_proto::caffe::{
    BatchNormParameter, FillerParameter, LayerParameter, NetParameter, ParamSpec, ScaleParameter,
};
use cortado_proto::text::{self, Edits};
use cortado_proto::{LayerDef, NetDef};
use serde::Serialize;

use super::trained::{Blob, Trained};
use crate::Error;

/// A layer that was rewritten.
#[derive(Clone, Debug, Serialize)]
pub struct Converted {
    /// Name.
    pub layer: String,
    /// Whose form it had.
    pub dialect: &'static str,
    /// Types and names of what stands in its place.
    pub now: Vec<(String, String)>,
    /// What is not the same in training.
    pub note: Option<&'static str>,
}

/// A net with all layers of forks rewritten.
#[derive(Debug)]
pub struct Conversion {
    /// Its text.
    pub text: String,
    /// Its parameters, by layer name.
    pub blobs: HashMap<String, Vec<Blob>>,
    /// What was rewritten.
    pub layers: Vec<Converted>,
}

/// A layer as Caffe's layers, each with its parameters if there are any.
struct Split {
    dialect: &'static str,
    layers: Vec<(LayerParameter, Vec<Blob>)>,
    note: Option<&'static str>,
}

const LEARNS: &str = "in training the variance that is kept is the unbiased one from now on";
const BY_BATCH: &str = "it goes on normalising by the batch in TEST; `cortado bn-recalibrate` gathers \
                        statistics, then `use_global_stats: false` can go";

/// Rewrites all layers of forks.
///
/// # Errors
/// The text is damaged.
pub fn convert(net: &Trained) -> Result<Conversion, Error> {
    let def = NetDef::from_text(&net.source)?;
    let old = net.blobs();
    let mut blobs = old.clone();
    let mut names: HashSet<String> = def.layers.iter().map(|l| l.name().to_owned()).collect();
    names.extend(net.rest.iter().map(|layer| layer.param.name().to_owned()));
    // Whether Caffe's form of a layer has parts in some phase: the file then has a layer for each.
    let in_parts = |name: &str| {
        let mut same = def.layers.iter().filter(|layer| layer.name() == name);
        same.any(|layer| split(layer, &[]).is_none_or(|split| split.layers.len() > 1))
    };
    let (document, _) = text::tree(&net.source);
    let mut edits = Edits::new(&net.source);
    let mut done = Vec::new();
    // A layer may stand there once per phase; its parts then bear the same names.
    let mut parts: HashMap<(String, &str), String> = HashMap::new();
    for layer in &def.layers {
        let own = old.get(layer.name()).cloned().unwrap_or_default();
        let Some(mut split) = split(layer, &own) else { continue };
        for (param, _) in &mut split.layers {
            let suffix = match param.r#type() {
                "Scale" => "_scale",
                "ReLU" => "_relu",
                _ => "",
            };
            let key = (layer.name().to_owned(), suffix);
            let name = parts.entry(key).or_insert_with(|| {
                let mut name = format!("{}{suffix}", layer.name());
                while !suffix.is_empty() && !names.insert(name.clone()) {
                    name.push('_');
                }
                name
            });
            param.name = Some(name.clone());
        }
        if let [(only, _)] = &mut split.layers[..]
            && !in_parts(layer.name())
        {
            only.name = Some(layer.name().to_owned());
        }
        let Some(place) = layer.place.field("") else { continue };
        let mut new = String::new();
        let inside =
            |c: &&cortado_proto::Span| c.start >= place.field.start && c.end <= place.field.end;
        for comment in document.comments.iter().filter(inside) {
            new += net.source.slice(*comment).trim_end();
            new.push('\n');
        }
        let message = NetParameter {
            layer: split.layers.iter().map(|(param, _)| param.clone()).collect(),
            ..NetParameter::default()
        };
        new += text::print(&message).trim_end();
        edits.replace(place.field, new);
        let now =
            |(p, _): &(LayerParameter, Vec<Blob>)| (p.r#type().to_owned(), p.name().to_owned());
        done.push(Converted {
            layer: layer.name().to_owned(),
            dialect: split.dialect,
            now: split.layers.iter().map(now).collect(),
            note: split.note,
        });
        // Layers of other phases may have none.
        let parts = split.layers.into_iter().filter(|_| !own.is_empty());
        blobs.extend(parts.map(|(param, own)| (param.name().to_owned(), own)));
    }
    Ok(Conversion { text: edits.apply(), blobs, layers: done })
}

fn vector(blob: Option<&Blob>, otherwise: f32, channels: usize) -> Blob {
    let data = blob.map_or_else(|| vec![otherwise; channels], |b| b.data.clone());
    Blob { shape: Shape::from([data.len()]), data }
}

/// Averages as Caffe's sums, as they are after many steps of f = `fraction`: the factor is 1 / (1 − f), so
/// that the next batch moves mean and variance by the 1 − f it would have moved the averages by.
fn sums(averages: [Blob; 2], fraction: f32) -> Vec<Blob> {
    let factor = 1.0 / (1.0 - fraction).clamp(f32::EPSILON, 1.0);
    let times = |blob: Blob| Blob { data: blob.data.iter().map(|v| v * factor).collect(), ..blob };
    let [mean, variance] = averages.map(times);
    vec![mean, variance, Blob { shape: Shape::from([1]), data: vec![factor] }]
}

/// No statistics yet.
fn nothing_gathered(channels: usize) -> Vec<Blob> {
    let zeros = |n: usize| Blob { shape: Shape::from([n]), data: vec![0.0; n] };
    vec![zeros(channels), zeros(channels), zeros(1)]
}

/// The rates of BatchNorm's three blobs, where a fork's layer shares its statistics by name.
fn shared_statistics(params: &[ParamSpec]) -> Vec<ParamSpec> {
    let names: Vec<&str> = params.iter().skip(2).take(2).map(ParamSpec::name).collect();
    let [mean, variance] = names[..] else { return Vec::new() };
    if mean.is_empty() || variance.is_empty() {
        return Vec::new();
    }
    let names = [mean.to_owned(), variance.to_owned(), format!("{mean}_factor")];
    let spec = |name| ParamSpec {
        name: Some(name),
        lr_mult: Some(0.0),
        decay_mult: Some(0.0),
        ..ParamSpec::default()
    };
    names.map(spec).into()
}

/// The fields that every part of a layer keeps.
fn part(layer: &LayerDef, type_name: &str, in_place: bool) -> LayerParameter {
    LayerParameter {
        r#type: Some(type_name.to_owned()),
        bottom: if in_place { layer.top.clone() } else { layer.bottom.clone() },
        top: layer.top.clone(),
        phase: layer.phase,
        include: layer.include.clone(),
        exclude: layer.exclude.clone(),
        propagate_down: if in_place { Vec::new() } else { layer.propagate_down.clone() },
        ..LayerParameter::default()
    }
}

/// A Scale with a bias: fillers, learning rates, γ and β.
fn scale(
    layer: &LayerDef,
    in_place: bool,
    fillers: [&Option<FillerParameter>; 2],
    params: &[ParamSpec],
    bias: bool,
) -> LayerParameter {
    let [filler, bias_filler] = fillers.map(Option::clone);
    LayerParameter {
        param: params.to_vec(),
        scale_param: Some(ScaleParameter {
            filler,
            bias_filler,
            bias_term: bias.then_some(true),
            ..ScaleParameter::default()
        }),
        ..part(layer, "Scale", in_place)
    }
}

fn normalise(layer: &LayerDef, param: BatchNormParameter) -> LayerParameter {
    let param = (param != BatchNormParameter::default()).then_some(param);
    LayerParameter { batch_norm_param: param, ..part(layer, "BatchNorm", false) }
}

/// What Caffe's layers for a layer of a fork are; `None` for all others.
fn split(layer: &LayerDef, blobs: &[Blob]) -> Option<Split> {
    match layer.r#type() {
        "BN" => Some(split_bn(layer, blobs)),
        "BatchNorm" => split_batch_norm(layer, blobs),
        _ => None,
    }
}

fn split_bn(layer: &LayerDef, blobs: &[Blob]) -> Split {
    let p = layer.bn_param.clone().unwrap_or_default();
    let channels = blobs.first().map_or(0, |b| b.data.len());
    let given = &layer.param.param[..layer.param.param.len().min(2)];
    let own = vec![vector(blobs.first(), 1.0, channels), vector(blobs.get(1), 0.0, channels)];
    let kept = [vector(blobs.get(2), 0.0, channels), vector(blobs.get(3), 1.0, channels)];
    let shared = shared_statistics(&layer.param.param);
    let normalise = |param| LayerParameter { param: shared.clone(), ..normalise(layer, param) };
    let fillers = [&p.scale_filler, &p.shift_filler];
    match dialect(layer) {
        Dialect::Segnet if p.bn_mode() == BnMode::Inference => Split {
            dialect: "segnet, INFERENCE",
            layers: vec![(scale(layer, false, fillers, given, true), own)],
            note: None,
        },
        Dialect::Segnet => {
            let param = BatchNormParameter {
                use_global_stats: Some(false),
                eps: Some(1e-9),
                ..BatchNormParameter::default()
            };
            Split {
                dialect: "segnet, LEARN",
                layers: vec![
                    (normalise(param), nothing_gathered(channels)),
                    (scale(layer, true, fillers, given, true), own),
                ],
                note: Some(BY_BATCH),
            }
        }
        Dialect::Pspnet => {
            let param = BatchNormParameter {
                use_global_stats: p.frozen().then_some(true),
                moving_average_fraction: Some(p.momentum()),
                eps: Some(p.eps()),
                ..BatchNormParameter::default()
            };
            let still =
                ParamSpec { lr_mult: Some(0.0), decay_mult: Some(0.0), ..Default::default() };
            let still = [still.clone(), still];
            let given = if p.frozen() { &still[..] } else { given };
            Split {
                dialect: "pspnet",
                layers: vec![
                    (normalise(param), sums(kept, p.momentum())),
                    (scale(layer, true, [&p.slope_filler, &p.bias_filler], given, true), own),
                ],
                note: (!p.frozen()).then_some(LEARNS),
            }
        }
        Dialect::DuchaAiki => {
            let param = BatchNormParameter {
                use_global_stats: (!p.moving_average()).then_some(false),
                moving_average_fraction: Some(1.0 - p.decay()),
                eps: Some(p.var_eps()),
                ..BatchNormParameter::default()
            };
            Split {
                dialect: "ducha-aiki",
                layers: vec![
                    (normalise(param), sums(kept, 1.0 - p.decay())),
                    (scale(layer, true, fillers, given, true), own),
                ],
                note: Some(if p.moving_average() { LEARNS } else { BY_BATCH }),
            }
        }
    }
}

/// NVIDIA's and Intel's fields of BatchNorm.
fn split_batch_norm(layer: &LayerDef, blobs: &[Blob]) -> Option<Split> {
    let p = layer.batch_norm_param.clone()?;
    let plain = BatchNormParameter {
        // NVIDIA's layer normalises by what it has gathered in TEST, whatever this says.
        use_global_stats: p.use_global_stats.filter(|&stats| stats || !keeps_averages(&p)),
        moving_average_fraction: p.moving_average_fraction,
        eps: p.eps,
        ..BatchNormParameter::default()
    };
    if p == plain {
        return None;
    }
    let nvidia = p.scale_bias() || p.scale_filler.is_some() || p.bias_filler.is_some();
    let intel = p.use_weight_bias == Some(true);
    let averages = keeps_averages(&p);
    let given = &layer.param.param;
    let mut bare = normalise(layer, plain);
    bare.param = given[..given.len().min(3)].to_vec();
    let statistics = match blobs {
        // NVIDIA's averages; the factor is theirs only where our own training wrote the file.
        [mean, variance, factor, ..] if averages && factor.data != [0.0] => {
            let by = factor.data[0];
            let average = |blob: &Blob| Blob {
                data: blob.data.iter().map(|v| v / by).collect(),
                ..blob.clone()
            };
            sums([mean, variance].map(average), p.moving_average_fraction())
        }
        _ => blobs[..blobs.len().min(3)].to_vec(),
    };
    let mut layers = vec![(bare, statistics)];
    if nvidia || intel {
        let filler = if p.scale_filler.is_some() { &p.scale_filler } else { &p.filler };
        let bias = nvidia || p.bias_term();
        let params = given.get(3..).unwrap_or_default();
        let own = blobs.get(3..).unwrap_or_default().to_vec();
        layers.push((scale(layer, true, [filler, &p.bias_filler], params, bias), own));
    }
    if p.relu() {
        layers.push((part(layer, "ReLU", true), Vec::new()));
    }
    let (dialect, note) = if averages { ("nvidia", Some(LEARNS)) } else { ("intel", None) };
    Some(Split { dialect, layers, note })
}
