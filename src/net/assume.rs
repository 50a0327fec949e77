//! What data that is not there is taken to be, so that a net can be checked without it.

use cortado_layers::common::python_shapes;
use cortado_layers::{LayerDef, Shape};

/// Shapes that the user gives for data that is not there.
#[derive(Clone, Debug, Default)]
pub struct Assumed {
    /// Of the first top of every layer that reads data.
    pub first: Option<Shape>,
    /// Of the blob of a name.
    pub blobs: Vec<(String, Shape)>,
}

impl Assumed {
    /// What is given of a layer's first top.
    fn of_first(&self, layer: &LayerDef) -> Option<&Shape> {
        let named = self.blobs.iter().find(|(name, _)| layer.top.first() == Some(name));
        named.map(|(_, shape)| shape).or(self.first.as_ref())
    }

    fn replace(&self, layer: &LayerDef, mut shapes: Vec<Shape>) -> Vec<Shape> {
        for (top, shape) in layer.top.iter().zip(&mut shapes) {
            if let Some((_, given)) = self.blobs.iter().find(|(name, _)| name == top) {
                shape.clone_from(given);
            }
        }
        shapes
    }
}

/// Shapes of what a layer that reads data makes, from its own fields where they say (batch_size,
/// crop_size, new_height and new_width), else 3×224×224, or what the name of the source tells (MNIST,
/// CIFAR). `given` overrides. `None` for other layers, and for those whose
/// shapes need no data.
pub fn default_shapes(layer: &LayerDef, given: &Assumed) -> Option<Vec<Shape>> {
    let name = layer.r#type();
    if name == "HDF5Output" {
        return Some(Vec::new());
    }
    let reads = name.ends_with("Data") || matches!(name, "Python" | "ImageFolder");
    let reads = reads && layer.bottom.is_empty();
    if !reads || layer.top.is_empty() || matches!(name, "DummyData" | "MemoryData") {
        return None;
    }
    let class = layer.python_param.as_ref().map_or("", |p| p.layer());
    if let Some(shapes) = python_shapes::of_data(layer) {
        return Some(given.replace(layer, shapes));
    }
    let data = layer.data_param.clone().unwrap_or_default();
    let image = layer.image_data_param.clone().unwrap_or_default();
    let dense = layer.dense_image_data_param.clone().unwrap_or_default();
    let window = layer.window_data_param.clone().unwrap_or_default();
    let hdf5 = layer.hdf5_data_param.clone().unwrap_or_default();
    let transform = layer.transform_param.clone().unwrap_or_default();
    let positive = |values: &[u32]| values.iter().copied().find(|&v| v > 0).map(|v| v as usize);
    let batches =
        [data.batch_size, image.batch_size, window.batch_size, hdf5.batch_size, dense.batch_size];
    let batch = positive(&batches.map(Option::unwrap_or_default)).unwrap_or(1);
    let sources = [data.source(), image.source(), hdf5.source()].concat().to_lowercase();
    let mnist = sources.contains("mnist") || sources.contains("idx3-ubyte");
    let usual = match () {
        () if mnist => [28; 2],
        () if sources.contains("cifar") => [32; 2],
        // The street scenes of CamVid.
        () if name == "DenseImageData" => [360, 480],
        () => [224; 2],
    };
    let crop = [transform.crop_size(), window.crop_size(), data.crop_size(), image.crop_size()];
    let boxes = transform.resize_param.first().cloned().unwrap_or_default();
    let resized = [
        [dense.crop_height(), dense.new_height(), image.new_height(), boxes.height()],
        [dense.crop_width(), dense.new_width(), image.new_width(), boxes.width()],
    ]
    .map(|lengths| positive(&lengths));
    let side = |axis: usize| positive(&crop).or(resized[axis]).unwrap_or(usual[axis]);
    // A data set of labels alone is a picture of one channel.
    let labels = layer.top.len() == 1 && is_labels(&layer.top[0]);
    let grey = mnist || transform.force_gray() || (image.is_color.is_some() && !image.is_color());
    let channels = match () {
        () if sources.contains("siamese") => 2,
        () if grey || labels => 1,
        () => 3,
    };
    let first = match given.of_first(layer) {
        Some(shape) => shape.clone(),
        None => Shape::new(&[batch, channels, side(0), side(1)]),
    };
    let batch = first.first().copied().unwrap_or(1);
    let is_map = matches!(name, "DenseImageData" | "ImageLabelmapData");
    let label = match name {
        "AnnotatedData" => Shape::new(&[1, 1, 1, 8]),
        _ if (is_map || class.contains("Seg")) && first.len() == 4 => {
            Shape::new(&[batch, 1, first[2], first[3]])
        }
        _ => Shape::new(&[batch]),
    };
    // Further pictures of one class: colour and depth, beside their labels.
    let other = |top: &String| match class.contains("Seg") && !is_labels(top) && layer.top.len() > 2
    {
        true if matches!(top.as_str(), "sem" | "geo") => label.clone(),
        true => first.clone(),
        false => label.clone(),
    };
    let shapes = std::iter::once(first.clone()).chain(layer.top.iter().skip(1).map(other));
    Some(given.replace(layer, shapes.collect()))
}

/// Whether a blob of this name holds labels.
fn is_labels(name: &str) -> bool {
    let name = name.to_lowercase();
    ["label", "mask", "gt", "truth"].iter().any(|part| name.contains(part))
}
