//! Inner products with weights that are read once, as a stream: batches of a few images.

use rayon::prelude::*;

use super::aligned::with_buffer;
use super::epilogue::{Act, Finish};
use super::tile::{At, Tile};
use super::{AlignedVec, LANES, for_each_task};
use crate::shared::Shared;
use crate::table::Isa;
use crate::{Kernels, Trans};

/// Depth of the products summed at once: a panel's weights stay in the second cache for all images.
const DEPTH: usize = 2048;

/// Weights of an inner product: panels of one or two blocks of outputs, `[ic][16 · blocks]` each.
#[derive(Clone, Debug)]
pub struct PackedFc {
    isa: Isa,
    ic: usize,
    oc: usize,
    data: AlignedVec,
}

impl PackedFc {
    /// Bytes that a pass reads.
    pub fn bytes(&self) -> usize {
        self.data.len() * size_of::<f32>()
    }

    /// Outputs of a panel.
    fn width(&self, panel: usize) -> usize {
        let width = self.isa.tile_blocks() * LANES;
        width.min((self.oc - panel * width).next_multiple_of(LANES))
    }
}

impl Kernels {
    /// Packs weights (`oc x ic`, or `ic x oc` if `trans`).
    pub fn pack_fc(&self, trans: Trans, oc: usize, ic: usize, weights: &[f32]) -> PackedFc {
        assert_eq!(weights.len(), oc * ic, "weights are not {oc} x {ic}");
        let data = AlignedVec::zeros(oc.next_multiple_of(LANES) * ic);
        let mut packed = PackedFc { isa: self.isa, ic, oc, data };
        let width = self.isa.tile_blocks() * LANES;
        let mut data = std::mem::take(&mut packed.data);
        if !data.is_empty() {
            data.par_chunks_mut(width * ic).enumerate().for_each(|(panel, to)| {
                let (first, lanes) = (panel * width, packed.width(panel));
                let count = lanes.min(oc - first);
                for (i, to) in to.chunks_exact_mut(lanes).enumerate() {
                    for (o, to) in to[..count].iter_mut().enumerate() {
                        *to = match trans {
                            Trans::No => weights[(first + o) * ic + i],
                            Trans::Yes => weights[i * oc + first + o],
                        };
                    }
                }
            });
        }
        packed.data = data;
        packed
    }

    /// dst (`n x oc`) = act(src (`n x ic`) · weights + bias).
    pub fn fc(
        &self,
        n: usize,
        src: &[f32],
        packed: &PackedFc,
        bias: Option<&[f32]>,
        act: Act<'_>,
        dst: &mut [f32],
    ) {
        let PackedFc { isa, ic, oc, .. } = *packed;
        assert_eq!(isa, self.isa, "packed for another instruction set");
        assert_eq!(src.len(), n * ic, "source of another shape");
        assert_eq!(dst.len(), n * oc, "destination of another shape");
        if dst.is_empty() {
            return;
        }
        let finish = Finish::new(oc, bias, act);
        let width = isa.tile_blocks() * LANES;
        let zeros = [0.0; 2 * LANES];
        let shared = Shared::new(dst);
        for_each_task(oc.div_ceil(width), n * oc * ic, |panel| {
            let (first, lanes) = (panel * width, packed.width(panel));
            let (count, blocks) = (width.min(oc - first), lanes / LANES);
            // `[blocks][n][16]`
            with_buffer(lanes * n, |sums| {
                for start in (0..ic.max(1)).step_by(DEPTH) {
                    let end = ic.min(start + DEPTH);
                    let (is_first, is_last) = (start == 0, end == ic);
                    let tile = Tile {
                        full: &[0],
                        full_len: end - start,
                        rest: &[],
                        rest_len: 0,
                        px: ic,
                        row: 0,
                        dst_px: LANES,
                        dst_row: 0,
                        dst_block: n * LANES,
                        add_px: LANES,
                        add_row: 0,
                        add_block: n * LANES,
                        low: if is_last { finish.low } else { f32::NEG_INFINITY },
                        high: if is_last { finish.high } else { f32::INFINITY },
                    };
                    let bias = if is_first { &finish.bias[first..] } else { &zeros };
                    let slopes = finish.slopes.as_ref().filter(|_| is_last);
                    let (mut image, tiles) = (0, n.div_ceil(isa.tile_width()));
                    for i in 0..tiles {
                        let images = (n - image).div_ceil(tiles - i);
                        let sums = sums[image * LANES..].as_mut_ptr();
                        // SAFETY: the packed weights hold `ic` times the panel's width, the source
                        // `images` times `ic` from `image` on, the sums all images of all blocks.
                        unsafe {
                            let at = At {
                                src: src.as_ptr().add(image * ic + start),
                                weights: packed.data.as_ptr().add(first * ic + start * lanes),
                                bias: bias.as_ptr(),
                                slopes: slopes.map_or(std::ptr::null(), |s| s.as_ptr().add(first)),
                                add: if is_first { std::ptr::null() } else { sums },
                                dst: sums,
                            };
                            isa.kernel(blocks, 1, images, ic)(&tile, &at);
                        }
                        image += images;
                    }
                }
                if finish.sweeps() {
                    self.vectorize(
                        #[inline(always)]
                        || finish.sweep(0, sums),
                    );
                }
                for (block, sums) in sums.chunks_exact(n * LANES).enumerate() {
                    let count = count.saturating_sub(block * LANES).min(LANES);
                    for (image, sums) in sums.chunks_exact(LANES).enumerate() {
                        let at = image * oc + first + block * LANES;
                        // SAFETY: every task has outputs of its own.
                        unsafe { shared.range(at, count) }.copy_from_slice(&sums[..count]);
                    }
                }
            });
        });
    }
}
