//! Convolution in N dimensions, forward and backward, as products with the column matrix, of which
//! only what is being packed exists at any time.

mod backward;
mod by_blocks;
mod columns;
mod depthwise;

use std::ops::Range;

use crate::gemm::{Left, Matrix, Part, multiply_part, pack_b, parts, run_tasks};
use crate::geometry::ConvGeometry;
use crate::shared::Shared;
use crate::{ConvAlgo, Dest, Kernels, PackedA, PackedBlocked, Source, Trans, Write};
use columns::Columns;

/// Weights packed for `conv_forward`.
#[derive(Clone, Debug)]
pub struct PackedConv(Form);

#[derive(Clone, Debug)]
enum Form {
    /// Used as they are.
    Depthwise,
    /// One left operand per group, for products with the column matrix.
    Columns(Vec<PackedA>),
    /// For the blocked kernels.
    Blocks(PackedBlocked),
}

impl Kernels {
    /// Packs weights (`oc x ic/groups x kernel...`) for forward passes from planes to planes, or where
    /// one of the blobs lies in `blocks`. `algo` matters where the blocked kernels are used; `Auto`
    /// weighs packing against one pass.
    pub fn pack_conv(
        &self,
        g: &ConvGeometry,
        weights: &[f32],
        algo: ConvAlgo,
        blocks: bool,
    ) -> PackedConv {
        assert_eq!(weights.len(), g.weight_len(), "weights do not fit the geometry");
        if g.is_depthwise() {
            return PackedConv(Form::Depthwise);
        }
        if by_blocks::forward_pays(g, blocks) {
            let algo = by_blocks::for_one_pass(g, algo);
            return PackedConv(Form::Blocks(self.pack_blocked(g, weights, None, algo)));
        }
        let (rows, depth) = (g.oc / g.groups, g.depth());
        let group = |i: usize| &weights[i * rows * depth..(i + 1) * rows * depth];
        PackedConv(Form::Columns(
            (0..g.groups).map(|i| self.pack_a(Trans::No, rows, depth, group(i))).collect(),
        ))
    }

    /// dst (`n x oc x out...`) = weights * src (`n x ic x in...`) + bias (`oc`).
    pub fn conv_forward<'a>(
        &self,
        g: &ConvGeometry,
        src: impl Into<Source<'a>>,
        weights: &[f32],
        packed: Option<&PackedConv>,
        bias: Option<&[f32]>,
        dst: impl Into<Dest<'a>>,
    ) {
        let (src, dst) = (src.into(), dst.into());
        check(g, src.len(), weights, dst.len());
        if dst.len() == 0 {
            return;
        }
        let made;
        let packed = match packed {
            Some(PackedConv(form)) => form,
            None => {
                let blocks = src.is_blocked() || dst.is_blocked();
                made = self.pack_conv(g, weights, ConvAlgo::Direct, blocks);
                &made.0
            }
        };
        if let Form::Blocks(packed) = packed {
            return self.forward_by_blocks(g, src, packed, bias, Write::Set, dst);
        }
        self.with_planes(src, g.ic, |src| {
            self.with_planes_mut(dst, Write::Set, |dst| match packed {
                Form::Columns(groups) => self.forward_by_columns(g, src, groups, bias, dst),
                _ => self.depthwise_forward(g, src, weights, bias, dst),
            });
        });
    }

    fn forward_by_columns(
        &self,
        g: &ConvGeometry,
        src: &[f32],
        packed: &[PackedA],
        bias: Option<&[f32]>,
        dst: &mut [f32],
    ) {
        let (rows, depth, spatial) = (g.oc / g.groups, g.depth(), g.spatial_out());
        let (in_group, out_group) = (src.len() / g.n / g.groups, rows * spatial);
        let columns = Columns::new(g);
        let pointwise = g.is_pointwise();
        let tile = self.isa.tile().columns;
        let pieces = parts(self.isa, rows, spatial, g.n * g.groups, spatial);
        let tasks: Vec<(usize, usize)> =
            (0..g.n * g.groups).flat_map(|i| (0..pieces.len()).map(move |p| (i, p))).collect();
        let shared = Shared::new(dst);
        run_tasks(&tasks, g.macs() as usize, |&(i, piece)| {
            let (part, group) = (&pieces[piece], i % g.groups);
            let src = &src[i * in_group..(i + 1) * in_group];
            // SAFETY: every task has its image, group and part to itself.
            let start = |row: usize| i * out_group + row * spatial + part.columns.start;
            if let Some(bias) = bias {
                for row in part.rows.clone() {
                    // SAFETY: as above.
                    let to = unsafe { shared.range(start(row), part.columns.len()) };
                    to.fill(bias[group * rows + row]);
                }
            }
            let pack = |ks: Range<usize>, block: &mut [f32]| {
                self.vectorize(
                    #[inline(always)]
                    || match pointwise {
                        true => {
                            let b = Matrix { data: src, trans: Trans::No, stride: spatial };
                            pack_b(b, ks, part.columns.clone(), tile, block);
                        }
                        false => columns.pack(ks, part.columns.clone(), src, tile, block),
                    },
                );
            };
            let image = shared.part(i * out_group, out_group);
            let left = Left::Packed(&packed[group]);
            // SAFETY: as above.
            unsafe { multiply_part(self.isa, left, depth, part, bias.is_some(), image, &pack) }
        });
    }

    /// The column matrix of one image: `ic x kernel...` rows of `out...` columns, as the original
    /// lays it out. `src` and `col` hold all `n` images.
    pub fn im2col(&self, g: &ConvGeometry, src: &[f32], col: &mut [f32]) {
        let spatial = g.spatial_out();
        let rows = g.ic * g.kernel_len();
        assert_eq!(src.len(), g.input_len(), "src does not fit the geometry");
        assert_eq!(col.len(), g.n * rows * spatial, "col does not fit the geometry");
        let columns = Columns::new(g);
        let image = g.ic * g.spatial_in();
        crate::blocks::for_blocks(col, spatial.max(1), |at, out| {
            let row = at / spatial;
            let src = &src[row / rows * image..][..image];
            columns.read(row % rows, 0..spatial, src, out);
        });
    }

    /// Adds a column matrix back to the inputs it was read from: the gradient of `im2col`.
    pub fn col2im(&self, g: &ConvGeometry, col: &[f32], write: Write, src: &mut [f32]) {
        let (spatial, taps) = (g.spatial_out(), g.kernel_len());
        assert_eq!(src.len(), g.input_len(), "src does not fit the geometry");
        assert_eq!(col.len(), g.n * g.ic * taps * spatial, "col does not fit the geometry");
        let columns = Columns::new(g);
        crate::blocks::for_blocks(src, g.spatial_in().max(1), |at, plane| {
            let channel = at / plane.len();
            if write == Write::Set {
                plane.fill(0.0);
            }
            for tap in 0..taps {
                let values = &col[(channel * taps + tap) * spatial..][..spatial];
                columns.add_back(tap, 0..spatial, values, plane);
            }
        });
    }
}

/// Sizes that the loops rely on.
fn check(g: &ConvGeometry, src: usize, weights: &[f32], dst: usize) {
    assert!(
        g.groups > 0 && g.ic.is_multiple_of(g.groups) && g.oc.is_multiple_of(g.groups),
        "groups do not divide"
    );
    assert_eq!(src, g.input_len(), "src does not fit the geometry");
    assert_eq!(weights.len(), g.weight_len(), "weights do not fit the geometry");
    assert_eq!(dst, g.output_len(), "dst does not fit the geometry");
}

/// A whole matrix as one part.
fn whole(rows: usize, columns: usize) -> Part {
    Part { rows: 0..rows, columns: 0..columns, stride: columns }
}
