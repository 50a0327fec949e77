//! What a layer can complain about. It knows the field or the bottom, not the file: the net adds
//! layer, type and place.

/// Where in its definition a layer found the mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum At {
    /// A field of the layer's message, such as `convolution_param.kernel_size`.
    Field(String),
    /// The bottom of this index.
    Bottom(usize),
    /// The top of this index.
    Top(usize),
    /// The layer as a whole.
    Layer,
}

/// A mistake found by a layer: one sentence, with the value found and the value wanted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct LayerError {
    /// Where.
    pub at: At,
    /// What is wrong, in one sentence without a full stop.
    pub why: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl LayerError {
    /// About a field, named by its path inside the layer's message.
    pub fn field(path: impl Into<String>, why: impl Into<String>) -> LayerError {
        LayerError { at: At::Field(path.into()), why: why.into(), help: None }
    }

    /// About a bottom.
    pub fn bottom(index: usize, why: impl Into<String>) -> LayerError {
        LayerError { at: At::Bottom(index), why: why.into(), help: None }
    }

    /// About a top.
    pub fn top(index: usize, why: impl Into<String>) -> LayerError {
        LayerError { at: At::Top(index), why: why.into(), help: None }
    }

    /// About the layer as a whole.
    pub fn layer(why: impl Into<String>) -> LayerError {
        LayerError { at: At::Layer, why: why.into(), help: None }
    }

    /// About the same field, which stands inside this message.
    pub fn inside(mut self, message: &str) -> LayerError {
        if let At::Field(path) = &mut self.at {
            *path = format!("{message}.{path}");
        }
        self
    }

    /// Adds what to do.
    pub fn help(mut self, help: impl Into<String>) -> LayerError {
        self.help = Some(help.into());
        self
    }
}

impl From<cortado_proto::Error> for LayerError {
    fn from(error: cortado_proto::Error) -> LayerError {
        match &error.kind {
            cortado_proto::ErrorKind::Value { field, why } => {
                let name = field.rsplit('.').next().unwrap_or(field).to_owned();
                LayerError::field(field.clone(), format!("`{name}` {why}"))
            }
            kind => LayerError::layer(kind.to_string()),
        }
    }
}
