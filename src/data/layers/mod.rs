//! The layer types that bring data into a net.

pub mod annotated_data;
mod batches;
pub mod data;
pub mod dense_image_data;
pub mod dummy_data;
pub mod hdf5_data;
pub mod hdf5_output;
pub mod image_data;
pub mod image_folder;
pub mod image_labelmap_data;
pub mod memory_data;
mod picture_pairs;
pub mod window_data;

use cortado_layers::LayerKind;

/// Every type of this room, sorted by type string.
pub static KINDS: &[&LayerKind] = &[
    &annotated_data::KIND,
    &data::KIND,
    &dense_image_data::KIND,
    &dummy_data::KIND,
    &hdf5_data::KIND,
    &hdf5_output::KIND,
    &image_data::KIND,
    &image_folder::KIND,
    &image_labelmap_data::KIND,
    &memory_data::KIND,
    &window_data::KIND,
];
