//! GatedMaxAve and TreepoolMaxAve: maximum and mean of a window, mixed as the window itself asks.

use cortado_kernels::Write;
use cortado_proto::caffe::ConvolutionParameter;

use super::windows::{Windows, response, sigmoid};
use crate::filler::or_zero;
use crate::{
    Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs, Reshape, SetUp,
};

/// The layer type.
pub static KIND: LayerKind =
    LayerKind::new("GatedMaxAve", gated, &DOC).needs(needs).dialect("ducha-aiki");

/// The same, which reads a window cut off at the edge in another way.
pub static OTHER: LayerKind =
    LayerKind::new("TreepoolMaxAve", tree, &OTHER_DOC).needs(needs).dialect("ducha-aiki");

static DOC: LayerDoc = LayerDoc {
    example: r#"layer { name: "pool1" type: "GatedMaxAve" bottom: "conv1" top: "pool1"
  convolution_param { kernel_size: 3 stride: 2 weight_filler { type: "gaussian" std: 0.1 } } }"#,
    ..COMMON
};

static OTHER_DOC: LayerDoc = LayerDoc {
    example: r#"layer { name: "pool1" type: "TreepoolMaxAve" bottom: "conv1" top: "pool1"
  convolution_param { kernel_size: 3 stride: 2 weight_filler { type: "gaussian" std: 0.1 } } }"#,
    ..COMMON
};

const COMMON: LayerDoc = LayerDoc {
    params: &["convolution_param"],
    bottoms: &["x: N x C x H x W"],
    tops: &["y: N x C x (⌈(H − k) / stride⌉ + 1) x (the same of W)"],
    blobs: &["w: 1 x 1 x k x k, one mask for all windows"],
    forward: "y = g · max(window) + (1 − g) · mean(window), g = σ(Σ w · window)",
    backward: "dx += dy · (g (1 − g) (max − mean) · w + g [x = max] + (1 − g) / elements)   \
               dw += dy · g (1 − g) (max − mean) · window",
    notes: "`kernel_size`, `stride` and `weight_filler` of `convolution_param` are read; there is no \
            padding, and the last windows may be cut off. Of such a window `TreepoolMaxAve` takes the \
            mask's own places, `GatedMaxAve` the mask's elements one after the other, as the fork does.",
    source: "Lee, Gallagher, Tu 2016 (Generalizing Pooling Functions in Convolutional Neural Networks), \
             section 3.1",
    ..LayerDoc::new("Mixes maximum and mean of each window by a learned gate.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

fn gated(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    build(def, true)
}

fn tree(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    build(def, false)
}

fn build(def: &LayerDef, compact: bool) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.convolution_param.clone().unwrap_or_default();
    Ok(Box::new(GatedLayer { windows: Windows::new(&param)?, param, compact }))
}

struct GatedLayer {
    param: ConvolutionParameter,
    windows: Windows,
    compact: bool,
}

/// Maximum, mean and gate of a window.
fn parts(x: &[f32], mask: &[f32], window: &[(usize, usize)]) -> (f32, f32, f32) {
    let values = || window.iter().map(|&(at, _)| x[at]);
    let mean = values().sum::<f32>() / window.len() as f32;
    (values().fold(f32::MIN, f32::max), mean, sigmoid(response(x, mask, window)))
}

impl Layer for GatedLayer {
    fn setup(&mut self, cx: &mut SetUp<'_>) -> Result<(), LayerError> {
        let k = self.windows.kernel;
        let filler = or_zero(&self.param.weight_filler);
        cx.weight_of("convolution_param.weight_filler", [1, 1, k, k], filler);
        Ok(())
    }

    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let top = self.windows.reshape(&cx.bottoms[0])?;
        cx.top(0, top);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (x, mask, y) = (cx.bottom(0).data, cx.weights[0].data, &mut *cx.tops[0].data);
        self.windows.visit(self.compact, |cell, window| {
            let (max, mean, gate) = parts(x, mask, window);
            y[cell] = gate * max + (1.0 - gate) * mean;
        });
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let Some(dy) = cx.top_diffs[0] else { return Ok(()) };
        let (x, mask) = (cx.bottom(0).data, cx.weights[0].data);
        let mut dx = cx.bottom_diffs[0].as_mut();
        if let Some(dx) = dx.as_mut().filter(|dx| dx.write == Write::Set) {
            dx.data.fill(0.0);
        }
        let mut dw = vec![0f64; mask.len()];
        self.windows.visit(self.compact, |cell, window| {
            let (max, mean, gate) = parts(x, mask, window);
            let slope = gate * (1.0 - gate) * (max - mean);
            let even = (1.0 - gate) / window.len() as f32;
            for &(at, i) in window {
                dw[i] += f64::from(dy.data[cell] * slope * x[at]);
                if let Some(dx) = &mut dx {
                    let of_max = if x[at] == max { gate } else { 0.0 };
                    dx.data[at] += dy.data[cell] * (slope * mask[i] + of_max + even);
                }
            }
        });
        if let Some(diff) = &mut cx.weight_diffs[0] {
            diff.data.iter_mut().zip(dw).for_each(|(diff, dw)| *diff += dw as f32);
        }
        Ok(())
    }
}
