//! Stochastic pooling: an element is drawn with a probability proportional to its value.
//!
//! Zeiler & Fergus 2013, *Stochastic Pooling for Regularization of Deep Convolutional Neural
//! Networks*.

use super::{NOTHING, PoolGeometry, for_each_group};
use crate::Kernels;
use crate::shared::Shared;

impl Kernels {
    /// dst = the element of each window where the running sum reaches uniform * total, mask = its
    /// index inside the source plane. `uniform` holds one number of \[0, 1) per window. A window
    /// over nothing gives 0 and `u32::MAX`. The gradient is [`Kernels::max_pool_backward`].
    pub fn stochastic_pool_train(
        &self,
        g: &PoolGeometry,
        src: &[f32],
        uniform: &[f32],
        dst: &mut [f32],
        mask: &mut [u32],
    ) {
        assert_eq!(src.len(), g.input_len(), "source of another shape");
        assert_eq!(dst.len(), g.output_len(), "destination of another shape");
        assert!(uniform.len() == dst.len() && mask.len() == dst.len(), "lengths differ");
        let (plane_in, plane_out) = (g.plane_in(), g.plane_out());
        let (dst, mask) = (Shared::new(dst), Shared::new(mask));
        for_each_group(g, |planes| {
            let (at, len) = (planes.start * plane_out, planes.len() * plane_out);
            // SAFETY: every group has planes of its own.
            let (dst, mask) = unsafe { (dst.range(at, len), mask.range(at, len)) };
            g.for_each_window(|window, _, under| {
                for (i, plane) in planes.clone().enumerate() {
                    let out = i * plane_out + window;
                    let src = &src[plane * plane_in..(plane + 1) * plane_in];
                    let drawn = draw(src, under, uniform[at + out]);
                    dst[out] = drawn.map_or(0.0, |i| src[i]);
                    mask[out] = drawn.map_or(NOTHING, |i| i as u32);
                }
            });
        });
    }

    /// dst = sum of x^2 / sum of x over each window: the expected value of what training draws; 0
    /// where the sum is not positive.
    pub fn stochastic_pool_test(&self, g: &PoolGeometry, src: &[f32], dst: &mut [f32]) {
        assert_eq!(src.len(), g.input_len(), "source of another shape");
        assert_eq!(dst.len(), g.output_len(), "destination of another shape");
        let (plane_in, plane_out) = (g.plane_in(), g.plane_out());
        let dst = Shared::new(dst);
        for_each_group(g, |planes| {
            // SAFETY: every group has planes of its own.
            let dst = unsafe { dst.range(planes.start * plane_out, planes.len() * plane_out) };
            g.for_each_window(|window, _, under| {
                for (i, plane) in planes.clone().enumerate() {
                    let src = &src[plane * plane_in..(plane + 1) * plane_in];
                    dst[i * plane_out + window] = expected(src, under);
                }
            });
        });
    }
}

/// The index at which the running sum over `under` reaches `uniform` times the total; the last
/// one if rounding or negative elements keep it from getting there.
fn draw(src: &[f32], under: &[usize], uniform: f32) -> Option<usize> {
    let total: f32 = under.iter().map(|&i| src[i]).sum();
    let threshold = uniform * total;
    let mut sum = 0.0;
    let reached = under.iter().copied().find(|&i| {
        sum += src[i];
        sum >= threshold
    });
    reached.or(under.last().copied())
}

fn expected(src: &[f32], under: &[usize]) -> f32 {
    let sum: f32 = under.iter().map(|&i| src[i]).sum();
    let squares: f32 = under.iter().map(|&i| src[i] * src[i]).sum();
    if sum > 0.0 { squares / sum } else { 0.0 }
}
