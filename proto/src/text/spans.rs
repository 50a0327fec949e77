//! From a message path (`layer[3].convolution_param.kernel_size[0]`) to its place in the text.

use std::sync::Arc;

use super::tree::{Document, Field, Message, Value};
use crate::span::{Located, Span};

/// Places of a parsed file's fields, looked up by path in its tree.
#[derive(Debug, Clone)]
pub struct SpanMap {
    tree: Arc<Document>,
}

/// Where a field stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldSpan {
    /// Name and value.
    pub field: Span,
    /// The name alone.
    pub name: Span,
    /// The value alone: the block with its braces, or the item of a list.
    pub value: Span,
}

impl SpanMap {
    pub(crate) fn new(tree: Arc<Document>) -> SpanMap {
        SpanMap { tree }
    }

    /// The tree behind it.
    pub fn tree(&self) -> &Arc<Document> {
        &self.tree
    }

    /// The place of exactly this field. A missing index counts as `[0]`.
    pub fn get(&self, path: &str) -> Option<FieldSpan> {
        match self.walk(path) {
            (found, true) => found,
            _ => None,
        }
    }

    /// The place of the field, or of the nearest block around it that stands in the text.
    pub fn nearest(&self, path: &str) -> Option<Located> {
        let span = self.walk(path).0?.field;
        Some(self.tree.located(span))
    }

    /// The last field found on the way, and whether it is the whole path.
    fn walk(&self, path: &str) -> (Option<FieldSpan>, bool) {
        let mut message = Some(&self.tree.root);
        let mut found = None;
        for step in path.split('.').filter(|s| !s.is_empty()) {
            let (name, index) = split_index(step);
            let Some((field, value)) = message.and_then(|m| m.values(name).nth(index)) else {
                return (found, false);
            };
            found = Some(span_of(field, value));
            message = as_message(value);
        }
        (found, found.is_some())
    }
}

fn as_message(value: &Value) -> Option<&Message> {
    match value {
        Value::Message(m) => Some(m),
        _ => None,
    }
}

fn span_of(field: &Field, value: &Value) -> FieldSpan {
    // An item of a list is its own field; a lone value goes with its name.
    let listed = matches!(field.value, Value::List(..));
    let whole = if listed { value.span() } else { field.span };
    FieldSpan { field: whole, name: field.name_span, value: value.span() }
}

/// `kernel_size[1]` → (`kernel_size`, 1)
fn split_index(step: &str) -> (&str, usize) {
    let Some((name, rest)) = step.split_once('[') else { return (step, 0) };
    (name, rest.trim_end_matches(']').parse().unwrap_or(0))
}
