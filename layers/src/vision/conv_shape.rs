//! What Convolution, Deconvolution and Im2col share: the window over the spatial axes.

use cortado_kernels::{ConvGeometry, Window};
use cortado_proto::caffe::ConvolutionParameter;
use cortado_proto::defaults::{ConvAxes, conv_axes};

use crate::{LayerError, Shape};

/// Axes of a convolution's bottom: `[outer...] x channels x [spatial...]`.
#[derive(Clone, Debug)]
pub(super) struct ConvShape {
    /// Index of the channel axis.
    pub axis: usize,
    /// Kernel, stride, pad, dilation of the spatial axes.
    pub axes: ConvAxes,
}

impl ConvShape {
    /// Reads the window for a bottom of this shape.
    pub fn new(p: &ConvolutionParameter, bottom: &Shape) -> Result<ConvShape, LayerError> {
        let axis = bottom.axis(p.axis(), "convolution_param.axis")?;
        let axes = conv_axes(p, bottom.len() - axis - 1)?;
        Ok(ConvShape { axis, axes })
    }

    /// The channels of the bottom.
    pub fn channels(&self, bottom: &Shape) -> Result<usize, LayerError> {
        let wanted = self.axis + 1 + self.axes.kernel.len();
        if bottom.len() == wanted {
            return Ok(bottom[self.axis]);
        }
        let why = format!("the layer was set up for {wanted} axes, the bottom is {bottom}");
        Err(LayerError::bottom(0, why))
    }

    /// The convolution from a bottom of `shape` with so many channels out.
    pub fn forward(
        &self,
        shape: &Shape,
        oc: usize,
        groups: usize,
    ) -> Result<ConvGeometry, LayerError> {
        self.geometry(shape, oc, groups, |input, i| {
            let (kernel, stride, pad, dilation) = self.at(i);
            let output = ConvGeometry::output_size(input, kernel, stride, pad, dilation);
            Some(Window { input, output: output?, kernel, stride, pad, dilation })
        })
    }

    /// The convolution whose data gradient is a deconvolution of `shape` to so many channels.
    pub fn reversed(
        &self,
        shape: &Shape,
        channels_out: usize,
        groups: usize,
    ) -> Result<ConvGeometry, LayerError> {
        let mut g = self.geometry(shape, channels_out, groups, |output, i| {
            let (kernel, stride, pad, dilation) = self.at(i);
            let extent = dilation.checked_mul(kernel - 1)?.checked_add(1)?;
            let span = stride.checked_mul(output.checked_sub(1)?)?.checked_add(extent)?;
            let input = span.checked_sub(pad.checked_mul(2)?).filter(|&input| input > 0)?;
            Some(Window { input, output, kernel, stride, pad, dilation })
        })?;
        std::mem::swap(&mut g.ic, &mut g.oc);
        Ok(g)
    }

    fn at(&self, i: usize) -> (usize, usize, usize, usize) {
        let a = &self.axes;
        (a.kernel[i], a.stride[i], a.pad[i], a.dilation[i])
    }

    fn geometry(
        &self,
        shape: &Shape,
        other_channels: usize,
        groups: usize,
        window: impl Fn(usize, usize) -> Option<Window>,
    ) -> Result<ConvGeometry, LayerError> {
        let ic = self.channels(shape)?;
        let mut windows = Vec::with_capacity(self.axes.kernel.len());
        for (i, &length) in shape[self.axis + 1..].iter().enumerate() {
            let (kernel, stride, pad, dilation) = self.at(i);
            let made = window(length, i).ok_or_else(|| {
                let why = format!(
                    "the kernel (size {kernel}, stride {stride}, pad {pad}, dilation {dilation}) does not \
                     fit spatial axis {i} of the bottom, {shape}"
                );
                LayerError::field("convolution_param.kernel_size", why)
            })?;
            windows.push(made);
        }
        let n = shape.count_to(self.axis);
        Ok(ConvGeometry { n, ic, oc: other_channels, groups, windows })
    }
}

/// Checks `num_output` and `group` against the channels of the bottom: these three numbers.
pub(super) fn check_channels(
    p: &ConvolutionParameter,
    shape: &ConvShape,
    bottom: &Shape,
) -> Result<[usize; 3], LayerError> {
    let channels = shape.channels(bottom)?;
    let outputs = super::num_output(p.num_output, "convolution_param")?;
    let groups = p.group() as usize;
    if channels == 0 {
        return Err(LayerError::bottom(0, format!("the bottom, {bottom}, has no channels")));
    }
    if groups == 0 {
        let why = "`group` must be above 0, found 0";
        return Err(LayerError::field("convolution_param.group", why));
    }
    if !channels.is_multiple_of(groups) || outputs % groups != 0 {
        let why = format!(
            "`group` {groups} must divide the {channels} channels of the bottom, {bottom}, and \
             `num_output` {outputs}"
        );
        return Err(LayerError::field("convolution_param.group", why));
    }
    Ok([outputs, groups, channels])
}

/// Several bottoms share the weights, so they have one shape.
pub(super) fn same_shapes(bottoms: &[Shape]) -> Result<(), LayerError> {
    match bottoms.iter().position(|shape| *shape != bottoms[0]) {
        None => Ok(()),
        Some(i) => {
            let why =
                format!("all bottoms must have one shape, found {} and {}", bottoms[0], bottoms[i]);
            Err(LayerError::bottom(i, why))
        }
    }
}
