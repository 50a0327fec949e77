//! Deconvolution: the data gradient of a convolution, run forward; upsampling with learned windows.

use cortado_kernels::{ConvAlgo, ConvGeometry, Write};
use cortado_proto::caffe::ConvolutionParameter;

use super::conv_shape::{ConvShape, check_channels, same_shapes};
use crate::filler::or_zero;
use crate::{
    Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, LowerCx, Needs, Prim,
    Reshape, SetUp, Shape,
};

/// The layer type.
pub static KIND: LayerKind =
    LayerKind::new("Deconvolution", build, &DOC).pairs().needs(needs).macs(macs).lower(lower);

static DOC: LayerDoc = LayerDoc {
    params: &["convolution_param"],
    bottoms: &["x: N x C x spatial axes; several bottoms of one shape share the weights"],
    tops: &["y: N x num_output x output axes, one per bottom"],
    blobs: &[
        "W: C x num_output/group x kernel axes (the other way round than in Convolution)",
        "b: num_output, unless bias_term is false",
    ],
    forward: "y = Wᵀ ∗ x + b   output = stride·(input − 1) + dilation·(kernel − 1) + 1 − 2·pad",
    backward: "dx = W ∗ dy   dW += x ⊗ columns(dy)   db += Σ dy",
    notes: "With `group` equal to the channels, the filler `bilinear` and lr_mult 0 it upsamples \
            bilinearly: the idiom of fully convolutional networks.",
    example: r#"layer { name: "up" type: "Deconvolution" bottom: "score" top: "up"
  convolution_param { num_output: 21 group: 21 kernel_size: 4 stride: 2 pad: 1 bias_term: false
    weight_filler { type: "bilinear" } } }"#,
    source: "Caffe's deconv_layer.cpp; Long, Shelhamer, Darrell 2015",
    ..LayerDoc::new("A convolution run backward: upsampling with learned windows.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

fn macs(bottoms: &[Shape], _: &[Shape], params: &[Shape]) -> u64 {
    let Some(weights) = params.first() else { return 0 };
    let per_input = weights.count_from(1.min(weights.len())) as u64;
    bottoms.iter().map(|bottom| bottom.count() as u64 * per_input).sum()
}

fn lower(cx: &LowerCx<'_>) -> Option<Prim> {
    let p = cx.def.convolution_param.clone().unwrap_or_default();
    let [bottom] = cx.bottoms else { return None };
    let shape = ConvShape::new(&p, bottom).ok().filter(|shape| shape.axis == 1)?;
    let (outputs, groups) = (p.num_output() as usize, p.group() as usize);
    Some(Prim::Deconv(shape.reversed(bottom, outputs, groups).ok()?))
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.convolution_param.clone().unwrap_or_default();
    Ok(Box::new(DeconvolutionLayer { param, shape: None, geometry: None }))
}

struct DeconvolutionLayer {
    param: ConvolutionParameter,
    shape: Option<ConvShape>,
    /// The convolution from top to bottom.
    geometry: Option<ConvGeometry>,
}

impl Layer for DeconvolutionLayer {
    fn setup(&mut self, cx: &mut SetUp<'_>) -> Result<(), LayerError> {
        let shape = ConvShape::new(&self.param, &cx.bottoms[0])?;
        let [outputs, groups, channels] = check_channels(&self.param, &shape, &cx.bottoms[0])?;
        let mut weights = vec![channels, outputs / groups];
        weights.extend(&shape.axes.kernel);
        let (field, filler) = ("convolution_param.weight_filler", &self.param.weight_filler);
        cx.weight_of(field, weights, or_zero(filler));
        if self.param.bias_term() {
            let (field, filler) = ("convolution_param.bias_filler", &self.param.bias_filler);
            cx.weight_of(field, [outputs], or_zero(filler));
        }
        self.shape = Some(shape);
        Ok(())
    }

    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        same_shapes(cx.bottoms)?;
        let Some(shape) = &self.shape else { return Ok(()) };
        let bottom = &cx.bottoms[0];
        let (outputs, groups) = (self.param.num_output() as usize, self.param.group() as usize);
        let wanted = cx.params[0][0];
        if shape.channels(bottom)? != wanted {
            let why = format!("the weights are for {wanted} channels, the bottom is {bottom}");
            return Err(LayerError::bottom(0, why));
        }
        let geometry = shape.reversed(bottom, outputs, groups)?;
        let mut dims = bottom[..shape.axis].to_vec();
        dims.push(outputs);
        dims.extend(geometry.windows.iter().map(|w| w.input));
        for top in cx.tops.iter_mut() {
            *top = Shape::new(&dims);
        }
        // A diff that is added to is made aside first.
        cx.scratch = if cx.backward { bottom.count() } else { 0 };
        self.geometry = Some(geometry);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let Some(g) = &self.geometry else { return Ok(()) };
        let (k, weights) = (cx.k, cx.weights[0].data);
        let bias = cx.weights.get(1).map(|bias| bias.data);
        let algo = if cx.backward { ConvAlgo::Auto } else { ConvAlgo::Direct };
        for (bottom, top) in cx.bottoms.iter().zip(cx.tops.iter_mut()) {
            let Some(bottom) = bottom else { continue };
            k.conv_backward_data(g, bottom.data, weights, bias, Write::Set, algo, &mut *top.data);
        }
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let Some(g) = &self.geometry else { return Ok(()) };
        let (k, weights) = (cx.k, cx.weights[0].data);
        for i in 0..cx.tops.len() {
            let Some(dy) = cx.top_diffs[i] else { continue };
            let x = cx.bottom(i);
            if let Some(Some(bias)) = cx.weight_diffs.get_mut(1) {
                k.sum_channels(g.n, g.ic, g.spatial_in(), dy.data, bias.data);
            }
            if let Some(dw) = &mut cx.weight_diffs[0] {
                k.conv_backward_weights(g, dy.data, x.data, dw.data);
            }
            if let Some(dx) = &mut cx.bottom_diffs[i] {
                match dx.write {
                    Write::Set => k.conv_forward(g, dy.data, weights, None, None, &mut *dx.data),
                    Write::Add => {
                        let made = &mut cx.scratch[..dx.data.len()];
                        k.conv_forward(g, dy.data, weights, None, None, &mut *made);
                        k.axpy(1.0, made, dx.data);
                    }
                }
            }
        }
        Ok(())
    }
}
