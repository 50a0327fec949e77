//! A net without memory: wiring, shapes and parameters of a file, as far as they can be told, and
//! every mistake. Nothing is allocated for blobs, no data is opened.

use std::collections::{HashMap, HashSet};

use cortado_layers::common::{python, python_shapes};
use cortado_layers::{At, LayerDef, Phase, Shape};
use cortado_proto::caffe::{BlobShape, DummyDataParameter, LayerParameter};
use cortado_proto::{Diagnostic, NetDef, Severity};

use super::build::Builder;
use super::check::wanted_gradients;
use super::{Net, NetError, NetErrorKind, NetErrors, NetOptions, NetState, ParamStore, build};

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
        let (options, state, mut errors) = match prepared(&mut def, options, &mut notes) {
            Ok(prepared) => prepared,
            Err(errors) => {
                let errors = errors.iter().cloned().collect();
                let name = def.param.name().to_owned();
                return Outline { name, notes, errors, ..Outline::default() };
            }
        };
        notes.extend(super::unused::of_net(&def));
        let fed = feed_all(&mut def, &options, data, &mut notes, &mut errors);
        let mut builder = Builder::new(&options, ParamStore::default(), notes, errors);
        builder.shapes_only = true;
        let wires: Vec<Wires> = def.layers.iter().map(Wires::of).collect();
        super::splits::splits(def.layers).into_iter().for_each(|layer| builder.add(layer));
        if options.gradients && state.phase == Phase::Train {
            let force = def.param.force_backward();
            let (_, errors) = wanted_gradients(&mut builder.nodes, &builder.blobs, force);
            builder.errors.extend(errors);
        }
        let sources = match builder.errors.is_empty() {
            true => HashMap::new(),
            false => sources(&wires, &fed),
        };
        for error in &mut builder.errors {
            let wires = wires.iter().find(|w| error.layer.as_ref() == Some(&w.name));
            wires.iter().for_each(|wires| assumed(error, &fed, &sources, wires));
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

impl Net {
    /// Builds a net whose data is not there: as [`Net::outline`], but whole.
    ///
    /// # Errors
    /// All mistakes of the net.
    pub fn without_data(
        mut def: NetDef,
        options: &NetOptions,
        data: &dyn Fn(&LayerDef) -> Option<Vec<Shape>>,
    ) -> Result<Net, NetErrors> {
        let mut notes = std::mem::take(&mut def.notes);
        let (options, _, mut errors) = prepared(&mut def, options, &mut notes)?;
        feed_all(&mut def, &options, data, &mut notes, &mut errors);
        NetErrors::check(errors)?;
        def.notes = notes;
        Net::build(def, &options)
    }
}

/// Brings a net into today's form and leaves the layers of its state; the types that it may have here, its
/// state, and what is wrong with its rules.
fn prepared(
    def: &mut NetDef,
    options: &NetOptions,
    notes: &mut Vec<Diagnostic>,
) -> Result<(NetOptions, NetState, Vec<NetError>), NetErrors> {
    let upgraded = cortado_proto::upgrade::net(def).map_err(NetErrors::from_proto)?;
    notes.extend(upgraded.into_iter().map(|what| Diagnostic::note(what, None)));
    let state = options.state.clone().and(def.param.state.as_ref());
    let errors = super::filter::filter(def, &state);
    let registry = options.registry.clone().with(&python_shapes::KIND);
    Ok((NetOptions { registry, ..options.clone() }, state, errors))
}

/// A layer whose data is not there: its type, its tops and what they are taken to be.
struct Fed {
    type_name: String,
    tops: Vec<(String, Shape)>,
}

/// Turns every layer that reads or writes data into one that only has shapes; those that read.
fn feed_all(
    def: &mut NetDef,
    options: &NetOptions,
    data: &dyn Fn(&LayerDef) -> Option<Vec<Shape>>,
    notes: &mut Vec<Diagnostic>,
    errors: &mut Vec<NetError>,
) -> Vec<Fed> {
    let read: HashSet<String> = def.layers.iter().flat_map(|l| l.bottom.clone()).collect();
    let mut fed = Vec::new();
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
        match options.registry.get(layer.r#type()) {
            None => errors.push(build::unknown_type(layer, &options.registry)),
            // The shapes can be told all the same.
            Some(kind) if !is_python => notes.extend((kind.build)(layer).err().map(|e| {
                let refused = NetError::from_layer(layer, e).diagnostic();
                Diagnostic { severity: Severity::Warning, ..refused }
                    .with_note("the layer will not read its data so")
            })),
            Some(_) => {}
        }
        if !shapes.is_empty() {
            let told: Vec<String> = shapes.iter().map(Shape::to_string).collect();
            let what = format!("checked without its data, as {}", told.join(" and "));
            notes.push(about(layer, Diagnostic::note(what, layer.place.span_of(None))));
            let tops = layer.top.iter().cloned().zip(shapes.iter().cloned()).collect();
            fed.push(Fed { type_name: layer.r#type().to_owned(), tops });
        }
        feed(layer, &shapes);
    }
    fed
}

/// What a layer reads and makes.
struct Wires {
    name: String,
    bottoms: Vec<String>,
    tops: Vec<String>,
}

impl Wires {
    fn of(layer: &LayerDef) -> Wires {
        Wires {
            name: layer.name().to_owned(),
            bottoms: layer.bottom.clone(),
            tops: layer.top.clone(),
        }
    }

    /// The sources of all bottoms, each once.
    fn sources(&self, from: &HashMap<String, Vec<String>>) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for source in self.bottoms.iter().filter_map(|bottom| from.get(bottom)).flatten() {
            if !all.contains(source) {
                all.push(source.clone());
            }
        }
        all
    }
}

/// By blob: the blobs of data that is not there, from which it is made.
fn sources(layers: &[Wires], fed: &[Fed]) -> HashMap<String, Vec<String>> {
    let assumed = fed.iter().flat_map(|fed| &fed.tops).map(|(top, _)| top);
    let mut from: HashMap<String, Vec<String>> =
        assumed.map(|top| (top.clone(), vec![top.clone()])).collect();
    for layer in layers.iter().filter(|layer| !layer.bottoms.is_empty()) {
        let all = layer.sources(&from);
        layer.tops.iter().for_each(|top| drop(from.insert(top.clone(), all.clone())));
    }
    from
}

/// Tells of a mistake in shapes which of them the file does not say.
fn assumed(
    error: &mut NetError,
    fed: &[Fed],
    sources: &HashMap<String, Vec<String>>,
    wires: &Wires,
) {
    let NetErrorKind::Layer(found) = &error.kind else { return };
    // What stands in the fields alone is wrong whatever the data is.
    let bottom = match found.at {
        At::Bottom(i) => wires.bottoms.get(i).cloned(),
        _ if error.notes.iter().any(|note| note.starts_with(WAY)) => wires.bottoms.first().cloned(),
        _ => return,
    };
    // The chains of shapes name the layers that stand in.
    for Fed { type_name, tops } in fed {
        for (top, shape) in tops {
            let (stand_in, own) =
                (format!("`{top}` {shape} (DummyData)"), format!("`{top}` {shape} ({type_name})"));
            error.notes.iter_mut().for_each(|note| *note = note.replace(&stand_in, &own));
        }
    }
    let names = wires.sources(sources);
    let nearest = bottom.and_then(|bottom| sources.get(&bottom)?.last());
    let Some(nearest) = nearest.or(names.last()) else { return };
    let shapes: Vec<String> = (fed.iter().flat_map(|fed| &fed.tops))
        .filter(|(top, _)| names.contains(top))
        .map(|(top, shape)| format!("`{top}` {shape}"))
        .collect();
    error.notes.push(format!(
        "taken to be so, since the data is not looked at: {}; `--assume-shape {nearest}=NxCxHxW` \
         says what it is",
        shapes.join(", ")
    ));
}

/// How the chains of shapes begin.
const WAY: &str = "shapes on the way";

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
