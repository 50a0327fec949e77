//! Convolutions of planes that are faster by way of blocks of 16 channels: both blobs are reordered,
//! as many images at a time as stay in cache, and the blocked kernels do the work.

use std::ops::Range;

use crate::blocked::{
    Act, Add, Blocked, BlockedMut, BlockedRef, ConvAlgo, Epilogue, PackedBlocked, Source,
    with_buffer,
};
use crate::blocks::for_blocks;
use crate::geometry::{ConvGeometry, Window};
use crate::{Kernels, Write};

/// Floats of both blobs that are reordered at a time.
const AT_ONCE: usize = 1 << 20;

/// Output pixels from which on weights that change with every pass are worth Winograd's transform.
const TRANSFORMED: usize = 1024;

/// What `Auto` means for weights that are packed for one pass.
pub(super) fn for_one_pass(g: &ConvGeometry, algo: ConvAlgo) -> ConvAlgo {
    match algo {
        ConvAlgo::Auto if g.n * g.spatial_out() < TRANSFORMED => ConvAlgo::Direct,
        algo => algo,
    }
}

/// Whether channels in blocks of 16 lose little to lanes that stand empty.
fn fills_blocks(channels: usize) -> bool {
    channels * 4 >= channels.next_multiple_of(16) * 3
}

/// Whether the forward pass is worth it: the column matrix would be much larger than the input.
pub(super) fn forward_pays(g: &ConvGeometry) -> bool {
    g.windows.len() == 2 && g.groups == 1 && g.kernel_len() > 1 && fills_blocks(g.oc) && g.ic >= 16
}

/// Whether the data gradient is: it is the forward pass of another geometry.
pub(super) fn backward_data_pays(g: &ConvGeometry) -> bool {
    turned(g).is_some_and(|turned| forward_pays(&turned))
}

/// Whether the weight gradient is.
pub(super) fn backward_weights_pays(g: &ConvGeometry) -> bool {
    let blocks = g.groups == 1 && g.windows.len() == 2 && fills_blocks(g.oc) && fills_blocks(g.ic);
    blocks && g.windows.iter().all(|w| (w.output - 1) * w.stride < w.input + w.pad)
}

/// The convolution that takes output gradients to input gradients, for stride 1.
fn turned(g: &ConvGeometry) -> Option<ConvGeometry> {
    let turn = |w: &Window| {
        let pad = (w.dilation * (w.kernel - 1)).checked_sub(w.pad).filter(|_| w.stride == 1)?;
        Some(Window { input: w.output, output: w.input, pad, ..*w })
    };
    let windows = g.windows.iter().map(turn).collect::<Option<Vec<_>>>()?;
    Some(ConvGeometry { ic: g.oc, oc: g.ic, windows, ..g.clone() })
}

/// Runs of images that are reordered together; by shape alone.
fn batches(g: &ConvGeometry) -> impl Iterator<Item = Range<usize>> {
    let image = g.ic * g.spatial_in() + g.oc * g.spatial_out();
    let (n, step) = (g.n, (AT_ONCE / image.max(1)).max(1));
    (0..n).step_by(step).map(move |first| first..n.min(first + step))
}

fn output(g: &ConvGeometry, n: usize) -> Blocked {
    Blocked { n, c: g.oc, h: g.windows[0].output, w: g.windows[1].output, halo: 0 }
}

impl Kernels {
    pub(super) fn forward_by_blocks(
        &self,
        g: &ConvGeometry,
        src: &[f32],
        packed: &PackedBlocked,
        bias: Option<&[f32]>,
        write: Write,
        dst: &mut [f32],
    ) {
        let (input, plain) = (g.ic * g.spatial_in(), g.oc * g.spatial_out());
        for images in batches(g) {
            let part = ConvGeometry { n: images.len(), ..g.clone() };
            let of = output(g, part.n);
            let src = Source::Planes(&src[images.start * input..images.end * input]);
            let dst = &mut dst[images.start * plain..images.end * plain];
            let epilogue = Epilogue { bias, add: Add::Nothing, act: Act::None };
            with_buffer(of.len(), |blocks| {
                self.conv_blocked(&part, src, packed, epilogue, BlockedMut::new(blocks, of));
                let blocks = BlockedRef::new(blocks, of);
                match write {
                    Write::Set => self.from_blocked(blocks, g.oc, dst),
                    Write::Add => with_buffer(dst.len(), |planes| {
                        self.from_blocked(blocks, g.oc, planes);
                        self.axpy(1.0, planes, dst);
                    }),
                }
            });
        }
    }

    #[allow(clippy::too_many_arguments)]
    pub(super) fn backward_data_by_blocks(
        &self,
        g: &ConvGeometry,
        diff_dst: &[f32],
        weights: &[f32],
        bias: Option<&[f32]>,
        write: Write,
        algo: ConvAlgo,
        diff_src: &mut [f32],
    ) {
        let Some(turned) = turned(g) else { return };
        let taps = g.kernel_len();
        let packed = with_buffer(weights.len(), |flipped| {
            for_blocks(flipped, g.oc * taps, |at, to| {
                let c = at / (g.oc * taps);
                for (o, to) in to.chunks_exact_mut(taps).enumerate() {
                    let filter = &weights[(o * g.ic + c) * taps..][..taps];
                    to.iter_mut().zip(filter.iter().rev()).for_each(|(to, from)| *to = *from);
                }
            });
            self.pack_blocked(&turned, flipped, None, for_one_pass(&turned, algo))
        });
        self.forward_by_blocks(&turned, diff_dst, &packed, bias, write, diff_src);
    }

    pub(super) fn backward_weights_by_blocks(
        &self,
        g: &ConvGeometry,
        src: &[f32],
        diff_dst: &[f32],
        diff_weights: &mut [f32],
    ) {
        let (input, plain) = (g.ic * g.spatial_in(), g.oc * g.spatial_out());
        let (h, w) = (g.windows[0].input, g.windows[1].input);
        let halo = g.windows[0].pad.max(g.windows[1].pad);
        for images in batches(g) {
            let n = images.len();
            let x = Blocked { n, c: g.ic, h, w, halo };
            let dy = output(g, n);
            with_buffer(x.len(), |x_blocks| {
                self.to_blocked(&src[images.start * input..images.end * input], x, x_blocks);
                with_buffer(dy.len(), |dy_blocks| {
                    let part = &diff_dst[images.start * plain..images.end * plain];
                    self.to_blocked(part, dy, dy_blocks);
                    let x = BlockedRef::new(x_blocks, x);
                    self.conv_weights_blocked(g, x, BlockedRef::new(dy_blocks, dy), diff_weights);
                });
            });
        }
    }
}
