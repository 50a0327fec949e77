//! Split: the same blob under several names, one per reader.

use super::AliasLayer;
use crate::{Alias, Arity, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Layouts, Needs};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("Split", build, &DOC)
    .tops(Arity::at_least(1))
    .needs(needs)
    .alias(Alias::Always)
    .layouts(Layouts::Elementwise);

static DOC: LayerDoc = LayerDoc {
    bottoms: &["x: any shape"],
    tops: &["y_1, y_2, …: the shape of x"],
    forward: "y_i = x",
    backward: "dx = Σ dy_i",
    notes: "Put in by the net where several layers read one blob, under the original's names; the tops \
            are the bottom's memory.",
    example: r#"layer { name: "split" type: "Split" bottom: "x" top: "a" top: "b" }"#,
    source: "Caffe's split_layer.cpp and insert_splits.cpp",
    ..LayerDoc::new("Gives a blob several readers.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(_: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    Ok(Box::new(AliasLayer(|bottom: &crate::Shape| Ok(bottom.clone()))))
}
