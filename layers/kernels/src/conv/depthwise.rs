//! Convolution where every output channel sees one input channel: nothing to multiply as matrices,
//! so the planes are walked directly, line by line.

use crate::Kernels;
use crate::blocks::worth_sharing;
use crate::geometry::{ConvGeometry, Window};
use crate::shared::Shared;
use crate::team::share;

/// Output positions of a kernel element that meet the input, and the input that the first meets.
fn meeting(w: &Window, kernel: usize) -> (std::ops::Range<usize>, usize) {
    let offset = kernel * w.dilation;
    let low = w.pad.saturating_sub(offset).div_ceil(w.stride).min(w.output);
    let high = match (w.input + w.pad).checked_sub(offset + 1) {
        Some(last) => (last / w.stride + 1).min(w.output).max(low),
        None => low,
    };
    (low..high, (low * w.stride + offset).saturating_sub(w.pad))
}

/// Calls `f(line of the output, its columns, first input element, weight index)` for every line of
/// every kernel element.
#[inline(always)]
fn lines(windows: &[Window], mut f: impl FnMut(usize, std::ops::Range<usize>, usize, usize)) {
    let [down, across] = windows else { return };
    for ky in 0..down.kernel {
        let (rows, top) = meeting(down, ky);
        for kx in 0..across.kernel {
            let (columns, left) = meeting(across, kx);
            if columns.is_empty() {
                continue;
            }
            for (i, row) in rows.clone().enumerate() {
                let from = (top + i * down.stride) * across.input + left;
                f(row, columns.clone(), from, ky * across.kernel + kx);
            }
        }
    }
}

/// Runs `f(index, plane)` for every plane of `dst`.
fn planes(dst: &mut [f32], len: usize, work: usize, f: impl Fn(usize, &mut [f32]) + Sync + Send) {
    if worth_sharing(work) {
        let (count, dst) = (dst.len() / len, Shared::new(dst));
        // SAFETY: every task has a plane of its own.
        share(count, |i| f(i, unsafe { dst.range(i * len, len) }));
    } else {
        dst.chunks_mut(len).enumerate().for_each(|(i, plane)| f(i, plane));
    }
}

impl Kernels {
    pub(super) fn depthwise_forward(
        &self,
        g: &ConvGeometry,
        src: &[f32],
        weights: &[f32],
        bias: Option<&[f32]>,
        dst: &mut [f32],
    ) {
        let (spatial_in, taps, per_channel) = (g.spatial_in(), g.kernel_len(), g.oc / g.ic);
        let (width, stride) = (g.windows[1].output, g.windows[1].stride);
        planes(dst, g.spatial_out(), g.macs() as usize, |i, dst| {
            let channel = i % g.oc;
            let src = &src[i / per_channel * spatial_in..][..spatial_in];
            let weights = &weights[channel * taps..(channel + 1) * taps];
            self.vectorize(
                #[inline(always)]
                || {
                    dst.fill(bias.map_or(0.0, |bias| bias[channel]));
                    lines(&g.windows, |row, columns, from, tap| {
                        let weight = weights[tap];
                        let dst = &mut dst[row * width + columns.start..row * width + columns.end];
                        let src = &src[from..];
                        match stride {
                            1 => dst.iter_mut().zip(src).for_each(|(d, s)| *d += weight * s),
                            2 => dst
                                .iter_mut()
                                .zip(src.iter().step_by(2))
                                .for_each(|(d, s)| *d += weight * s),
                            _ => dst
                                .iter_mut()
                                .zip(src.iter().step_by(stride))
                                .for_each(|(d, s)| *d += weight * s),
                        }
                    });
                },
            );
        });
    }

    /// Adds to diff_src.
    pub(super) fn depthwise_backward_data(
        &self,
        g: &ConvGeometry,
        diff_dst: &[f32],
        weights: &[f32],
        diff_src: &mut [f32],
    ) {
        let (spatial_out, taps, per_channel) = (g.spatial_out(), g.kernel_len(), g.oc / g.ic);
        let (width, stride) = (g.windows[1].output, g.windows[1].stride);
        planes(diff_src, g.spatial_in(), g.macs() as usize, |i, dx| {
            for extra in 0..per_channel {
                let plane = i * per_channel + extra;
                let dy = &diff_dst[plane * spatial_out..][..spatial_out];
                let weights = &weights[plane % g.oc * taps..][..taps];
                self.vectorize(
                    #[inline(always)]
                    || {
                        lines(&g.windows, |row, columns, from, tap| {
                            let weight = weights[tap];
                            let dy = &dy[row * width + columns.start..row * width + columns.end];
                            let dx = &mut dx[from..];
                            match stride {
                                1 => dx.iter_mut().zip(dy).for_each(|(x, y)| *x += weight * y),
                                _ => dx
                                    .iter_mut()
                                    .step_by(stride)
                                    .zip(dy)
                                    .for_each(|(x, y)| *x += weight * y),
                            }
                        });
                    },
                );
            }
        });
    }

    /// Adds to diff_weights.
    pub(super) fn depthwise_backward_weights(
        &self,
        g: &ConvGeometry,
        src: &[f32],
        diff_dst: &[f32],
        diff_weights: &mut [f32],
    ) {
        let (spatial_in, spatial_out) = (g.spatial_in(), g.spatial_out());
        let per_channel = g.oc / g.ic;
        let (width, stride) = (g.windows[1].output, g.windows[1].stride);
        planes(diff_weights, g.kernel_len(), g.macs() as usize, |channel, dw| {
            for image in 0..g.n {
                let plane = image * g.oc + channel;
                let dy = &diff_dst[plane * spatial_out..][..spatial_out];
                let src = &src[plane / per_channel * spatial_in..][..spatial_in];
                self.vectorize(
                    #[inline(always)]
                    || {
                        lines(&g.windows, |row, columns, from, tap| {
                            let dy = &dy[row * width + columns.start..row * width + columns.end];
                            let src = src[from..].iter().step_by(stride);
                            dw[tap] += dy.iter().zip(src).map(|(y, x)| y * x).sum::<f32>();
                        });
                    },
                );
            }
        });
    }
}
