//! What can be wrong with a net: a mistake with layer, type and place.

use std::fmt;
use std::ops::{Deref, DerefMut};

use cortado_layers::{At, LayerDef, LayerError};
use cortado_proto::{Diagnostic, Located, Origin};

/// The kinds of mistake, without the place.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NetErrorKind {
    /// A bottom that no layer above makes.
    #[error("bottom `{0}` is made by no layer above")]
    UnknownBottom(String),
    /// Two layers make the same blob, and neither runs in place.
    #[error("top `{blob}` is made by layer `{first}` already")]
    TopMadeTwice {
        /// The blob.
        blob: String,
        /// The layer that made it first.
        first: String,
    },
    /// The registry has no such type.
    #[error("there is no layer type `{0}`")]
    UnknownType(String),
    /// A parameter block that no schema and no layer type knows.
    #[error("{0}")]
    UnknownBlock(String),
    /// Too many or too few bottoms, tops, or entries of a list.
    #[error("{0}")]
    Arity(String),
    /// What the layer itself found.
    #[error("{0}")]
    Layer(LayerError),
    /// A parameter that can't be shared, filled or loaded.
    #[error("{0}")]
    Param(String),
    /// Memory beyond what may be asked for.
    #[error("{0}")]
    Size(String),
    /// A rule, state or option that makes no sense.
    #[error("{0}")]
    Rule(String),
}

/// One mistake of a net: one pointer wide, since every pass returns it.
#[derive(Clone, Debug)]
pub struct NetError(Box<NetErrorParts>);

/// The parts of a [`NetError`], which dereferences to them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NetErrorParts {
    /// What.
    pub kind: NetErrorKind,
    /// Name of the layer, if it is about one.
    pub layer: Option<String>,
    /// Its type.
    pub type_name: Option<String>,
    /// Where it stands in a file.
    pub place: Option<Located>,
    /// What may help.
    pub notes: Vec<String>,
}

impl Deref for NetError {
    type Target = NetErrorParts;
    fn deref(&self) -> &NetErrorParts {
        &self.0
    }
}

impl DerefMut for NetError {
    fn deref_mut(&mut self) -> &mut NetErrorParts {
        &mut self.0
    }
}

impl NetError {
    /// About the net as a whole.
    pub fn new(kind: NetErrorKind) -> NetError {
        let (layer, type_name, place, notes) = (None, None, None, Vec::new());
        NetError(Box::new(NetErrorParts { kind, layer, type_name, place, notes }))
    }

    /// About a layer, at one of its fields.
    pub fn at(def: &LayerDef, field: Option<&str>, kind: NetErrorKind) -> NetError {
        let notes = match def.place.origin() {
            Origin::Split(blob) => {
                vec![format!("the layer was put in where several layers read `{blob}`")]
            }
            Origin::Upgrade(what) => vec![format!("the layer was made by the upgrade of {what}")],
            _ => Vec::new(),
        };
        NetError(Box::new(NetErrorParts {
            kind,
            layer: Some(def.name().to_owned()),
            type_name: Some(def.r#type().to_owned()),
            place: def.place.span_of(field),
            notes,
        }))
    }

    /// What a layer found, at the place it means.
    pub fn from_layer(def: &LayerDef, error: LayerError) -> NetError {
        let field = match &error.at {
            At::Field(path) => Some(path.clone()),
            At::Bottom(i) => Some(format!("bottom[{i}]")),
            At::Top(i) => Some(format!("top[{i}]")),
            _ => None,
        };
        let help = error.help.clone();
        let mut found = NetError::at(def, field.as_deref(), NetErrorKind::Layer(error));
        found.notes.extend(help);
        found
    }

    /// At the place, and with the help, of an error of the file.
    pub(crate) fn told_at(mut self, error: &cortado_proto::Error) -> NetError {
        self.place.clone_from(&error.place);
        self.notes.clone_from(&error.notes);
        self
    }

    /// With one more line of help.
    pub fn note(mut self, note: impl Into<String>) -> NetError {
        self.notes.push(note.into());
        self
    }

    /// With names that come near.
    pub fn similar(self, names: Vec<String>) -> NetError {
        if names.is_empty() {
            return self;
        }
        let list: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        self.note(format!("similar: {}", list.join(", ")))
    }

    /// As something to show.
    pub fn diagnostic(&self) -> Diagnostic {
        let mut shown = Diagnostic::error(self.kind.to_string(), self.place.clone());
        if let (Some(layer), Some(type_name)) = (&self.layer, &self.type_name) {
            shown = shown.with_label(format!("layer `{layer}` ({type_name})"));
        }
        shown.notes.extend(self.notes.iter().cloned());
        shown
    }
}

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.diagnostic().fmt(f)
    }
}

impl std::error::Error for NetError {}

/// All mistakes of a net; never empty.
#[derive(Clone, Debug)]
pub struct NetErrors(Vec<NetError>);

impl NetErrors {
    /// `Ok` when there are none.
    pub fn check(list: Vec<NetError>) -> Result<(), NetErrors> {
        if list.is_empty() { Ok(()) } else { Err(NetErrors(list)) }
    }

    /// The mistakes of a file, found on the way to the net.
    pub(crate) fn from_proto(errors: cortado_proto::Errors) -> NetErrors {
        let told = errors.into_iter().map(|error| {
            let rule = NetErrorKind::Rule(error.kind.to_string());
            NetError::new(rule).told_at(&error)
        });
        NetErrors(told.collect())
    }

    /// The mistakes, in the order of the layers.
    pub fn iter(&self) -> std::slice::Iter<'_, NetError> {
        self.0.iter()
    }
}

impl From<NetError> for NetErrors {
    fn from(error: NetError) -> NetErrors {
        NetErrors(vec![error])
    }
}

impl fmt::Display for NetErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for NetErrors {}
