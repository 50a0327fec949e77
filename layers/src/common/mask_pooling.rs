//! MaskPooling: features under a mask, the same for all channels.

use cortado_kernels::{SrcDst, Write};

use crate::{
    Arity, Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs, Reshape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("MaskPooling", build, &DOC)
    .bottoms(Arity::exactly(2))
    .needs(needs)
    .dialect("mnc");

static DOC: LayerDoc = LayerDoc {
    bottoms: &["x: N x C x H x W", "mask: N x 1 x H x W"],
    tops: &["y: the shape of x"],
    forward: "y = x · mask, the mask repeated over the channels",
    backward: "dx = dy · mask   dmask = Σ_c dy · x",
    example: r#"layer { name: "mask_pooling" type: "MaskPooling" bottom: "conv5" bottom: "masks" top: "y" }"#,
    source: "Dai, He, Sun 2016 (Multi-task Network Cascades), section 3.3",
    ..LayerDoc::new("Multiplies features with a mask.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

fn build(_: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    Ok(Box::new(MaskPoolingLayer { items: 0, channels: 0, plane: 0 }))
}

struct MaskPoolingLayer {
    items: usize,
    channels: usize,
    plane: usize,
}

impl Layer for MaskPoolingLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let [x, mask] = cx.bottoms else { return Ok(()) };
        let [n, c, h, w] = x[..] else {
            return Err(LayerError::bottom(0, format!("N x C x H x W is wanted, found {x}")));
        };
        if mask[..] != [n, 1, h, w] {
            let why = format!("the mask is {n}x1x{h}x{w} for features of {x}, found {mask}");
            return Err(LayerError::bottom(1, why));
        }
        (self.items, self.channels, self.plane) = (n, c, h * w);
        let shape = x.clone();
        cx.top(0, shape);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (x, mask, width) = (cx.bottom(0).data, cx.bottom(1).data, self.plane.max(1));
        let planes = cx.tops[0].data.chunks_mut(width).zip(x.chunks(width)).enumerate();
        for (i, (y, x)) in planes {
            cx.k.mul(x, &mask[i / self.channels * width..][..y.len()], y);
        }
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let Some(dy) = cx.top_diffs[0] else { return Ok(()) };
        let (x, mask, width) = (cx.bottom(0).data, cx.bottom(1).data, self.plane.max(1));
        let [dx, dmask] = &mut *cx.bottom_diffs else { return Ok(()) };
        if let Some(dx) = dx {
            let write = dx.write;
            for (i, (dx, dy)) in dx.data.chunks_mut(width).zip(dy.data.chunks(width)).enumerate() {
                let mask = &mask[i / self.channels * width..][..dy.len()];
                cx.k.map2(SrcDst::Apart(dy, dx), mask, write, |dy, m| dy * m);
            }
        }
        if let Some(dmask) = dmask {
            if dmask.write == Write::Set {
                dmask.data.fill(0.0);
            }
            for (i, (dy, x)) in dy.data.chunks(width).zip(x.chunks(width)).enumerate() {
                let at = i / self.channels * width;
                let dmask = dmask.data[at..at + dy.len()].iter_mut();
                dmask.zip(dy.iter().zip(x)).for_each(|(dm, (dy, x))| *dm += dy * x);
            }
        }
        Ok(())
    }
}
