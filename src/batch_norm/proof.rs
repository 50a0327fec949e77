//! What a change of a net does to its outputs, measured on noise.

use std::collections::HashSet;

use serde::Serialize;

use cortado_layers::Shape;
use cortado_layers::rng::{fnv1a, splitmix};

use crate::Error;
use crate::net::{Net, Node};

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
    /// The largest such share of one channel.
    pub off_in_channel: f64,
    /// Whether it hangs on a choice between values (masks of pooling, ArgMax): where two are nearly
    /// equal, rounding alone may choose the other one.
    pub chosen: bool,
}

/// Of an output that hangs on choices, how much may be far off, and of one of its channels.
const CHANCE: f64 = 0.01;
const CHANCE_IN_CHANNEL: f64 = 0.05;

impl OutputError {
    /// Whether the output is the same up to rounding, and up to what rounding chose.
    pub fn is_within(&self, tolerance: f64) -> bool {
        let by_chance = self.off <= CHANCE && self.off_in_channel <= CHANCE_IN_CHANNEL;
        self.relative <= tolerance || (self.chosen && by_chance)
    }
}

/// Blobs that hang on choices.
fn chosen(net: &Net) -> HashSet<usize> {
    let mut chosen = HashSet::new();
    for node in &net.nodes {
        let kind = node.def.r#type();
        let behind = kind == "ArgMax" || node.bottoms.iter().any(|blob| chosen.contains(blob));
        // The second top of pooling is its mask.
        let tops = node.tops.iter().enumerate();
        chosen.extend(tops.filter(|(i, _)| behind || (kind == "Pooling" && *i == 1)).map(|t| t.1));
    }
    chosen
}

/// The last blob of a name.
fn last(net: &Net, name: &str) -> Option<usize> {
    net.blobs.iter().rposition(|blob| blob.name == name)
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

/// Layers whose tops tell little of their bottoms: a Softmax of noise is 0 and 1, a detector finds
/// nothing in it, a loss is one number.
fn hides(kind: &str) -> bool {
    ["Softmax", "Sigmoid", "Accuracy"].iter().any(|start| kind.starts_with(start))
        || ["Loss", "LossOHEM", "DetectionOutput"].iter().any(|end| kind.ends_with(end))
        || matches!(
            kind,
            "ArgMax"
                | "BoxAnnotatorOHEM"
                | "Clip"
                | "DetectionEvaluate"
                | "EvalDetection"
                | "Filter"
                | "Proposal"
                | "Python"
                | "Region"
                | "ScaleTanH"
                | "TanH"
                | "Threshold"
        )
}

/// Layers whose tops are their bottoms in another form.
fn passes_on(kind: &str) -> bool {
    matches!(
        kind,
        "Concat"
            | "Crop"
            | "Dropout"
            | "Flatten"
            | "Interp"
            | "Permute"
            | "Power"
            | "Reorg"
            | "Reshape"
            | "Resize"
            | "Reverse"
            | "Slice"
            | "Split"
            | "Transpose"
    )
}

/// What the outputs hide: bottoms of layers that end the net, by the positions of the layer and of the
/// bottom. Of several with the same blob the first.
fn hidden(net: &Net) -> Vec<(usize, usize)> {
    let inputs: Vec<usize> = net.inputs().iter().filter_map(|name| last(net, name)).collect();
    let mut looked_at: HashSet<usize> =
        net.outputs().iter().filter_map(|name| last(net, name)).collect();
    let mut hidden = Vec::new();
    for (i, node) in net.nodes.iter().enumerate().rev() {
        let kind = node.def.r#type();
        let ends = node.tops.is_empty();
        let seen = ends || node.tops.iter().any(|top| looked_at.contains(top));
        if !seen || !(ends || hides(kind) || passes_on(kind)) {
            continue;
        }
        if !passes_on(kind) {
            hidden.extend((0..node.bottoms.len()).map(|bottom| (i, bottom)));
        }
        looked_at.extend(&node.bottoms);
    }
    hidden.reverse();
    // What a hiding layer makes is measured by its own bottoms: of scores in the millions, rounding alone
    // makes other probabilities.
    let mut veiled: HashSet<usize> = HashSet::new();
    for node in &net.nodes {
        let kind = node.def.r#type();
        let behind = passes_on(kind) && node.bottoms.iter().any(|blob| veiled.contains(blob));
        if hides(kind) || behind {
            veiled.extend(&node.tops);
        }
    }
    hidden.retain(|&(i, bottom)| !veiled.contains(&net.nodes[i].bottoms[bottom]));
    let mut known: HashSet<usize> = inputs.into_iter().collect();
    hidden.retain(|&(i, bottom)| known.insert(net.nodes[i].bottoms[bottom]));
    hidden
}

/// The value of a bottom. Where a layer has overwritten it since, those before run once more.
fn bottom(net: &mut Net, layer: usize, bottom: usize) -> Result<(&Shape, &[f32]), Error> {
    let blob = net.nodes[layer].bottoms[bottom];
    let storage = net.blobs[blob].storage;
    let mut later = net.nodes[layer..].iter().flat_map(|node| &node.tops);
    if later.any(|&top| net.blobs[top].storage == storage) {
        // The same random numbers again.
        net.set_passes(0);
        net.forward_range(0..layer)?;
    }
    Ok((&net.blobs[blob].shape, &net.storages[storage].data))
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
    let mut errors = Vec::new();
    let behind = chosen(first);
    for name in first.outputs() {
        let is_chosen = last(first, name).is_some_and(|blob| behind.contains(&blob));
        let [a, b] = [&*first, &*second].map(|net| net.blob(name).map(|b| (b.shape, b.data)));
        errors.push(difference(name, is_chosen, a, b));
    }
    for (i, of) in hidden(first) {
        let (node, blob) = (&first.nodes[i], first.nodes[i].bottoms[of]);
        let layer = node.def.name();
        let is_twin = |n: &Node| n.def.name() == layer && n.bottoms.len() == node.bottoms.len();
        let Some(twin) = second.nodes.iter().position(is_twin) else { continue };
        let name = &first.blobs[blob].name;
        let name = match errors.iter().any(|known: &OutputError| known.blob == *name) {
            true => format!("{name}, bottom of {layer}"),
            false => name.clone(),
        };
        let (a, b) = (bottom(first, i, of)?, bottom(second, twin, of)?);
        errors.push(difference(&name, behind.contains(&blob), Some(a), Some(b)));
    }
    Ok(errors)
}

/// How far one value is from another.
fn difference(
    name: &str,
    chosen: bool,
    first: Option<(&Shape, &[f32])>,
    second: Option<(&Shape, &[f32])>,
) -> OutputError {
    let (Some((shape, a)), Some((_, b))) =
        (first, second.filter(|second| first.is_some_and(|first| first.0 == second.0)))
    else {
        let worst = f64::INFINITY;
        let (absolute, relative) = (worst, worst);
        let blob = name.to_owned();
        return OutputError { blob, absolute, relative, off: 1.0, off_in_channel: 1.0, chosen };
    };
    let largest = a.iter().fold(0f64, |most, &a| most.max(f64::from(a).abs()));
    let channels = shape.get(1).copied().unwrap_or(1).max(1);
    let plane = shape.count_from(shape.len().min(2)).max(1);
    let mut absolute = 0f64;
    let mut far = vec![0usize; channels];
    for (i, (&a, &b)) in a.iter().zip(b).enumerate() {
        let difference = (f64::from(a) - f64::from(b)).abs();
        // Not a number on one side only is as far as can be.
        let difference = match difference.is_nan() {
            true if a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()) => 0.0,
            true => f64::INFINITY,
            false => difference,
        };
        absolute = absolute.max(difference);
        far[i / plane % channels] += usize::from(difference > 1e-4 * largest);
    }
    let share = |far: usize, of: usize| far as f64 / of.max(1) as f64;
    OutputError {
        blob: name.to_owned(),
        absolute,
        relative: if absolute == 0.0 { 0.0 } else { absolute / largest.max(1e-30) },
        off: share(far.iter().sum(), a.len()),
        off_in_channel: share(far.iter().copied().max().unwrap_or(0), a.len() / channels),
        chosen,
    }
}
