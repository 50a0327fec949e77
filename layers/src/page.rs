//! The layer reference: a page per type, in Markdown, from what the type and the schema declare.

use cortado_proto::schema::{Count, Field, Kind, Message, schema};

use crate::{Alias, GradBottoms, LayerKind, Registry, unused};

/// The page of one type.
pub fn page(kind: &LayerKind) -> String {
    let doc = kind.doc;
    let mut text = format!("## {}\n\n{}\n", kind.type_name, doc.summary);
    if kind.dialect != "caffe" {
        text += &format!("\nFrom {}.\n", kind.dialect);
    }
    text += &format!("\n**Bottoms** ({})\n\n{}", kind.bottoms, list(doc.bottoms));
    text += &format!("\n**Tops** ({})\n\n{}", tops(kind), list(doc.tops));
    if !doc.blobs.is_empty() {
        text += &format!("\n**Blobs**, in the order of the file\n\n{}", list(doc.blobs));
    }
    for block in doc.params {
        text += &format!("\n**`{block}`**\n\n{}", fields(block, kind));
    }
    text += &format!("\n**In place:** {}\n", in_place(kind));
    text += &format!("\n**Forward**\n\n{}", verbatim(doc.forward));
    if !doc.backward.is_empty() {
        text += &format!("\n**Backward**\n\n{}", verbatim(doc.backward));
    }
    text += &format!("\n**Gradient** reaches {}.\n", gradient(kind));
    if kind.loss {
        text += "\n**Loss:** top 0 counts with weight 1 unless `loss_weight` says otherwise.\n";
    }
    if !doc.notes.is_empty() {
        text += &format!("\n{}\n", doc.notes);
    }
    text += &format!("\n**Example**\n\n{}\n**Source:** {}\n", verbatim(doc.example), doc.source);
    text
}

/// A line per type, then all pages.
pub fn reference(registry: &Registry) -> String {
    let mut text = String::from(
        "# Layers\n\nEvery layer type, from its declaration in the source: `cortado layers --markdown` writes \
         this page, `cortado layers TYPE` shows one.\n\n| type | dialect | what it does |\n|---|---|---|\n",
    );
    for kind in registry.kinds() {
        let (name, anchor) = (kind.type_name, kind.type_name.to_lowercase());
        text += &format!("| [{name}](#{anchor}) | {} | {} |\n", kind.dialect, kind.doc.summary);
    }
    for kind in registry.kinds() {
        text += "\n";
        text += &page(kind);
    }
    text
}

fn list(items: &[&str]) -> String {
    if items.is_empty() {
        return "none\n".to_owned();
    }
    items.iter().map(|item| format!("- {item}\n")).collect()
}

fn verbatim(text: &str) -> String {
    format!("```\n{text}\n```\n")
}

fn tops(kind: &LayerKind) -> String {
    match (kind.pairs, kind.auto_tops) {
        (true, _) => "one per bottom".to_owned(),
        (false, true) => format!("{}, may be left out", kind.tops),
        (false, false) => kind.tops.to_string(),
    }
}

fn in_place(kind: &LayerKind) -> &'static str {
    match (kind.in_place, kind.alias) {
        (true, _) => "yes, name the top as the bottom",
        (false, Alias::Never) => "no",
        (false, _) => "not needed: the top is the bottom's memory",
    }
}

fn gradient(kind: &LayerKind) -> String {
    match kind.grads {
        GradBottoms::All if kind.bottoms.max == 0 => "no bottom: there is none".to_owned(),
        GradBottoms::All => "every bottom".to_owned(),
        GradBottoms::AllButLast => "every bottom but the last".to_owned(),
        GradBottoms::None => "no bottom".to_owned(),
        GradBottoms::Only(indices) => {
            let names: Vec<String> = indices.iter().map(|i| i.to_string()).collect();
            format!("bottom {} only", names.join(" and "))
        }
    }
}

/// The fields of a block of `LayerParameter`, with type and default; those that only forks have are
/// left out of the pages of the original's types, which do not read them.
fn fields(block: &str, kind: &LayerKind) -> String {
    let Some(message) = schema().message("LayerParameter").and_then(|m| inner(m, block)) else {
        return "a block of the type's own\n".to_owned();
    };
    let row =
        |field: &Field| format!("| `{}` | {} | {} |\n", field.name, type_of(field), default(field));
    let read = |field: &&Field| {
        let own = field.dialects.is_empty() || kind.dialect != "caffe";
        own && unused::is_read(kind, block, &field.name)
    };
    let rows: String = message.fields.iter().filter(read).map(row).collect();
    format!("| field | type | default |\n|---|---|---|\n{rows}")
}

fn inner(message: &Message, block: &str) -> Option<&'static Message> {
    match message.field(block)?.kind {
        Kind::Message(index) => schema().messages.get(index),
        _ => None,
    }
}

fn type_of(field: &Field) -> String {
    let name = match field.kind {
        Kind::Enum(index) => {
            let values = schema().enums[index].values.iter().map(|(name, _)| name.as_str());
            values.collect::<Vec<_>>().join(", ")
        }
        kind => kind.name().to_owned(),
    };
    match field.count {
        Count::Repeated => format!("{name}, repeated"),
        Count::Optional | Count::Required => name,
    }
}

fn default(field: &Field) -> String {
    match (&field.default, field.count) {
        (Some(value), _) if value.is_empty() => "\"\"".to_owned(),
        (Some(value), _) => value.clone(),
        (None, Count::Required) => "must be given".to_owned(),
        (None, _) => "–".to_owned(),
    }
}
