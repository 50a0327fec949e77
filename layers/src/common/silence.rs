//! Silence: reads blobs so that they are no outputs.

use cortado_kernels::Write;

use crate::{
    Arity, Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs, Reshape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("Silence", build, &DOC)
    .bottoms(Arity::at_least(1))
    .tops(Arity::exactly(0))
    .needs(needs);

static DOC: LayerDoc = LayerDoc {
    bottoms: &["any blobs"],
    forward: "nothing",
    backward: "dx = 0",
    example: r#"layer { name: "silence" type: "Silence" bottom: "label" }"#,
    source: "Caffe's silence_layer.cpp",
    ..LayerDoc::new("Keeps blobs out of the net's outputs.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(_: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    Ok(Box::new(SilenceLayer))
}

struct SilenceLayer;

impl Layer for SilenceLayer {
    fn reshape(&mut self, _: &mut Reshape<'_>) -> Result<(), LayerError> {
        Ok(())
    }

    fn forward(&mut self, _: &mut Forward<'_>) -> Result<(), LayerError> {
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        for diff in cx.bottom_diffs.iter_mut().flatten().filter(|diff| diff.write == Write::Set) {
            diff.data.fill(0.0);
        }
        Ok(())
    }
}
