//! ConvolutionDepthwise and DepthwiseConvolution: a convolution with one group per channel.

use super::convolution::{self, ConvolutionLayer};
use crate::{
    Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, LowerCx, Prim, Reshape,
    SetUp,
};

/// The layer type under its first name.
pub static KIND: LayerKind = LayerKind::new("ConvolutionDepthwise", build, &DOC)
    .needs(convolution::needs)
    .macs(convolution::macs)
    .lower(lower)
    .dialect("mobilenet");

/// The same under its second name.
pub static OTHER: LayerKind = LayerKind::new("DepthwiseConvolution", build, &OTHER_DOC)
    .needs(convolution::needs)
    .macs(convolution::macs)
    .lower(lower)
    .dialect("mobilenet");

static DOC: LayerDoc = LayerDoc {
    example: r#"layer { name: "conv2_1/dw" type: "ConvolutionDepthwise" bottom: "x" top: "y"
  convolution_param { num_output: 32 kernel_size: 3 pad: 1 weight_filler { type: "msra" } } }"#,
    ..COMMON
};

static OTHER_DOC: LayerDoc = LayerDoc {
    example: r#"layer { name: "conv2_1/dw" type: "DepthwiseConvolution" bottom: "x" top: "y"
  convolution_param { num_output: 32 kernel_size: 3 pad: 1 weight_filler { type: "msra" } } }"#,
    ..COMMON
};

const COMMON: LayerDoc = LayerDoc {
    params: &["convolution_param"],
    bottoms: &["x: N x C x spatial axes"],
    tops: &["y: N x num_output x output axes, num_output a multiple of C"],
    blobs: &["W: num_output x 1 x kernel axes", "b: num_output, unless bias_term is false"],
    forward: "as Convolution with `group` equal to C",
    backward: "as Convolution's",
    notes: "`ConvolutionDepthwise` and `DepthwiseConvolution` are two forks' names of one type. Whatever \
            `group` says, there is one group per channel. Files may as well say `Convolution` with \
            `group`: the weights are the same.",
    source: "Howard et al. 2017 (MobileNets), section 3.1",
    ..LayerDoc::new("Convolves each channel with windows of its own.")
};

fn lower(cx: &LowerCx<'_>) -> Option<Prim> {
    convolution::meaning(cx, cx.channels()?)
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    Ok(Box::new(DepthwiseLayer(ConvolutionLayer::new(def)?)))
}

struct DepthwiseLayer(ConvolutionLayer);

impl Layer for DepthwiseLayer {
    fn setup(&mut self, cx: &mut SetUp<'_>) -> Result<(), LayerError> {
        let axis = cx.bottoms[0].axis(self.0.param.axis(), "convolution_param.axis")?;
        self.0.param.group = u32::try_from(cx.bottoms[0][axis]).ok();
        self.0.setup(cx)
    }

    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        self.0.reshape(cx)
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        self.0.forward(cx)
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        self.0.backward(cx)
    }
}
