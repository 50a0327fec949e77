//! Looking into files of trained weights, and changing them: binary models, and HDF5 where nothing
//! is changed.

use std::path::Path;

use cortado_layers::Shape;
use cortado_proto::wire::{Model, renew_seal, write_file};

use super::ToolError;
use super::npy::Array;
use crate::hdf5;

/// One blob of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightBlob {
    /// Name of its layer.
    pub layer: String,
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
    /// `conv1/0`
    pub fn name(&self) -> String {
        format!("{}/{}", self.layer, self.index)
    }

    /// Its numbers in short.
    pub fn statistics(&self) -> Statistics {
        Statistics::of(&self.data)
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
    for layer in &model.layers {
        for (index, blob) in model.blobs(layer).enumerate() {
            let data = blob.to_vec().map_err(|e| {
                ToolError(format!("`{}`, layer `{}`: {e}", path.display(), layer.name))
            })?;
            blobs.push(WeightBlob {
                layer: layer.name.clone(),
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
    Model::open(path).map_err(|e| ToolError(e.to_string()))
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
    let find = |blobs: &'_ [WeightBlob], name: &str| blobs.iter().position(|b| b.name() == name);
    let mut found = Vec::new();
    for blob in first {
        let name = blob.name();
        let kind = match find(second, &name).map(|at| &second[at]) {
            None => Some(DifferenceKind::OnlyFirst),
            Some(other) if other.shape != blob.shape => {
                Some(DifferenceKind::Shape(blob.shape.clone(), other.shape.clone()))
            }
            Some(other) => differing(&blob.data, &other.data, tolerance),
        };
        found.extend(kind.map(|kind| Difference { name, kind }));
    }
    let only = second.iter().map(WeightBlob::name).filter(|name| find(first, name).is_none());
    found.extend(only.map(|name| Difference { name, kind: DifferenceKind::OnlySecond }));
    found
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

/// Blobs as arrays for `.npz` and `.safetensors`; of one layer, or of all.
///
/// # Errors
/// The file has no such layer.
pub fn arrays(blobs: Vec<WeightBlob>, layer: Option<&str>) -> Result<Vec<Array>, ToolError> {
    let wanted = |blob: &WeightBlob| layer.is_none_or(|layer| layer == blob.layer);
    if let Some(layer) = layer
        && !blobs.iter().any(wanted)
    {
        let names = blobs.iter().map(|blob| blob.layer.as_str());
        let near = cortado_proto::schema::similar(layer, names);
        let near = near.first().map_or(String::new(), |name| format!("; similar: `{name}`"));
        return Err(ToolError(format!("no layer `{layer}` has weights{near}")));
    }
    let array = |blob: WeightBlob| Array { name: blob.name(), shape: blob.shape, data: blob.data };
    Ok(blobs.into_iter().filter(wanted).map(array).collect())
}

/// Writes the file with other values in one blob; everything else stays byte for byte.
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
    let entry = model
        .layers
        .iter()
        .find(|candidate| candidate.name == layer && !candidate.blobs.is_empty())
        .ok_or_else(|| ToolError(format!("`{shown}` has no layer `{layer}` with weights")))?;
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
        if let Some(different) = diff(&like, &blobs, f32::INFINITY).first()
            && !matches!(different.kind, DifferenceKind::Values { .. })
        {
            return Err(ToolError(format!(
                "`{}` and `{}` are of different nets: {different}",
                first.display(),
                path.display()
            )));
        }
        for (sum, blob) in sums.iter_mut().zip(&like) {
            let same = blobs.iter().find(|other| other.name() == blob.name());
            let values = same.map_or(&[][..], |other| &other.data);
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
