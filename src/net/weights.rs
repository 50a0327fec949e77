//! Trained weights, in and out, by layer name: as the original's `CopyTrainedLayersFrom` and
//! `ToProto`, with a report of what was copied, skipped and left as it was.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use cortado_layers::Shape;
use cortado_proto::caffe::BlobProto;
use cortado_proto::wire::{self, BlobOut, Disk, LayerOut, Model, ModelLayer, RealDisk, Saved};
use cortado_proto::{Diagnostic, ErrorKind};

use super::{Net, Node};

/// What became of the layers of a net and of a weight file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyReport {
    /// Layers of the net that got their weights from the file.
    pub copied: Vec<String>,
    /// Layers of the file that the net does not have.
    pub skipped: Vec<String>,
    /// Layers of the net with parameters that the file does not have: they stay as they were.
    pub fresh: Vec<String>,
    /// Layers whose parameters differ in shape and were passed over, as asked for.
    pub mismatched: Vec<String>,
    /// Layers among the copied that have another form in the file: InnerProduct there, Convolution
    /// here, or the reverse. The values lie in the same order.
    pub reshaped: Vec<String>,
}

/// How weights are copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyOptions {
    /// Passes over layers that do not fit, in place of copying nothing at all.
    pub skip_mismatch: bool,
}

impl fmt::Display for CopyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layers = |n: usize| if n == 1 { "layer" } else { "layers" };
        write!(f, "copied {} {}", self.copied.len(), layers(self.copied.len()))?;
        for (what, list) in [
            ("of another form in the file", &self.reshaped),
            ("passed over since they do not fit", &self.mismatched),
            ("not in this net", &self.skipped),
            ("not in the file", &self.fresh),
        ] {
            if !list.is_empty() {
                write!(f, "; {} {what}: {}", list.len(), short_list(list))?;
            }
        }
        Ok(())
    }
}

/// The first few names of a list.
fn short_list(names: &[String]) -> String {
    const SHOWN: usize = 6;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}

/// Why weights could not be copied. Nothing was changed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The file can't be read.
    #[error("{0}")]
    File(Diagnostic),
    /// Layers of the same name whose parameters differ, all of them.
    #[error("`{}` does not fit net `{net}`:\n{}", path.display(), mismatches.join("\n"))]
    Mismatch {
        /// The weight file.
        path: PathBuf,
        /// Name of the net.
        net: String,
        /// One line each.
        mismatches: Vec<String>,
    },
}

impl Net {
    /// Copies weights from a `.caffemodel` or `.caffemodel.h5` (told apart by content), layer by
    /// layer of the same name.
    pub fn copy_from(&mut self, path: impl AsRef<Path>) -> Result<CopyReport, WeightsError> {
        self.copy_with(path, CopyOptions::default())
    }

    /// The same with options.
    pub fn copy_with(
        &mut self,
        path: impl AsRef<Path>,
        options: CopyOptions,
    ) -> Result<CopyReport, WeightsError> {
        let path = path.as_ref();
        if crate::hdf5::is_hdf5(path) {
            return self.copy_from_hdf5(path, options);
        }
        let model =
            Model::open(path).map_err(|e| WeightsError::File(advised(e.diagnostic(), path)))?;
        self.copy_from_model(&model, path, options)
    }

    fn copy_from_model(
        &mut self,
        model: &Model,
        path: &Path,
        options: CopyOptions,
    ) -> Result<CopyReport, WeightsError> {
        let mut report = CopyReport::default();
        let mut mismatches = Vec::new();
        let mut fitting: Vec<(usize, &ModelLayer)> = Vec::new();
        let mut twins = HashMap::new();
        for layer in &model.layers {
            let twin: &mut usize = twins.entry(layer.name.as_str()).or_default();
            let node = self.node_for(&layer.name, *twin);
            *twin += usize::from(!layer.blobs.is_empty());
            match node {
                Some(i) => match fits(&self.nodes[i], model, layer, &mut mismatches) {
                    Fit::Not => report.mismatched.push(layer.name.clone()),
                    fit => {
                        fitting.push((i, layer));
                        if fit == Fit::Reshaped {
                            report.reshaped.push(layer.name.clone());
                        }
                    }
                },
                None if layer.blobs.is_empty() => {}
                None => report.skipped.push(layer.name.clone()),
            }
        }
        if !options.skip_mismatch {
            self.expect_none(mismatches, path)?;
        }
        let damaged = |e: cortado_proto::Error| WeightsError::File(e.diagnostic());
        // All of them first: a damaged file changes nothing.
        for blob in fitting.iter().flat_map(|(_, layer)| model.blobs(layer)) {
            blob.check().map_err(damaged)?;
        }
        for &(i, layer) in &fitting {
            for (&id, blob) in self.nodes[i].params.iter().zip(model.blobs(layer)) {
                blob.read(self.store.data_mut(id)).map_err(damaged)?;
            }
            model.forget();
            if !self.nodes[i].params.is_empty() {
                report.copied.push(layer.name.clone());
            }
        }
        Ok(self.completed(report))
    }

    /// The layer that takes a file's weights: of several of one name the one of the same number among
    /// those with parameters, the last one for all that follow.
    pub(super) fn node_for(&self, name: &str, twin: usize) -> Option<usize> {
        let named = self.nodes.iter().enumerate().filter(|(_, node)| node.def.name() == name);
        let (with, without): (Vec<_>, Vec<_>) = named.partition(|(_, n)| !n.params.is_empty());
        let found = with.get(twin).or(with.last()).or(without.first());
        found.map(|&(i, _)| i)
    }

    pub(super) fn expect_none(
        &self,
        mismatches: Vec<String>,
        path: &Path,
    ) -> Result<(), WeightsError> {
        if mismatches.is_empty() {
            return Ok(());
        }
        Err(WeightsError::Mismatch { path: path.to_owned(), net: self.name.clone(), mismatches })
    }

    /// Takes values that fit, and completes the report with the layers that got none.
    pub(super) fn take(
        &mut self,
        values: Vec<(usize, Vec<f32>)>,
        report: CopyReport,
    ) -> CopyReport {
        for (id, values) in values {
            self.store.data_mut(id).copy_from_slice(&values);
        }
        self.completed(report)
    }

    fn completed(&self, mut report: CopyReport) -> CopyReport {
        let with_params = self.nodes.iter().filter(|node| !node.params.is_empty());
        let names = with_params.map(|node| node.def.name().to_owned());
        report.fresh = names.filter(|name| !report.copied.contains(name)).collect();
        report
    }

    /// There is something to write.
    pub(super) fn not_deployed(&self, path: &Path) -> Result<(), cortado_proto::Error> {
        if self.store.is_released() {
            let why = "the net is deployed: it has given its weights back once they were packed";
            let kind = ErrorKind::File { doing: "write", path: path.into(), why: why.into() };
            return Err(cortado_proto::Error::new(kind));
        }
        Ok(())
    }

    /// Writes the net with its weights as a `.caffemodel`, whole or not at all. A note when the file
    /// is too large for the original.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<Option<Diagnostic>, cortado_proto::Error> {
        Ok(self.save_on(&RealDisk, path.as_ref(), false)?.note)
    }

    /// The same on any disk, and with the gradients of the weights if asked for.
    pub(crate) fn save_on(
        &self,
        disk: &dyn Disk,
        path: &Path,
        diffs: bool,
    ) -> Result<Saved, cortado_proto::Error> {
        self.not_deployed(path)?;
        let layers: Vec<LayerOut<'_>> = self
            .nodes
            .iter()
            .map(|node| {
                let blob = |(&id, shape)| -> BlobOut<'_> {
                    let (shape, data): (&Shape, _) = (shape, self.store.data(id));
                    let diff = Some(self.store.diff(id));
                    let diff = diff.filter(|diff| diffs && diff.len() == data.len());
                    BlobOut { shape, data, diff }
                };
                let blobs = node.params.iter().zip(&node.param_shapes).map(blob).collect();
                LayerOut { param: &node.def.param, blobs }
            })
            .collect();
        wire::save_model_on(disk, path, &self.name, &layers)
    }
}

/// How the blobs of a file's layer fit the parameters of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// They don't.
    Not,
    /// As many values in the same order: InnerProduct's rows are Convolution's filters.
    Reshaped,
    /// Alike.
    Same,
}

/// Whether the blobs of a file's layer can be the parameters of a node; says why not.
fn fits(node: &Node, model: &Model, layer: &ModelLayer, mismatches: &mut Vec<String>) -> Fit {
    let (name, type_name) = (node.def.name(), node.def.r#type());
    let mut fit = Fit::Same;
    if node.params.len() != layer.blobs.len() {
        mismatches.push(format!(
            "  layer `{name}` ({type_name}) has {} parameters, the file's layer `{}` ({}) has {}",
            node.params.len(),
            layer.name,
            layer.type_name,
            layer.blobs.len()
        ));
        if type_name == "BN" && node.params.len() == 2 && layer.blobs.len() == 4 {
            let what = "four blobs are ducha-aiki's form of BN, which `bn_param { moving_average: true }` \
                        asks for, or PSPNet's: `bn_param { momentum: 0.95 }`";
            mismatches.push(format!("    = {what}"));
        }
        return Fit::Not;
    }
    for (i, (shape, blob)) in node.param_shapes.iter().zip(model.blobs(layer)).enumerate() {
        let found = Shape::new(blob.shape());
        match fit_of(shape, &found, blob.is_legacy()) {
            Fit::Same => {}
            Fit::Reshaped if fit != Fit::Not => fit = Fit::Reshaped,
            Fit::Reshaped => {}
            Fit::Not => {
                fit = Fit::Not;
                let hint = match shape.count() == found.count() {
                    true => " (as many elements: the layer has another form there)",
                    false => "",
                };
                mismatches.push(format!(
                    "  layer `{name}` ({type_name}) parameter {i} is {shape}, the file's layer `{}` ({}) has {found}{hint}",
                    layer.name, layer.type_name
                ));
            }
        }
    }
    if fit == Fit::Not {
        mismatches.push(format!("    = rename layer `{name}` to keep its own start values"));
    }
    fit
}

/// How a file's blob fits a parameter.
pub(super) fn fit_of(shape: &Shape, found: &Shape, legacy: bool) -> Fit {
    if same_shape(shape, found, legacy) {
        return Fit::Same;
    }
    // One of the two is a matrix (in old files with two leading ones), and both have as many rows.
    let matrix =
        |shape: &Shape| -> bool { shape.len() == 2 || (shape.len() == 4 && shape[..2] == [1, 1]) };
    let rows = |shape: &Shape| match shape.len() {
        4 if shape[..2] == [1, 1] => shape[2],
        0 => 1,
        _ => shape[0],
    };
    let alike = shape.len() > 1 && rows(shape) == rows(found) && shape.count() == found.count();
    match alike && (matrix(shape) || matrix(found)) {
        true => Fit::Reshaped,
        false => Fit::Not,
    }
}

/// Files of the first generations give four axes, however many the layer has: they are compared from
/// the right.
fn same_shape(shape: &Shape, found: &Shape, legacy: bool) -> bool {
    if !legacy {
        return found == shape;
    }
    let Some(extra) = found.len().checked_sub(shape.len()) else { return false };
    found[..extra].iter().all(|&d| d == 1) && found[extra..] == shape[..]
}

/// Adds what to do about files that are often mistaken for weights.
fn advised(error: Diagnostic, path: &Path) -> Diagnostic {
    let name = path.to_string_lossy();
    if name.contains(".solverstate") {
        return error.with_note(
            "this looks like a solver state; the weights are in the `.caffemodel` beside it",
        );
    }
    if name.ends_with(".prototxt") {
        return error.with_note("this looks like a definition; weights are in a `.caffemodel`");
    }
    error
}

/// Shape of a blob written into a prototxt.
pub(crate) fn shape_of(blob: &BlobProto) -> Result<Shape, String> {
    let (shape, _) = wire::blob_shape(blob).map_err(|e| e.to_string())?;
    Ok(Shape::new(&shape))
}

/// Values of a blob written into a prototxt.
pub(crate) fn values_of(blob: &BlobProto, values: &mut [f32]) -> Result<(), String> {
    let found = wire::blob_values(blob).map_err(|e| e.to_string())?;
    if found.len() != values.len() {
        return Err(format!(
            "the blob has {} values, its shape wants {}",
            found.len(),
            values.len()
        ));
    }
    values.copy_from_slice(&found);
    Ok(())
}
