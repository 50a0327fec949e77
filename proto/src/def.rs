//! A net and a solver as the other rooms use them: the messages, and where everything stands.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::Arc;

use crate::caffe::{LayerParameter, NetParameter, SolverParameter};
use crate::error::{Diagnostic, Error, Errors};
use crate::read::absent;
use crate::schema;
use crate::span::{Located, Source};
use crate::text::{self, Extension, FieldSpan, SpanMap, UnknownField};

/// How a layer came into the net.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Origin {
    /// It stands in a file.
    File,
    /// It was put in so that several layers can read this blob.
    Split(String),
    /// An upgrade of an older form made it; what was upgraded.
    Upgrade(String),
    /// A program built it.
    #[default]
    Code,
}

/// Where a layer (or a whole net) stands, for messages. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Place {
    origin: Origin,
    path: String,
    spans: Option<SpanMap>,
}

impl Place {
    /// Of something a program built.
    pub fn code() -> Place {
        Place::default()
    }

    pub(crate) fn in_file(spans: &SpanMap, path: impl Into<String>) -> Place {
        Place { origin: Origin::File, path: path.into(), spans: Some(spans.clone()) }
    }

    /// The same spot in the text for something made from it, e.g. a split behind this layer.
    pub fn derived(&self, origin: Origin) -> Place {
        Place { origin, ..self.clone() }
    }

    /// How it came into the net.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Where a field stands, e.g. `convolution_param.kernel_size` or `bottom[1]`; the nearest block
    /// around it when it is not in the text; the layer itself for `None`.
    pub fn span_of(&self, field: Option<&str>) -> Option<Located> {
        let spans = self.spans.as_ref()?;
        spans.nearest(&self.join(field.unwrap_or("")))
    }

    /// Where exactly this field stands; the message itself for an empty path; `None` when it is not
    /// in the text.
    pub fn field(&self, path: &str) -> Option<FieldSpan> {
        self.spans.as_ref()?.get(&self.join(path))
    }

    /// Its path in the message, e.g. `layers[3]`.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// A part of this: path of the part inside it.
    pub(crate) fn part(&self, path: &str) -> Place {
        Place { path: self.join(path), ..self.clone() }
    }

    fn join(&self, path: &str) -> String {
        match (self.path.is_empty(), path.is_empty()) {
            (true, _) => path.to_string(),
            (_, true) => self.path.clone(),
            _ => format!("{}.{path}", self.path),
        }
    }
}

/// One layer: its message, its place, and the blocks the schema does not know.
#[derive(Debug, Clone, Default)]
pub struct LayerDef {
    /// The message.
    pub param: LayerParameter,
    /// Where it stands.
    pub place: Place,
    /// Blocks of layer types added from outside.
    pub extensions: Vec<Extension>,
}

impl LayerDef {
    /// A layer built in code.
    pub fn new(param: LayerParameter) -> LayerDef {
        LayerDef { param, place: Place::code(), extensions: Vec::new() }
    }

    /// The block of this name that the schema does not know.
    pub fn extension(&self, name: &str) -> Option<&Extension> {
        self.extensions.iter().find(|e| e.name == name)
    }

    /// The errors for blocks of unknown name, for a layer whose type claims only `claimed`.
    pub fn unclaimed(&self, claimed: &[&str]) -> Vec<Error> {
        let others = self.extensions.iter().filter(|e| !claimed.contains(&e.name.as_str()));
        others.map(|e| e.unknown_error("LayerParameter")).collect()
    }
}

impl From<LayerParameter> for LayerDef {
    fn from(param: LayerParameter) -> LayerDef {
        LayerDef::new(param)
    }
}

impl Deref for LayerDef {
    type Target = LayerParameter;
    fn deref(&self) -> &LayerParameter {
        &self.param
    }
}

impl DerefMut for LayerDef {
    fn deref_mut(&mut self) -> &mut LayerParameter {
        &mut self.param
    }
}

/// A net: its message without the layers, and the layers with their places.
#[derive(Debug, Clone, Default)]
pub struct NetDef {
    /// The message; its `layer` list is empty, the layers are in `layers`.
    pub param: NetParameter,
    /// The layers in file order.
    pub layers: Vec<LayerDef>,
    /// The file.
    pub source: Option<Arc<Source>>,
    /// Where the net stands: [`Place::span_of`] finds its fields.
    pub place: Place,
    /// Worth telling the user: upgrades, doubtful fields.
    pub notes: Vec<Diagnostic>,
    /// Unknown blocks of layers of the generation before (`layers`), by their index.
    pub(crate) v1_extensions: HashMap<usize, Vec<Extension>>,
    /// All fields the schema does not know.
    pub(crate) unknown: Vec<UnknownField>,
}

impl NetDef {
    /// Parses a net's text.
    ///
    /// # Errors
    /// All errors of the text.
    pub fn from_text(source: &Arc<Source>) -> Result<NetDef, Errors> {
        let parsed = text::parse::<NetParameter>(source)?;
        let place = Place::in_file(&parsed.spans, "");
        Ok(NetDef::assemble(parsed.message, source, place, &parsed.unknown))
    }

    /// Parses a net's text as far as it goes: all errors of the text, and the net without the wrong
    /// fields where the structure of the file is whole.
    pub fn examine(source: &Arc<Source>) -> (Option<NetDef>, Vec<Error>) {
        let (parsed, errors) = text::examine::<NetParameter>(source);
        let net = parsed.map(|parsed| {
            let place = Place::in_file(&parsed.spans, "");
            NetDef::assemble(parsed.message, source, place, &parsed.unknown)
        });
        (net, errors)
    }

    /// Reads a net from a text file.
    ///
    /// # Errors
    /// The file cannot be read or is not text; all errors of the text.
    pub fn read(path: impl AsRef<Path>) -> Result<NetDef, Errors> {
        NetDef::from_text(&read_text(path.as_ref())?)
    }

    /// A net built in code, or read from binary.
    pub fn from_message(mut param: NetParameter) -> NetDef {
        let layers = std::mem::take(&mut param.layer).into_iter().map(LayerDef::new).collect();
        NetDef { param, layers, ..NetDef::default() }
    }

    /// Whether there are no layers, in whatever generation.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty() && self.param.layers.is_empty() && self.param.input.is_empty()
    }

    /// The whole message again, layers included. Unknown blocks are not part of it.
    pub fn to_message(&self) -> NetParameter {
        let mut param = self.param.clone();
        param.layer = self.layers.iter().map(|l| l.param.clone()).collect();
        param
    }

    /// The whole net as text: fields that the schema does not know stay in their blocks.
    pub fn to_text(&self) -> String {
        let own = self.unknown.iter().filter(|field| field.path == self.place.path);
        let own = own.map(|field| (String::new(), field.text().to_string()));
        let files =
            self.layers.iter().enumerate().filter(|(_, l)| *l.place.origin() != Origin::Code);
        let of_layers = files.flat_map(|(i, layer)| {
            let at = move |path: String| match path.is_empty() {
                true => format!("layer[{i}]"),
                false => format!("layer[{i}].{path}"),
            };
            self.unknown_of(layer).map(move |(path, text)| (at(path), text))
        });
        text::print_with(&self.to_message(), &own.chain(of_layers).collect::<Vec<_>>())
    }

    /// The fields of a layer that the schema does not know: the path of the block each stands in, and
    /// its text.
    pub(crate) fn unknown_of(&self, layer: &LayerDef) -> impl Iterator<Item = (String, String)> {
        let path = layer.place.path();
        self.unknown.iter().filter_map(move |field| {
            let rest = field.path.strip_prefix(path)?;
            let rest = if rest.is_empty() { rest } else { rest.strip_prefix('.')? };
            // The word of a fork's type is the layer's type already.
            (field.name != "type").then(|| (rest.to_string(), field.text().to_string()))
        })
    }

    fn assemble(
        mut param: NetParameter,
        source: &Arc<Source>,
        place: Place,
        unknown: &[UnknownField],
    ) -> NetDef {
        let mut blocks: HashMap<&str, Vec<Extension>> = HashMap::new();
        let inside = |f: &&UnknownField| {
            f.path.strip_prefix(place.path.as_str()).is_some_and(|rest| {
                place.path.is_empty() || rest.is_empty() || rest.starts_with('.')
            })
        };
        let unknown: Vec<UnknownField> = unknown.iter().filter(inside).cloned().collect();
        let silent = |f: &&UnknownField| !f.is_layers_block() && f.name != "type";
        let notes = unknown.iter().filter(silent).map(UnknownField::warning).collect();
        for field in unknown.iter().filter(|f| f.is_layers_block()) {
            let found = Extension::from_field(source, &field.node);
            blocks.entry(&field.path).or_default().extend(found);
        }
        let mut layers = Vec::with_capacity(param.layer.len());
        for (i, param) in std::mem::take(&mut param.layer).into_iter().enumerate() {
            let place = place.part(&format!("layer[{i}]"));
            let extensions = blocks.remove(place.path.as_str()).unwrap_or_default();
            layers.push(LayerDef { param, place, extensions });
        }
        let mut v1_extensions = HashMap::new();
        for i in 0..param.layers.len() {
            if let Some(found) = blocks.remove(place.join(&format!("layers[{i}]")).as_str()) {
                v1_extensions.insert(i, found);
            }
        }
        drop(blocks);
        let source = Some(source.clone());
        NetDef { param, layers, source, place, notes, v1_extensions, unknown }
    }
}

/// What a text file defines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A net.
    Net,
    /// A solver.
    Solver,
    /// Neither: no field at the top level is one of theirs.
    Other,
}

impl FileKind {
    /// By the fields of the top level: a layer makes a net, else the most known names decide.
    pub fn of(source: &Arc<Source>) -> FileKind {
        let (document, _) = text::tree(source);
        let fields = &document.root.fields;
        let has = |names: &[&str]| fields.iter().any(|f| names.contains(&f.name.as_str()));
        if has(&["layer", "layers"]) {
            return FileKind::Net;
        }
        let known = |message: &str| {
            let message = schema::schema().message(message);
            let known =
                |f: &&crate::text::tree::Field| message.is_some_and(|m| m.field(&f.name).is_some());
            fields.iter().filter(known).count()
        };
        match (known("NetParameter"), known("SolverParameter")) {
            (0, 0) => FileKind::Other,
            (net, solver) if net > solver => FileKind::Net,
            _ => FileKind::Solver,
        }
    }
}

/// A solver: its message, and where everything stands.
#[derive(Debug, Clone, Default)]
pub struct SolverDef {
    /// The message.
    pub param: SolverParameter,
    /// The file.
    pub source: Option<Arc<Source>>,
    /// Where its fields stand.
    pub place: Place,
    /// Where the values stand that came from outside, in place of the file's.
    pub(crate) given: Place,
    /// Worth telling the user: doubtful fields.
    pub notes: Vec<Diagnostic>,
    pub(crate) unknown: Vec<UnknownField>,
}

impl SolverDef {
    /// Parses a solver's text.
    ///
    /// # Errors
    /// All errors of the text.
    pub fn from_text(source: &Arc<Source>) -> Result<SolverDef, Errors> {
        let parsed = text::parse::<SolverParameter>(source)?;
        let place = Place::in_file(&parsed.spans, "");
        let unknown = parsed.unknown;
        // Those of inline nets are told with the nets.
        let own = unknown.iter().filter(|f| !f.path.contains("net_param"));
        let notes = own.map(UnknownField::warning).collect();
        let source = Some(source.clone());
        let given = Place::code();
        Ok(SolverDef { param: parsed.message, source, place, given, notes, unknown })
    }

    /// Reads a solver from a text file.
    ///
    /// # Errors
    /// The file cannot be read or is not text; all errors of the text.
    pub fn read(path: impl AsRef<Path>) -> Result<SolverDef, Errors> {
        let path = path.as_ref();
        let source = read_text(path)?;
        SolverDef::from_text(&source).map_err(|errors| match FileKind::of(&source) {
            FileKind::Net => {
                let why = "it is a net, and a solver is wanted, which names it as its `net`";
                Error::file("read the solver", path, why).into()
            }
            _ => errors,
        })
    }

    /// A solver built in code.
    pub fn from_message(param: SolverParameter) -> SolverDef {
        SolverDef { param, ..SolverDef::default() }
    }

    /// The net written into the solver as `net_param`.
    pub fn net_param(&self) -> Option<NetDef> {
        self.param.net_param.as_ref().map(|net| self.inline(net, "net_param"))
    }

    /// The net written into the solver as `train_net_param`.
    pub fn train_net_param(&self) -> Option<NetDef> {
        self.param.train_net_param.as_ref().map(|net| self.inline(net, "train_net_param"))
    }

    /// The nets written into the solver as `test_net_param`.
    pub fn test_net_params(&self) -> Vec<NetDef> {
        let nets = self.param.test_net_param.iter().enumerate();
        nets.map(|(i, net)| self.inline(net, &format!("test_net_param[{i}]"))).collect()
    }

    fn inline(&self, net: &NetParameter, path: &str) -> NetDef {
        match &self.source {
            Some(source) => {
                NetDef::assemble(net.clone(), source, self.place.part(path), &self.unknown)
            }
            None => NetDef::from_message(net.clone()),
        }
    }

    /// Where a field stands, e.g. `base_lr`; one that is missing could stand at the end of the text.
    pub fn span_of(&self, field: &str) -> Option<Located> {
        let found = match self.given.field(field) {
            Some(_) if !field.is_empty() => self.given.span_of(Some(field)),
            _ => self.place.span_of(Some(field)),
        };
        found.or_else(|| self.source.as_ref().map(Source::end))
    }
}

/// Text files beyond this are no network definitions.
const MAX_TEXT: u64 = 1 << 30;

/// Reads a text file.
///
/// # Errors
/// It does not exist, is a directory, is too large, or holds binary data.
pub fn read_text(path: &Path) -> Result<Arc<Source>, Error> {
    let size = std::fs::metadata(path).map_err(|e| unreadable(path, &absent(path, e)))?;
    if size.is_dir() {
        return Err(Error::file("read", path, "it is a directory, not a text file"));
    }
    if size.len() > MAX_TEXT {
        return Err(Error::file(
            "read",
            path,
            format!("{} bytes are too many for text", size.len()),
        ));
    }
    let bytes = crate::read_file(path, MAX_TEXT).map_err(|e| unreadable(path, &e))?;
    if bytes.starts_with(b"\x89HDF\r\n\x1a\n") {
        return Err(Error::file("read", path, "it is an HDF5 file; text is expected here"));
    }
    if bytes.contains(&0) {
        let why = "it holds binary data (weights?); a text definition is expected here";
        return Err(Error::file("read", path, why));
    }
    Ok(Source::from_bytes(path.display().to_string(), bytes))
}

/// The error for a path that cannot be opened, with neighbours of a similar name.
fn unreadable(path: &Path, e: &std::io::Error) -> Error {
    if e.kind() != std::io::ErrorKind::NotFound || path.is_symlink() {
        return Error::file("read", path, e);
    }
    let mut error = Error::file("read", path, "there is no such file");
    if path.is_relative()
        && let Ok(here) = std::env::current_dir()
    {
        error = error.note(format!("looked for `{}`", here.join(path).display()));
    }
    let directory = match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    let Ok(entries) = std::fs::read_dir(directory) else {
        return error.note(format!("there is no directory `{}` either", directory.display()));
    };
    let names: Vec<String> =
        entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    let wanted = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    error.similar(&schema::similar(&wanted, names.iter().map(String::as_str)))
}
