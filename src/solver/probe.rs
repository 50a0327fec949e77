//! Probes: what the values of chosen blobs look like while a net trains. A reading is taken after the
//! backward pass; its ratio of update and weights needs the update, too.

use cortado_kernels::kernels;
use cortado_proto::{SolverDef, schema};

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
    /// Share of the units that have one and the same value in the whole batch.
    pub dead: f64,
    /// L2 norm of the loss's derivative by the values.
    pub gradient: Option<f64>,
    /// L2 norm of the loss's derivative by the weights of the layer that makes the blob.
    pub weight_gradient: Option<f64>,
    /// L2 norm of the weights' change in this iteration over that of the weights.
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
    weight: Option<ParamId>,
}

/// A reading that waits for the update, with the weights before it.
pub(super) type Pending = Vec<(Reading, Option<(ParamId, Vec<f32>)>)>;

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
        let weight = net.store.of_layer(&layer, 0);
        let weight = weight.filter(|&id| net.store.params()[id].lr_mult != 0.0);
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
        reading.weight_gradient = self.weight.map(|id| norm(net.store.diff(id)));
        reading
    }
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

fn dead_share(values: &[f32], shape: &[usize], units: usize) -> f64 {
    let area = shape.iter().skip(2).product::<usize>().max(1);
    let mut first: Vec<Option<f32>> = vec![None; units];
    let mut alive = vec![false; units];
    for (at, plane) in values.chunks_exact(area).enumerate() {
        let unit = at % units;
        let first = *first[unit].get_or_insert(plane[0]);
        alive[unit] |= plane.iter().any(|&v| v != first);
    }
    alive.iter().filter(|&&alive| !alive).count() as f64 / units as f64
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
            (reading, target.weight.map(|id| (id, net.store.data(id).to_vec())))
        };
        targets.iter().map(read).collect()
    }

    /// After the update: tells the readings.
    pub(super) fn tell_readings(&self, pending: Pending, watcher: &mut dyn Watcher) {
        if pending.is_empty() {
            return;
        }
        let finish = |(mut reading, before): (Reading, Option<(ParamId, Vec<f32>)>)| {
            reading.update = before.map(|(id, before)| {
                let now = self.net.store.data(id).iter();
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
    use super::{dead_share, percentile};

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
        assert_eq!(dead_share(&values, &[2, 2, 2], 2), 0.5);
        assert_eq!(dead_share(&[3.0, 3.0], &[2], 1), 1.0);
    }
}
