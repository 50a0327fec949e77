//! Sizes of convolutions.

/// One spatial axis of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Length of the input.
    pub input: usize,
    /// Length of the output.
    pub output: usize,
    /// Length of the kernel.
    pub kernel: usize,
    /// Step between two outputs.
    pub stride: usize,
    /// Zeros before the first and after the last input.
    pub pad: usize,
    /// Distance of two kernel elements.
    pub dilation: usize,
}

impl Window {
    /// Zeros that windows meet on one side at most.
    pub(crate) fn reach(&self) -> usize {
        let last = self.output.saturating_sub(1) * self.stride;
        let end = last + self.kernel.saturating_sub(1) * self.dilation + 1;
        self.pad.max(end.saturating_sub(self.pad + self.input))
    }
}

/// A convolution over any number of spatial axes, blobs as `[n][channels][axes...]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvGeometry {
    /// Images.
    pub n: usize,
    /// Input channels.
    pub ic: usize,
    /// Output channels.
    pub oc: usize,
    /// Groups; both channel counts are multiples of it.
    pub groups: usize,
    /// The spatial axes, outermost first.
    pub windows: Vec<Window>,
}

impl ConvGeometry {
    /// Outputs along one axis, rounded down as the original does; `None` when the kernel does not
    /// fit the padded input, or a number makes no sense.
    pub fn output_size(
        input: usize,
        kernel: usize,
        stride: usize,
        pad: usize,
        dilation: usize,
    ) -> Option<usize> {
        let extent = dilation.checked_mul(kernel.checked_sub(1)?)?.checked_add(1)?;
        let padded = pad.checked_mul(2)?.checked_add(input)?;
        Some(padded.checked_sub(extent)?.checked_div(stride)? + 1)
    }

    /// Elements of one input plane (all spatial axes).
    pub fn spatial_in(&self) -> usize {
        self.windows.iter().map(|w| w.input).product()
    }

    /// Elements of one output plane.
    pub fn spatial_out(&self) -> usize {
        self.windows.iter().map(|w| w.output).product()
    }

    /// Elements of one kernel plane.
    pub fn kernel_len(&self) -> usize {
        self.windows.iter().map(|w| w.kernel).product()
    }

    /// Elements of the whole input.
    pub fn input_len(&self) -> usize {
        self.n * self.ic * self.spatial_in()
    }

    /// Elements of the whole output.
    pub fn output_len(&self) -> usize {
        self.n * self.oc * self.spatial_out()
    }

    /// Elements of the weights, `oc x ic/groups x kernel...`.
    pub fn weight_len(&self) -> usize {
        self.oc * (self.ic / self.groups.max(1)) * self.kernel_len()
    }

    /// Multiply-adds of a forward pass.
    pub fn macs(&self) -> u64 {
        self.output_len() as u64 * (self.ic / self.groups.max(1) * self.kernel_len()) as u64
    }

    /// Length of the reduction: rows of the column matrix of one group.
    pub(crate) fn depth(&self) -> usize {
        self.ic / self.groups * self.kernel_len()
    }

    /// Whether the column matrix is the input itself.
    pub(crate) fn is_pointwise(&self) -> bool {
        self.windows.iter().all(|w| w.kernel == 1 && w.stride == 1 && w.pad == 0)
    }

    /// Whether every output channel sees one input channel only, in two dimensions.
    pub(crate) fn is_depthwise(&self) -> bool {
        self.groups == self.ic && self.groups > 1 && self.windows.len() == 2
    }
}
