//! A net with its weights, as the tools change it: text, layers of phase TEST, parameters.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cortado_layers::{LayerDef, Phase, Shape};
use cortado_proto::caffe::{BlobShape, InputParameter, LayerParameter};
use cortado_proto::def::read_text;
use cortado_proto::text::{self, FieldSpan};
use cortado_proto::wire::{self, BlobOut, LayerOut};
use cortado_proto::{Diagnostic, ErrorKind, NetDef, Source};

use super::proof;
use super::rest::{self, Rest};
use crate::Error;
use crate::net::{Assumed, Net, NetErrors, NetOptions, belongs, default_shapes};

/// Largest batch that the outputs are compared on; some nets normalise by the batch, so it is not 1.
const BATCH: usize = 2;

/// What the user gave: how the net is built.
#[derive(Clone)]
pub struct Given {
    /// State and threads; the phase is TEST.
    pub options: NetOptions,
    /// Shape of what data layers read, where their fields do not say it.
    pub assumed: Option<Shape>,
}

impl Given {
    /// Nothing but the defaults.
    pub fn nothing() -> Given {
        Given { options: NetOptions::new(Phase::Test), assumed: None }
    }
}

/// One parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Blob {
    /// Its shape.
    pub shape: Shape,
    /// Its values.
    pub data: Vec<f32>,
}

/// A layer and its parameters.
#[derive(Clone, Debug)]
pub struct TrainedLayer {
    /// The definition.
    pub def: LayerDef,
    /// The parameters.
    pub blobs: Vec<Blob>,
    /// Shapes of the bottoms.
    pub bottoms: Vec<Shape>,
    /// Shapes of the tops.
    pub tops: Vec<Shape>,
    /// Another layer with the same parameters.
    pub shares: Option<String>,
}

/// A net in phase TEST.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The text, in today's form.
    pub source: Arc<Source>,
    /// The net's name.
    pub name: String,
    /// The layers of phase TEST.
    pub layers: Vec<TrainedLayer>,
    /// Where the layers stand that belong to other phases or stages.
    pub others: Vec<FieldSpan>,
    /// Layers of the weight files that are none of these.
    pub rest: Vec<Rest>,
    /// What the user should know.
    pub notes: Vec<Diagnostic>,
}

impl Trained {
    /// Reads a net and its weights; without weights they are noise. The net runs on noise, on small
    /// batches, without its data.
    ///
    /// # Errors
    /// The net has mistakes, or the weights do not fit or are not all there.
    pub fn read(path: &Path, weights: &[PathBuf], given: &Given) -> Result<(Trained, Net), Error> {
        let (source, notes) = today(read_text(path)?)?;
        let (def, others) = in_state(&source, given)?;
        let mut net = runnable(&def, given)?;
        let mut rest = Vec::new();
        if weights.is_empty() {
            proof::fill_params(&mut net);
        } else {
            let copied = rest::copy(&mut net, weights)?;
            if !copied.missing.is_empty() {
                return Err(rest::missing(&path.display().to_string(), weights, &copied.missing));
            }
            rest = copied.rest;
        }
        let trained = Trained { rest, ..Trained::of(def, source, others, notes, &net) };
        Ok((trained, net))
    }

    /// The same from text, with weights of noise.
    ///
    /// # Errors
    /// The net has mistakes.
    pub fn from_text(source: Arc<Source>, given: &Given) -> Result<(Trained, Net), Error> {
        let (source, notes) = today(source)?;
        let (def, others) = in_state(&source, given)?;
        let mut net = runnable(&def, given)?;
        proof::fill_params(&mut net);
        Ok((Trained::of(def, source, others, notes, &net), net))
    }

    fn of(
        def: NetDef,
        source: Arc<Source>,
        others: Vec<FieldSpan>,
        notes: Vec<Diagnostic>,
        net: &Net,
    ) -> Trained {
        let mut owners: HashMap<usize, String> = HashMap::new();
        let mut sharers: HashMap<String, String> = HashMap::new();
        for layer in net.layers() {
            for (id, _) in layer.params() {
                let owner = owners.entry(id).or_insert_with(|| layer.name().to_owned());
                if owner != layer.name() {
                    sharers.insert(layer.name().to_owned(), owner.clone());
                    sharers.insert(owner.clone(), layer.name().to_owned());
                }
            }
        }
        let built: HashMap<&str, _> = net.layers().map(|layer| (layer.name(), layer)).collect();
        let layers = def.layers.into_iter().map(|def| {
            let layer = built.get(def.name());
            let blob = |(id, shape): (usize, &Shape)| Blob {
                shape: shape.clone(),
                data: net.store.data(id).to_vec(),
            };
            let dims = |shapes: Vec<(&str, &Shape)>| -> Vec<Shape> {
                shapes.into_iter().map(|(_, shape)| shape.clone()).collect()
            };
            TrainedLayer {
                blobs: layer.map(|l| l.params().map(blob).collect()).unwrap_or_default(),
                bottoms: layer.map(|l| dims(l.bottoms().collect())).unwrap_or_default(),
                tops: layer.map(|l| dims(l.tops().collect())).unwrap_or_default(),
                shares: sharers.get(def.name()).cloned(),
                def,
            }
        });
        let name = def.param.name().to_owned();
        let layers = layers.collect();
        Trained { source, name, layers, others, rest: Vec::new(), notes }
    }

    /// A net of another text with these parameters, by layer name.
    ///
    /// # Errors
    /// The text has mistakes, or the parameters do not fit it.
    pub fn rebuilt(
        &self,
        text: String,
        blobs: &HashMap<String, Vec<Blob>>,
        given: &Given,
    ) -> Result<(Trained, Net), Error> {
        let source = Source::new(self.source.name.clone(), text);
        let (def, others) = in_state(&source, given)?;
        let mut net = runnable(&def, given)?;
        let params: Vec<(String, usize, usize)> = net
            .layers()
            .flat_map(|l| {
                let name = l.name().to_owned();
                let ids: Vec<usize> = l.params().map(|(id, _)| id).collect();
                ids.into_iter().enumerate().map(move |(i, id)| (name.clone(), i, id))
            })
            .collect();
        for (name, i, id) in params {
            let Some(blob) = blobs.get(&name).and_then(|blobs| blobs.get(i)) else { continue };
            let values = net.store.data_mut(id);
            if values.len() == blob.data.len() {
                values.copy_from_slice(&blob.data);
            }
        }
        let mut trained = Trained::of(def, source, others, Vec::new(), &net);
        trained.rest = self.rest_of(&trained, blobs)?;
        Ok((trained, net))
    }

    /// The parameters of layers that a net rebuilt from this one does not run.
    fn rest_of(
        &self,
        rebuilt: &Trained,
        blobs: &HashMap<String, Vec<Blob>>,
    ) -> Result<Vec<Rest>, Error> {
        let mut known: HashSet<&str> = rebuilt.layers.iter().map(|l| l.def.name()).collect();
        let text = NetDef::from_text(&rebuilt.source)?;
        let params = text.layers.iter().map(|layer| &layer.param);
        let params = params.chain(self.rest.iter().map(|layer| &layer.param));
        let rest = params.filter_map(|param| {
            let blobs = blobs.get(param.name()).filter(|blobs| !blobs.is_empty())?;
            known.insert(param.name()).then(|| Rest { param: param.clone(), blobs: blobs.clone() })
        });
        Ok(rest.collect())
    }

    /// The parameters by layer name.
    pub fn blobs(&self) -> HashMap<String, Vec<Blob>> {
        let rest = self.rest.iter().map(|l| (l.param.name().to_owned(), l.blobs.clone()));
        let layers = self.layers.iter().map(|l| (l.def.name().to_owned(), l.blobs.clone()));
        rest.chain(layers).collect()
    }

    /// Writes the parameters as a `.caffemodel`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<Option<Diagnostic>, Error> {
        let layers: Vec<LayerOut<'_>> = self
            .layers
            .iter()
            .map(|layer| LayerOut {
                param: &layer.def.param,
                blobs: layer
                    .blobs
                    .iter()
                    .map(|blob| BlobOut { shape: &blob.shape, data: &blob.data, diff: None })
                    .collect(),
            })
            .chain(self.rest.iter().map(Rest::out))
            .collect();
        Ok(wire::save_model(path, &self.name, &layers)?)
    }
}

/// The text in today's form.
fn today(source: Arc<Source>) -> Result<(Arc<Source>, Vec<Diagnostic>), Error> {
    let upgraded = text::upgraded_net(&source)?;
    match upgraded.done.is_empty() {
        true => Ok((source, upgraded.notes)),
        false => Ok((Source::new(source.name.clone(), upgraded.text), upgraded.notes)),
    }
}

/// The layers that belong to the state, and the places of the others.
fn in_state(source: &Arc<Source>, given: &Given) -> Result<(NetDef, Vec<FieldSpan>), Error> {
    let mut def = NetDef::from_text(source)?;
    let state = given.options.state.clone().and(def.param.state.as_ref());
    let mut others = Vec::new();
    def.layers.retain(|layer| {
        let here = belongs(layer, &state);
        if !here {
            others.extend(layer.place.field(""));
        }
        here
    });
    if def.layers.is_empty() {
        let why = "it has no layers in phase TEST".to_owned();
        let kind = ErrorKind::File { doing: "use", path: source.name.as_str().into(), why };
        return Err(cortado_proto::Error::new(kind).into());
    }
    Ok((def, others))
}

/// The net with inputs in place of its data, on small batches where it runs so.
fn runnable(def: &NetDef, given: &Given) -> Result<Net, NetErrors> {
    let mut options = given.options.clone();
    (options.plan, options.gradients) = (false, false);
    let small = Net::build(on_inputs(def, given, Some(BATCH)), &options);
    small.or_else(|_| Net::build(on_inputs(def, given, None), &options))
}

fn on_inputs(def: &NetDef, given: &Given, batch: Option<usize>) -> NetDef {
    let mut def = def.clone();
    let assumed = Assumed { first: given.assumed.clone(), ..Assumed::default() };
    for layer in &mut def.layers {
        if let Some(shapes) = default_shapes(layer, &assumed).filter(|s| !s.is_empty()) {
            let dims = shapes.iter().map(|s| BlobShape { dim: s.to_i64() });
            let LayerParameter { name, top, .. } = std::mem::take(&mut layer.param);
            layer.param = LayerParameter {
                name,
                top,
                r#type: Some("Input".to_owned()),
                input_param: Some(InputParameter { shape: dims.collect() }),
                ..LayerParameter::default()
            };
        }
        let shapes = layer.param.input_param.iter_mut().flat_map(|p| &mut p.shape);
        for first in shapes.filter_map(|shape| shape.dim.first_mut()) {
            *first = (*first).min(batch.map_or(i64::MAX, |b| b as i64));
        }
    }
    def
}
