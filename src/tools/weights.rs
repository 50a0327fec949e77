//! Looking into files of trained weights, and changing them: binary models, and HDF5 where nothing
//! is changed.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use cortado_layers::Shape;
use cortado_proto::ErrorKind;
use cortado_proto::wire::{Model, ModelLayer, renew_seal, write_file};

use super::ToolError;
use super::npy::Array;
use crate::hdf5;

/// One blob of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightBlob {
    /// Name of its layer.
    pub layer: String,
    /// Which of the layers of that name in the file: 0 for the first, mostly the only one.
    pub twin: usize,
    /// Type of its layer; empty where the file names none.
    pub type_name: String,
    /// Its number in the layer.
    pub index: usize,
    /// Extent of each axis.
    pub shape: Vec<usize>,
    /// The values.
    pub data: Vec<f32>,
}

impl WeightBlob {
    /// `conv1/0`; `conv1#1/0` in the second layer of that name.
    pub fn name(&self) -> String {
        format!("{}/{}", twin_name(&self.layer, self.twin), self.index)
    }

    fn is_of(&self, layer: &str) -> bool {
        self.layer == layer || twin_name(&self.layer, self.twin) == layer
    }

    /// Its numbers in short.
    pub fn statistics(&self) -> Statistics {
        Statistics::of(&self.data)
    }
}

fn twin_name(layer: &str, twin: usize) -> String {
    match twin {
        0 => layer.to_owned(),
        _ => format!("{layer}#{twin}"),
    }
}

/// Numbers in short.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Statistics {
    /// The smallest.
    pub min: f32,
    /// The largest.
    pub max: f32,
    /// The mean.
    pub mean: f64,
    /// Their standard deviation.
    pub std: f64,
    /// How many are zero.
    pub zeros: usize,
    /// How many are no finite number.
    pub not_finite: usize,
}

impl Statistics {
    fn of(data: &[f32]) -> Statistics {
        let finite = || data.iter().copied().filter(|value| value.is_finite());
        let count = finite().count().max(1) as f64;
        let mean = finite().map(f64::from).sum::<f64>() / count;
        let variance = finite().map(|value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count;
        let not_finite = data.len() - finite().count();
        if data.len() == not_finite {
            return Statistics { not_finite, ..Statistics::default() };
        }
        Statistics {
            min: finite().fold(f32::INFINITY, f32::min),
            max: finite().fold(f32::NEG_INFINITY, f32::max),
            mean,
            std: variance.sqrt(),
            zeros: data.iter().filter(|&&value| value == 0.0).count(),
            not_finite,
        }
    }
}

/// All blobs of a file, in its order.
///
/// # Errors
/// It can't be read, or holds no weights.
pub fn read(path: &Path) -> Result<Vec<WeightBlob>, ToolError> {
    if hdf5::is_hdf5(path) {
        return read_hdf5(path).map_err(ToolError);
    }
    let model = open(path)?;
    let mut blobs = Vec::new();
    for (twin, layer) in numbered(&model) {
        for (index, blob) in model.blobs(layer).enumerate() {
            let data = blob.to_vec().map_err(|e| {
                ToolError(format!("`{}`, layer `{}`: {e}", path.display(), layer.name))
            })?;
            blobs.push(WeightBlob {
                layer: layer.name.clone(),
                twin,
                type_name: layer.type_name.clone(),
                index,
                shape: blob.shape().to_vec(),
                data,
            });
        }
    }
    match blobs.is_empty() {
        true => Err(ToolError(format!("`{}` holds no weights", path.display()))),
        false => Ok(blobs),
    }
}

fn open(path: &Path) -> Result<Model, ToolError> {
    let shown = path.display();
    if hdf5::is_hdf5(path) {
        return Err(ToolError(format!(
            "`{shown}` is an HDF5 file: its weights are read, but only binary models are changed"
        )));
    }
    Model::open(path).map_err(|e| {
        ToolError(match &e.kind {
            ErrorKind::Wire { .. } | ErrorKind::Limit { .. } => format!("`{shown}`: {e}"),
            _ => e.to_string(),
        })
    })
}

/// The layers with blobs, each with its number among those of its name.
fn numbered(model: &Model) -> impl Iterator<Item = (usize, &ModelLayer)> {
    let mut twins = HashMap::new();
    model.layers.iter().filter(|layer| !layer.blobs.is_empty()).map(move |layer| {
        let next: &mut usize = twins.entry(layer.name.as_str()).or_default();
        *next += 1;
        (*next - 1, layer)
    })
}

fn read_hdf5(path: &Path) -> Result<Vec<WeightBlob>, String> {
    let file = hdf5::Reader::open(path)?;
    if !file.has_group("data") {
        return Err(format!("`{}` holds no weights: it has no group `data`", path.display()));
    }
    let mut blobs = Vec::new();
    // A layer's name may hold slashes: groups within groups.
    let mut groups = vec![String::new()];
    while let Some(layer) = groups.pop() {
        let group = match layer.is_empty() {
            true => "data".to_owned(),
            false => format!("data/{layer}"),
        };
        let (inner, arrays) = file.names(&group)?;
        for name in arrays {
            let (shape, data) = file.read(&format!("{group}/{name}"))?;
            let index = name.parse().map_err(|_| {
                format!(
                    "`{}` names a blob of `{layer}` `{name}`; a number is wanted",
                    path.display()
                )
            })?;
            let type_name = String::new();
            blobs.push(WeightBlob {
                layer: layer.clone(),
                twin: 0,
                type_name,
                index,
                shape: shape.to_vec(),
                data,
            });
        }
        let slash = if layer.is_empty() { "" } else { "/" };
        groups.extend(inner.iter().rev().map(|name| format!("{layer}{slash}{name}")));
    }
    Ok(blobs)
}

/// How the blobs of two files differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// `conv1/0`
    pub name: String,
    /// In what.
    pub kind: DifferenceKind,
}

/// In what two blobs of the same name differ.
#[derive(Clone, Debug, PartialEq)]
pub enum DifferenceKind {
    /// Only the first file has it.
    OnlyFirst,
    /// Only the second file has it.
    OnlySecond,
    /// Their shapes.
    Shape(Vec<usize>, Vec<usize>),
    /// Their values: the largest difference, its place, how many differ.
    Values {
        /// The largest difference; not finite where one value is none and the other is.
        largest: f32,
        /// The place of the largest.
        at: usize,
        /// How many differ by more than was allowed.
        count: usize,
    },
}

/// Compares two files blob by blob; values that differ by up to `tolerance` count as the same.
pub fn diff(first: &[WeightBlob], second: &[WeightBlob], tolerance: f32) -> Vec<Difference> {
    let mut found = Vec::new();
    for blob in first {
        let kind = match counterpart(second, blob) {
            None => Some(DifferenceKind::OnlyFirst),
            Some(other) if other.shape != blob.shape => {
                Some(DifferenceKind::Shape(blob.shape.clone(), other.shape.clone()))
            }
            Some(other) => differing(&blob.data, &other.data, tolerance),
        };
        found.extend(kind.map(|kind| Difference { name: blob.name(), kind }));
    }
    let only = second.iter().filter(|blob| counterpart(first, blob).is_none());
    let only_second =
        |blob: &WeightBlob| Difference { name: blob.name(), kind: DifferenceKind::OnlySecond };
    found.extend(only.map(only_second));
    found
}

/// The blob that has the place of `blob` in another file.
fn counterpart<'a>(blobs: &'a [WeightBlob], blob: &WeightBlob) -> Option<&'a WeightBlob> {
    let place = |blob: &'a WeightBlob| (blob.index, blob.twin, &blob.layer);
    blobs.iter().find(|other| place(other) == (blob.index, blob.twin, &blob.layer))
}

fn differing(first: &[f32], second: &[f32], tolerance: f32) -> Option<DifferenceKind> {
    let (mut largest, mut place, mut count) = (0f32, 0, 0);
    for (at, (&a, &b)) in first.iter().zip(second).enumerate() {
        let same = a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
        let difference = if same { 0.0 } else { (a - b).abs() };
        if !(difference <= tolerance) {
            count += 1;
            // A difference that is no number stays the largest.
            if !(difference <= largest) && !largest.is_nan() {
                (largest, place) = (difference, at);
            }
        }
    }
    (count > 0).then_some(DifferenceKind::Values { largest, at: place, count })
}

/// Blobs as arrays for `.npz` and `.safetensors`; of one layer (by its name of all, or of one of them
/// as [`WeightBlob::name`] has it), or of all.
///
/// # Errors
/// The file has no such layer, or two blobs get one name.
pub fn arrays(blobs: Vec<WeightBlob>, layer: Option<&str>) -> Result<Vec<Array>, ToolError> {
    let wanted = |blob: &WeightBlob| layer.is_none_or(|layer| blob.is_of(layer));
    if let Some(layer) = layer
        && !blobs.iter().any(wanted)
    {
        let names = blobs.iter().map(|blob| blob.layer.as_str());
        let near = cortado_proto::schema::similar(layer, names);
        let near = near.first().map_or(String::new(), |name| format!("; similar: `{name}`"));
        return Err(ToolError(format!("no layer `{layer}` has weights{near}")));
    }
    let array = |blob: WeightBlob| Array { name: blob.name(), shape: blob.shape, data: blob.data };
    let arrays: Vec<Array> = blobs.into_iter().filter(wanted).map(array).collect();
    let mut names = HashSet::new();
    match arrays.iter().find(|array| !names.insert(&array.name)) {
        None => Ok(arrays),
        Some(Array { name, .. }) => Err(ToolError(format!("two arrays would be named `{name}`"))),
    }
}

/// Writes the file with other values in one blob; everything else stays byte for byte. The layer is
/// named as in [`WeightBlob::name`].
///
/// # Errors
/// There is no such blob, or it has another number of values.
pub fn replace(
    path: &Path,
    layer: &str,
    index: usize,
    values: &Array,
    to: &Path,
) -> Result<(), ToolError> {
    let model = open(path)?;
    let shown = path.display();
    let mut named = numbered(&model).filter(|(twin, found)| twin_name(&found.name, *twin) == layer);
    let (_, entry) = named
        .next()
        .ok_or_else(|| ToolError(format!("`{shown}` has no layer `{layer}` with weights")))?;
    if named.next().is_some() {
        return Err(ToolError(format!("`{shown}` has two layers that `{layer}` may stand for")));
    }
    let blob = entry.blobs.get(index).ok_or_else(|| {
        ToolError(format!("layer `{layer}` has {} blobs, there is no {index}", entry.blobs.len()))
    })?;
    if blob.shape.iter().product::<usize>() != values.data.len() {
        let (has, given) = (Shape::new(&blob.shape), Shape::new(&values.shape));
        return Err(ToolError(format!("blob {layer}/{index} is {has}, the values are {given}")));
    }
    let mut bytes = model.bytes().to_vec();
    blob.overwrite(&mut bytes, &values.data).map_err(|e| ToolError(e.to_string()))?;
    save(to, &mut bytes)
}

fn save(to: &Path, bytes: &mut [u8]) -> Result<(), ToolError> {
    renew_seal(bytes);
    write_file(to, |out| out.write_all(bytes)).map_err(|e| ToolError(e.to_string()))
}

/// Writes the mean of several files of one net: the first one with other values.
///
/// # Errors
/// One lacks a blob of the first, or has it in another shape.
pub fn average(paths: &[&Path], to: &Path) -> Result<(), ToolError> {
    let Some((&first, others)) = paths.split_first() else {
        return Err(ToolError("at least one file must be given".to_owned()));
    };
    let model = open(first)?;
    let like = read(first)?;
    let mut sums: Vec<Vec<f64>> =
        like.iter().map(|blob| blob.data.iter().map(|&v| v.into()).collect()).collect();
    for &path in others {
        let blobs = read(path)?;
        let different = diff(&like, &blobs, f32::INFINITY)
            .into_iter()
            .find(|different| !matches!(different.kind, DifferenceKind::Values { .. }));
        if let Some(different) = different {
            return Err(ToolError(format!(
                "`{}` and `{}` are of different nets: {different}",
                first.display(),
                path.display()
            )));
        }
        for (sum, blob) in sums.iter_mut().zip(&like) {
            let values = counterpart(&blobs, blob).map_or(&[][..], |other| &other.data);
            sum.iter_mut().zip(values).for_each(|(sum, &value)| *sum += f64::from(value));
        }
    }
    let mut bytes = model.bytes().to_vec();
    let entries = model.layers.iter().flat_map(|layer| &layer.blobs);
    for (entry, sum) in entries.zip(sums) {
        let mean: Vec<f32> = sum.iter().map(|sum| (sum / paths.len() as f64) as f32).collect();
        entry.overwrite(&mut bytes, &mean).map_err(|e| ToolError(e.to_string()))?;
    }
    save(to, &mut bytes)
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = &self.name;
        match &self.kind {
            DifferenceKind::OnlyFirst => write!(f, "{name} is in the first file only"),
            DifferenceKind::OnlySecond => write!(f, "{name} is in the second file only"),
            DifferenceKind::Shape(a, b) => {
                write!(
                    f,
                    "{name} is {} in the first file, {} in the second",
                    Shape::new(a),
                    Shape::new(b)
                )
            }
            DifferenceKind::Values { largest, at, count } => {
                write!(f, "{name} differs in {count} values, by up to {largest:e} (at {at})")
            }
        }
    }
}
