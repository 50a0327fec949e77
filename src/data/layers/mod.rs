//! The layer types that bring data into a net.

pub mod data;
pub mod dummy_data;
pub mod memory_data;

use cortado_layers::LayerKind;

/// Every type of this room, sorted by type string.
pub static KINDS: &[&LayerKind] = &[&data::KIND, &dummy_data::KIND, &memory_data::KIND];
