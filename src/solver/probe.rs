//! Probes: what the values of chosen blobs look like while a net trains. A reading is taken after the
//! backward pass; its ratio of update and weights needs the update, too.

use std::ops::Range;

use cortado_kernels::kernels;
use cortado_proto::{LayerDef, SolverDef, schema};

use super::{Event, Solver, SolverError, Watcher};
use crate::net::{Net, ParamId};

/// The percentiles of a reading.
pub const PERCENTILES: [f64; 5] = [5.0, 15.0, 50.0, 85.0, 95.0];

/// What a blob looked like in one iteration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// Which iteration.
    pub iter: u64,
    /// The blob or layer, as it was asked for.
    pub probe: String,
    /// Mean of the values.
    pub mean: f64,
    /// Their standard deviation.
    pub std: f64,
    /// Their [`PERCENTILES`].
    pub percentiles: [f64; 5],
    /// Share of the units that have one and the same value in the whole batch; none where a unit has
    /// only one.
    pub dead: Option<f64>,
    /// L2 norm of the loss's derivative by the values.
    pub gradient: Option<f64>,
    /// L2 norm of the loss's derivative by the weights of the layer that makes the blob; of a unit, by
    /// its own.
    pub weight_gradient: Option<f64>,
    /// L2 norm of these weights' change in this iteration over that of the weights.
    pub update: Option<f64>,
}

/// What is recorded, and how often.
#[derive(Clone, Debug, Default)]
pub(super) struct Probes {
    targets: Vec<Target>,
    interval: u64,
}

#[derive(Clone, Debug)]
struct Target {
    asked: String,
    blob: String,
    /// Index on the axis of channels.
    unit: Option<usize>,
    weight: Option<Weights>,
}

/// The weights that make the values: a parameter, and which of its values.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    id: ParamId,
    range: Range<usize>,
}

/// A reading that waits for the update, with the weights before it.
pub(super) type Pending = Vec<(Reading, Option<(Weights, Vec<f32>)>)>;

impl Probes {
    /// What a solver file asks for.
    pub fn wanted(def: &SolverDef, net: &Net) -> Result<Probes, SolverError> {
        let Some(probe) = &def.param.probe else { return Ok(Probes::default()) };
        let found = probe.blob.iter().map(|asked| {
            Target::find(asked, net).map_err(|why| {
                let error = SolverError::field(why, def.span_of("probe"));
                let names = net.blob_names().into_iter().chain(net.layers().map(|l| l.name()));
                match schema::similar(asked, names) {
                    similar if similar.is_empty() => error,
                    similar => error.note(format!("similar: `{}`", similar.join("`, `"))),
                }
            })
        });
        Ok(Probes { targets: found.collect::<Result<_, _>>()?, interval: probe.interval() as u64 })
    }

    /// The blobs that are read.
    pub fn blobs(&self) -> Vec<&str> {
        self.targets.iter().map(|target| target.blob.as_str()).collect()
    }
}

impl Target {
    fn find(asked: &str, net: &Net) -> Result<Target, String> {
        if let Some((blob, layer)) = place(asked, net) {
            return Ok(Target::new(asked, blob, layer, None, net));
        }
        let missing = || format!("there is no blob and no layer `{asked}` to probe");
        let (name, unit) = asked.rsplit_once(':').ok_or_else(missing)?;
        let unit: usize = unit.parse().map_err(|_| missing())?;
        let (blob, layer) = place(name, net).ok_or_else(missing)?;
        let units = match net.shape(&blob).map(|shape| &shape[..]) {
            Some(&[_, units, ..]) => units,
            _ => return Err(format!("blob `{blob}` has no channels: `{asked}` names none")),
        };
        if unit >= units {
            return Err(format!("blob `{blob}` has units 0 to {}, found {unit}", units - 1));
        }
        Ok(Target::new(asked, blob, layer, Some(unit), net))
    }

    fn new(asked: &str, blob: String, layer: String, unit: Option<usize>, net: &Net) -> Target {
        let weight = net.store.of_layer(&layer, 0).and_then(|id| {
            let param = &net.store.params()[id];
            let range = match unit {
                None => 0..param.shape.count(),
                Some(unit) => {
                    let def = net.layers().find(|info| info.name() == layer)?.def();
                    let units = *net.shape(&blob)?.get(1)?;
                    row_of(def, &param.shape, unit, units)?
                }
            };
            (param.lr_mult != 0.0).then_some(Weights { id, range })
        });
        Target { asked: asked.to_owned(), blob, unit, weight }
    }

    /// The chosen values of a blob's data or diff.
    fn pick(&self, shape: &[usize], values: &[f32]) -> Vec<f32> {
        let (Some(unit), &[_, units, ref rest @ ..]) = (self.unit, shape) else {
            return values.to_vec();
        };
        let area = rest.iter().product::<usize>().max(1);
        let items = values.chunks_exact((units * area).max(1));
        items.flat_map(|item| &item[unit * area..(unit + 1) * area]).copied().collect()
    }

    fn read(&self, net: &mut Net, iter: u64) -> Reading {
        let mut reading = Reading { iter, probe: self.asked.clone(), ..Reading::default() };
        if let Ok(blob) = net.read(&self.blob) {
            let mut values = self.pick(blob.shape, blob.data);
            let units = if self.unit.is_some() { 1 } else { channels(blob.shape) };
            reading.dead = dead_share(&values, blob.shape, units);
            (reading.mean, reading.std) = moments(&values);
            reading.percentiles = PERCENTILES.map(|p| percentile(&mut values, p));
        }
        let norm = |values: &[f32]| kernels().sum_sq(values).sqrt();
        let diff = net.read_diff(&self.blob);
        reading.gradient = diff.map(|diff| norm(&self.pick(diff.shape, diff.data)));
        let weight = self.weight.as_ref();
        let diff = weight.and_then(|w| net.store.diff(w.id).get(w.range.clone()));
        reading.weight_gradient = diff.map(norm);
        reading
    }
}

/// Where the weights of one unit of a layer's top lie, in types that have a row for each.
fn row_of(layer: &LayerDef, shape: &[usize], unit: usize, units: usize) -> Option<Range<usize>> {
    let by_rows = match layer.r#type() {
        "Convolution" | "PReLU" => true,
        "InnerProduct" => {
            let param = layer.inner_product_param.as_ref();
            param.is_none_or(|p| !p.transpose() && p.axis() == 1)
        }
        "Scale" => layer.scale_param.as_ref().is_none_or(|p| p.axis() == 1),
        "Bias" => layer.bias_param.as_ref().is_none_or(|p| p.axis() == 1),
        _ => false,
    };
    let (&rows, rest) = shape.split_first()?;
    let length = rest.iter().product::<usize>();
    (by_rows && rows == units).then_some(unit * length..(unit + 1) * length)
}

/// The blob that a name means, and the layer whose weights make it.
fn place(name: &str, net: &Net) -> Option<(String, String)> {
    if let Some(layer) = net.layers().find(|layer| layer.name() == name)
        && let Some((top, _)) = layer.tops().next()
    {
        return Some((top.to_owned(), name.to_owned()));
    }
    let maker = net.layers().find(|layer| layer.tops().any(|(top, _)| top == name))?;
    Some((name.to_owned(), maker.name().to_owned()))
}

fn channels(shape: &[usize]) -> usize {
    shape.get(1).copied().unwrap_or(1).max(1)
}

fn moments(values: &[f32]) -> (f64, f64) {
    let count = values.len().max(1) as f64;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
    let square = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / count;
    (mean, square.sqrt())
}

/// Between two values a percentile is interpolated. Reorders the values.
fn percentile(values: &mut [f32], percent: f64) -> f64 {
    let Some(last) = values.len().checked_sub(1) else { return f64::NAN };
    let at = percent / 100.0 * last as f64;
    let (_, &mut low, above) =
        values.select_nth_unstable_by(at.floor() as usize, |a, b| a.total_cmp(b));
    let high = above.iter().copied().min_by(f32::total_cmp).unwrap_or(low);
    f64::from(low) + at.fract() * (f64::from(high) - f64::from(low))
}

fn dead_share(values: &[f32], shape: &[usize], units: usize) -> Option<f64> {
    if values.len() < 2 * units {
        return None;
    }
    let area = shape.iter().skip(2).product::<usize>().max(1);
    let mut first: Vec<Option<f32>> = vec![None; units];
    let mut alive = vec![false; units];
    for (at, plane) in values.chunks_exact(area).enumerate() {
        let unit = at % units;
        let first = *first[unit].get_or_insert(plane[0]);
        alive[unit] |= plane.iter().any(|&v| v != first);
    }
    Some(alive.iter().filter(|&&alive| !alive).count() as f64 / units as f64)
}

impl Solver {
    /// Readings of this iteration, but for what the update tells.
    pub(super) fn probe(&mut self) -> Pending {
        let Probes { targets, interval } = &self.probes;
        if targets.is_empty() || !self.iter.is_multiple_of(*interval) {
            return Vec::new();
        }
        let passes = f64::from(self.param.iter_size().max(1));
        let net = &mut self.net;
        let read = |target: &Target| {
            let mut reading = target.read(net, self.iter);
            reading.weight_gradient = reading.weight_gradient.map(|norm| norm / passes);
            let before = |w: Weights| {
                let values = net.store.data(w.id)[w.range.clone()].to_vec();
                (w, values)
            };
            (reading, target.weight.clone().map(before))
        };
        targets.iter().map(read).collect()
    }

    /// After the update: tells the readings.
    pub(super) fn tell_readings(&self, pending: Pending, watcher: &mut dyn Watcher) {
        if pending.is_empty() {
            return;
        }
        let finish = |(mut reading, before): (Reading, Option<(Weights, Vec<f32>)>)| {
            reading.update = before.map(|(weights, before)| {
                let now = self.net.store.data(weights.id)[weights.range].iter();
                let change: Vec<f32> = now.zip(&before).map(|(now, before)| now - before).collect();
                (kernels().sum_sq(&change) / kernels().sum_sq(&before)).sqrt()
            });
            reading
        };
        let readings: Vec<Reading> = pending.into_iter().map(finish).collect();
        watcher.event(&Event::Probed(&readings));
    }
}

#[cfg(test)]
mod tests {
    use cortado_proto::{NetDef, Source};

    use super::{dead_share, percentile, row_of};

    #[test]
    fn percentiles_lie_between_the_values() {
        let values = || vec![5.0, 1.0, 3.0, 2.0, 4.0];
        for (percent, wanted) in [(0.0, 1.0), (50.0, 3.0), (85.0, 4.4), (100.0, 5.0)] {
            let found = percentile(&mut values(), percent);
            assert!((found - wanted).abs() < 1e-12, "{percent}: {found}");
        }
        assert!(percentile(&mut [], 50.0).is_nan());
    }

    #[test]
    fn a_unit_that_never_changes_is_dead() {
        let values = [0.0, 0.0, 1.0, 2.0, 0.0, 0.0, 1.0, 1.0];
        assert_eq!(dead_share(&values, &[2, 2, 2], 2), Some(0.5));
        assert_eq!(dead_share(&[3.0, 3.0], &[2], 1), Some(1.0));
        for (values, shape, units) in [(&[3.0][..], &[][..], 1), (&[1.0, 2.0], &[1, 2], 2)] {
            assert_eq!(
                dead_share(values, shape, units),
                None,
                "{shape:?}: nothing to compare with"
            );
        }
    }

    #[test]
    fn a_unit_has_the_row_of_weights_that_makes_it() {
        let table = [
            (r#"type: "Convolution""#, vec![4, 3, 2, 2], Some(24..36)),
            (r#"type: "Deconvolution""#, vec![4, 3, 2, 2], None),
            (r#"type: "InnerProduct""#, vec![4, 5], Some(10..15)),
            (r#"type: "InnerProduct" inner_product_param { transpose: true }"#, vec![4, 4], None),
            (r#"type: "InnerProduct" inner_product_param { axis: 2 }"#, vec![4, 4], None),
            (r#"type: "Scale""#, vec![4], Some(2..3)),
            (r#"type: "Scale" scale_param { axis: 0 }"#, vec![4], None),
            (r#"type: "PReLU""#, vec![1], None),
            (r#"type: "PReLU""#, vec![], None),
        ];
        for (layer, shape, wanted) in table {
            let source = Source::new("net.prototxt", format!("layer {{ {layer} }}"));
            let net = NetDef::from_text(&source).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(row_of(&net.layers[0], &shape, 2, 4), wanted, "{layer}");
        }
    }
}
