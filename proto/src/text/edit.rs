//! Changes to a text that leave all the rest, comments and layout, as it is written.

use std::sync::Arc;

use crate::def::Place;
use crate::span::{Source, Span};

/// Changes to one source, applied together.
#[derive(Debug, Clone)]
pub struct Edits {
    source: Arc<Source>,
    edits: Vec<(Span, String)>,
}

impl Edits {
    /// No changes yet.
    pub fn new(source: &Arc<Source>) -> Edits {
        Edits { source: source.clone(), edits: Vec::new() }
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// Puts text in the place of a span.
    pub fn replace(&mut self, span: Span, text: impl Into<String>) {
        self.edits.push((span, text.into()));
    }

    /// Removes a field's span with the separator behind it; its lines too where nothing else stands in
    /// them, and one of two empty lines that would meet.
    pub fn remove(&mut self, span: Span) {
        let span = self.with_separator(span);
        let text = self.source.text();
        let before = &text[..span.start as usize];
        let line = before.rfind('\n').map_or(0, |i| i + 1);
        let after = &text[span.end as usize..];
        let rest = after.find('\n').map_or(after.len(), |i| i + 1);
        let alone =
            text[line..span.start as usize].trim().is_empty() && after[..rest].trim().is_empty();
        if !alone {
            self.edits.push((span, String::new()));
            return;
        }
        let mut end = span.end as usize + rest;
        let blank_above =
            before[..line].trim_end_matches([' ', '\t']).ends_with("\n\n") || line == 0;
        let below = text[end..].find('\n').map_or(text.len(), |i| end + i + 1);
        if blank_above && text[end..below].trim().is_empty() {
            end = below;
        }
        self.edits.push((Span::new(line, end), String::new()));
    }

    /// A field's span up to the `,` or `;` behind it, which may not stand alone. One behind a comment
    /// goes by a change of its own.
    fn with_separator(&mut self, span: Span) -> Span {
        let text = self.source.text();
        let (mut at, mut commented) = (span.end as usize, false);
        loop {
            let rest = &text[at..];
            at += rest.len() - rest.trim_start().len();
            match text.as_bytes().get(at) {
                Some(b'#') => {
                    commented = true;
                    at += text[at..].find('\n').unwrap_or(text.len() - at);
                }
                Some(b',' | b';') if commented => {
                    self.edits.push((Span::new(at, at + 1), String::new()));
                    return span;
                }
                Some(b',' | b';') => return Span { end: at as u32 + 1, ..span },
                _ => return span,
            }
        }
    }

    /// Gives a field of a message a value: in its place where it stands, else at the end of the
    /// innermost block around it that does. `path` is that of the field inside the message, e.g.
    /// `convolution_param.bias_term`. False where the message has no place in the text.
    pub fn set(&mut self, place: &Place, path: &str, value: &str) -> bool {
        if let Some(found) = place.field(path) {
            self.edits.push((found.value, value.to_owned()));
            return true;
        }
        let field = path.rsplit('.').next().unwrap_or(path);
        let colon = if value.starts_with('{') { "" } else { ":" };
        let mut addition = format!("{field}{colon} {value}");
        let mut block = path;
        loop {
            block = block.rsplit_once('.').map_or("", |(outer, _)| outer);
            let Some(found) = place.field(block) else {
                if block.is_empty() {
                    return false;
                }
                let name = block.rsplit('.').next().unwrap_or(block);
                addition = format!("{name} {{ {addition} }}");
                continue;
            };
            self.insert(found.value, &addition);
            return true;
        }
    }

    /// Adds a field at the end of a block, as its last one is laid out.
    fn insert(&mut self, block: Span, field: &str) {
        let text = self.source.slice(block);
        let close = block.end as usize - 1;
        let inner = text[..text.len().saturating_sub(1)].trim_end();
        let edit = match text.rsplit_once('\n') {
            // The brace has a line of its own.
            Some((_, last)) if last.trim().len() == 1 => {
                let outer = &last[..last.len() - last.trim_start().len()];
                let step = inner.rsplit('\n').next().unwrap_or("");
                let own = &step[..step.len() - step.trim_start().len()];
                let deeper =
                    if own.len() > outer.len() { own.to_owned() } else { format!("{outer}  ") };
                let at = close - outer.len();
                (Span::new(at, at), format!("{deeper}{field}\n"))
            }
            _ => {
                let at = block.start as usize + inner.len();
                (Span::new(at, close), format!(" {field} "))
            }
        };
        self.edits.push(edit);
    }

    /// The changed text. Of changes that touch each other the first in the text holds, the larger one
    /// where they begin together.
    pub fn apply(&self) -> String {
        let mut edits: Vec<&(Span, String)> = self.edits.iter().collect();
        edits.sort_by_key(|(span, _)| (span.start, std::cmp::Reverse(span.end)));
        let text = self.source.text();
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        for (span, new) in edits {
            let range = span.range();
            if range.start < at {
                continue;
            }
            out.push_str(&text[at..range.start]);
            out.push_str(new);
            at = range.end;
        }
        out.push_str(&text[at..]);
        out
    }
}

/// A string as the text format writes it, in quotes.
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for b in text.bytes() {
        match b {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            0x20..=0x7e => out.push(b as char),
            other => out.push_str(&format!("\\{other:03o}")),
        }
    }
    out.push('"');
    out
}
