//! MaskResize: masks read bilinearly at another size, the corners of the pixels kept.

use super::resample::{Resample, Tap};
use crate::{Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs, Reshape};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("MaskResize", build, &DOC).needs(needs).dialect("mnc");

static DOC: LayerDoc = LayerDoc {
    params: &["mask_resize_param"],
    bottoms: &["x: N x C x H x W"],
    tops: &["y: N x C x output_height x output_width"],
    forward: "y[i, j] = x, read bilinearly at (i · H / output_height, j · W / output_width)",
    backward: "dx += dy in the parts with which each element was read",
    notes: "Beyond the last row or column the last one is read. Interp and this one differ: Interp keeps the \
            centres of the corner pixels in place.",
    example: r#"layer { name: "mask_resize" type: "MaskResize" bottom: "mask" top: "small"
  mask_resize_param { output_height: 14 output_width: 14 } }"#,
    source: "Dai, He, Sun 2016 (Multi-task Network Cascades)",
    ..LayerDoc::new("Resizes masks bilinearly.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let p = def.mask_resize_param.unwrap_or_default();
    let output = [p.output_height() as usize, p.output_width() as usize];
    if output.contains(&0) || output.iter().any(|&length| length > 1 << 16) {
        let why = format!(
            "`output_height` and `output_width` are from 1 to 65536, found {} and {}",
            output[0], output[1]
        );
        return Err(LayerError::field("mask_resize_param.output_height", why));
    }
    Ok(Box::new(MaskResizeLayer { output, planes: Resample::default() }))
}

struct MaskResizeLayer {
    output: [usize; 2],
    planes: Resample,
}

fn tap(i: usize, from: usize, to: usize) -> Tap {
    let at = (i as f32 * (from as f32 / to as f32)).min((from - 1) as f32);
    let first = at as usize;
    let part = at - first as f32;
    [(first, 1.0 - part), ((first + 1).min(from - 1), part)]
}

impl Layer for MaskResizeLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let x = &cx.bottoms[0];
        let [n, c, h, w] = x[..] else {
            return Err(LayerError::bottom(0, format!("N x C x H x W is wanted, found {x}")));
        };
        if h == 0 || w == 0 {
            return Err(LayerError::bottom(0, format!("the planes of {x} are empty")));
        }
        self.planes = Resample::new([h, w], self.output, tap);
        cx.top(0, [n, c, self.output[0], self.output[1]]);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        self.planes.forward(cx.bottom(0).data, cx.tops[0].data);
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        if let (Some(dy), Some(dx)) = (cx.top_diffs[0], &mut cx.bottom_diffs[0]) {
            self.planes.backward(dy.data, dx);
        }
        Ok(())
    }
}
