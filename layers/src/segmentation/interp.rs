//! Interp: planes of another size by bilinear interpolation, corner to corner.

use cortado_kernels::Write;
use cortado_proto::caffe::InterpParameter;

use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("Interp", build, &DOC)
    .bottoms(Arity::between(1, 2))
    .needs(needs)
    .grads(GradBottoms::Only(&[0]))
    .ends_gradients()
    .dialect("deeplab, pspnet");

static DOC: LayerDoc = LayerDoc {
    params: &["interp_param"],
    bottoms: &[
        "x: N x C x H x W",
        "size (optional): any blob with the height and width of the top",
    ],
    tops: &["y: N x C x height x width"],
    forward: "y[h, w] = x at (h · (H − 1)/(height − 1), w · (W − 1)/(width − 1)), bilinear",
    backward: "dx += dy in the parts with which each element was read",
    notes: "Corners stay corners. The size is that of the second bottom; or `height` and `width`; or \
            (H − 1)/shrink_factor + 1, and of that H + (H − 1)(zoom_factor − 1), where both are given the \
            shrinking first. `pad_beg` and `pad_end`, 0 or below, crop x first.",
    example: r#"layer { name: "up" type: "Interp" bottom: "conv6" top: "up" interp_param { zoom_factor: 8 } }"#,
    source: "Chen et al. 2014 (DeepLab); interp_layer.cpp of DeepLab's and PSPNet's Caffe",
    ..LayerDoc::new("Resizes planes, bilinear with aligned corners.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.interp_param.unwrap_or_default();
    for (field, value) in [("pad_beg", param.pad_beg()), ("pad_end", param.pad_end())] {
        if value > 0 {
            let why = format!("`{field}` crops with numbers up to 0, found {value}");
            return Err(LayerError::field(format!("interp_param.{field}"), why));
        }
    }
    for (field, value) in
        [("zoom_factor", param.zoom_factor()), ("shrink_factor", param.shrink_factor())]
    {
        if value < 1 {
            let why = format!("`{field}` is at least 1, found {value}");
            return Err(LayerError::field(format!("interp_param.{field}"), why));
        }
    }
    for (field, value) in [("height", param.height()), ("width", param.width())] {
        if value < 0 {
            let why = format!("`{field}` is not negative, found {value}");
            return Err(LayerError::field(format!("interp_param.{field}"), why));
        }
    }
    Ok(Box::new(InterpLayer { param, planes: 0, from: [0; 2], kept: [0; 2], to: [0; 2] }))
}

struct InterpLayer {
    param: InterpParameter,
    /// Items x channels.
    planes: usize,
    /// Height and width of the bottom, of its part after cropping, of the top.
    from: [usize; 2],
    kept: [usize; 2],
    to: [usize; 2],
}

/// Where a row or column of the top is read: the first of two neighbours, the step to the second,
/// and how far between them.
fn taps(from: usize, to: usize) -> Vec<(usize, usize, f32)> {
    let ratio = if to > 1 { (from - 1) as f32 / (to - 1) as f32 } else { 0.0 };
    let tap = |i: usize| {
        let at = ratio * i as f32;
        let first = (at as usize).min(from - 1);
        (first, usize::from(first + 1 < from), at - first as f32)
    };
    (0..to).map(tap).collect()
}

impl InterpLayer {
    /// Length of an axis of the top from that of the cropped bottom.
    fn length(&self, from: usize, given: i32) -> Option<usize> {
        let p = &self.param;
        if p.shrink_factor.is_none() && p.zoom_factor.is_none() {
            return Some(given as usize);
        }
        let shrunk = (from - 1) / p.shrink_factor() as usize + 1;
        (shrunk - 1).checked_mul(p.zoom_factor() as usize - 1)?.checked_add(shrunk)
    }

    /// Calls `visit(top element, [(bottom element, weight); 4])`.
    fn visit(&self, mut visit: impl FnMut(usize, [(usize, f32); 4])) {
        let [rows, columns] = [0, 1].map(|i| taps(self.kept[i], self.to[i]));
        let crop = self.param.pad_beg().unsigned_abs() as usize;
        let (width, mut at) = (self.from[1], 0);
        for plane in 0..self.planes {
            let corner = plane * self.from[0] * width + crop * width + crop;
            for &(y, down, v) in &rows {
                for &(x, right, u) in &columns {
                    let first = corner + y * width + x;
                    let second = first + down * width;
                    visit(
                        at,
                        [
                            (first, (1.0 - v) * (1.0 - u)),
                            (first + right, (1.0 - v) * u),
                            (second, v * (1.0 - u)),
                            (second + right, v * u),
                        ],
                    );
                    at += 1;
                }
            }
        }
    }
}

impl Layer for InterpLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let bottom = &cx.bottoms[0];
        let [n, c, h, w] = bottom[..] else {
            let why = format!("the bottom is N x C x H x W, found {bottom}");
            return Err(LayerError::bottom(0, why));
        };
        let p = &self.param;
        let crop = p.pad_beg().unsigned_abs() as usize + p.pad_end().unsigned_abs() as usize;
        let (true, true) = (h > crop, w > crop) else {
            let why = format!("nothing of the bottom, {bottom}, is left to interpolate");
            return Err(LayerError::bottom(0, why));
        };
        (self.planes, self.from, self.kept) = (n * c, [h, w], [h - crop, w - crop]);
        let size = match cx.bottoms.get(1).map(|size| &size[..]) {
            Some([.., height, width]) => [Some(*height), Some(*width)],
            Some(_) => {
                let why =
                    format!("the second bottom has height and width, found {}", cx.bottoms[1]);
                return Err(LayerError::bottom(1, why));
            }
            None => [self.length(h - crop, p.height()), self.length(w - crop, p.width())],
        };
        let [Some(height @ 1..), Some(width @ 1..)] = size else {
            let why = "the size of the top must be given and above 0: `height` and `width`, \
                       `zoom_factor`, `shrink_factor` or a second bottom";
            return Err(LayerError::field("interp_param.height", why));
        };
        let dims = [n, c, height, width].map(|d| i64::try_from(d).unwrap_or(i64::MAX));
        let top = Shape::from_file(&dims).map_err(|why| LayerError::field("interp_param", why))?;
        self.to = [height, width];
        cx.top(0, top);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (x, y) = (cx.bottom(0).data, &mut *cx.tops[0].data);
        self.visit(|at, taps| y[at] = taps.iter().map(|&(from, weight)| weight * x[from]).sum());
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let (Some(dy), Some(dx)) = (cx.top_diffs[0], &mut cx.bottom_diffs[0]) else {
            return Ok(());
        };
        if dx.write == Write::Set {
            dx.data.fill(0.0);
        }
        self.visit(|at, taps| {
            taps.iter().for_each(|&(to, part)| dx.data[to] += part * dy.data[at])
        });
        Ok(())
    }
}
