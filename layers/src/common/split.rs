//! Split: the same blob under several names, one per reader.

use cortado_kernels::Write;

use crate::{
    Arity, Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Layouts, LowerCx,
    Needs, Prim, Reshape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("Split", build, &DOC)
    .tops(Arity::at_least(1))
    .needs(needs)
    .layouts(Layouts::Elementwise)
    .lower(lower);

static DOC: LayerDoc = LayerDoc {
    bottoms: &["x: any shape"],
    tops: &["y_1, y_2, …: the shape of x"],
    forward: "y_i = x",
    backward: "dx = Σ dy_i",
    notes: "Put in by the net where several layers read one blob, under the original's names; the tops \
            of those are the bottom's memory. The tops of a Split in the file have diffs of their own.",
    example: r#"layer { name: "split" type: "Split" bottom: "x" top: "a" top: "b" }"#,
    source: "Caffe's split_layer.cpp and insert_splits.cpp",
    ..LayerDoc::new("Gives a blob several readers.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn lower(_: &LowerCx<'_>) -> Option<Prim> {
    Some(Prim::Alias)
}

fn build(_: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    Ok(Box::new(SplitLayer))
}

struct SplitLayer;

impl Layer for SplitLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        (0..cx.tops.len()).for_each(|i| cx.top(i, cx.bottoms[0].clone()));
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let x = cx.bottom(0).data;
        cx.tops.iter_mut().for_each(|top| top.data.copy_from_slice(x));
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let Some(dx) = &mut cx.bottom_diffs[0] else { return Ok(()) };
        for (i, dy) in cx.top_diffs.iter().flatten().enumerate() {
            match dx.write {
                Write::Set if i == 0 => dx.data.copy_from_slice(dy.data),
                _ => cx.k.axpy(1.0, dy.data, dx.data),
            }
        }
        Ok(())
    }
}
