//! Parameter blocks that the layer's type does not read.

use std::collections::BTreeSet;

use cortado_layers::Registry;
use cortado_proto::{LayerDef, Located, NetDef};

use crate::lint::{Found, Level, Rule, Subject};

/// The rule.
pub static RULE: Rule = Rule {
    name: "unused-block",
    why: "a layer reads the block of its own type; another one has no effect, though it looks as if it had",
    cure: "remove the block, or give the layer the type that it belongs to",
    check,
};

fn check(subject: &Subject, found: &mut Found<'_>) {
    let blocks = Blocks::known();
    for layer in subject.written.iter().flat_map(|net| &net.layers) {
        for (block, message) in blocks.unread(layer) {
            found.add(Level::Warning, &layer.place, Some(block), message);
        }
    }
}

/// All of a net, with their places.
pub fn unused_blocks(net: &NetDef) -> Vec<(String, Option<Located>)> {
    let blocks = Blocks::known();
    let of_layer = |layer: &LayerDef| {
        let unread = blocks.unread(layer).into_iter();
        let told = unread.map(|(block, what)| (what, layer.place.span_of(Some(block))));
        told.collect::<Vec<_>>()
    };
    net.layers.iter().flat_map(of_layer).collect()
}

/// The types, and all blocks that any of them reads.
struct Blocks {
    types: Registry,
    all: BTreeSet<&'static str>,
}

impl Blocks {
    fn known() -> Blocks {
        let types = Registry::builtin();
        let all = types.kinds().flat_map(|kind| kind.doc.params).copied().collect();
        Blocks { types, all }
    }

    /// What a layer is given and does not read: the blocks, and what is said of each.
    fn unread(&self, layer: &LayerDef) -> Vec<(&'static str, String)> {
        let Some(kind) = self.types.get(layer.r#type()) else { return Vec::new() };
        let there =
            |block: &&str| !kind.doc.params.contains(block) && layer.place.field(block).is_some();
        let (layer_name, name) = (layer.name(), kind.type_name);
        let told = |block| (block, format!("`{layer_name}` ({name}) does not read its `{block}`"));
        self.all.iter().copied().filter(there).map(told).collect()
    }
}
