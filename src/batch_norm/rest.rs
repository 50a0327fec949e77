//! Layers of weight files beside those of the net that runs: they belong to another phase or to nobody,
//! and stay as they are.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use cortado_layers::Shape;
use cortado_proto::Diagnostic;
use cortado_proto::caffe::LayerParameter;
use cortado_proto::wire::{BlobOut, LayerOut, Model};

use super::trained::Blob;
use crate::Error;
use crate::hdf5::{Reader, is_hdf5};
use crate::net::{Net, WeightsError};

/// A layer with parameters that the net does not have.
#[derive(Clone, Debug)]
pub struct Rest {
    /// What the file says of it.
    pub param: LayerParameter,
    /// Its parameters.
    pub blobs: Vec<Blob>,
}

impl Rest {
    /// As it is written.
    pub fn out(&self) -> LayerOut<'_> {
        let blobs = self.blobs.iter();
        let blobs = blobs.map(|blob| BlobOut { shape: &blob.shape, data: &blob.data, diff: None });
        LayerOut { param: &self.param, blobs: blobs.collect() }
    }
}

/// What became of weight files.
pub struct Copied {
    /// Their layers that the net lacks; of files that both have one, the later's.
    pub rest: Vec<Rest>,
    /// Layers of the net whose parameters no file has.
    pub missing: Vec<String>,
}

/// Copies weight files into a net, one after the other.
pub fn copy(net: &mut Net, files: &[PathBuf]) -> Result<Copied, Error> {
    let (mut rest, mut copied) = (Vec::<Rest>::new(), HashSet::new());
    for file in files {
        let report = net.copy_from(file)?;
        copied.extend(report.copied);
        for layer in read(file, &report.skipped)? {
            rest.retain(|known| known.param.name() != layer.param.name());
            rest.push(layer);
        }
    }
    // HDF5 files hold shared parameters once.
    let there = net.layers().filter(|layer| copied.contains(layer.name()));
    let there: HashSet<usize> = there.flat_map(|l| l.params().map(|(id, _)| id)).collect();
    let lacks = net.layers().filter(|l| l.params().any(|(id, _)| !there.contains(&id)));
    let missing = lacks.map(|layer| layer.name().to_owned()).collect();
    Ok(Copied { rest, missing })
}

fn read(file: &Path, names: &[String]) -> Result<Vec<Rest>, Error> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    if is_hdf5(file) {
        let layers = read_hdf5(file, names);
        return layers.map_err(|why| WeightsError::File(Diagnostic::error(why, None)).into());
    }
    let model = Model::open(file)?;
    let mut layers = Vec::new();
    for layer in model.layers.iter().filter(|layer| names.contains(&layer.name)) {
        let mut blobs = Vec::new();
        for blob in model.blobs(layer) {
            blobs.push(Blob { shape: Shape::new(blob.shape()), data: blob.to_vec()? });
        }
        layers.push(of(&layer.name, Some(&layer.type_name), blobs));
    }
    Ok(layers)
}

fn read_hdf5(file: &Path, names: &[String]) -> Result<Vec<Rest>, String> {
    let reader = Reader::open(file)?;
    let base = if reader.has_group("data") { "data/" } else { "" };
    let mut layers = Vec::new();
    for name in names {
        let mut blobs = Vec::new();
        let places = (0..).map(|i| format!("{base}{name}/{i}"));
        for place in places.take_while(|place| reader.has(place)) {
            let (shape, data) = reader.read(&place)?;
            blobs.push(Blob { shape, data });
        }
        layers.push(of(name, None, blobs));
    }
    Ok(layers)
}

fn of(name: &str, type_name: Option<&str>, blobs: Vec<Blob>) -> Rest {
    let param = LayerParameter {
        name: Some(name.to_owned()),
        r#type: type_name.map(str::to_owned),
        ..LayerParameter::default()
    };
    Rest { param, blobs }
}

/// Weights that are not all there are another net's.
pub fn missing(net: &str, weights: &[PathBuf], layers: &[String]) -> Error {
    let files: Vec<String> = weights.iter().map(|file| format!("`{}`", file.display())).collect();
    let (files, layers) = (files.join(", "), layers.join(", "));
    let what = format!("{files} has no weights for these layers of `{net}`: {layers}");
    let note = "are they the weights of this net? Layers are found by their names";
    WeightsError::File(Diagnostic::error(what, None).with_note(note)).into()
}
