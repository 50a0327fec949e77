//! Blocks the schema does not know, as layer types from outside read them.

use std::sync::Arc;

use super::decode::unknown_field_error;
use super::tree::{Field, Literal, Message, Misfit, Scalar, Value};
use super::{error_at, parser};
use crate::error::{Error, ErrorKind, Errors};
use crate::schema;
use crate::span::{Located, Source, Span};

/// A block of a layer that the schema does not know: `my_param { rate: 0.5 }`.
#[derive(Debug, Clone)]
pub struct Extension {
    /// The block's name, e.g. `my_param`.
    pub name: String,
    source: Arc<Source>,
    message: Message,
    span: Span,
}

impl Extension {
    pub(crate) fn from_field(source: &Arc<Source>, field: &Field) -> Vec<Extension> {
        let blocks = field.values().iter().filter_map(|value| match value {
            Value::Message(message) => Some(Extension {
                name: field.name.clone(),
                source: source.clone(),
                message: message.clone(),
                span: field.span,
            }),
            _ => None,
        });
        blocks.collect()
    }

    /// A block from the text between its braces, for layers built in code.
    ///
    /// # Errors
    /// When the text does not follow the grammar.
    pub fn from_text(name: impl Into<String>, text: &str) -> Result<Extension, Errors> {
        let name = name.into();
        let source = Source::new(name.clone(), text);
        let (document, errors) = parser::parse(&source);
        match Errors::from_list(errors) {
            Some(errors) => Err(errors),
            None => {
                let span = document.root.span;
                Ok(Extension { name, source, message: document.root, span })
            }
        }
    }

    /// Its fields.
    pub fn block(&self) -> Block<'_> {
        Block { source: &self.source, message: &self.message }
    }

    /// Where it stands.
    pub fn place(&self) -> Located {
        Located { source: self.source.clone(), span: self.span }
    }

    /// The error when no layer type claims it.
    pub(crate) fn unknown_error(&self, message: &str) -> Error {
        let end = self.span.start + self.name.len() as u32;
        let place = Located { span: Span { end, ..self.span }, ..self.place() };
        unknown_field_error(message, &self.name).with_place(Some(place))
    }
}

/// Fields of an unknown block, read by name. `Ok(None)` where a field is absent; the error of a value
/// of the wrong type carries its place.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    source: &'a Arc<Source>,
    message: &'a Message,
}

impl<'a> Block<'a> {
    /// A number.
    ///
    /// # Errors
    /// Given twice, or no number.
    pub fn get_f32(&self, name: &str) -> Result<Option<f32>, Error> {
        self.one(name, "a number", |s| s.float().map(|v| v as f32))
    }

    /// An integer.
    ///
    /// # Errors
    /// Given twice, or no integer.
    pub fn get_i64(&self, name: &str) -> Result<Option<i64>, Error> {
        self.one(name, "an integer", as_i64)
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// Given twice, or neither.
    pub fn get_bool(&self, name: &str) -> Result<Option<bool>, Error> {
        self.one(name, "true or false", Scalar::boolean)
    }

    /// A string, or a bare word (an enum's value).
    ///
    /// # Errors
    /// Given twice, or no string.
    pub fn get_str(&self, name: &str) -> Result<Option<&'a str>, Error> {
        self.one(name, "a string", as_str)
    }

    /// All values of a repeated number.
    ///
    /// # Errors
    /// One of them is no number.
    pub fn repeated_f32(&self, name: &str) -> Result<Vec<f32>, Error> {
        self.all(name, "a number", |s| s.float().map(|v| v as f32))
    }

    /// All values of a repeated integer.
    ///
    /// # Errors
    /// One of them is no integer.
    pub fn repeated_i64(&self, name: &str) -> Result<Vec<i64>, Error> {
        self.all(name, "an integer", as_i64)
    }

    /// All values of a repeated string.
    ///
    /// # Errors
    /// One of them is no string.
    pub fn repeated_str(&self, name: &str) -> Result<Vec<&'a str>, Error> {
        self.all(name, "a string", as_str)
    }

    /// All blocks of this name.
    ///
    /// # Errors
    /// A value that is no block.
    pub fn messages(&self, name: &str) -> Result<Vec<Block<'a>>, Error> {
        let mut blocks = Vec::new();
        for value in self.values(name) {
            match value {
                Value::Message(message) => blocks.push(Block { source: self.source, message }),
                other => return Err(self.wrong(name, "a block", other)),
            }
        }
        Ok(blocks)
    }

    /// Names of the fields that stand here, in file order, repetitions included.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        self.message.fields.iter().map(|f| f.name.as_str())
    }

    /// Refuses fields other than these.
    ///
    /// # Errors
    /// One for every other field, with the known name that looks like it.
    pub fn allow(&self, message: &str, known: &[&str]) -> Result<(), Errors> {
        let others = self.message.fields.iter().filter(|f| !known.contains(&f.name.as_str()));
        let errors = others.map(|f| {
            let near = schema::similar(&f.name, known.iter().copied());
            let kind = ErrorKind::UnknownField { message: message.into(), field: f.name.clone() };
            error_at(kind, self.source, f.name_span).similar(&near)
        });
        Errors::from_list(errors.collect()).map_or(Ok(()), Err)
    }

    /// Where the block stands.
    pub fn place(&self) -> Located {
        Located { source: self.source.clone(), span: self.message.span }
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &'a Value> {
        let fields = self.message.fields.iter().filter(move |f| f.name == name);
        fields.flat_map(Field::values).collect::<Vec<_>>().into_iter()
    }

    fn wrong(&self, name: &str, wanted: &str, value: &Value) -> Error {
        let kind = ErrorKind::WrongType {
            field: name.to_string(),
            expected: wanted.to_string(),
            found: value.describe(),
        };
        error_at(kind, self.source, value.span())
    }

    fn all<T: 'a>(
        &self,
        name: &str,
        wanted: &str,
        read: impl Fn(&'a Scalar) -> Result<T, Misfit>,
    ) -> Result<Vec<T>, Error> {
        let read = |value: &'a Value| match value {
            Value::Scalar(s) => read(s)
                .map_err(|misfit| error_at(s.misfit(misfit, name, wanted), self.source, s.span)),
            other => Err(self.wrong(name, wanted, other)),
        };
        self.values(name).map(read).collect()
    }

    fn one<T: 'a>(
        &self,
        name: &str,
        wanted: &str,
        read: impl Fn(&'a Scalar) -> Result<T, Misfit>,
    ) -> Result<Option<T>, Error> {
        let mut all = self.all(name, wanted, read)?;
        if all.len() > 1 {
            let second = self.message.fields.iter().filter(|f| f.name == name).nth(1);
            let span = second.map_or(self.message.span, |f| f.name_span);
            let kind = ErrorKind::Repeated { field: name.to_string() };
            return Err(error_at(kind, self.source, span));
        }
        Ok(all.pop())
    }
}

fn as_i64(s: &Scalar) -> Result<i64, Misfit> {
    s.integer(i64::MIN.into(), i64::MAX.into()).map(|v| v as i64)
}

fn as_str(s: &Scalar) -> Result<&str, Misfit> {
    match &s.literal {
        Literal::Word(word) if !s.negative => Ok(word),
        _ => std::str::from_utf8(s.bytes()?).map_err(|_| Misfit::Type),
    }
}
