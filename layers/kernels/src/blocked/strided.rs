//! The data gradient of a convolution of blocked activations whose stride is not 1.
//!
//! Input elements that lie a stride apart meet the same elements of the kernel: each such phase is a
//! convolution of stride 1 of the output's gradient, written to every so many rows and columns.

use super::LANES;
use super::epilogue::{Act, Add, Addend, Finish, Output};
use super::filters::Filters;
use super::layout::{Blocked, BlockedMut, Source, for_each_plane};
use super::pack::{Form, PackedBlocked, windows};
use crate::geometry::{ConvGeometry, Window};
use crate::{ConvAlgo, Kernels};

/// One axis of a phase.
#[derive(Clone, Copy, Debug)]
struct Phase {
    /// The first input element, and the first kernel element that it meets.
    first: usize,
    tap: usize,
    /// From the output's gradient to the input elements of the phase; its kernel may be empty.
    window: Window,
}

/// The phases of an axis; `None` where one would begin inside the output.
fn phases(w: &Window) -> Option<Vec<Phase>> {
    if w.dilation != 1 {
        return None;
    }
    let phase = |first: usize| {
        let tap = (first + w.pad) % w.stride;
        let kernel = w.kernel.saturating_sub(tap).div_ceil(w.stride);
        // The output that meets input `first` with kernel element `tap`.
        let at = (first + w.pad - tap) / w.stride;
        let pad = if kernel == 0 { 0 } else { (kernel - 1).checked_sub(at)? };
        let output = (w.input - first).div_ceil(w.stride);
        let window = Window { input: w.output, output, kernel, stride: 1, pad, dilation: 1 };
        Some(Phase { first, tap, window })
    };
    (0..w.stride.min(w.input)).map(phase).collect()
}

/// Whether [`Kernels::conv_data_strided`] does it.
pub(crate) fn has_phases(g: &ConvGeometry) -> bool {
    g.groups == 1 && g.windows.len() == 2 && g.windows.iter().all(|w| phases(w).is_some())
}

/// Weights for [`Kernels::conv_data_strided`].
pub(crate) struct PackedPhases {
    list: Vec<Part>,
    /// Zeros that any phase meets around the output's gradient.
    halo: usize,
    /// Whether some input elements meet no kernel element.
    untouched: bool,
}

/// A phase of both axes.
struct Part {
    geometry: ConvGeometry,
    skip: [usize; 2],
    packed: PackedBlocked,
}

impl Kernels {
    /// Packs the weights (`oc x ic x kh x kw`) of a convolution that has phases.
    pub(crate) fn pack_phases(&self, g: &ConvGeometry, weights: &[f32]) -> PackedPhases {
        let axes = windows(g).map(|w| phases(&w).expect("the geometry has phases"));
        let each = || axes.iter().flatten().map(|phase| phase.window);
        let pairs = axes[0].iter().flat_map(|y| axes[1].iter().map(move |x| [y, x]));
        let part = |[y, x]: [&Phase; 2]| {
            let windows = vec![y.window, x.window];
            let geometry = ConvGeometry { ic: g.oc, oc: g.ic, windows, ..g.clone() };
            let packed = self.pack_phase(g, &geometry, [y, x], weights);
            Part { geometry, skip: [y.first, x.first], packed }
        };
        PackedPhases {
            list: pairs.filter(|pair| pair.iter().all(|p| p.window.kernel > 0)).map(part).collect(),
            halo: each().map(|window| window.reach()).max().unwrap_or(0),
            untouched: each().any(|window| window.kernel == 0),
        }
    }

    /// The weights of a phase, turned round.
    fn pack_phase(
        &self,
        g: &ConvGeometry,
        part: &ConvGeometry,
        [y, x]: [&Phase; 2],
        weights: &[f32],
    ) -> PackedBlocked {
        let [down, across] = windows(g);
        let taps = |y: &Phase, w: &Window| {
            (0..y.window.kernel).rev().map(|i| y.tap + i * w.stride).collect::<Vec<_>>()
        };
        let (rows, columns) = (taps(y, &down), taps(x, &across));
        let of_row = |row: usize| columns.iter().map(move |x| row * across.kernel + x);
        let taps = rows.into_iter().flat_map(of_row).collect();
        self.pack_filters(part, &Filters::backward(g, weights, taps), None, ConvAlgo::Direct)
    }

    /// dst (`g.n x g.ic x in..`) = weights transposed * src (`g.n x g.oc x out..`) + bias (per input
    /// channel) + what `add` says: nothing, or what `dst` holds.
    pub(crate) fn conv_data_strided(
        &self,
        g: &ConvGeometry,
        src: Source<'_>,
        packed: &PackedPhases,
        bias: Option<&[f32]>,
        add: Add<'_>,
        mut dst: BlockedMut<'_>,
    ) {
        let [down, across] = windows(g);
        let shape = [g.n, g.ic, down.input, across.input];
        if packed.untouched && matches!(add, Add::Nothing) {
            fill_channels(&mut dst, bias);
        }
        let finish = Finish::new(g.ic, bias, Act::None);
        let of = Blocked { n: g.n, c: g.oc, h: down.output, w: across.output, halo: packed.halo };
        self.with_halo(of, src, |src| {
            for part in &packed.list {
                let Form::Panels(panels) = &part.packed.form else { continue };
                let geometry = ConvGeometry { n: g.n, ..part.geometry.clone() };
                self.with_input(&geometry, Source::Blocked(src), false, |input| {
                    let mut output = Output::new(dst.reborrow(), shape);
                    output.step = [down.stride, across.stride];
                    output.skip = part.skip;
                    let add = Addend::new(add, shape, &output);
                    self.direct(&geometry, &input, panels, &finish, add, &output);
                });
            }
        });
    }
}

/// All pixels hold the biases, or zero.
fn fill_channels(dst: &mut BlockedMut<'_>, bias: Option<&[f32]>) {
    let of = dst.of;
    for_each_plane(of, dst.data, |_, block, plane| {
        let mut value = [0.0; LANES];
        if let Some(bias) = bias {
            let lanes = of.lanes(block);
            value[..lanes].copy_from_slice(&bias[block * LANES..][..lanes]);
        }
        plane.as_chunks_mut().0.fill(value);
    });
}
