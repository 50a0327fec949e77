//! Comments of a block that is printed anew, each put back to the field that it belonged to.

use std::collections::HashMap;
use std::fmt::Write;

use super::tree::{Message, Value};
use crate::span::{Source, Span};

/// The blocks around a field and the field itself; of fields of one name, which one.
type Path = Vec<(String, usize)>;

/// Where a comment stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    Before,
    /// In the line of the field, or behind the brace that opens its block.
    Behind,
    /// In front of the brace that closes the block.
    End,
}

/// The printed fields of a block, indented, with comments that stood in the block it was printed from.
pub(super) fn annotated(
    printed: &str,
    block: &Message,
    comments: &[Span],
    source: &Source,
) -> String {
    let lines = keyed(printed);
    let mut at_line: HashMap<(usize, Place), Vec<&str>> = HashMap::new();
    let mut head = Vec::new();
    for &comment in comments {
        let text = source.slice(comment).trim_end();
        let (path, place) = anchor(block, comment, source);
        let path = renewed(path);
        let ends = place == Place::End;
        let named = |(p, closes): &&(Path, bool)| {
            *closes == ends && p.last().map(|l| &l.0) == path.last().map(|l| &l.0)
        };
        let exact = lines.iter().position(|line| line.0 == path && line.1 == ends);
        match exact.or_else(|| lines.iter().position(|line| named(&line))) {
            Some(line) if place == Place::Behind => {
                at_line.entry((line, place)).or_default().push(text)
            }
            Some(line) => at_line.entry((line, Place::Before)).or_default().push(text),
            None if path.is_empty() => {
                at_line.entry((lines.len(), Place::Before)).or_default().push(text)
            }
            None => head.push(text),
        }
    }
    let mut out: String = head.iter().map(|text| format!("  {text}\n")).collect();
    for (i, line) in printed.lines().chain([""]).enumerate() {
        let indent = &line[..line.len() - line.trim_start().len()];
        // What stands in front of a closing brace stands one level further in.
        let deeper = if line.trim_start() == "}" { "  " } else { "" };
        for text in at_line.get(&(i, Place::Before)).into_iter().flatten() {
            let _ = writeln!(out, "  {indent}{deeper}{text}");
        }
        if i == lines.len() {
            break;
        }
        let behind =
            at_line.get(&(i, Place::Behind)).map(|texts| format!("  {}", texts.join("  ")));
        let _ = writeln!(out, "  {line}{}", behind.unwrap_or_default());
    }
    out
}

/// What each printed line is: the path of its field, and whether it closes that field's block.
fn keyed(printed: &str) -> Vec<(Path, bool)> {
    let mut open: Path = Vec::new();
    let mut counts: Vec<HashMap<&str, usize>> = vec![HashMap::new()];
    let mut lines = Vec::new();
    for line in printed.lines() {
        let line = line.trim();
        if line == "}" {
            lines.push((open.clone(), true));
            open.pop();
            counts.pop();
            continue;
        }
        let name = line.split([':', ' ', '{']).next().unwrap_or_default();
        let count = counts.last_mut().map_or(0, |counts| {
            let count = counts.entry(name).or_default();
            *count += 1;
            *count - 1
        });
        open.push((name.to_string(), count));
        lines.push((open.clone(), false));
        if line.ends_with('{') {
            counts.push(HashMap::new());
        } else {
            open.pop();
        }
    }
    lines
}

/// The field that a comment belongs to.
fn anchor(block: &Message, comment: Span, source: &Source) -> (Path, Place) {
    let line = |at: u32| source.position(at).line;
    let here = line(comment.start);
    let mut path = Path::new();
    let mut block = block;
    'deeper: loop {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        let mut behind = None;
        for field in &block.fields {
            for value in field.values() {
                let count = counts.entry(&field.name).or_default();
                let key = (field.name.clone(), *count);
                *count += 1;
                let span = value.span();
                if field.span.start >= comment.end {
                    path.extend(behind.clone().or(Some(key)));
                    let place = if behind.is_some() { Place::Behind } else { Place::Before };
                    return (path, place);
                }
                if let Value::Message(inner) = value
                    && span.start < comment.start
                    && comment.end <= span.end
                {
                    path.push(key);
                    let first = inner.fields.first().is_none_or(|f| f.span.start > comment.start);
                    if first && line(span.start) == here {
                        return (path, Place::Behind);
                    }
                    block = inner;
                    continue 'deeper;
                }
                behind = (line(span.end) == here).then_some(key);
            }
        }
        let place = if behind.is_some() { Place::Behind } else { Place::End };
        path.extend(behind);
        return (path, place);
    }
}

/// The path that a field of an older generation has today.
fn renewed(mut path: Path) -> Path {
    // The generation before the last had a layer in the layer.
    if path.len() > 1 && path[0].0 == "layer" {
        path.remove(0);
    }
    let now = match path.first() {
        Some((name, _)) if name == "blobs_lr" => "lr_mult",
        Some((name, _)) if name == "weight_decay" => "decay_mult",
        _ => return path,
    };
    vec![("param".to_string(), path[0].1), (now.to_string(), 0)]
}
