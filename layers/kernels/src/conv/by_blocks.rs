//! Convolutions by the blocked kernels, in training: blobs that are planes are reordered on the way,
//! as many images at a time as stay in cache.

use std::ops::Range;

use crate::blocked::{
    Act, Add, Blocked, BlockedMut, BlockedRef, ConvAlgo, Dest, Epilogue, Filters, LANES,
    PackedBlocked, Source, has_phases, with_buffer,
};
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

/// Whether channels in blocks of 16 gain more than lanes that stand empty lose.
fn fills_blocks(channels: usize) -> bool {
    channels * 8 >= channels.next_multiple_of(LANES) * 5
}

/// Two spatial axes, and groups that lie in whole blocks.
fn fits(g: &ConvGeometry) -> bool {
    let whole = |channels: usize| (channels / g.groups.max(1)).is_multiple_of(LANES);
    g.windows.len() == 2 && (g.groups == 1 || whole(g.ic) && whole(g.oc))
}

impl ConvGeometry {
    /// Whether a convolution in training likes its blobs in blocks of channels.
    pub fn likes_blocks(&self) -> bool {
        fits(self) && fills_blocks(self.oc)
    }
}

/// Whether the forward pass is worth it: always where a blob is `blocked` already; from planes to
/// planes where the column matrix would be much larger than the input.
pub(super) fn forward_pays(g: &ConvGeometry, blocked: bool) -> bool {
    let from_planes = g.kernel_len() > 1 && fills_blocks(g.oc);
    fits(g) && (blocked || from_planes)
}

/// Whether the data gradient is.
pub(super) fn backward_data_pays(g: &ConvGeometry, blocked: bool) -> bool {
    // Products with the padding and with empty lanes, which the column matrix does not have.
    let few = |turned: &ConvGeometry| {
        let lanes = turned.oc.next_multiple_of(LANES) as u64;
        let products = turned.macs() / turned.oc.max(1) as u64 * lanes;
        products <= g.macs() / 2 * 5
    };
    match turned(g) {
        Some(turned) => few(&turned) && forward_pays(&turned, blocked),
        None => {
            let from_planes = g.kernel_len() > 1 && fills_blocks(g.ic) && g.oc >= LANES;
            has_phases(g) && (blocked || from_planes)
        }
    }
}

/// Whether the weight gradient is.
pub(super) fn backward_weights_pays(g: &ConvGeometry) -> bool {
    fits(g)
        && fills_blocks(g.oc)
        && g.windows.iter().all(|w| (w.output - 1) * w.stride < w.input + w.pad)
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
fn batches(g: &ConvGeometry, reordered: bool) -> impl Iterator<Item = Range<usize>> {
    let image = g.ic * g.spatial_in() + g.oc * g.spatial_out();
    let (n, some) = (g.n, (AT_ONCE / image.max(1)).max(1));
    let step = if reordered { some } else { n.max(1) };
    (0..n).step_by(step).map(move |first| first..n.min(first + step))
}

fn input(g: &ConvGeometry, n: usize) -> Blocked {
    Blocked { n, c: g.ic, h: g.windows[0].input, w: g.windows[1].input, halo: 0 }
}

fn output(g: &ConvGeometry, n: usize) -> Blocked {
    Blocked { n, c: g.oc, h: g.windows[0].output, w: g.windows[1].output, halo: 0 }
}

/// Whether a source is no reordered copy.
fn lies(src: &Source<'_>, halo: usize) -> bool {
    matches!(src, Source::Blocked(src) if src.of.halo >= halo)
}

impl Kernels {
    pub(super) fn forward_by_blocks(
        &self,
        g: &ConvGeometry,
        src: Source<'_>,
        packed: &PackedBlocked,
        bias: Option<&[f32]>,
        write: Write,
        dst: Dest<'_>,
    ) {
        let halo = g.windows.iter().map(Window::reach).max().unwrap_or(0);
        let reordered = !lies(&src, halo) || !dst.is_blocked();
        self.by_images(g, reordered, output(g, g.n), src, write, dst, |n, src, add, dst| {
            let part = ConvGeometry { n, ..g.clone() };
            self.conv_blocked(&part, src, packed, Epilogue { bias, add, act: Act::None }, dst);
        });
    }

    #[allow(clippy::too_many_arguments)]
    pub(super) fn backward_data_by_blocks(
        &self,
        g: &ConvGeometry,
        diff_dst: Source<'_>,
        weights: &[f32],
        bias: Option<&[f32]>,
        write: Write,
        algo: ConvAlgo,
        diff_src: Dest<'_>,
    ) {
        if let Some(turned) = turned(g) {
            let filters = Filters::backward(g, weights, (0..g.kernel_len()).rev().collect());
            let algo = for_one_pass(&turned, algo);
            let packed = self.pack_filters(&turned, &filters, None, algo);
            return self.forward_by_blocks(&turned, diff_dst, &packed, bias, write, diff_src);
        }
        let reordered = !diff_dst.is_blocked() || !diff_src.is_blocked();
        let back = ConvGeometry { ic: g.oc, oc: g.ic, ..g.clone() };
        let packed = self.pack_phases(g, weights);
        let of = input(g, g.n);
        self.by_images(&back, reordered, of, diff_dst, write, diff_src, |n, src, add, dst| {
            let part = ConvGeometry { n, ..g.clone() };
            self.conv_data_strided(&part, src, &packed, bias, add, dst);
        });
    }

    /// Calls `run` for runs of images, with their number, what they come from, what is added, and
    /// where they go in blocks, of which `of` tells the shape.
    #[allow(clippy::too_many_arguments)]
    fn by_images(
        &self,
        g: &ConvGeometry,
        reordered: bool,
        of: Blocked,
        src: Source<'_>,
        write: Write,
        mut dst: Dest<'_>,
        run: impl Fn(usize, Source<'_>, Add<'_>, BlockedMut<'_>),
    ) {
        let image = |len: usize| len / g.n.max(1);
        let from = match &src {
            Source::Planes(data) => image(data.len()),
            Source::Blocked(_) => 0,
        };
        let to = image(of.plain_len());
        for images in batches(g, reordered) {
            let n = images.len();
            let src = src.images(images.clone(), from);
            match dst.images(images, to) {
                Dest::Blocked(dst) => {
                    let add = if write == Write::Add { Add::Dst } else { Add::Nothing };
                    run(n, src, add, dst);
                }
                Dest::Planes(dst) => {
                    let of = Blocked { n, ..of };
                    with_buffer(of.len(), |blocks| {
                        run(n, src, Add::Nothing, BlockedMut::new(blocks, of));
                        let blocks = BlockedRef::new(blocks, of);
                        match write {
                            Write::Set => self.from_blocked(blocks, of.c, dst),
                            Write::Add => with_buffer(dst.len(), |planes| {
                                self.from_blocked(blocks, of.c, planes);
                                self.axpy(1.0, planes, dst);
                            }),
                        }
                    });
                }
            }
        }
    }

    pub(super) fn backward_weights_by_blocks(
        &self,
        g: &ConvGeometry,
        src: Source<'_>,
        diff_dst: Source<'_>,
        diff_weights: &mut [f32],
    ) {
        let (from, to) = (g.ic * g.spatial_in(), g.oc * g.spatial_out());
        let halo = g.windows[0].pad.max(g.windows[1].pad);
        let reordered = !lies(&src, halo) || !diff_dst.is_blocked();
        for images in batches(g, reordered) {
            let n = images.len();
            let part = ConvGeometry { n, ..g.clone() };
            let (src, diff_dst) = (src.images(images.clone(), from), diff_dst.images(images, to));
            self.with_halo(output(g, n), diff_dst, |dy| {
                self.conv_weights_blocked(&part, src, dy, diff_weights);
            });
        }
    }

    /// Hands `then` the planes of a source.
    pub(super) fn with_planes(&self, src: Source<'_>, c: usize, then: impl FnOnce(&[f32])) {
        match src {
            Source::Planes(planes) => then(planes),
            Source::Blocked(src) => with_buffer(src.of.n * c * src.of.h * src.of.w, |planes| {
                self.from_blocked(src, c, planes);
                then(planes);
            }),
        }
    }

    /// Lets `then` write or, if `write` says so, add to the planes of a destination.
    pub(super) fn with_planes_mut(
        &self,
        dst: Dest<'_>,
        write: Write,
        then: impl FnOnce(&mut [f32]),
    ) {
        match dst {
            Dest::Planes(planes) => then(planes),
            Dest::Blocked(dst) => with_buffer(dst.of.plain_len(), |planes| {
                if write == Write::Add {
                    self.from_blocked(BlockedRef::new(dst.data, dst.of), dst.of.c, planes);
                }
                then(planes);
                self.to_blocked(planes, dst.of, dst.data);
            }),
        }
    }
}
