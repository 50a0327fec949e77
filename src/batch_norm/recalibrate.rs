//! Exact statistics in place of moving averages. Every batch is normalised by itself, as in training;
//! mean and variance of each channel over all batches together are what is kept (the mean of the
//! batches' variances, and the variance of their means). Layers that share statistics by the names of
//! their parameters run with their own, and get those of all of them together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cortado_layers::norm::batch_norm::keeps_averages;
use cortado_layers::norm::bn::{Dialect, dialect};
use cortado_proto::caffe::LayerParameter;
use cortado_proto::wire::{self, BlobOut, LayerOut};
use cortado_proto::{Diagnostic, LayerDef, NetDef};
use serde::Serialize;

use super::rest::{self, Rest};
use crate::Error;
use crate::net::{Net, NetOptions, ParamId, WeightsError};

/// How far the statistics of a layer were from the exact ones.
#[derive(Clone, Debug, Serialize)]
pub struct Drift {
    /// Name of the layer.
    pub layer: String,
    /// Channels.
    pub channels: usize,
    /// The largest difference of a mean, in standard deviations of its channel.
    pub mean: f64,
    /// The largest relative difference of a standard deviation.
    pub deviation: f64,
}

/// Sums over batches for one layer.
struct Sums {
    layer: String,
    /// Its mean, variance and, for Caffe's own layer, factor.
    ids: Vec<ParamId>,
    /// Whether the variances that it keeps are unbiased, multiplied with m / (m − 1).
    unbiased: bool,
    /// Elements per channel and batch.
    elements: f64,
    means: Vec<f64>,
    squares: Vec<f64>,
    variances: Vec<f64>,
    before: (Vec<f64>, Vec<f64>),
}

/// A net whose statistics were made anew.
pub struct Recalibrated {
    net: Net,
    params: Vec<LayerParameter>,
    rest: Vec<Rest>,
    /// Per layer, how far off the old ones were.
    pub drifts: Vec<Drift>,
}

/// Runs `batches` batches through the net in its state (TRAIN, usually) and replaces the statistics of
/// all layers that keep some. `watch` hears of every batch.
///
/// # Errors
/// The net has mistakes, nobody feeds its inputs, or a pass fails.
pub fn recalibrate(
    mut def: NetDef,
    weights: &[PathBuf],
    options: &NetOptions,
    batches: u64,
    watch: &mut dyn FnMut(u64),
) -> Result<Recalibrated, Error> {
    cortado_proto::upgrade::net(&mut def)?;
    let shown = def.source.as_ref().map_or_else(|| def.param.name().to_owned(), |s| s.name.clone());
    let params = def.layers.iter().map(|layer| layer.param.clone()).collect();
    let mut shared = BTreeMap::new();
    for layer in &mut def.layers {
        if let Some(name) = own_statistics(layer) {
            shared.insert(layer.name().to_owned(), name);
        }
        match layer.r#type() {
            // A fraction of 0 keeps the last batch alone.
            "BatchNorm" => {
                let p = layer.batch_norm_param.get_or_insert_default();
                (p.use_global_stats, p.moving_average_fraction) = (Some(false), Some(0.0));
            }
            "BN" => {
                let whose = dialect(layer);
                let p = layer.bn_param.get_or_insert_default();
                match whose {
                    Dialect::Pspnet => (p.momentum, p.frozen) = (Some(0.0), Some(false)),
                    Dialect::DuchaAiki => p.decay = Some(1.0),
                    Dialect::Segnet => {}
                }
            }
            _ => {}
        }
    }
    let mut options = options.clone();
    options.gradients = false;
    let mut net = Net::build(def, &options)?;
    if let Some(input) = net.inputs().first() {
        let what = format!("nobody feeds `{input}`: the statistics would be those of zeros");
        let note = "give a net whose data layer reads the training set (a train_val.prototxt)";
        return Err(WeightsError::File(Diagnostic::error(what, None).with_note(note)).into());
    }
    let rest::Copied { rest, mut missing } = rest::copy(&mut net, weights)?;
    let mut sums = sums(&net);
    // Statistics that are made anew may be new.
    missing.retain(|layer| sums.iter().all(|sum| sum.layer != *layer));
    if !missing.is_empty() {
        return Err(rest::missing(&shown, weights, &missing));
    }
    for batch in 0..batches {
        net.forward()?;
        for sum in &mut sums {
            let unbias = unbias(sum.elements, sum.unbiased);
            let (means, variances) = (net.store.data(sum.ids[0]), net.store.data(sum.ids[1]));
            for (c, (&mean, &variance)) in means.iter().zip(variances).enumerate() {
                let (mean, variance) = (f64::from(mean), f64::from(variance) / unbias);
                sum.means[c] += mean;
                sum.squares[c] += mean * mean;
                sum.variances[c] += variance;
            }
        }
        watch(batch + 1);
    }
    let batches = batches as f64;
    let settled: Vec<(Vec<f32>, Vec<f32>)> = sums
        .iter()
        .map(|sum| {
            let name = shared.get(&sum.layer);
            let same = |other: &&Sums| match name {
                Some(name) => {
                    shared.get(&other.layer) == Some(name) && other.means.len() == sum.means.len()
                }
                None => std::ptr::eq(*other, sum),
            };
            together(&sums.iter().filter(same).collect::<Vec<_>>(), batches)
        })
        .collect();
    let drifts = sums.iter().zip(settled);
    let drifts = drifts.map(|(sum, new)| sum.settle(&mut net, &new)).collect();
    Ok(Recalibrated { net, params, rest, drifts })
}

/// Takes the names off the parameters that are a layer's statistics; gives that of the mean.
fn own_statistics(layer: &mut LayerDef) -> Option<String> {
    let at = match layer.r#type() {
        "BatchNorm" => 0..3,
        "BN" => 2..4,
        _ => return None,
    };
    let specs = layer.param.param.iter_mut().enumerate();
    let names = specs.filter(|(i, _)| at.contains(i)).map(|(_, spec)| spec.name.take());
    let names: Vec<Option<String>> = names.collect();
    names.into_iter().next().flatten().filter(|name| !name.is_empty())
}

/// Mean and variance of each channel over all batches of layers that share them.
fn together(layers: &[&Sums], batches: f64) -> (Vec<f32>, Vec<f32>) {
    let elements: f64 = layers.iter().map(|sum| sum.elements).sum();
    let mean_of = |values: &dyn Fn(&Sums) -> f64| {
        let weighted = layers.iter().map(|sum| values(sum) * (sum.elements / elements));
        weighted.sum::<f64>() / batches
    };
    let (all, unbiased) = (elements * batches, layers.iter().any(|sum| sum.unbiased));
    let unbias = unbias(all, unbiased);
    let channels = layers.iter().map(|sum| sum.means.len()).min().unwrap_or(0);
    let of_channel = |c: usize| {
        let mean = mean_of(&|sum| sum.means[c]);
        let spread = (mean_of(&|sum| sum.squares[c]) - mean * mean).max(0.0);
        (mean as f32, ((mean_of(&|sum| sum.variances[c]) + spread) * unbias) as f32)
    };
    (0..channels).map(of_channel).unzip()
}

/// m / (m − 1) for the m elements of a channel, where it counts.
fn unbias(elements: f64, unbiased: bool) -> f64 {
    if unbiased && elements > 1.0 { elements / (elements - 1.0) } else { 1.0 }
}

fn sums(net: &Net) -> Vec<Sums> {
    let keeps = net.layers().filter_map(|layer| {
        let ids: Vec<ParamId> = layer.params().map(|(id, _)| id).collect();
        let averages = layer.def().batch_norm_param.as_ref().is_some_and(keeps_averages);
        let unbiased = layer.def().r#type() == "BatchNorm" && !averages;
        let ids = match layer.def().r#type() {
            "BatchNorm" => ids[..3].to_vec(),
            "BN" if ids.len() == 4 => ids[2..].to_vec(),
            _ => return None,
        };
        let bottom = layer.bottoms().next()?.1;
        let channels = net.store.data(ids[0]).len();
        let elements = bottom.count() as f64 / channels.max(1) as f64;
        let factor = match ids.get(2).map(|&id| f64::from(net.store.data(id)[0])) {
            Some(0.0) | None => 1.0,
            Some(factor) => factor,
        };
        let kept = |id: ParamId| -> Vec<f64> {
            net.store.data(id).iter().map(|&v| f64::from(v) / factor).collect()
        };
        Some(Sums {
            layer: layer.name().to_owned(),
            unbiased,
            elements,
            means: vec![0.0; channels],
            squares: vec![0.0; channels],
            variances: vec![0.0; channels],
            before: (kept(ids[0]), kept(ids[1])),
            ids,
        })
    });
    keeps.collect()
}

impl Sums {
    /// Writes statistics, and says how far the old ones were from them.
    fn settle(&self, net: &mut Net, (means, variances): &(Vec<f32>, Vec<f32>)) -> Drift {
        let (mut mean_off, mut deviation_off) = (0f64, 0f64);
        for (c, (&mean, &variance)) in means.iter().zip(variances).enumerate() {
            let (old_mean, old_variance) = (self.before.0[c], self.before.1[c]);
            let deviation = f64::from(variance).sqrt().max(1e-12);
            mean_off = mean_off.max((old_mean - f64::from(mean)).abs() / deviation);
            let off = (old_variance.max(0.0).sqrt() - deviation).abs() / deviation;
            deviation_off = deviation_off.max(off);
        }
        net.store.data_mut(self.ids[0]).copy_from_slice(means);
        net.store.data_mut(self.ids[1]).copy_from_slice(variances);
        if let Some(&factor) = self.ids.get(2) {
            net.store.data_mut(factor).fill(1.0);
        }
        Drift {
            layer: self.layer.clone(),
            channels: means.len(),
            mean: mean_off,
            deviation: deviation_off,
        }
    }
}

impl Recalibrated {
    /// The net, its new statistics in place.
    pub fn net(&self) -> &Net {
        &self.net
    }

    /// Writes the weights with the new statistics as a `.caffemodel`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<Option<Diagnostic>, cortado_proto::Error> {
        let layers: Vec<LayerOut<'_>> = self
            .net
            .layers()
            .map(|layer| {
                // As the file has it, not as it ran.
                let own = self
                    .params
                    .iter()
                    .find(|p| p.name() == layer.name() && p.r#type() == layer.def().r#type());
                let blob = |(id, shape)| {
                    let shape: &cortado_layers::Shape = shape;
                    BlobOut { shape, data: self.net.store.data(id), diff: None }
                };
                LayerOut {
                    param: own.unwrap_or(&layer.def().param),
                    blobs: layer.params().map(blob).collect(),
                }
            })
            .chain(self.rest.iter().map(Rest::out))
            .collect();
        wire::save_model(path, self.net.name(), &layers)
    }
}
