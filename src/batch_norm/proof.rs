//! What a change of a net does to its outputs, measured on noise.

use serde::Serialize;

use cortado_layers::rng::{fnv1a, splitmix};

use crate::Error;
use crate::net::Net;

/// The largest difference of an output.
#[derive(Clone, Debug, Serialize)]
pub struct OutputError {
    /// Name of the blob.
    pub blob: String,
    /// The largest difference.
    pub absolute: f64,
    /// The largest difference over the largest value.
    pub relative: f64,
    /// Share of its values that are further off than a ten-thousandth of the largest.
    pub off: f64,
    /// Whether the net chooses between values (masks of pooling, ArgMax): where two are nearly equal,
    /// rounding alone may choose the other one.
    pub chosen: bool,
}

/// Of an output that hangs on choices, how much may be far off.
const CHANCE: f64 = 0.01;

impl OutputError {
    /// Whether the output is the same up to rounding, and up to what rounding chose.
    pub fn is_within(&self, tolerance: f64) -> bool {
        self.relative <= tolerance || (self.chosen && self.off <= CHANCE)
    }
}

fn chooses(net: &Net) -> bool {
    net.layers().any(|layer| match layer.def().r#type() {
        "Pooling" => layer.tops().count() > 1,
        kind => kind == "ArgMax",
    })
}

/// Noise between −√3 and √3: mean 0, variance 1. The same for the same purpose everywhere.
fn noise(purpose: &str) -> impl Iterator<Item = f32> {
    let seed = fnv1a(purpose);
    (0u64..).map(move |i| {
        let bits = splitmix(seed.wrapping_add(i)) >> 40;
        ((bits as f64 / (1u64 << 23) as f64 - 1.0) * 3f64.sqrt()) as f32
    })
}

/// Fills the parameters with noise of the usual sizes; what must be positive is.
pub fn fill_params(net: &mut Net) {
    let mut params = Vec::new();
    for layer in net.layers() {
        let type_name = layer.def().r#type().to_owned();
        for (i, (id, shape)) in layer.params().enumerate() {
            params.push((format!("{}/{i}", layer.name()), type_name.clone(), i, id, shape.clone()));
        }
    }
    for (purpose, type_name, i, id, shape) in params {
        let fan_in = shape.count_from(shape.len().min(1)).max(1) as f32;
        let values = net.store.data_mut(id);
        for (value, noise) in values.iter_mut().zip(noise(&purpose)) {
            *value = match (type_name.as_str(), i) {
                ("BatchNorm", 0) | ("BN", 2) => 0.5 * noise,
                ("BatchNorm", 1) | ("BN", 3) => (0.5 + 0.25 * noise).abs() + 0.1,
                ("BatchNorm", 2) => 1.0,
                ("BatchNorm", 3) | ("BN" | "Scale", 0) => 1.0 + 0.3 * noise,
                _ if shape.len() < 2 => 0.1 * noise,
                _ => noise * (2.0 / fan_in).sqrt(),
            };
        }
        // The factor with which the sums are divided.
        if type_name == "BatchNorm" && i == 2 {
            values.fill(0.99);
        }
    }
}

/// The outputs of the first net, and what saturating layers made them of: a Softmax of noise is 0 and 1
/// and would hide differences.
fn compared(first: &Net, second: &Net) -> Vec<String> {
    let outputs = first.outputs();
    let mut names: Vec<String> = outputs.iter().map(|name| (*name).to_owned()).collect();
    for layer in first.layers() {
        let kind = layer.def().r#type();
        let saturates = kind.starts_with("Softmax") || kind.starts_with("Sigmoid");
        if !saturates || !layer.tops().any(|(top, _)| outputs.contains(&top)) {
            continue;
        }
        let Some((name, _)) = layer.bottoms().next() else { continue };
        if second.blob(name).is_some() && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// Runs both nets on the same noise; for every output of the first, how far the second's is from it.
///
/// # Errors
/// A pass fails, or the second net lacks an output.
pub fn compare(first: &mut Net, second: &mut Net) -> Result<Vec<OutputError>, Error> {
    for net in [&mut *first, &mut *second] {
        let inputs: Vec<String> = net.inputs().iter().map(|name| (*name).to_owned()).collect();
        for name in inputs {
            let Some(input) = net.input_mut(&name) else { continue };
            // Labels are class 0.
            if input.shape.len() < 2 || name.contains("label") {
                input.data.fill(0.0);
                continue;
            }
            input.data.iter_mut().zip(noise(&name)).for_each(|(value, noise)| *value = noise);
        }
        net.forward()?;
    }
    let chosen = chooses(first);
    let mut errors = Vec::new();
    for name in compared(first, second) {
        let name = name.as_str();
        let (Some(a), Some(b)) = (first.blob(name), second.blob(name)) else {
            errors.push(OutputError {
                blob: name.to_owned(),
                absolute: f64::INFINITY,
                relative: f64::INFINITY,
                off: 1.0,
                chosen,
            });
            continue;
        };
        let same = a.shape == b.shape;
        let mut absolute = if same { 0.0 } else { f64::INFINITY };
        let largest = a.data.iter().fold(0f64, |most, &a| most.max(f64::from(a).abs()));
        let mut far = 0;
        for (&a, &b) in a.data.iter().zip(b.data) {
            let difference = (f64::from(a) - f64::from(b)).abs();
            // Not a number on one side only is as far as can be.
            let difference = match difference.is_nan() {
                true if a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()) => 0.0,
                true => f64::INFINITY,
                false => difference,
            };
            absolute = absolute.max(difference);
            far += usize::from(difference > 1e-4 * largest);
        }
        let relative = if absolute == 0.0 { 0.0 } else { absolute / largest.max(1e-30) };
        let off = if same { far as f64 / a.data.len().max(1) as f64 } else { 1.0 };
        errors.push(OutputError { blob: name.to_owned(), absolute, relative, off, chosen });
    }
    Ok(errors)
}
