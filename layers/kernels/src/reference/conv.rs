//! Convolution and its gradients as one walk over every product of an input, a weight and an output.

use super::Real;
use crate::ConvGeometry;

/// Calls `f(input, weight, output)` with the indices of every product.
pub fn products(g: &ConvGeometry, mut f: impl FnMut(usize, usize, usize)) {
    let (spatial_in, spatial_out, taps) = (g.spatial_in(), g.spatial_out(), g.kernel_len());
    let (ic, oc) = (g.ic / g.groups, g.oc / g.groups);
    for n in 0..g.n {
        for o in 0..g.oc {
            for i in 0..ic {
                let channel = o / oc * ic + i;
                for tap in 0..taps {
                    for position in 0..spatial_out {
                        let Some(met) = meets(g, tap, position) else { continue };
                        f(
                            (n * g.ic + channel) * spatial_in + met,
                            (o * ic + i) * taps + tap,
                            (n * g.oc + o) * spatial_out + position,
                        );
                    }
                }
            }
        }
    }
}

/// The input position that a kernel element meets at an output position; `None` in the padding.
fn meets(g: &ConvGeometry, mut tap: usize, mut position: usize) -> Option<usize> {
    let (mut at, mut scale) = (0, 1);
    for w in g.windows.iter().rev() {
        let offset = position % w.output * w.stride + tap % w.kernel * w.dilation;
        let met = offset.checked_sub(w.pad).filter(|&met| met < w.input)?;
        at += met * scale;
        scale *= w.input;
        (tap, position) = (tap / w.kernel, position / w.output);
    }
    Some(at)
}

/// dst += weights * src
pub fn forward<T: Real>(g: &ConvGeometry, src: &[T], weights: &[T], dst: &mut [T]) {
    products(g, |i, w, o| dst[o] += src[i] * weights[w]);
}

/// diff_src += weights transposed * diff_dst
pub fn backward_data<T: Real>(g: &ConvGeometry, diff_dst: &[T], weights: &[T], diff_src: &mut [T]) {
    products(g, |i, w, o| diff_src[i] += diff_dst[o] * weights[w]);
}

/// diff_weights += diff_dst * src
pub fn backward_weights<T: Real>(
    g: &ConvGeometry,
    src: &[T],
    diff_dst: &[T],
    diff_weights: &mut [T],
) {
    products(g, |i, w, o| diff_weights[w] += diff_dst[o] * src[i]);
}
