//! A net without memory: wiring, shapes and parameters of a file, as far as they can be told, and
//! every mistake. Nothing is allocated for blobs, no data is opened.

use cortado_layers::{LayerDef, Shape};
use cortado_proto::caffe::{BlobShape, DummyDataParameter, LayerParameter};
use cortado_proto::{Diagnostic, NetDef};

use super::build::Builder;
use super::{Net, NetError, NetErrors, NetOptions, ParamStore, build};

/// One layer of an outline, inserted splits included.
#[derive(Clone, Debug)]
pub struct OutlineLayer {
    /// Name.
    pub name: String,
    /// Type.
    pub type_name: String,
    /// Names of the bottoms.
    pub bottoms: Vec<String>,
    /// Names and shapes of the tops.
    pub tops: Vec<(String, Shape)>,
    /// Shapes of the parameters, in blob order.
    pub params: Vec<Shape>,
}

/// What can be told of a net from its file.
#[derive(Clone, Debug, Default)]
pub struct Outline {
    /// The net's name.
    pub name: String,
    /// The layers that are right and whose bottoms are known.
    pub layers: Vec<OutlineLayer>,
    /// Warnings and notes.
    pub notes: Vec<Diagnostic>,
    /// Every mistake.
    pub errors: Vec<NetError>,
}

impl Net {
    /// Works a net out without memory. `data` says what the tops of a layer that reads data are to
    /// be; the layer then opens nothing (see [`default_shapes`]).
    pub fn outline(
        mut def: NetDef,
        options: &NetOptions,
        data: &dyn Fn(&LayerDef) -> Option<Vec<Shape>>,
    ) -> Outline {
        let mut notes = std::mem::take(&mut def.notes);
        match cortado_proto::upgrade::net(&mut def) {
            Ok(done) => notes.extend(done.into_iter().map(|what| Diagnostic::note(what, None))),
            Err(errors) => {
                let errors = NetErrors::from_proto(errors).iter().cloned().collect();
                return Outline {
                    name: def.param.name().to_owned(),
                    notes,
                    errors,
                    ..Outline::default()
                };
            }
        }
        let state = options.state.clone().and(def.param.state.as_ref());
        let mut errors = super::filter::filter(&mut def, &state);
        for layer in &mut def.layers {
            let Some(shapes) = data(layer) else { continue };
            if options.registry.get(layer.r#type()).is_none() {
                errors.push(build::unknown_type(layer, &options.registry));
            }
            let told: Vec<String> = shapes.iter().map(Shape::to_string).collect();
            let what = format!("checked without its data, as {}", told.join(" and "));
            let label = format!("layer `{}` ({})", layer.name(), layer.r#type());
            notes.push(Diagnostic::note(what, layer.place.span_of(None)).with_label(label));
            feed(layer, &shapes);
        }
        let mut builder = Builder::new(options, ParamStore::default(), notes, errors);
        builder.shapes_only = true;
        super::splits::splits(def.layers).into_iter().for_each(|layer| builder.add(layer));
        let blobs = &builder.blobs;
        let layers = builder.nodes.iter().map(|node| OutlineLayer {
            name: node.def.name().to_owned(),
            type_name: node.def.r#type().to_owned(),
            bottoms: node.bottoms.iter().map(|&b| blobs[b].name.clone()).collect(),
            tops: node
                .tops
                .iter()
                .map(|&b| (blobs[b].name.clone(), blobs[b].shape.clone()))
                .collect(),
            params: node.param_shapes.clone(),
        });
        Outline {
            name: def.param.name().to_owned(),
            layers: layers.collect(),
            notes: builder.notes,
            errors: builder.errors,
        }
    }
}

/// Turns a layer that reads data into one that only has shapes; one that writes data into one that
/// swallows it.
fn feed(layer: &mut LayerDef, shapes: &[Shape]) {
    let LayerParameter { name, bottom, top, .. } = std::mem::take(&mut layer.param);
    let type_name = if top.is_empty() { "Silence" } else { "DummyData" };
    let shape = shapes.iter().map(|s| BlobShape { dim: s.iter().map(|&d| d as i64).collect() });
    layer.extensions.clear();
    layer.param = LayerParameter {
        name,
        r#type: Some(type_name.to_owned()),
        dummy_data_param: (!top.is_empty())
            .then(|| DummyDataParameter { shape: shape.collect(), ..Default::default() }),
        bottom: if top.is_empty() { bottom } else { Vec::new() },
        top,
        ..LayerParameter::default()
    };
}

/// Shapes of what a layer that reads data makes, from its own fields where they say (batch_size,
/// crop_size, new_height and new_width), else 3×224×224, or what the name of the source tells (MNIST,
/// CIFAR). `given` overrides the shape of the first top. `None` for other layers, and for those whose
/// shapes need no data.
pub fn default_shapes(layer: &LayerDef, given: Option<&Shape>) -> Option<Vec<Shape>> {
    let name = layer.r#type();
    if name == "HDF5Output" {
        return Some(Vec::new());
    }
    let reads = name.ends_with("Data") || name == "ImageFolder";
    let reads = reads && layer.bottom.is_empty();
    if !reads || matches!(name, "DummyData" | "MemoryData") {
        return None;
    }
    let data = layer.data_param.clone().unwrap_or_default();
    let image = layer.image_data_param.clone().unwrap_or_default();
    let window = layer.window_data_param.clone().unwrap_or_default();
    let hdf5 = layer.hdf5_data_param.clone().unwrap_or_default();
    let transform = layer.transform_param.clone().unwrap_or_default();
    let positive = |values: &[u32]| values.iter().copied().find(|&v| v > 0).map(|v| v as usize);
    let batches = [data.batch_size, image.batch_size, window.batch_size, hdf5.batch_size];
    let batch = positive(&batches.map(Option::unwrap_or_default)).unwrap_or(1);
    let sources = [data.source(), image.source(), hdf5.source()].concat().to_lowercase();
    let mnist = sources.contains("mnist") || sources.contains("idx3-ubyte");
    let usual = match () {
        () if mnist => 28,
        () if sources.contains("cifar") => 32,
        () => 224,
    };
    let crop = [transform.crop_size(), window.crop_size(), data.crop_size(), image.crop_size()];
    let resized = [image.new_height(), image.new_width()].map(|v| positive(&[v]));
    let side = |axis: usize| positive(&crop).or(resized[axis]).unwrap_or(usual);
    let grey = mnist || transform.force_gray() || (image.is_color.is_some() && !image.is_color());
    let first = match given {
        Some(shape) => shape.clone(),
        None => Shape::new(&[batch, if grey { 1 } else { 3 }, side(0), side(1)]),
    };
    let batch = first.first().copied().unwrap_or(1);
    let label = match name {
        "AnnotatedData" => Shape::new(&[1, 1, 1, 8]),
        "DenseImageData" if first.len() == 4 => Shape::new(&[batch, 1, first[2], first[3]]),
        _ => Shape::new(&[batch]),
    };
    let rest = layer.top.len().saturating_sub(1);
    Some(std::iter::once(first).chain(std::iter::repeat_n(label, rest)).collect())
}
