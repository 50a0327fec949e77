//! Embed: a learned row of a table for each index.

use cortado_proto::caffe::EmbedParameter;

use super::num_output;
use crate::common::index;
use crate::filler::or_zero;
use crate::{
    Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape, SetUp,
};

/// The layer type.
pub static KIND: LayerKind =
    LayerKind::new("Embed", build, &DOC).needs(needs).grads(GradBottoms::None);

static DOC: LayerDoc = LayerDoc {
    params: &["embed_param"],
    bottoms: &["indices: any shape, whole numbers below input_dim"],
    tops: &["y: the shape of the indices, then num_output"],
    blobs: &["W: input_dim x num_output", "b: num_output, unless bias_term is false"],
    forward: "y[i] = W[indices[i]] + b",
    backward: "dW[indices[i]] += dy[i]   db += Σ_i dy[i]; nothing to the indices",
    notes: "The same as InnerProduct on one-hot vectors. An index out of range is an error of the pass \
            (release builds of the original read beyond the table). Without a `weight_filler` all weights \
            start at 0.",
    example: r#"layer { name: "words" type: "Embed" bottom: "words" top: "vectors"
  embed_param { input_dim: 1000 num_output: 50 weight_filler { type: "uniform" min: -0.08 max: 0.08 } } }"#,
    source: "Caffe's embed_layer.cpp",
    ..LayerDoc::new("Looks up a learned vector for each index.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.embed_param.clone().unwrap_or_default();
    num_output(param.num_output, "embed_param")?;
    if param.input_dim() == 0 {
        let why = "`input_dim` must be given and above 0";
        return Err(LayerError::field("embed_param.input_dim", why));
    }
    Ok(Box::new(EmbedLayer { param }))
}

struct EmbedLayer {
    param: EmbedParameter,
}

impl EmbedLayer {
    fn outputs(&self) -> usize {
        self.param.num_output() as usize
    }

    /// Where the row of the index at `at` begins in the table.
    fn row(&self, indices: &[f32], at: usize) -> Result<usize, LayerError> {
        let rows = self.param.input_dim() as usize;
        let row = index(indices[at], rows).ok_or_else(|| {
            let why = format!(
                "index {} at {at} is out of range: with input_dim {rows} indices are 0 to {}",
                indices[at],
                rows - 1
            );
            LayerError::bottom(0, why)
        })?;
        Ok(row * self.outputs())
    }
}

impl Layer for EmbedLayer {
    fn setup(&mut self, cx: &mut SetUp<'_>) -> Result<(), LayerError> {
        let (rows, n) = (self.param.input_dim() as usize, self.outputs());
        cx.weight([rows, n], or_zero(&self.param.weight_filler));
        if self.param.bias_term() {
            cx.weight([n], or_zero(&self.param.bias_filler));
        }
        Ok(())
    }

    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let bottom = &cx.bottoms[0];
        let top = bottom.with_tail(bottom.len(), &[self.outputs()]);
        cx.top(0, top);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (indices, n) = (cx.bottom(0).data, self.outputs());
        let (table, bias) = (cx.weights[0].data, cx.weights.get(1));
        for (at, y) in cx.tops[0].data.chunks_exact_mut(n).enumerate() {
            let row = &table[self.row(indices, at)?..][..n];
            match bias {
                Some(bias) => cx.k.add(row, bias.data, y),
                None => y.copy_from_slice(row),
            }
        }
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let (indices, Some(dy)) = (cx.bottom(0).data, cx.top_diffs[0]) else { return Ok(()) };
        let n = self.outputs();
        if let Some(table) = &mut cx.weight_diffs[0] {
            for (at, dy) in dy.data.chunks_exact(n).enumerate() {
                let row = self.row(indices, at)?;
                cx.k.axpy(1.0, dy, &mut table.data[row..][..n]);
            }
        }
        if let Some(Some(bias)) = cx.weight_diffs.get_mut(1) {
            cx.k.sum_channels(indices.len(), n, 1, dy.data, bias.data);
        }
        Ok(())
    }
}
