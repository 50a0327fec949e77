//! Reorg: pixels of a plane to channels, and back.

use super::transpose::Transpose;
use crate::{Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs, Reshape};
use cortado_kernels::Write;

/// The layer type.
pub static KIND: LayerKind =
    LayerKind::new("Reorg", build, &DOC).needs(needs).dialect("yolo, intel");

static DOC: LayerDoc = LayerDoc {
    params: &["reorg_param"],
    bottoms: &["x: N x C x H x W, C a multiple of stride²"],
    tops: &[
        "y: N x C·stride² x H/stride x W/stride; with `reverse` N x C/stride² x H·stride x W·stride",
    ],
    forward: "with C' = C/stride², and x seen as N x C' x H·stride x W·stride:\n\
              y[(i·stride + j)·C' + c, h, w] = x[c, h·stride + i, w·stride + j], y seen as N x C x H x W;\n\
              `reverse` is the other way",
    backward: "dx = dy with its elements put back",
    notes: "This is darknet's order, in which x and y are seen in shapes that are not their own: it is not \
            the space-to-depth of other programs, but what trained YOLO v2 files want.",
    example: r#"layer { name: "reorg1" type: "Reorg" bottom: "conv21" top: "reorg1" reorg_param { stride: 2 } }"#,
    source: "Redmon, Farhadi 2016 (YOLO9000), passthrough layer; darknet's reorg_cpu",
    ..LayerDoc::new("Moves pixels to channels, in darknet's order.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.reorg_param.unwrap_or_default();
    let Some(stride @ 1..) = param.stride else {
        let why = match param.stride {
            None => "`stride` must be given",
            Some(_) => "`stride` must be above 0, found 0",
        };
        return Err(LayerError::field("reorg_param.stride", why));
    };
    let (stride, reverse) = (stride as usize, param.reverse());
    Ok(Box::new(ReorgLayer { stride, reverse, transpose: Transpose::default() }))
}

struct ReorgLayer {
    stride: usize,
    reverse: bool,
    transpose: Transpose,
}

impl Layer for ReorgLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let [n, c, h, w] = cx.bottoms[0][..] else {
            let why = format!("the bottom is N x C x H x W, found {}", cx.bottoms[0]);
            return Err(LayerError::bottom(0, why));
        };
        let s = self.stride;
        let square = s.checked_mul(s).filter(|&square| c.is_multiple_of(square));
        let fits = self.reverse || (h.is_multiple_of(s) && w.is_multiple_of(s));
        let Some(square) = square.filter(|_| fits) else {
            let why = format!(
                "`stride` {s} must divide height and width, and its square the channels, of the bottom, {}",
                cx.bottoms[0]
            );
            return Err(LayerError::field("reorg_param.stride", why));
        };
        let (row, plane) = (w * s, h * s * w * s);
        let outer = c / square;
        self.transpose = Transpose {
            axes: vec![(n, outer * plane), (s, row), (s, 1), (outer, plane), (h, s * row), (w, s)],
        };
        match self.reverse {
            true => cx.top(0, [n, outer, h * s, w * s]),
            false => cx.top(0, [n, c * square, h / s, w / s]),
        }
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (x, y) = (cx.bottom(0).data, &mut *cx.tops[0].data);
        match self.reverse {
            true => self.transpose.scatter(x, y, Write::Set),
            false => self.transpose.gather(x, y, Write::Set),
        }
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let (Some(dy), Some(dx)) = (cx.top_diffs[0], &mut cx.bottom_diffs[0]) else {
            return Ok(());
        };
        match self.reverse {
            true => self.transpose.gather(dy.data, dx.data, dx.write),
            false => self.transpose.scatter(dy.data, dx.data, dx.write),
        }
        Ok(())
    }
}
