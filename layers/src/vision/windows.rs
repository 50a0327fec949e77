//! The windows of the learned poolings: square, no padding, cut off where they reach beyond the plane.

use cortado_proto::caffe::ConvolutionParameter;

use crate::{LayerError, Shape};

/// Where the windows lie.
pub(super) struct Windows {
    pub kernel: usize,
    stride: usize,
    /// Items x channels.
    planes: usize,
    input: [usize; 2],
    output: [usize; 2],
}

impl Windows {
    /// Reads `kernel_size` and `stride`.
    pub fn new(p: &ConvolutionParameter) -> Result<Windows, LayerError> {
        let field = |name: &str, why: String| {
            Err(LayerError::field(format!("convolution_param.{name}"), why))
        };
        let one = |list: &[u32], absent: u32| match list {
            [] => absent as usize,
            [first, ..] => *first as usize,
        };
        let (kernel, stride) = (one(&p.kernel_size, 0), one(&p.stride, 1));
        if kernel == 0 || kernel > 1 << 10 {
            let why = format!("`kernel_size` must be given and from 1 to 1024, found {kernel}");
            return field("kernel_size", why);
        }
        if stride == 0 || stride > kernel {
            let why = format!("`stride` is from 1 to `kernel_size`, {kernel}; found {stride}");
            return field("stride", why);
        }
        if p.pad.iter().any(|&pad| pad > 0) {
            return field("pad", format!("this pooling has no padding, found {}", p.pad[0]));
        }
        Ok(Windows { kernel, stride, planes: 0, input: [0; 2], output: [0; 2] })
    }

    /// The shape of the top.
    pub fn reshape(&mut self, bottom: &Shape) -> Result<Shape, LayerError> {
        let [n, c, h, w] = bottom[..] else {
            return Err(LayerError::bottom(0, format!("N x C x H x W is wanted, found {bottom}")));
        };
        if h < self.kernel || w < self.kernel {
            let why = format!("the window of {} does not fit the bottom, {bottom}", self.kernel);
            return Err(LayerError::field("convolution_param.kernel_size", why));
        }
        (self.planes, self.input) = (n * c, [h, w]);
        self.output = self.input.map(|length| (length - self.kernel).div_ceil(self.stride) + 1);
        Ok(Shape::from([n, c, self.output[0], self.output[1]]))
    }

    /// Calls `visit(element of the top, elements of the bottom with their numbers in the window)`. The
    /// numbers of a window that is cut off run on without gaps if `compact` is set.
    pub fn visit(&self, compact: bool, mut visit: impl FnMut(usize, &[(usize, usize)])) {
        let ([h, w], [oh, ow], k) = (self.input, self.output, self.kernel);
        let (mut offsets, mut window) = (Vec::new(), Vec::new());
        for cell in 0..oh * ow {
            let (top, left) = (cell / ow * self.stride, cell % ow * self.stride);
            offsets.clear();
            for i in 0..k * k {
                let (y, x) = (top + i / k, left + i % k);
                if y < h && x < w {
                    offsets.push((y * w + x, if compact { offsets.len() } else { i }));
                }
            }
            for plane in 0..self.planes {
                window.clear();
                window.extend(offsets.iter().map(|&(at, i)| (plane * h * w + at, i)));
                visit(plane * oh * ow + cell, &window);
            }
        }
    }
}

/// 1 / (1 + e^−x)
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// Σ x · mask over a window.
pub(super) fn response(x: &[f32], mask: &[f32], window: &[(usize, usize)]) -> f32 {
    window.iter().map(|&(at, i)| x[at] * mask[i]).sum()
}
