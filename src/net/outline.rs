//! A net without memory: wiring, shapes and parameters of a file, as far as they can be told, and
//! every mistake. Nothing is allocated for blobs, no data is opened.

use std::collections::HashSet;

use cortado_layers::common::{python, python_shapes};
use cortado_layers::{LayerDef, Phase, Shape};
use cortado_proto::caffe::{BlobShape, DummyDataParameter, LayerParameter};
use cortado_proto::{Diagnostic, NetDef};

use super::build::Builder;
use super::check::wanted_gradients;
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
    /// be; the layer then opens nothing (see [`super::default_shapes`]).
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
        let registry = options.registry.clone().with(&python_shapes::KIND);
        let options = &NetOptions { registry, ..options.clone() };
        let read: HashSet<String> = def.layers.iter().flat_map(|l| l.bottom.clone()).collect();
        for layer in &mut def.layers {
            let is_python = layer.r#type() == "Python" && !python::runs(layer);
            if is_python {
                notes.push(code(layer));
            }
            // What nobody reads may have any shape.
            let unread = || {
                let known = !is_python || python_shapes::knows(layer);
                !known && !layer.top.iter().any(|top| read.contains(top))
            };
            let Some(shapes) = data(layer).or_else(|| unread().then(Vec::new)) else { continue };
            if options.registry.get(layer.r#type()).is_none() {
                errors.push(build::unknown_type(layer, &options.registry));
            }
            if !shapes.is_empty() {
                let told: Vec<String> = shapes.iter().map(Shape::to_string).collect();
                let what = format!("checked without its data, as {}", told.join(" and "));
                notes.push(about(layer, Diagnostic::note(what, layer.place.span_of(None))));
            }
            feed(layer, &shapes);
        }
        let mut builder = Builder::new(options, ParamStore::default(), notes, errors);
        builder.shapes_only = true;
        super::splits::splits(def.layers).into_iter().for_each(|layer| builder.add(layer));
        if options.gradients && state.phase == Phase::Train {
            let force = def.param.force_backward();
            let (_, errors) = wanted_gradients(&mut builder.nodes, &builder.blobs, force);
            builder.errors.extend(errors);
        }
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

fn about(layer: &LayerDef, diagnostic: Diagnostic) -> Diagnostic {
    diagnostic.with_label(format!("layer `{}` ({})", layer.name(), layer.r#type()))
}

/// A Python layer has shapes here, but does not run.
fn code(layer: &LayerDef) -> Diagnostic {
    let param = layer.python_param.clone().unwrap_or_default();
    let what = format!(
        "the class `{}` of the Python module `{}`: only its shapes are checked",
        param.layer(),
        param.module()
    );
    about(layer, Diagnostic::warning(what, layer.place.span_of(Some("python_param"))))
}

/// Turns a layer that reads data into one that only has shapes; one that writes data into one that
/// swallows it.
fn feed(layer: &mut LayerDef, shapes: &[Shape]) {
    let LayerParameter { name, bottom, top, .. } = std::mem::take(&mut layer.param);
    let type_name = if shapes.is_empty() { "Silence" } else { "DummyData" };
    let shape = shapes.iter().map(|s| BlobShape { dim: s.iter().map(|&d| d as i64).collect() });
    layer.extensions.clear();
    layer.param = LayerParameter {
        name,
        r#type: Some(type_name.to_owned()),
        dummy_data_param: (!shapes.is_empty())
            .then(|| DummyDataParameter { shape: shape.collect(), ..Default::default() }),
        bottom: if shapes.is_empty() { bottom } else { Vec::new() },
        top: if shapes.is_empty() { Vec::new() } else { top },
        ..LayerParameter::default()
    };
}
