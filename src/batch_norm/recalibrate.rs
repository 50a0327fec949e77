//! Exact statistics in place of moving averages. Every batch is normalised by itself, as in training;
//! mean and variance of each channel over all batches together are what is kept (the mean of the
//! batches' variances, and the variance of their means).

use std::path::PathBuf;

use cortado_layers::norm::batch_norm::keeps_averages;
use cortado_layers::norm::bn::{Dialect, dialect};
use cortado_proto::caffe::LayerParameter;
use cortado_proto::wire::{self, BlobOut, LayerOut};
use cortado_proto::{Diagnostic, NetDef};
use serde::Serialize;

use crate::Error;
use crate::net::{Net, NetOptions, ParamId};

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
    /// Per layer, how far off the old ones were.
    pub drifts: Vec<Drift>,
}

/// Runs `batches` batches through the net in its state (TRAIN, usually) and replaces the statistics of
/// all layers that keep some. `watch` hears of every batch.
///
/// # Errors
/// The net has mistakes, keeps no statistics, or a pass fails.
pub fn recalibrate(
    mut def: NetDef,
    weights: &[PathBuf],
    options: &NetOptions,
    batches: u64,
    watch: &mut dyn FnMut(u64),
) -> Result<Recalibrated, Error> {
    cortado_proto::upgrade::net(&mut def)?;
    let params = def.layers.iter().map(|layer| layer.param.clone()).collect();
    for layer in &mut def.layers {
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
    for file in weights {
        net.copy_from(file)?;
    }
    let mut sums = sums(&net);
    for batch in 0..batches {
        net.forward()?;
        for sum in &mut sums {
            let unbias = sum.unbias(1.0);
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
    let drifts = sums.iter().map(|sum| sum.settle(&mut net, batches as f64)).collect();
    Ok(Recalibrated { net, params, drifts })
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
    /// m / (m − 1) for the m elements per channel of so many batches, where it counts.
    fn unbias(&self, batches: f64) -> f64 {
        let all = self.elements * batches;
        if self.unbiased && all > 1.0 { all / (all - 1.0) } else { 1.0 }
    }

    /// Writes the statistics of all batches together.
    fn settle(&self, net: &mut Net, batches: f64) -> Drift {
        let unbias = self.unbias(batches);
        let mut drift = Drift {
            layer: self.layer.clone(),
            channels: self.means.len(),
            mean: 0.0,
            deviation: 0.0,
        };
        let (mut means, mut variances) = (Vec::new(), Vec::new());
        for c in 0..self.means.len() {
            let mean = self.means[c] / batches;
            let spread = (self.squares[c] / batches - mean * mean).max(0.0);
            let variance = (self.variances[c] / batches + spread) * unbias;
            let (old_mean, old_variance) = (self.before.0[c], self.before.1[c]);
            let deviation = variance.sqrt().max(1e-12);
            drift.mean = drift.mean.max((old_mean - mean).abs() / deviation);
            drift.deviation =
                drift.deviation.max((old_variance.max(0.0).sqrt() - deviation).abs() / deviation);
            means.push(mean as f32);
            variances.push(variance as f32);
        }
        net.store.data_mut(self.ids[0]).copy_from_slice(&means);
        net.store.data_mut(self.ids[1]).copy_from_slice(&variances);
        if let Some(&factor) = self.ids.get(2) {
            net.store.data_mut(factor).fill(1.0);
        }
        drift
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
    pub fn save(&self, path: &std::path::Path) -> Result<Option<Diagnostic>, cortado_proto::Error> {
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
            .collect();
        wire::save_model(path, self.net.name(), &layers)
    }
}
