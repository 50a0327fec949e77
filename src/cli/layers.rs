//! `cortado layers`.

use clap::Args;
use cortado_layers::{LayerKind, page};
use cortado_proto::schema;
use serde_json::{Value, json};

use super::{Failure, say};

/// List the layer types, or show the reference page of one
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  cortado layers\n  cortado layers BatchNorm")]
pub struct LayersArgs {
    /// A type, as prototxt files name it
    #[arg(value_name = "TYPE")]
    type_name: Option<String>,
    /// All pages as one Markdown text (docs/layers.md)
    #[arg(long, conflicts_with = "type_name")]
    markdown: bool,
    /// Print the list, or what the page says, as JSON
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
}

/// Runs the command.
pub fn run(args: LayersArgs) -> Result<(), Failure> {
    let registry = cortado::registry();
    if args.markdown {
        say(page::reference(&registry).trim_end());
        return Ok(());
    }
    let Some(name) = args.type_name else {
        if args.json {
            let all: Vec<Value> = registry.kinds().map(entry).collect();
            say(&json!(all).to_string());
            return Ok(());
        }
        for kind in registry.kinds() {
            say(&format!("{:26} {:10} {}", kind.type_name, kind.dialect, kind.doc.summary));
        }
        say(&format!("{} types", registry.kinds().count()));
        return Ok(());
    };
    let folded = |kind: &&&str| kind.eq_ignore_ascii_case(&name);
    let names: Vec<&str> = registry.kinds().map(|kind| kind.type_name).collect();
    let known = names.iter().find(folded).and_then(|name| registry.get(name));
    match known {
        Some(kind) if args.json => {
            let mut all = entry(kind);
            all["page"] = json!(page::page(kind).trim_end());
            say(&all.to_string());
        }
        Some(kind) => say(page::page(kind).trim_end()),
        None => {
            let similar = schema::similar(&name, names.into_iter());
            let hint = match similar.is_empty() {
                true => "`cortado layers` lists all".to_owned(),
                false => format!("similar: {}", similar.join(", ")),
            };
            return Err(Failure::Usage(format!("there is no layer type `{name}`\n    = {hint}")));
        }
    }
    Ok(())
}

fn entry(kind: &LayerKind) -> Value {
    json!({ "type": kind.type_name, "dialect": kind.dialect, "summary": kind.doc.summary })
}
