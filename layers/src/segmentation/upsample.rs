//! Upsample: SegNet's, which puts each value where its maximum stood; or, of one bottom, YOLO's, which
//! repeats pixels.

use cortado_kernels::Write;
use cortado_proto::caffe::UpsampleParameter;

use crate::common::index;
use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("Upsample", build, &DOC)
    .bottoms(Arity::between(1, 2))
    .needs(needs)
    .grads(GradBottoms::Only(&[0]))
    .ends_gradients()
    .dialect("segnet, yolo");

static DOC: LayerDoc = LayerDoc {
    params: &["upsample_param"],
    bottoms: &[
        "x: N x C x H x W",
        "mask (segnet): the shape of x, the second top of a MAX Pooling",
    ],
    tops: &["y: N x C x height x width"],
    forward: "with a mask: y[mask[i]] = x[i] in each plane, 0 elsewhere; without: y[h, w] = x[h/scale, w/scale]",
    backward: "with a mask: dx[i] = dy[mask[i]]; without: dx = the sum of dy over the repetitions",
    notes: "height is `upsample_h`, or H · scale_h less one with `pad_out_h` (for a pooled plane of odd \
            height); width alike. Of two values for one place the later one stays.",
    example: r#"layer { name: "upsample5" type: "Upsample" bottom: "pool5" bottom: "pool5_mask" top: "y"
  upsample_param { scale: 2 upsample_w: 30 upsample_h: 23 } }"#,
    source: "Badrinarayanan, Kendall, Cipolla 2015 (SegNet); upsample_layer.cpp of caffe-segnet",
    ..LayerDoc::new("Undoes a MAX Pooling, or repeats pixels.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.upsample_param.unwrap_or_default();
    let scale = [param.scale_h, param.scale_w].map(|axis| axis.unwrap_or(param.scale()) as usize);
    if scale.contains(&0) {
        return Err(LayerError::field("upsample_param.scale", "`scale` must be above 0, found 0"));
    }
    Ok(Box::new(UpsampleLayer { param, scale, from: [0; 2], to: [0; 2] }))
}

struct UpsampleLayer {
    param: UpsampleParameter,
    scale: [usize; 2],
    /// Height and width of the bottom and of the top.
    from: [usize; 2],
    to: [usize; 2],
}

impl UpsampleLayer {
    fn size(&self, axis: usize, given: Option<u32>, less: bool) -> Option<usize> {
        let scaled = self.from[axis].checked_mul(self.scale[axis])?;
        given.map(|given| given as usize).or(scaled.checked_sub(usize::from(less)))
    }

    /// Where in its plane of the top the value `i` of a bottom with a mask goes.
    fn place(&self, mask: &[f32], i: usize) -> Result<usize, LayerError> {
        let plane = self.to[0] * self.to[1];
        index(mask[i], plane).ok_or_else(|| {
            let [height, width] = self.to;
            let why = format!(
                "the mask points into planes of {height}x{width}, below {plane}; found {} at {i}",
                mask[i]
            );
            LayerError::bottom(1, why)
                .help("`upsample_h` and `upsample_w` say how large the plane was")
        })
    }

    /// Where an element of the top without a mask comes from.
    fn source(&self, at: usize) -> usize {
        let ([h, w], [height, width]) = (self.from, self.to);
        let (plane, y, x) = (at / (height * width), at / width % height, at % width);
        let (y, x) = ((y / self.scale[0]).min(h - 1), (x / self.scale[1]).min(w - 1));
        (plane * h + y) * w + x
    }
}

impl Layer for UpsampleLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let bottom = &cx.bottoms[0];
        let [n, c, h, w] = bottom[..] else {
            let why = format!("the bottom is N x C x H x W, found {bottom}");
            return Err(LayerError::bottom(0, why));
        };
        if let Some(mask) = cx.bottoms.get(1).filter(|mask| *mask != bottom) {
            let why = format!("the mask has the shape of the first bottom, {bottom}; found {mask}");
            return Err(LayerError::bottom(1, why));
        }
        self.from = [h, w];
        let p = &self.param;
        let height = self.size(0, p.upsample_h, p.pad_out_h());
        let width = self.size(1, p.upsample_w, p.pad_out_w());
        let (Some(height @ 1..), Some(width @ 1..), true) = (height, width, h > 0 && w > 0) else {
            let why = format!("nothing is left of the bottom, {bottom}");
            return Err(LayerError::field("upsample_param.scale", why));
        };
        let dims = [n, c, height, width].map(|d| i64::try_from(d).unwrap_or(i64::MAX));
        let top =
            Shape::from_file(&dims).map_err(|why| LayerError::field("upsample_param", why))?;
        self.to = [height, width];
        cx.top(0, top);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let x = cx.bottom(0).data;
        let mask = cx.bottoms.get(1).copied().flatten();
        let y = &mut *cx.tops[0].data;
        let Some(mask) = mask else {
            y.iter_mut().enumerate().for_each(|(at, y)| *y = x[self.source(at)]);
            return Ok(());
        };
        y.fill(0.0);
        let (small, large) = (self.from[0] * self.from[1], self.to[0] * self.to[1]);
        for (i, &x) in x.iter().enumerate() {
            y[i / small * large + self.place(mask.data, i)?] = x;
        }
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let mask = cx.bottoms.get(1).copied().flatten();
        let (Some(dy), Some(dx)) = (cx.top_diffs[0], &mut cx.bottom_diffs[0]) else {
            return Ok(());
        };
        if dx.write == Write::Set {
            dx.data.fill(0.0);
        }
        let Some(mask) = mask else {
            dy.data.iter().enumerate().for_each(|(at, dy)| dx.data[self.source(at)] += dy);
            return Ok(());
        };
        let (small, large) = (self.from[0] * self.from[1], self.to[0] * self.to[1]);
        for (i, dx) in dx.data.iter_mut().enumerate() {
            *dx += dy.data[i / small * large + self.place(mask.data, i)?];
        }
        Ok(())
    }
}
