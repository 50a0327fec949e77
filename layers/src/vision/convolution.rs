//! Convolution: a window of weights slid over any number of spatial axes.

use cortado_kernels::{ConvAlgo, ConvGeometry, SrcDst, Write};
use cortado_proto::caffe::ConvolutionParameter;

use super::conv_shape::{ConvShape, check_channels, same_shapes};
use crate::filler::or_zero;
use crate::{
    Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Layout, Layouts, LowerCx,
    Needs, Prim, Reshape, SetUp, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("Convolution", build, &DOC)
    .pairs()
    .needs(needs)
    .macs(macs)
    .lower(lower)
    .layouts(Layouts::Blocked);

static DOC: LayerDoc = LayerDoc {
    params: &["convolution_param"],
    bottoms: &["x: N x C x spatial axes; several bottoms of one shape share the weights"],
    tops: &["y: N x num_output x output axes, one per bottom"],
    blobs: &["W: num_output x C/group x kernel axes", "b: num_output, unless bias_term is false"],
    forward: "y[n,o,p] = b[o] + Σ_c,k W[o,c,k] · x[n,c, p·stride − pad + k·dilation]\n\
              output = ⌊(input + 2·pad − (dilation·(kernel − 1) + 1)) / stride⌋ + 1",
    backward: "dx = Wᵀ ∗ dy   dW += Σ_n dy ⊗ columns(x)   db += Σ_n,p dy",
    notes: "Sizes are rounded down here and up in Pooling. `kernel_size`, `stride`, `pad` and `dilation` \
            stand once for all axes or once per axis; the `_h`/`_w` forms are for two axes. Without a \
            `weight_filler` all weights start at 0. `engine` and `force_nd_im2col` are accepted and \
            change nothing. Intel's `relu: true` is a ReLU of the slope `negative_slope` behind the bias.",
    example: r#"layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 64 kernel_size: 7 stride: 2 pad: 3
    weight_filler { type: "msra" } } }"#,
    source: "Caffe's conv_layer.cpp and base_conv_layer.cpp",
    ..LayerDoc::new("Slides learned windows over the spatial axes of its bottom.")
};

/// A ReLU in the layer tells itself by y.
pub(super) fn needs(def: &LayerDef) -> Needs {
    let relu = def.convolution_param.as_ref().is_some_and(|p| p.relu());
    if relu { Needs::BOTH } else { Needs::BOTTOM }
}

pub(super) fn macs(_: &[Shape], tops: &[Shape], params: &[Shape]) -> u64 {
    let Some(weights) = params.first() else { return 0 };
    let per_output = weights.count_from(1.min(weights.len())) as u64;
    tops.iter().map(|top| top.count() as u64 * per_output).sum()
}

fn lower(cx: &LowerCx<'_>) -> Option<Prim> {
    meaning(cx, cx.def.convolution_param.as_ref().map_or(1, |p| p.group()) as usize)
}

/// A convolution of so many groups, whatever `group` says.
pub(super) fn meaning(cx: &LowerCx<'_>, groups: usize) -> Option<Prim> {
    let p = cx.def.convolution_param.clone().unwrap_or_default();
    let [bottom] = cx.bottoms else { return None };
    if p.relu() {
        return None;
    }
    let shape = ConvShape::new(&p, bottom).ok().filter(|shape| shape.axis == 1)?;
    let outputs = p.num_output() as usize;
    Some(Prim::Conv(shape.forward(bottom, outputs, groups).ok()?))
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    Ok(Box::new(ConvolutionLayer::new(def)?))
}

pub(super) struct ConvolutionLayer {
    pub(super) param: ConvolutionParameter,
    /// Slope of the ReLU behind the bias, if there is one.
    relu: Option<f32>,
    shape: Option<ConvShape>,
    geometry: Option<ConvGeometry>,
}

impl ConvolutionLayer {
    pub(super) fn new(def: &LayerDef) -> Result<ConvolutionLayer, LayerError> {
        let param = def.convolution_param.clone().unwrap_or_default();
        let relu = super::own_relu(param.relu(), param.negative_slope(), "convolution_param")?;
        Ok(ConvolutionLayer { param, relu, shape: None, geometry: None })
    }
}

impl Layer for ConvolutionLayer {
    fn setup(&mut self, cx: &mut SetUp<'_>) -> Result<(), LayerError> {
        let shape = ConvShape::new(&self.param, &cx.bottoms[0])?;
        let [outputs, groups, channels] = check_channels(&self.param, &shape, &cx.bottoms[0])?;
        let mut weights = vec![outputs, channels / groups];
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
        let wanted = cx.params[0][1] * groups;
        if shape.channels(bottom)? != wanted {
            let why = format!("the weights are for {wanted} channels, the bottom is {bottom}");
            return Err(LayerError::bottom(0, why));
        }
        let geometry = shape.forward(bottom, outputs, groups)?;
        let mut dims = bottom[..shape.axis].to_vec();
        dims.push(outputs);
        dims.extend(geometry.windows.iter().map(|w| w.output));
        for top in cx.tops.iter_mut() {
            *top = Shape::new(&dims);
        }
        // dy, passed back through the ReLU.
        cx.scratch = if cx.backward && self.relu.is_some() { cx.tops[0].count() } else { 0 };
        self.geometry = Some(geometry);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let Some(g) = &self.geometry else { return Ok(()) };
        let (k, weights) = (cx.k, cx.weights[0].data);
        let bias = cx.weights.get(1).map(|bias| bias.data);
        // Training takes the fastest form; use is exact, and fast by way of plans.
        let planes = |layout: Layout| layout == Layout::Nchw;
        let blocks = !cx.bottoms.iter().flatten().all(|bottom| planes(bottom.layout))
            || !cx.tops.iter().all(|top| planes(top.layout));
        let (form, algo) = match (cx.backward, blocks) {
            (true, true) => ("conv in blocks", ConvAlgo::Auto),
            (true, false) => ("conv in training", ConvAlgo::Auto),
            (false, _) => ("conv", ConvAlgo::Direct),
        };
        let packed = cx.packs.get(0, form, || k.pack_conv(g, weights, algo, blocks));
        for (bottom, top) in cx.bottoms.iter().zip(cx.tops.iter_mut()) {
            let Some(bottom) = bottom else { continue };
            k.conv_forward(g, bottom.source(), weights, Some(&packed), bias, top.dest());
            if let Some(slope) = self.relu {
                k.relu_forward(SrcDst::InPlace(&mut *top.data), slope);
            }
        }
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let Some(g) = &self.geometry else { return Ok(()) };
        let (k, weights) = (cx.k, cx.weights[0].data);
        for i in 0..cx.tops.len() {
            let Some(mut dy) = cx.top_diffs[i] else { continue };
            if let Some(slope) = self.relu {
                let io = SrcDst::Apart(dy.data, &mut *cx.scratch);
                k.relu_backward(io, cx.tops[i].data, slope, Write::Set);
                dy.data = &*cx.scratch;
            }
            let x = cx.bottom(i);
            if let Some(Some(bias)) = cx.weight_diffs.get_mut(1) {
                k.conv_backward_bias(g.n, g.oc, g.spatial_out(), dy.source(), bias.data);
            }
            if let Some(dw) = &mut cx.weight_diffs[0] {
                k.conv_backward_weights(g, x.source(), dy.source(), dw.data);
            }
            if let Some(dx) = &mut cx.bottom_diffs[i] {
                let (write, algo) = (dx.write, ConvAlgo::Auto);
                k.conv_backward_data(g, dy.source(), weights, None, write, algo, dx.dest());
            }
        }
        Ok(())
    }
}
