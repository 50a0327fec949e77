//! The list of layer types.

use std::collections::BTreeMap;

use crate::LayerKind;
use crate::{common, loss, neuron, norm, recurrent, vision};

/// Every type of this crate, sorted by type string.
pub static BUILTIN: &[&LayerKind] = &[
    // one line per type
];

/// The layer types a net may use: a value, to which programs add their own.
#[derive(Clone, Debug)]
pub struct Registry {
    kinds: BTreeMap<&'static str, &'static LayerKind>,
}

impl Registry {
    /// The types of this crate.
    pub fn builtin() -> Registry {
        let kinds = BUILTIN.iter().map(|kind| (kind.type_name, *kind)).collect();
        Registry { kinds }
    }

    /// And one more, which replaces one of the same name.
    pub fn with(mut self, kind: &'static LayerKind) -> Registry {
        self.kinds.insert(kind.type_name, kind);
        self
    }

    /// The kind of a type string.
    pub fn get(&self, type_name: &str) -> Option<&'static LayerKind> {
        self.kinds.get(type_name).copied()
    }

    /// All kinds, sorted by type string.
    pub fn kinds(&self) -> impl Iterator<Item = &'static LayerKind> + '_ {
        self.kinds.values().copied()
    }
}
