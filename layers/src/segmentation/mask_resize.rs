//! MaskResize: masks read bilinearly at another size, the corners of the pixels kept.

use cortado_kernels::Write;

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
    Ok(Box::new(MaskResizeLayer { output, input: [0; 2] }))
}

struct MaskResizeLayer {
    output: [usize; 2],
    input: [usize; 2],
}

impl MaskResizeLayer {
    /// Calls `visit(element of the top's plane, element of the bottom's plane, weight)`.
    fn visit(&self, mut visit: impl FnMut(usize, usize, f32)) {
        let ([h, w], [oh, ow]) = (self.input, self.output);
        let tap = |i: usize, from: usize, to: usize| {
            let at = (i as f32 * (from as f32 / to as f32)).min((from - 1) as f32);
            let first = at as usize;
            (first, (first + 1).min(from - 1), at - first as f32)
        };
        for cell in 0..oh * ow {
            let (y0, y1, v) = tap(cell / ow, h, oh);
            let (x0, x1, u) = tap(cell % ow, w, ow);
            visit(cell, y0 * w + x0, (1.0 - v) * (1.0 - u));
            visit(cell, y0 * w + x1, (1.0 - v) * u);
            visit(cell, y1 * w + x0, v * (1.0 - u));
            visit(cell, y1 * w + x1, v * u);
        }
    }
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
        self.input = [h, w];
        cx.top(0, [n, c, self.output[0], self.output[1]]);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (from, to) = (self.input[0] * self.input[1], self.output[0] * self.output[1]);
        let (x, y) = (cx.bottom(0).data, &mut *cx.tops[0].data);
        y.fill(0.0);
        for (x, y) in x.chunks(from).zip(y.chunks_mut(to)) {
            self.visit(|cell, at, weight| y[cell] += weight * x[at]);
        }
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let (from, to) = (self.input[0] * self.input[1], self.output[0] * self.output[1]);
        let (Some(dy), Some(dx)) = (cx.top_diffs[0], &mut cx.bottom_diffs[0]) else {
            return Ok(());
        };
        if dx.write == Write::Set {
            dx.data.fill(0.0);
        }
        for (dx, dy) in dx.data.chunks_mut(from).zip(dy.data.chunks(to)) {
            self.visit(|cell, at, weight| dx[at] += weight * dy[cell]);
        }
        Ok(())
    }
}
