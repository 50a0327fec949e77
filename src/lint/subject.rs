//! What the rules look at: a net as it is in each phase, a solver, weights.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use cortado_layers::{LayerDef, Phase, Shape};
use cortado_proto::caffe::LayerParameter;
use cortado_proto::wire::{Model, ModelLayer};
use cortado_proto::{Diagnostic, FileKind, NetDef, SolverDef, Source};

use crate::hdf5::{self, Reader};
use crate::net::{
    Assumed, Net, NetOptions, NetState, Value, WeightsError, Wiring, belongs, default_shapes,
};

/// A net in one phase.
#[derive(Default)]
pub struct View {
    /// The layers.
    pub layers: Vec<LayerDef>,
    /// Who reads what.
    pub wiring: Wiring,
    /// Shapes of the tops, by layer and top, where they can be told.
    shapes: HashMap<(String, usize), Shape>,
    /// Shapes of the parameters, by layer, where they can be told.
    params: HashMap<String, Vec<Shape>>,
    /// Whether layers read data, of which the shapes are taken for granted.
    pub assumes: bool,
}

/// A file.
#[derive(Default)]
pub struct Subject {
    /// The net as it is written, without upgrades.
    pub written: Option<NetDef>,
    /// The net in TRAIN.
    pub train: View,
    /// The net in TEST.
    pub test: View,
    /// A solver.
    pub solver: Option<SolverDef>,
    /// Trained weights.
    pub weights: Option<Weights>,
}

/// A layer in a file of weights.
pub struct WeightLayer {
    /// Name.
    pub name: String,
    /// Type; HDF5 files do not tell it.
    pub type_name: String,
    /// The shapes of its blobs, each with its number: of parameters that are shared, HDF5 files hold one.
    pub blobs: Vec<(usize, Shape)>,
}

/// Trained weights, in either form of their files.
pub enum Weights {
    /// A `.caffemodel`.
    Model(Model),
    /// A `.caffemodel.h5`, and the group in which its layers are.
    Hdf5(Reader, &'static str),
}

impl Weights {
    /// Opens a file; its content tells the form.
    ///
    /// # Errors
    /// It can't be read, or is damaged.
    pub fn open(path: &Path) -> Result<Weights, crate::Error> {
        if !hdf5::is_hdf5(path) {
            return Ok(Weights::Model(Model::open(path)?));
        }
        let unreadable = |why: String| WeightsError::File(Diagnostic::error(why, None));
        Ok(Weights::of_hdf5(Reader::open(path).map_err(unreadable)?))
    }

    /// Of an HDF5 file; in old ones the layers are not in a group of their own.
    pub fn of_hdf5(reader: Reader) -> Weights {
        let layers = if reader.has_group("data") { "data/" } else { "" };
        Weights::Hdf5(reader, layers)
    }

    /// The layers, those without blobs included.
    ///
    /// # Errors
    /// The file is damaged.
    pub fn layers(&self) -> Result<Vec<WeightLayer>, String> {
        let (reader, base) = match self {
            Weights::Model(model) => {
                let blobs = |layer: &ModelLayer| {
                    layer.blobs.iter().map(|blob| Shape::new(&blob.shape)).enumerate().collect()
                };
                let layer = |layer: &ModelLayer| WeightLayer {
                    name: layer.name.clone(),
                    type_name: layer.type_name.clone(),
                    blobs: blobs(layer),
                };
                return Ok(model.layers.iter().map(layer).collect());
            }
            Weights::Hdf5(reader, base) => (reader, *base),
        };
        let mut found = Vec::new();
        // A layer's name may hold slashes: groups within groups.
        let mut groups = vec![String::new()];
        while let Some(name) = groups.pop() {
            // No group takes less than sixteen bytes.
            if found.len() as u64 > reader.size() / 16 {
                return Err(format!("groups lie in each other at `{name}`"));
            }
            let path = format!("{base}{name}");
            let (inner, arrays) = reader.names(path.trim_end_matches('/'))?;
            let slash = if name.is_empty() { "" } else { "/" };
            groups.extend(inner.iter().rev().map(|inner| format!("{name}{slash}{inner}")));
            if name.is_empty() {
                continue;
            }
            let numbers = arrays.iter().filter_map(|array| array.parse().ok());
            let blob = |i: usize| Ok((i, reader.shape(&format!("{path}/{i}"))?));
            let mut blobs = numbers.map(blob).collect::<Result<Vec<_>, String>>()?;
            blobs.sort_by_key(|(i, _)| *i);
            found.push(WeightLayer { name, type_name: String::new(), blobs });
        }
        Ok(found)
    }

    /// A parameter of a layer, where it is there and can be read.
    pub fn blob(&self, layer: &str, index: usize) -> Option<Vec<f32>> {
        match self {
            Weights::Model(model) => model.blob(model.layer(layer)?, index)?.to_vec().ok(),
            Weights::Hdf5(reader, layers) => {
                let path = format!("{layers}{layer}/{index}");
                if reader.has(&path) { Some(reader.read(&path).ok()?.1) } else { None }
            }
        }
    }
}

impl Subject {
    /// Of a text file; `None` where it does not load, which `check` explains.
    pub fn of_text(source: &Arc<Source>) -> Option<Subject> {
        match FileKind::of(source) {
            FileKind::Solver => {
                let mut solver = SolverDef::from_text(source).ok()?;
                cortado_proto::upgrade::solver(&mut solver).ok()?;
                Some(Subject { solver: Some(solver), ..Subject::default() })
            }
            FileKind::Net => {
                let written = NetDef::from_text(source).ok()?;
                let mut def = written.clone();
                cortado_proto::upgrade::net(&mut def).ok()?;
                Some(Subject {
                    train: View::of(&def, Phase::Train),
                    test: View::of(&def, Phase::Test),
                    written: Some(written),
                    ..Subject::default()
                })
            }
            _ => None,
        }
    }

    /// With the weights of this net.
    pub fn with_weights(self, weights: Weights) -> Subject {
        Subject { weights: Some(weights), ..self }
    }

    /// Whether the net trains: it has data (or inputs) and a loss in TRAIN.
    pub fn trains(&self) -> bool {
        self.train.layers.iter().any(|layer| layer.r#type().contains("Loss"))
    }

    /// Whether a layer of this name (and the same place in the file) runs in a phase.
    pub fn runs_in(&self, layer: &LayerDef, phase: Phase) -> bool {
        let view = if phase == Phase::Train { &self.train } else { &self.test };
        let at = |l: &LayerDef| l.place.span_of(None).map(|place| place.span.start);
        view.layers.iter().any(|other| other.name() == layer.name() && at(other) == at(layer))
    }
}

impl View {
    fn of(def: &NetDef, phase: Phase) -> View {
        let state = NetState::of(phase).and(def.param.state.as_ref());
        let layers: Vec<LayerDef> =
            def.layers.iter().filter(|layer| belongs(layer, &state)).cloned().collect();
        let data = |layer: &LayerDef| default_shapes(layer, &Assumed::default());
        let outline = Net::outline(def.clone(), &NetOptions::new(phase), &data);
        let (mut shapes, mut params) = (HashMap::new(), HashMap::new());
        for layer in outline.layers {
            // Of twins the first.
            params.entry(layer.name.clone()).or_insert(layer.params);
            for (i, (_, shape)) in layer.tops.into_iter().enumerate() {
                shapes.insert((layer.name.clone(), i), shape);
            }
        }
        let wiring = Wiring::of(layers.iter().map(|l| &l.param));
        let assumes = layers.iter().any(|layer| data(layer).is_some_and(|tops| !tops.is_empty()));
        View { layers, wiring, shapes, params, assumes }
    }

    /// Shapes of a layer's parameters.
    pub fn params(&self, layer: &LayerDef) -> &[Shape] {
        self.params.get(layer.name()).map_or(&[], Vec::as_slice)
    }

    /// Shape of a value.
    pub fn shape(&self, value: &Value) -> Option<&Shape> {
        self.shapes.get(&(self.layers[value.maker].name().to_owned(), value.top))
    }

    /// The layers that read what a layer makes, through those that change nothing but values.
    pub fn readers<'a>(&'a self, layer: usize) -> impl Iterator<Item = usize> + 'a {
        let tops = self.wiring.tops[layer].iter();
        tops.flat_map(|&top| self.wiring.values[top].readers.iter().copied())
    }

    /// The layer that makes a layer's first bottom.
    pub fn maker(&self, layer: usize) -> Option<usize> {
        let value = self.wiring.bottoms[layer].first().copied().flatten()?;
        Some(self.wiring.values[value].maker)
    }

    /// Whether a layer is made of data, without layers in between.
    pub fn reads_data(&self, layer: usize) -> bool {
        let data = |name: &str| name == "Input" || name.ends_with("Data");
        self.maker(layer).is_some_and(|maker| data(self.layers[maker].r#type()))
    }

    /// Whether batch normalisation stands within the net (that of the data alone does not count).
    pub fn normalises(&self) -> bool {
        let norm = |name: &str| matches!(name, "BatchNorm" | "BN");
        (0..self.layers.len()).any(|i| norm(self.layers[i].r#type()) && !self.reads_data(i))
    }

    /// The layers of a type, with their indices.
    pub fn of_type<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (usize, &'a LayerDef)> {
        self.layers.iter().enumerate().filter(move |(_, layer)| layer.r#type() == name)
    }
}

/// Whether a BatchNorm has the forks' scale of its own.
pub fn has_own_scale(layer: &LayerParameter) -> bool {
    let Some(p) = &layer.batch_norm_param else { return false };
    p.scale_bias()
        || p.scale_filler.is_some()
        || p.bias_filler.is_some()
        || p.use_weight_bias == Some(true)
        // Intel's engines have it unless told.
        || layer.param.len() > 3
}

/// The learning rate factor of a parameter.
pub fn rate(layer: &LayerParameter, index: usize) -> f32 {
    layer.param.get(index).map_or(1.0, |p| p.lr_mult())
}
