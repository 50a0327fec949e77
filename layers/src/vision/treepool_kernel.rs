//! TreepoolKernel1L: two learned poolings of a window, mixed as the window itself asks.

use cortado_kernels::Write;
use cortado_proto::caffe::ConvolutionParameter;

use super::windows::{Windows, response, sigmoid};
use crate::filler::or_zero;
use crate::{
    Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs, Reshape, SetUp,
};

/// The layer type.
pub static KIND: LayerKind =
    LayerKind::new("TreepoolKernel1L", build, &DOC).needs(needs).dialect("ducha-aiki");

static DOC: LayerDoc = LayerDoc {
    params: &["convolution_param"],
    bottoms: &["x: N x C x H x W"],
    tops: &["y: N x C x (⌈(H − k) / stride⌉ + 1) x (the same of W)"],
    blobs: &["v1: 1 x 1 x k x k", "v2: 1 x 1 x k x k", "w: 1 x 1 x k x k"],
    forward: "y = g · Σ v1 · window + (1 − g) · Σ v2 · window, g = σ(Σ w · window)",
    backward: "dx += dy · (g v1 + (1 − g) v2 + s w)   dv1 += dy · g · window   \
               dv2 += dy · (1 − g) · window   dw += dy · s · window, s = g (1 − g) Σ (v1 − v2) · window",
    notes: "A tree of one level: two leaves and a split, the same for all channels and windows. \
            `kernel_size`, `stride` and `weight_filler` of `convolution_param` are read; there is no \
            padding, and of a window cut off at the edge only what lies inside counts.",
    example: r#"layer { name: "pool1" type: "TreepoolKernel1L" bottom: "conv1" top: "pool1"
  convolution_param { kernel_size: 3 stride: 2 weight_filler { type: "gaussian" std: 0.1 } } }"#,
    source: "Lee, Gallagher, Tu 2016 (Generalizing Pooling Functions in Convolutional Neural Networks), \
             section 3.2",
    ..LayerDoc::new("Pools by a learned tree of two filters.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.convolution_param.clone().unwrap_or_default();
    Ok(Box::new(TreepoolLayer { windows: Windows::new(&param)?, param }))
}

struct TreepoolLayer {
    param: ConvolutionParameter,
    windows: Windows,
}

impl Layer for TreepoolLayer {
    fn setup(&mut self, cx: &mut SetUp<'_>) -> Result<(), LayerError> {
        let k = self.windows.kernel;
        for _ in 0..3 {
            let filler = or_zero(&self.param.weight_filler);
            cx.weight_of("convolution_param.weight_filler", [1, 1, k, k], filler);
        }
        Ok(())
    }

    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let top = self.windows.reshape(&cx.bottoms[0])?;
        cx.top(0, top);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (x, y) = (cx.bottom(0).data, &mut *cx.tops[0].data);
        let [v1, v2, w] = [0, 1, 2].map(|i| cx.weights[i].data);
        self.windows.visit(false, |cell, window| {
            let gate = sigmoid(response(x, w, window));
            let leaves = [v1, v2].map(|leaf| response(x, leaf, window));
            y[cell] = gate * leaves[0] + (1.0 - gate) * leaves[1];
        });
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let Some(dy) = cx.top_diffs[0] else { return Ok(()) };
        let x = cx.bottom(0).data;
        let [v1, v2, w] = [0, 1, 2].map(|i| cx.weights[i].data);
        let mut dx = cx.bottom_diffs[0].as_mut();
        if let Some(dx) = dx.as_mut().filter(|dx| dx.write == Write::Set) {
            dx.data.fill(0.0);
        }
        let mut sums = [0, 1, 2].map(|_| vec![0f64; w.len()]);
        self.windows.visit(false, |cell, window| {
            let gate = sigmoid(response(x, w, window));
            let leaves = [v1, v2].map(|leaf| response(x, leaf, window));
            let slope = gate * (1.0 - gate) * (leaves[0] - leaves[1]);
            let parts = [gate, 1.0 - gate, slope].map(|part| part * dy.data[cell]);
            for &(at, i) in window {
                for (sum, part) in sums.iter_mut().zip(parts) {
                    sum[i] += f64::from(part * x[at]);
                }
                if let Some(dx) = &mut dx {
                    dx.data[at] += parts[0] * v1[i] + parts[1] * v2[i] + parts[2] * w[i];
                }
            }
        });
        for (diff, sum) in cx.weight_diffs.iter_mut().zip(sums) {
            let Some(diff) = diff else { continue };
            diff.data.iter_mut().zip(sum).for_each(|(diff, sum)| *diff += sum as f32);
        }
        Ok(())
    }
}
