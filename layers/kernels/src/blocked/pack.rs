//! Weights in the order in which the innermost loop reads them.

use std::ops::Range;

use super::filters::Filters;
use super::winograd::Transformed;
use super::{AlignedVec, LANES, for_each_task};
use crate::geometry::ConvGeometry;
use crate::shared::Shared;
use crate::table::Isa;
use crate::{Kernels, Window};

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConvAlgo {
    /// By shape: the fastest.
    #[default]
    Auto,
    /// Product by product.
    Direct,
    /// Winograd's F(4x4, 3x3) where it applies (3x3, stride 1): fewer products, a few bits less.
    Winograd,
}

/// Weights of a blocked convolution.
#[derive(Clone, Debug)]
pub struct PackedBlocked {
    pub(super) isa: Isa,
    pub(super) ic: usize,
    pub(super) oc: usize,
    pub(super) groups: usize,
    pub(super) kernel: [usize; 2],
    pub(super) form: Form,
}

#[derive(Clone, Debug)]
pub(super) enum Form {
    Panels(Panels),
    /// `[blocks][kh][kw][16]`
    Depthwise(AlignedVec),
    Winograd(Transformed),
}

/// Weights of the direct form: for each panel `[ic blocks][kh][kw][lanes][16 · blocks]`.
#[derive(Clone, Debug)]
pub(super) struct Panels {
    pub list: Vec<Panel>,
    pub data: AlignedVec,
}

/// One or two blocks of output channels that are computed together.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    /// First block of output channels, and how many.
    pub block: usize,
    pub blocks: usize,
    /// Blocks of input channels that are met.
    pub from: Range<usize>,
    /// Where the weights begin.
    pub at: usize,
}

pub(super) fn windows(g: &ConvGeometry) -> [Window; 2] {
    match *g.windows {
        [down, across] => [down, across],
        _ => panic!("a blocked convolution has two spatial axes"),
    }
}

impl PackedBlocked {
    /// Bytes that a pass reads.
    pub fn bytes(&self) -> usize {
        let data = match &self.form {
            Form::Panels(panels) => &panels.data,
            Form::Depthwise(data) => data,
            Form::Winograd(transformed) => &transformed.data,
        };
        data.len() * size_of::<f32>()
    }
}

impl Kernels {
    /// Packs weights (`oc x ic/groups x kh x kw`), those of each output channel times `scale`.
    pub fn pack_blocked(
        &self,
        g: &ConvGeometry,
        weights: &[f32],
        scale: Option<&[f32]>,
        algo: ConvAlgo,
    ) -> PackedBlocked {
        self.pack_filters(g, &Filters::forward(g, weights), scale, algo)
    }

    /// Packs the weights of a pass.
    pub(crate) fn pack_filters(
        &self,
        g: &ConvGeometry,
        filters: &Filters<'_>,
        scale: Option<&[f32]>,
        algo: ConvAlgo,
    ) -> PackedBlocked {
        assert!(scale.is_none_or(|scale| scale.len() == g.oc), "one scale per output channel");
        let [down, across] = windows(g);
        let depthwise = g.groups > 1 && g.groups == g.ic && g.groups == g.oc;
        let winograd = algo.chosen(g) == ConvAlgo::Winograd;
        let form = if depthwise {
            Form::Depthwise(depthwise_weights(g, filters, scale))
        } else if winograd {
            Form::Winograd(self.transform_filters(g, filters, scale))
        } else {
            Form::Panels(self.panels(g, filters, scale))
        };
        let kernel = [down.kernel, across.kernel];
        PackedBlocked { isa: self.isa, ic: g.ic, oc: g.oc, groups: g.groups, kernel, form }
    }

    fn panels(&self, g: &ConvGeometry, filters: &Filters<'_>, scale: Option<&[f32]>) -> Panels {
        let (list, len) = panel_list(self.isa, g);
        let mut data = AlignedVec::zeros(len);
        let (shared, taps) = (Shared::new(&mut data), g.kernel_len());
        for_each_task(list.len(), len, |i| {
            let panel: &Panel = &list[i];
            let end = list.get(i + 1).map_or(len, |next| next.at);
            // SAFETY: every task has a panel of its own.
            let part = unsafe { shared.range(panel.at, end - panel.at) };
            let width = panel.blocks * LANES;
            let outs = panel.block * LANES..g.oc.min((panel.block + panel.blocks) * LANES);
            self.vectorize(
                #[inline(always)]
                || {
                    let mut at = 0;
                    for block in panel.from.clone() {
                        let ins = block * LANES..g.ic.min((block + 1) * LANES);
                        let len = taps * ins.len() * width;
                        filters.read(outs.clone(), ins, width, &mut part[at..at + len]);
                        at += len;
                    }
                    if let Some(scale) = scale {
                        let scale = &scale[outs];
                        for row in part.chunks_exact_mut(width) {
                            row.iter_mut().zip(scale).for_each(|(weight, scale)| *weight *= scale);
                        }
                    }
                },
            );
        });
        Panels { list, data }
    }
}

fn depthwise_weights(g: &ConvGeometry, filters: &Filters<'_>, scale: Option<&[f32]>) -> AlignedVec {
    let taps = g.kernel_len();
    let mut data = AlignedVec::zeros(g.oc.div_ceil(LANES) * taps * LANES);
    for channel in 0..g.oc {
        let first = channel / LANES * taps * LANES + channel % LANES;
        let scale = scale.map_or(1.0, |scale| scale[channel]);
        for tap in 0..taps {
            data[first + tap * LANES] = filters.first(channel, tap) * scale;
        }
    }
    data
}

/// The panels, and how many floats they have.
fn panel_list(isa: Isa, g: &ConvGeometry) -> (Vec<Panel>, usize) {
    let (icg, ocg, taps) = (g.ic / g.groups, g.oc / g.groups, g.kernel_len());
    let blocks = g.oc.div_ceil(LANES);
    // Panels do not straddle groups whose channels fill whole blocks.
    let fence = if ocg.is_multiple_of(LANES) { ocg / LANES } else { blocks };
    let (mut list, mut block, mut at) = (Vec::new(), 0, 0);
    while block < blocks {
        let count = isa.tile_blocks().min(fence - block % fence).min(blocks - block);
        let last = ((block + count) * LANES).min(g.oc) - 1;
        let (first, end) = (block * LANES / ocg * icg, (last / ocg + 1) * icg);
        let from = first / LANES..end.div_ceil(LANES);
        let depth = g.ic.min(from.end * LANES) - from.start * LANES;
        list.push(Panel { block, blocks: count, from, at });
        at += depth * taps * count * LANES;
        block += count;
    }
    (list, at)
}
