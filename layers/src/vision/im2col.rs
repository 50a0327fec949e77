//! Im2col: every window of a convolution as a column.

use cortado_kernels::ConvGeometry;
use cortado_proto::caffe::ConvolutionParameter;

use super::conv_shape::ConvShape;
use crate::{Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs, Reshape};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("Im2col", build, &DOC).needs(needs);

static DOC: LayerDoc = LayerDoc {
    params: &["convolution_param"],
    bottoms: &["x: N x C x spatial axes"],
    tops: &["y: N x (C · elements of the kernel) x output axes, sized as Convolution's"],
    forward: "y[n, (c, k), p] = x[n, c, p·stride − pad + k·dilation], 0 in the padding",
    backward: "dx = Σ of the elements of dy that were read from it",
    notes: "Convolution does this by itself; the layer shows what it multiplies. Only the window's \
            fields and `axis` of `convolution_param` are read.",
    example: r#"layer { name: "columns" type: "Im2col" bottom: "x" top: "columns"
  convolution_param { kernel_size: 3 pad: 1 } }"#,
    source: "Caffe's im2col_layer.cpp",
    ..LayerDoc::new("Lays out the windows of a convolution as columns.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.convolution_param.clone().unwrap_or_default();
    Ok(Box::new(Im2colLayer { param, geometry: None }))
}

struct Im2colLayer {
    param: ConvolutionParameter,
    geometry: Option<ConvGeometry>,
}

impl Layer for Im2colLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let bottom = &cx.bottoms[0];
        let shape = ConvShape::new(&self.param, bottom)?;
        if shape.axes.kernel.is_empty() {
            let why = format!("Im2col wants a spatial axis behind axis {}: {bottom}", shape.axis);
            return Err(LayerError::bottom(0, why));
        }
        let geometry = shape.forward(bottom, 1, 1)?;
        let taps = shape.axes.kernel.iter().fold(1usize, |n, &k| n.saturating_mul(k));
        let mut tail = vec![shape.channels(bottom)?.saturating_mul(taps)];
        tail.extend(geometry.windows.iter().map(|w| w.output));
        let top = bottom.with_tail(shape.axis, &tail);
        cx.top(0, top);
        self.geometry = Some(geometry);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let Some(g) = &self.geometry else { return Ok(()) };
        let x = cx.bottom(0).data;
        cx.k.im2col(g, x, cx.tops[0].data);
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let (Some(g), Some(dy)) = (&self.geometry, cx.top_diffs[0]) else { return Ok(()) };
        if let Some(dx) = &mut cx.bottom_diffs[0] {
            cx.k.col2im(g, dy.data, dx.write, dx.data);
        }
        Ok(())
    }
}
