//! An older net or solver as text of today's form. What needs no change stays as it is written; what
//! changes is printed anew, with its comments and the fields that the schema does not know.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use super::annotate::annotated;
use super::print_with;
use super::tree::{Document, Value};
use crate::caffe::LayerParameter;
use crate::def::{LayerDef, NetDef, SolverDef};
use crate::error::{Diagnostic, Errors};
use crate::span::{Source, Span};
use crate::upgrade;

/// Fields of the net that become layers.
const MADE_LAYERS: [&str; 5] = ["input", "input_dim", "input_shape", "layer", "layers"];

/// A text in today's form.
#[derive(Debug, Clone)]
pub struct Upgraded {
    /// The text.
    pub text: String,
    /// What was done, one sentence each; empty for a text of today.
    pub done: Vec<String>,
    /// Warnings.
    pub notes: Vec<Diagnostic>,
}

/// A net's text in today's form.
///
/// # Errors
/// All errors of the text, or those of its old fields.
pub fn upgraded_net(source: &Arc<Source>) -> Result<Upgraded, Errors> {
    let mut net = NetDef::from_text(source)?;
    let before: HashMap<String, LayerParameter> =
        net.layers.iter().map(|l| (l.place.path().to_string(), l.param.clone())).collect();
    let done = upgrade::net(&mut net)?;
    let notes = std::mem::take(&mut net.notes);
    if done.is_empty() {
        return Ok(Upgraded { text: source.text().to_string(), done, notes });
    }
    let (document, _) = super::tree(source);
    let comments = Comments::of(&document);
    let mut out = String::new();
    for (i, field) in document.root.fields.iter().enumerate() {
        if !MADE_LAYERS.contains(&field.name.as_str()) {
            comments.before(i, &document, "", &mut out);
            out.push_str(source.slice(field.span));
            comments.behind(i, &mut out);
        }
    }
    let place = |layer: &LayerDef| layer.place.span_of(None).map(|place| place.span);
    let index_of =
        |span: Option<Span>| document.root.fields.iter().position(|f| Some(f.span) == span);
    // Layers that an upgrade takes away leave their comments to the next one.
    let stay: Vec<usize> = net.layers.iter().filter_map(|layer| index_of(place(layer))).collect();
    let mut told = 0;
    for layer in &net.layers {
        let span = place(layer);
        let index = index_of(span);
        if let Some(i) = index {
            let fields = document.root.fields.iter().enumerate().take(i).skip(told);
            let gone = fields.filter(|(j, f)| f.name.starts_with("layer") && !stay.contains(j));
            gone.for_each(|(j, _)| comments.all(j, &mut out));
            told = told.max(i + 1);
            comments.before(i, &document, "", &mut out);
        }
        match span.filter(|_| before.get(layer.place.path()) == Some(&layer.param)) {
            // A layer out of a list `layer: [{ }, { }]` has no name in front.
            Some(span) if index.is_none() => {
                let _ = write!(out, "layer {}", source.slice(span));
            }
            Some(span) => out.push_str(source.slice(span)),
            None => {
                let printed = printed(&net, layer);
                let block = index.map(|i| (i, &document.root.fields[i].value));
                let text = match block {
                    Some((i, Value::Message(block))) => {
                        annotated(&printed, block, &comments.split(i, &document, true), source)
                    }
                    Some((i, _)) => {
                        comments.write(
                            comments.split(i, &document, true).into_iter(),
                            "",
                            &mut out,
                        );
                        indented(&printed)
                    }
                    None => indented(&printed),
                };
                let _ = write!(out, "layer {{\n{text}}}");
            }
        }
        match index {
            Some(i) => comments.behind(i, &mut out),
            None => out.push('\n'),
        }
    }
    comments.tail(&mut out);
    Ok(Upgraded { text: out, done, notes })
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

fn printed(net: &NetDef, layer: &LayerDef) -> String {
    print_with(&layer.param, &net.unknown_of(layer).collect::<Vec<_>>())
}

/// A solver's text in today's form.
///
/// # Errors
/// All errors of the text, or those of its old fields.
pub fn upgraded_solver(source: &Arc<Source>) -> Result<Upgraded, Errors> {
    let mut solver = SolverDef::from_text(source)?;
    let old = solver.span_of("solver_type").map(|place| place.span);
    let done = upgrade::solver(&mut solver)?;
    let notes = std::mem::take(&mut solver.notes);
    let mut text = source.text().to_string();
    if let Some(span) = old.filter(|_| !done.is_empty()) {
        text.replace_range(span.range(), &format!("type: \"{}\"", solver.param.r#type()));
    }
    Ok(Upgraded { text, done, notes })
}

/// Each comment with the field of the top level that it belongs to: the one it stands in or in front
/// of, or the one that ends in its line.
struct Comments<'a> {
    source: &'a Source,
    owned: HashMap<usize, Vec<Span>>,
    trailing: HashMap<usize, Span>,
    tail: Vec<Span>,
}

impl<'a> Comments<'a> {
    fn of(document: &'a Document) -> Comments<'a> {
        let source = &*document.source;
        let fields = &document.root.fields;
        let first_input = fields.iter().position(|f| f.name == "input");
        let mut comments =
            Comments { source, owned: HashMap::new(), trailing: HashMap::new(), tail: Vec::new() };
        for &span in &document.comments {
            let next = fields.partition_point(|f| f.span.end <= span.start);
            let line = |at: u32| source.position(at).line;
            let ends_here = |i: &usize| line(fields[*i].span.end) == line(span.start);
            if let Some(i) = next.checked_sub(1).filter(ends_here) {
                comments.trailing.insert(i, span);
                continue;
            }
            let owner = match fields.get(next) {
                None => {
                    comments.tail.push(span);
                    continue;
                }
                Some(f) if f.name.starts_with("input") => first_input.unwrap_or(next),
                Some(_) => next,
            };
            comments.owned.entry(owner).or_default().push(span);
        }
        comments
    }

    fn write(&self, spans: impl Iterator<Item = Span>, indent: &str, out: &mut String) {
        for span in spans {
            let _ = writeln!(out, "{indent}{}", self.source.slice(span).trim_end());
        }
    }

    fn split(&self, i: usize, document: &Document, inside: bool) -> Vec<Span> {
        let start = document.root.fields[i].span.start;
        let all = self.owned.get(&i).into_iter().flatten().copied();
        all.filter(|span| (span.start > start) == inside).collect()
    }

    fn before(&self, i: usize, document: &Document, indent: &str, out: &mut String) {
        self.write(self.split(i, document, false).into_iter(), indent, out);
    }

    /// Those in front of a field, in it and behind it.
    fn all(&self, i: usize, out: &mut String) {
        let behind = self.trailing.get(&i);
        let all = self.owned.get(&i).into_iter().flatten().chain(behind);
        self.write(all.copied(), "", out);
    }

    /// Ends the line.
    fn behind(&self, i: usize, out: &mut String) {
        match self.trailing.get(&i) {
            Some(&span) => {
                let _ = writeln!(out, "  {}", self.source.slice(span).trim_end());
            }
            None => out.push('\n'),
        }
    }

    fn tail(&self, out: &mut String) {
        self.write(self.tail.iter().copied(), "", out);
    }
}
