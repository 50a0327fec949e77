//! The gradients of a convolution.

use std::cell::RefCell;
use std::ops::Range;

use super::columns::Columns;
use super::{by_blocks, check, whole};
use crate::gemm::{Left, Matrix, multiply_part, pack_b, parts, run_tasks};
use crate::geometry::ConvGeometry;
use crate::shared::Shared;
use crate::{ConvAlgo, Dest, Kernels, Source, Trans, Write};

/// Elements of the column matrix that one task of the data gradient holds.
const STRIP: usize = 1 << 18;

thread_local! {
    static COLUMNS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

impl Kernels {
    /// diff_src (`n x ic x in...`) = or += weights transposed * diff_dst, plus a bias per input channel
    /// (which is how a Deconvolution runs forward). Column rows are made channel by channel and added
    /// to the inputs they belong to, so that no two tasks meet.
    #[allow(clippy::too_many_arguments)]
    pub fn conv_backward_data<'a>(
        &self,
        g: &ConvGeometry,
        diff_dst: impl Into<Source<'a>>,
        weights: &[f32],
        bias: Option<&[f32]>,
        write: Write,
        algo: ConvAlgo,
        diff_src: impl Into<Dest<'a>>,
    ) {
        let (diff_dst, diff_src) = (diff_dst.into(), diff_src.into());
        check(g, diff_src.len(), weights, diff_dst.len());
        if diff_src.len() == 0 {
            return;
        }
        // A bias that is added to what is there is nobody's business but the columns'.
        let simple = diff_dst.len() > 0 && (bias.is_none() || write == Write::Set);
        let blocked = diff_dst.is_blocked() || diff_src.is_blocked();
        if simple && by_blocks::backward_data_pays(g, blocked) {
            return self.backward_data_by_blocks(g, diff_dst, weights, bias, write, algo, diff_src);
        }
        self.with_planes(diff_dst, g.oc, |diff_dst| {
            self.with_planes_mut(diff_src, write, |diff_src| {
                self.backward_data_by_columns(g, diff_dst, weights, bias, write, diff_src);
            });
        });
    }

    fn backward_data_by_columns(
        &self,
        g: &ConvGeometry,
        diff_dst: &[f32],
        weights: &[f32],
        bias: Option<&[f32]>,
        write: Write,
        diff_src: &mut [f32],
    ) {
        let plane = g.spatial_in();
        if write == Write::Set {
            crate::blocks::for_blocks(diff_src, plane, |at, out| {
                out.fill(bias.map_or(0.0, |bias| bias[at / plane % g.ic]));
            });
        } else if let Some(bias) = bias {
            crate::blocks::for_blocks(diff_src, plane, |at, out| {
                out.iter_mut().for_each(|v| *v += bias[at / plane % g.ic]);
            });
        }
        if diff_dst.is_empty() {
            return;
        }
        if g.is_depthwise() {
            return self.depthwise_backward_data(g, diff_dst, weights, diff_src);
        }
        let (oc, ic) = (g.oc / g.groups, g.ic / g.groups);
        let (taps, spatial) = (g.kernel_len(), g.spatial_out());
        let depth = g.depth();
        let per_strip = (STRIP / (taps * spatial).max(1)).max(1);
        let balanced = (g.n * ic * g.groups).div_ceil(4 * crate::team::threads()).max(1);
        let per_task = per_strip.min(balanced).min(ic);
        // Columns (c, k...) of a group's weights, as rows of the transposed matrix.
        let pieces = ic.div_ceil(per_task);
        let of_piece = |at: usize| {
            let (group, first) = (at / pieces, at % pieces * per_task);
            let weights = &weights[group * oc * depth..(group + 1) * oc * depth];
            let a = Matrix { data: &weights[first * taps..], trans: Trans::Yes, stride: depth };
            self.pack_matrix(a, per_task.min(ic - first) * taps, oc)
        };
        let packed: Vec<_> = (0..g.groups * pieces).map(of_piece).collect();
        let tasks: Vec<(usize, usize)> =
            (0..g.n * g.groups).flat_map(|i| (0..pieces).map(move |piece| (i, piece))).collect();
        let columns = Columns::new(g);
        let pointwise = g.is_pointwise();
        let tile = self.isa.tile().columns;
        let shared = Shared::new(diff_src);
        run_tasks(&tasks, g.macs() as usize, |&(i, piece)| {
            let first = piece * per_task;
            let count = per_task.min(ic - first);
            let left = || Left::Packed(&packed[i % g.groups * pieces + piece]);
            let dy = Matrix {
                data: &diff_dst[i * oc * spatial..(i + 1) * oc * spatial],
                trans: Trans::No,
                stride: spatial,
            };
            let rows = count * taps;
            let product = |c: Shared<'_>, stride_part: &crate::gemm::Part, add: bool| {
                let pack = |ks: Range<usize>, block: &mut [f32]| {
                    self.vectorize(
                        #[inline(always)]
                        || pack_b(dy, ks, stride_part.columns.clone(), tile, block),
                    );
                };
                // SAFETY: `c` is this task's own memory.
                unsafe { multiply_part(self.isa, left(), oc, stride_part, add, c, &pack) }
            };
            let at = (i * ic + first) * plane;
            if pointwise {
                let own = shared.part(at, count * plane);
                for block in blocks(spatial) {
                    let part = crate::gemm::Part { columns: block, ..whole(rows, spatial) };
                    product(own, &part, true);
                }
                return;
            }
            COLUMNS.with(|cell| {
                let mut col = cell.take();
                col.resize(rows * spatial, 0.0);
                for block in blocks(spatial) {
                    let part = crate::gemm::Part { columns: block, ..whole(rows, spatial) };
                    product(Shared::new(&mut col), &part, false);
                }
                // SAFETY: every task has its channels to itself.
                let own = unsafe { shared.range(at, count * plane) };
                self.vectorize(
                    #[inline(always)]
                    || {
                        for row in 0..rows {
                            let values = &col[row * spatial..(row + 1) * spatial];
                            columns.add_back(row, 0..spatial, values, own);
                        }
                    },
                );
                cell.replace(col);
            });
        });
    }

    /// diff_weights += diff_dst * columns of src, transposed; the images one after the other, so that
    /// the sum is the same on any number of threads.
    pub fn conv_backward_weights<'a>(
        &self,
        g: &ConvGeometry,
        src: impl Into<Source<'a>>,
        diff_dst: impl Into<Source<'a>>,
        diff_weights: &mut [f32],
    ) {
        let (src, diff_dst) = (src.into(), diff_dst.into());
        check(g, src.len(), diff_weights, diff_dst.len());
        if diff_dst.len() == 0 || diff_weights.is_empty() {
            return;
        }
        if by_blocks::backward_weights_pays(g) {
            return self.backward_weights_by_blocks(g, src, diff_dst, diff_weights);
        }
        self.with_planes(src, g.ic, |src| {
            self.with_planes(diff_dst, g.oc, |diff_dst| match g.is_depthwise() {
                true => self.depthwise_backward_weights(g, src, diff_dst, diff_weights),
                false => self.backward_weights_by_columns(g, src, diff_dst, diff_weights),
            });
        });
    }

    fn backward_weights_by_columns(
        &self,
        g: &ConvGeometry,
        src: &[f32],
        diff_dst: &[f32],
        diff_weights: &mut [f32],
    ) {
        let (oc, spatial, depth) = (g.oc / g.groups, g.spatial_out(), g.depth());
        let in_group = src.len() / g.n / g.groups;
        let columns = Columns::new(g);
        let tile = self.isa.tile().columns;
        let pieces = parts(self.isa, oc, depth, g.groups, depth);
        let tasks: Vec<(usize, usize)> =
            (0..g.groups).flat_map(|i| (0..pieces.len()).map(move |p| (i, p))).collect();
        let shared = Shared::new(diff_weights);
        run_tasks(&tasks, g.macs() as usize, |&(group, piece)| {
            let part = &pieces[piece];
            let own = shared.part(group * oc * depth, oc * depth);
            for image in 0..g.n {
                let i = image * g.groups + group;
                let src = &src[i * in_group..(i + 1) * in_group];
                let dy = Matrix {
                    data: &diff_dst[i * oc * spatial..(i + 1) * oc * spatial],
                    trans: Trans::No,
                    stride: spatial,
                };
                let pack = |ks: Range<usize>, block: &mut [f32]| {
                    self.vectorize(
                        #[inline(always)]
                        || columns.pack_transposed(ks, part.columns.clone(), src, tile, block),
                    );
                };
                // SAFETY: every task has its group and part to itself.
                unsafe {
                    multiply_part(self.isa, Left::Plain(dy, 1.0), spatial, part, true, own, &pack)
                }
            }
        });
    }

    /// diff_bias (`oc`) += sums of diff_dst over images and positions.
    pub fn conv_backward_bias<'a>(
        &self,
        n: usize,
        oc: usize,
        spatial_out: usize,
        diff_dst: impl Into<Source<'a>>,
        diff_bias: &mut [f32],
    ) {
        match diff_dst.into() {
            Source::Planes(dy) => self.sum_channels(n, oc, spatial_out, dy, diff_bias),
            Source::Blocked(dy) => self.sum_channels_blocked(dy, diff_bias),
        }
    }
}

/// Columns as many as are packed at once.
fn blocks(columns: usize) -> impl Iterator<Item = Range<usize>> {
    let step = crate::gemm::COLUMNS;
    (0..columns).step_by(step).map(move |start| start..columns.min(start + step))
}
