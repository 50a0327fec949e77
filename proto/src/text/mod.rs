//! The text format: `.prototxt` → message and back.
//!
//! Accepts and refuses what Google's `TextFormat` accepts and refuses (protobuf 3.21, the grammar that
//! Caffe's users write), with these differences, all of them gains for the user:
//! a byte order mark at the head of the file is dropped, one of UTF-16 followed; comments may hold bytes that are not UTF-8;
//! blocks of unknown name directly inside a layer are handed out, for layer types added from outside,
//! and so are fields that look like no known one ([`parse_strict`] refuses both); all errors of a file are reported, not the first.

mod annotate;
mod decode;
mod edit;
mod extension;
mod lexer;
mod parser;
mod printer;
mod rewrite;
mod spans;
pub mod tree;

use std::sync::Arc;

use prost::{Message, Name};

use decode::Encoded;
pub use edit::{Edits, quoted};
pub use extension::{Block, Extension};
pub use printer::{print, print_with};
pub use rewrite::{Upgraded, upgraded_net, upgraded_solver};
pub use spans::{FieldSpan, SpanMap};

use crate::error::{Diagnostic, Error, ErrorKind, Errors};
use crate::schema;
use crate::span::{Located, Source, Span};

/// After so many errors the file is something else entirely.
const MAX_ERRORS: usize = 100;

/// A message from text, with where everything in it stands.
#[derive(Debug, Clone)]
pub struct Parsed<M> {
    /// The message.
    pub message: M,
    /// Message path → place in the text.
    pub spans: SpanMap,
    /// Fields that the schema does not know, in file order.
    pub unknown: Vec<UnknownField>,
    /// The tree, with comments.
    pub tree: Arc<tree::Document>,
}

/// A field that the schema does not know: a block directly inside a layer (a layer type may claim it),
/// or a field anywhere that looks like no known one (a fork's; it is kept, and without effect).
#[derive(Debug, Clone)]
pub struct UnknownField {
    /// Path of the message it stands in, e.g. `layer[3]` or `layer[3].pooling_param`.
    pub path: String,
    /// Type of that message, e.g. `LayerParameter`.
    pub message: String,
    /// Name as written.
    pub name: String,
    /// The field itself.
    pub node: tree::Field,
    /// Where its name stands.
    pub place: Located,
}

impl UnknownField {
    /// The error when nobody claims it.
    pub fn error(&self) -> Error {
        decode::unknown_field_error(&self.message, &self.name).with_place(Some(self.place.clone()))
    }

    /// The warning when it is kept without effect.
    pub fn warning(&self) -> Diagnostic {
        let what = format!("`{}` has no field `{}`: it has no effect", self.message, self.name);
        Diagnostic::warning(what, Some(self.place.clone()))
    }

    /// Whether it is a block directly inside a layer, which a layer type may claim.
    pub fn is_layers_block(&self) -> bool {
        let blocks = self.node.values().iter().all(|v| matches!(v, tree::Value::Message(_)));
        blocks && matches!(self.message.as_str(), "LayerParameter" | "V1LayerParameter")
    }

    /// Its value, where it is a bare word.
    pub(crate) fn word(&self) -> Option<String> {
        match self.node.values().first() {
            Some(tree::Value::Scalar(tree::Scalar { literal: tree::Literal::Word(w), .. })) => {
                Some(w.clone())
            }
            _ => None,
        }
    }

    /// The field as it is written.
    pub fn text(&self) -> &str {
        self.place.source.slice(self.node.span)
    }
}

/// Parses text as the message `M`.
///
/// # Errors
/// All errors of the file, in its order.
pub fn parse<M: Message + Name + Default>(source: &Arc<Source>) -> Result<Parsed<M>, Errors> {
    parse_with(source, false)
}

/// Parses text as the message `M` as far as it goes: with errors that leave the structure of the file
/// whole, the message without the wrong fields is there too.
pub fn examine<M: Message + Name + Default>(
    source: &Arc<Source>,
) -> (Option<Parsed<M>>, Vec<Error>) {
    let (parsed, errors) = walk::<M>(source, false);
    let whole = errors.iter().all(|e| {
        !matches!(
            e.kind,
            ErrorKind::Syntax { .. }
                | ErrorKind::Token(_)
                | ErrorKind::Unclosed { .. }
                | ErrorKind::TooDeep(_)
                | ErrorKind::Limit { .. }
        )
    });
    match parsed {
        Ok(parsed) => (Some(parsed).filter(|_| whole), errors),
        Err(error) => (None, if errors.is_empty() { vec![error] } else { errors }),
    }
}

/// Parses text as the message `M`; unknown blocks inside layers are errors too, as in Google's parser.
///
/// # Errors
/// All errors of the file, in its order.
pub fn parse_strict<M: Message + Name + Default>(
    source: &Arc<Source>,
) -> Result<Parsed<M>, Errors> {
    parse_with(source, true)
}

fn parse_with<M: Message + Name + Default>(
    source: &Arc<Source>,
    strict: bool,
) -> Result<Parsed<M>, Errors> {
    let (parsed, errors) = walk(source, strict);
    match Errors::from_list(errors) {
        Some(errors) => Err(errors),
        None => Ok(parsed?),
    }
}

fn walk<M: Message + Name + Default>(
    source: &Arc<Source>,
    strict: bool,
) -> (Result<Parsed<M>, Error>, Vec<Error>) {
    let Some(index) = schema::schema().index(M::NAME) else {
        let what = format!("`{}` is no message of the schema", M::NAME);
        return (Err(Error::new(ErrorKind::Conflict(what))), Vec::new());
    };
    let (document, mut errors) = parser::parse(source);
    let Encoded { bytes, errors: found, unknown, unclosed_found } =
        decode::encode(&document, index, strict);
    errors.extend(found);
    if !unclosed_found {
        errors.extend(unclosed(&document));
    }
    if strict {
        errors.extend(unknown.iter().map(UnknownField::error));
    }
    errors.sort_by_key(|e| e.place.as_ref().map_or(0, |p| p.span.start));
    // A malformed token is also a bad value: the first says it better.
    errors.dedup_by_key(|e| e.place.as_ref().map_or(u32::MAX, |p| p.span.start));
    let more = errors.len().saturating_sub(MAX_ERRORS);
    errors.truncate(MAX_ERRORS);
    if let Some(last) = errors.last_mut().filter(|_| more > 0) {
        last.notes.push(format!("and {more} more errors"));
    }
    let tree = Arc::new(document);
    let parsed = M::decode(bytes.as_slice())
        .map(|message| Parsed { message, spans: SpanMap::new(tree.clone()), unknown, tree })
        .map_err(|e| {
            let why = format!("cannot decode {}: {e}", M::NAME);
            Error::new(ErrorKind::Wire { offset: 0, why })
        });
    (parsed, errors)
}

/// The tree of a text, whatever it defines, with the errors of its grammar.
pub fn tree(source: &Arc<Source>) -> (tree::Document, Vec<Error>) {
    parser::parse(source)
}

/// The innermost block that is open at the end of the file; the others become notes.
fn unclosed(document: &tree::Document) -> Option<Error> {
    let (block, brace) = document.unclosed.last()?;
    let kind = ErrorKind::Unclosed { block: block.clone(), before: String::new() };
    let mut error = Error::at(kind, document.located(*brace));
    for (outer, brace) in document.unclosed.iter().rev().skip(1) {
        let at = document.source.position(brace.start);
        error.notes.push(format!("`{outer}`, opened in line {}, is not closed either", at.line));
    }
    Some(error)
}

/// An error at a span of the document.
pub(crate) fn error_at(kind: ErrorKind, source: &Arc<Source>, span: Span) -> Error {
    Error::at(kind, Located { source: source.clone(), span })
}
