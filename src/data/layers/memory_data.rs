//! MemoryData: a batch and its labels that the user of the net writes.

use cortado_layers::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape, Shape,
};

/// The type `MemoryData`.
pub static KIND: LayerKind = LayerKind::new("MemoryData", build, &DOC)
    .bottoms(Arity::exactly(0))
    .tops(Arity::exactly(2))
    .needs(|_| Needs::NOTHING)
    .grads(GradBottoms::None)
    .fed();

static DOC: LayerDoc = LayerDoc {
    summary: "A batch and its labels from memory: the net's user writes them before each pass.",
    params: &["memory_data_param"],
    bottoms: &[],
    tops: &["data: batch_size x channels x height x width", "label: batch_size"],
    blobs: &[],
    forward: "the tops hold what was written to them",
    backward: "",
    notes: "\
The tops are inputs of the net, as those of `Input` are: `net.set_input(\"data\", …)` and \
`net.set_input(\"label\", …)`. They keep their values until they are written again; the original \
instead walks through one long array, batch after batch. A `transform_param` is not applied to what \
is written, as in the original's `Reset` (its `AddDatumVector` does).",
    example: r#"layer {
  name: "memory"
  type: "MemoryData"
  top: "data"
  top: "label"
  memory_data_param { batch_size: 8 channels: 3 height: 32 width: 32 }
}"#,
    source: "Caffe: memory_data_layer.cpp",
};

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.memory_data_param.unwrap_or_default();
    let axes = [
        ("batch_size", param.batch_size()),
        ("channels", param.channels()),
        ("height", param.height()),
        ("width", param.width()),
    ];
    if let Some((name, _)) = axes.iter().find(|(_, length)| *length == 0) {
        let why = format!("{name} must be given and above 0: the tops take their shapes from it");
        return Err(LayerError::field(format!("memory_data_param.{name}"), why));
    }
    let shape = Shape::from_file(&axes.map(|(_, length)| i64::from(length)))
        .map_err(|why| LayerError::field("memory_data_param.batch_size", why))?;
    Ok(Box::new(MemoryDataLayer { shape }))
}

struct MemoryDataLayer {
    /// N x C x H x W.
    shape: Shape,
}

impl Layer for MemoryDataLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        cx.top(0, self.shape.clone());
        cx.top(1, [self.shape[0]]);
        Ok(())
    }

    fn forward(&mut self, _cx: &mut Forward<'_>) -> Result<(), LayerError> {
        Ok(())
    }

    fn backward(&mut self, _cx: &mut Backward<'_>) -> Result<(), LayerError> {
        Ok(())
    }
}
