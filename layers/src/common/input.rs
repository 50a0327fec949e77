//! Input: the blobs that a net's user fills.

use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("Input", build, &DOC)
    .bottoms(Arity::exactly(0))
    .tops(Arity::at_least(1))
    .needs(needs)
    .grads(GradBottoms::None)
    .fed();

static DOC: LayerDoc = LayerDoc {
    params: &["input_param"],
    tops: &["the inputs of the net, shaped by `shape`: given once for all tops or once per top"],
    forward: "y = what the user wrote",
    notes: "Reshape an input at run time to change the batch size or the picture size.",
    example: r#"layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: 1 dim: 3 dim: 224 dim: 224 } } }"#,
    source: "Caffe's input_layer.cpp",
    ..LayerDoc::new("An input of the net.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let given = def.input_param.as_ref().map_or(&[][..], |p| &p.shape);
    let mut shapes = Vec::with_capacity(given.len());
    for (i, shape) in given.iter().enumerate() {
        let field = format!("input_param.shape[{i}]");
        shapes.push(Shape::from_file(&shape.dim).map_err(|why| LayerError::field(field, why))?);
    }
    let tops = def.top.len();
    if shapes.len() > 1 && shapes.len() != tops {
        let why =
            format!("`shape` is given once, or once per top: {tops} tops, {} shapes", shapes.len());
        return Err(LayerError::field("input_param.shape", why));
    }
    Ok(Box::new(InputLayer { shapes }))
}

struct InputLayer {
    shapes: Vec<Shape>,
}

impl Layer for InputLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        for (i, top) in cx.tops.iter_mut().enumerate() {
            if let Some(shape) = self.shapes.get(i).or(self.shapes.first()) {
                top.clone_from(shape);
            }
        }
        Ok(())
    }

    fn forward(&mut self, _: &mut Forward<'_>) -> Result<(), LayerError> {
        Ok(())
    }

    fn backward(&mut self, _: &mut Backward<'_>) -> Result<(), LayerError> {
        Ok(())
    }
}
