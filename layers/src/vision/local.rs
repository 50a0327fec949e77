//! Local: a convolution whose weights differ from place to place.

use cortado_kernels::{ConvGeometry, Window};
use cortado_proto::caffe::LocalParameter;

use crate::filler::or_zero;
use crate::{
    Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs, Reshape, SetUp,
    Shape,
};

/// The layer type.
pub static KIND: LayerKind =
    LayerKind::new("Local", build, &DOC).needs(needs).macs(macs).dialect("ducha-aiki");

static DOC: LayerDoc = LayerDoc {
    params: &["local_param"],
    bottoms: &["x: N x C x H x W"],
    tops: &["y: N x num_output x height x width, as Convolution's"],
    blobs: &[
        "W: num_output x 1 x (C · kernel_size²) x (height · width)",
        "b: 1 x 1 x num_output x (height · width), unless bias_term is false",
    ],
    forward: "y[o, p] = b[o, p] + Σ_k W[o, k, p] · column(x)[k, p]",
    backward: "dx = columns put back of Σ_o W[o] · dy[o]   dW[o] += column(x) · dy[o]   db += dy",
    notes: "The blobs fix height and width of the bottom.",
    example: r#"layer { name: "local1" type: "Local" bottom: "pool1" top: "local1"
  local_param { num_output: 16 kernel_size: 3 weight_filler { type: "xavier" } } }"#,
    source: "Taigman, Yang, Ranzato, Wolf 2014 (DeepFace), section 3; local_layer.cpp of Caffe's forks",
    ..LayerDoc::new("Slides windows whose weights differ from place to place.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

fn macs(bottoms: &[Shape], _: &[Shape], params: &[Shape]) -> u64 {
    let items = bottoms.first().and_then(|bottom| bottom.first()).copied().unwrap_or(0);
    params.first().map_or(0, |weights| weights.count() as u64 * items as u64)
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.local_param.clone().unwrap_or_default();
    let outputs = super::num_output(param.num_output, "local_param")?;
    for (field, value) in [("kernel_size", param.kernel_size()), ("stride", param.stride())] {
        if value == 0 {
            let why = format!("`{field}` must be above 0, found 0");
            return Err(LayerError::field(format!("local_param.{field}"), why));
        }
    }
    Ok(Box::new(LocalLayer { param, outputs, geometry: None }))
}

struct LocalLayer {
    param: LocalParameter,
    outputs: usize,
    /// Of one item.
    geometry: Option<ConvGeometry>,
}

impl LocalLayer {
    fn geometry(&self, bottom: &Shape) -> Result<ConvGeometry, LayerError> {
        let [_, ic, h, w] = bottom[..] else {
            let why = format!("the bottom is N x C x H x W, found {bottom}");
            return Err(LayerError::bottom(0, why));
        };
        let p = &self.param;
        let (kernel, stride, pad) =
            (p.kernel_size() as usize, p.stride() as usize, p.pad() as usize);
        let mut windows = Vec::with_capacity(2);
        for input in [h, w] {
            let output = ConvGeometry::output_size(input, kernel, stride, pad, 1);
            let Some(output) = output.filter(|_| ic > 0 && input > 0) else {
                let why = format!(
                    "the kernel (size {kernel}, stride {stride}, pad {pad}) does not fit the bottom, {bottom}"
                );
                return Err(LayerError::field("local_param.kernel_size", why));
            };
            windows.push(Window { input, output, kernel, stride, pad, dilation: 1 });
        }
        Ok(ConvGeometry { n: 1, ic, oc: self.outputs, groups: 1, windows })
    }
}

/// Rows of the column matrix, and places.
fn columns(g: &ConvGeometry) -> (usize, usize) {
    (g.ic * g.kernel_len(), g.spatial_out())
}

impl Layer for LocalLayer {
    fn setup(&mut self, cx: &mut SetUp<'_>) -> Result<(), LayerError> {
        let g = self.geometry(&cx.bottoms[0])?;
        let (rows, places) = columns(&g);
        let p = &self.param;
        let weights = [self.outputs, 1, rows, places];
        cx.weight_of("local_param.weight_filler", weights, or_zero(&p.weight_filler));
        if p.bias_term() {
            let shape = [1, 1, self.outputs, places];
            cx.weight_of("local_param.bias_filler", shape, or_zero(&p.bias_filler));
        }
        Ok(())
    }

    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let bottom = cx.bottoms[0].clone();
        let g = self.geometry(&bottom)?;
        let (rows, places) = columns(&g);
        if cx.params[0][2..] != [rows, places] {
            let why = format!("the weights, {}, are for another size than {bottom}", cx.params[0]);
            return Err(LayerError::bottom(0, why));
        }
        cx.scratch = 2 * rows * places;
        cx.top(0, [bottom[0], self.outputs, g.windows[0].output, g.windows[1].output]);
        self.geometry = Some(g);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let Some(g) = &self.geometry else { return Ok(()) };
        let (rows, places) = columns(g);
        let (x, weights) = (cx.bottom(0).data, cx.weights[0].data);
        let bias = cx.weights.get(1).map(|bias| bias.data);
        let column = &mut cx.scratch[..rows * places];
        let items =
            x.chunks(g.ic * g.spatial_in()).zip(cx.tops[0].data.chunks_mut(self.outputs * places));
        for (x, y) in items {
            cx.k.im2col(g, x, column);
            match bias {
                Some(bias) => y.copy_from_slice(bias),
                None => y.fill(0.0),
            }
            for (y, weights) in y.chunks_mut(places).zip(weights.chunks(rows * places)) {
                for (weights, column) in weights.chunks(places).zip(column.chunks(places)) {
                    let terms = y.iter_mut().zip(weights).zip(column);
                    terms.for_each(|((y, weight), x)| *y += weight * x);
                }
            }
        }
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let Some(g) = &self.geometry else { return Ok(()) };
        let (rows, places) = columns(g);
        let Some(dy) = cx.top_diffs[0] else { return Ok(()) };
        let (x, weights) = (cx.bottom(0).data, cx.weights[0].data);
        let (item, size) = (g.ic * g.spatial_in(), rows * places);
        let [dw, rest @ ..] = &mut *cx.weight_diffs else { return Ok(()) };
        let (column, dcolumn) = cx.scratch.split_at_mut(size);
        for (n, dy) in dy.data.chunks(self.outputs * places).enumerate() {
            if let [Some(db)] = rest {
                cx.k.axpy(1.0, dy, db.data);
            }
            if let Some(dw) = dw {
                cx.k.im2col(g, &x[n * item..][..item], column);
                for (dy, dw) in dy.chunks(places).zip(dw.data.chunks_mut(size)) {
                    for (dw, column) in dw.chunks_mut(places).zip(column.chunks(places)) {
                        dw.iter_mut().zip(dy).zip(column).for_each(|((dw, dy), x)| *dw += dy * x);
                    }
                }
            }
            let Some(dx) = &mut cx.bottom_diffs[0] else { continue };
            let dcolumn = &mut dcolumn[..size];
            dcolumn.fill(0.0);
            for (dy, weights) in dy.chunks(places).zip(weights.chunks(size)) {
                for (dcolumn, weights) in dcolumn.chunks_mut(places).zip(weights.chunks(places)) {
                    let terms = dcolumn.iter_mut().zip(dy).zip(weights);
                    terms.for_each(|((to, dy), weight)| *to += dy * weight);
                }
            }
            cx.k.col2im(g, dcolumn, dx.write, &mut dx.data[n * item..][..item]);
        }
        Ok(())
    }
}
