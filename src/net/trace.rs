//! Finds where numbers go wrong: the first layer that makes NaN or infinity, and where a pass is.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::{DiffTo, Mark, Net, NetError};

/// The first value that is no finite number.
#[derive(Clone, Debug, PartialEq)]
pub struct NonFinite {
    /// The layer that made or held it.
    pub layer: String,
    /// Its type.
    pub type_name: String,
    /// What of it: `top blob `x``, `weight 0`, `diff of bottom blob `x``.
    pub what: String,
    /// The value.
    pub value: f32,
    /// Its index in the blob.
    pub at: usize,
}

impl fmt::Display for NonFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NonFinite { layer, type_name, what, value, at } = self;
        write!(f, "layer `{layer}` ({type_name}): {what} holds {value} at element {at}")
    }
}

impl Net {
    /// Runs a pass again from where it began, and names the first value that is not finite: walking
    /// forward in data and parameters, then backward in diffs. `None` when all are.
    pub fn find_non_finite(&mut self, from: &Mark) -> Result<Option<NonFinite>, NetError> {
        self.go_to(from)?;
        self.trace = Some(None);
        self.store.clear_diffs();
        let run = self.forward_layers().and_then(|_| self.backward());
        let found = self.trace.take().flatten();
        match (found, run) {
            (None, Err(error)) => Err(error),
            (found, _) => Ok(found),
        }
    }

    pub(super) fn trace_forward(&mut self, i: usize) {
        let node = &self.nodes[i];
        let not_in_place = |j: &usize| node.in_place.get(*j) != Some(&true);
        let bottoms = (0..node.bottoms.len()).filter(not_in_place).map(|j| {
            let blob = &self.blobs[node.bottoms[j]];
            (format!("bottom blob `{}`", blob.name), &self.storages[blob.storage].data[..])
        });
        let params = node.params.iter().enumerate();
        let params = params.map(|(j, &id)| (format!("parameter {j}"), self.store.data(id)));
        let tops = node.tops.iter().map(|&b| {
            let blob = &self.blobs[b];
            (format!("top blob `{}`", blob.name), &self.storages[blob.storage].data[..])
        });
        let found = first(bottoms.chain(params).chain(tops));
        self.keep_first(i, found);
    }

    pub(super) fn trace_backward(&mut self, i: usize) {
        let node = &self.nodes[i];
        let asked = |&j: &usize| node.diff_to[j] != DiffTo::Nobody;
        let bottoms = (0..node.bottoms.len()).filter(asked).map(|j| {
            let blob = &self.blobs[node.bottoms[j]];
            let diff = &self.storages[blob.storage].diff[..];
            (format!("diff of bottom blob `{}`", blob.name), diff)
        });
        let weights = node
            .weights
            .iter()
            .map(|&p| (format!("diff of parameter {p}"), self.store.diff(node.params[p])));
        let found = first(bottoms.chain(weights));
        self.keep_first(i, found);
    }

    fn keep_first(&mut self, i: usize, found: Option<(String, f32, usize)>) {
        let def = &self.nodes[i].def;
        if let (Some(None), Some((what, value, at))) = (&self.trace, found) {
            let (layer, type_name) = (def.name().to_owned(), def.r#type().to_owned());
            self.trace = Some(Some(NonFinite { layer, type_name, what, value, at }));
        }
    }

    /// Scores (the largest magnitude) of each SoftmaxWithLoss whose loss is at its floor: the right
    /// class has probability 0.
    pub fn losses_at_floor(&self) -> Vec<(String, f32)> {
        // -ln(FLT_MIN) is 87.3365.
        let floor = -f32::MIN_POSITIVE.ln() - 0.001;
        let of_type = self.nodes.iter().filter(|node| node.def.r#type() == "SoftmaxWithLoss");
        let data = |b: usize| &self.storages[self.blobs[b].storage].data;
        of_type
            .filter(|node| data(node.tops[0]).first().is_some_and(|&loss| loss >= floor))
            .map(|node| {
                let largest = data(node.bottoms[0]).iter().fold(0f32, |max, v| max.max(v.abs()));
                (node.def.name().to_owned(), largest)
            })
            .collect()
    }

    /// From now on looks at the ReLUs in each pass.
    pub(crate) fn watch_relus(&mut self) {
        self.fired = Some(BTreeMap::new());
    }

    /// By ReLU layer: its name, and which channels gave something else than 0 in the last pass. Looks no
    /// more.
    pub(crate) fn take_fired(&mut self) -> Vec<(usize, String, Vec<bool>)> {
        let fired = self.fired.take().unwrap_or_default().into_iter();
        fired.map(|(i, fired)| (i, self.nodes[i].def.name().to_owned(), fired)).collect()
    }

    pub(super) fn look_at_relu(&mut self, i: usize) {
        let node = &self.nodes[i];
        let (true, Some(&top)) = (self.fired.is_some(), node.tops.first()) else { return };
        let blob = &self.blobs[top];
        let &[items, channels, ..] = &blob.shape[..] else { return };
        let data = &self.storages[blob.storage].data[..];
        let area = data.len() / (items * channels).max(1);
        if node.def.r#type() != "ReLU" || area == 0 {
            return;
        }
        let mut fired = vec![false; channels];
        for (at, values) in self.planes(top, data).chunks_exact(area).enumerate() {
            fired[at % channels] |= values.iter().any(|&v| v != 0.0);
        }
        self.fired.iter_mut().for_each(|all| {
            all.insert(i, fired.clone());
        });
    }

    /// Layers that compare scores with labels: name, scores' classes, labels.
    pub(crate) fn labels(&self) -> impl Iterator<Item = (usize, &str, &[f32])> {
        const TYPES: [&str; 3] = ["SoftmaxWithLoss", "MultinomialLogisticLoss", "HingeLoss"];
        self.nodes.iter().enumerate().filter_map(|(i, node)| {
            let blob = &self.blobs[*node.bottoms.get(1)?];
            let data = &self.storages[blob.storage].data[..];
            TYPES.contains(&node.def.r#type()).then(|| (i, node.def.name(), data))
        })
    }

    /// Something to watch from another thread where its passes are.
    pub fn pulse(&self) -> Arc<Pulse> {
        self.pulse.clone()
    }
}

type Named<'a> = (String, &'a [f32]);

fn first<'a>(blobs: impl Iterator<Item = Named<'a>>) -> Option<(String, f32, usize)> {
    for (what, values) in blobs {
        if let Some(at) = values.iter().position(|v| !v.is_finite()) {
            return Some((what, values[at], at));
        }
    }
    None
}

/// Where the passes of a net are.
#[derive(Debug, Default)]
pub struct Pulse {
    /// Names and types, once the net is built.
    layers: Vec<(String, String)>,
    /// The layer at work, counted from 1; 0 between passes.
    at: AtomicUsize,
    /// Layers that have begun so far.
    beats: AtomicU64,
}

impl Pulse {
    pub(super) fn of(layers: impl Iterator<Item = (String, String)>) -> Arc<Pulse> {
        Arc::new(Pulse { layers: layers.collect(), ..Pulse::default() })
    }

    pub(super) fn begin(&self, layer: usize) {
        self.at.store(layer + 1, Ordering::Relaxed);
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn rest(&self) {
        self.at.store(0, Ordering::Relaxed);
    }

    /// Goes up whenever a layer begins.
    pub fn beats(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
    }

    /// Name and type of the layer at work; `None` between passes.
    pub fn layer(&self) -> Option<&(String, String)> {
        self.layers.get(self.at.load(Ordering::Relaxed).checked_sub(1)?)
    }
}
