//! Convolution of blocked activations: which tiles, in which order, on which thread.

use std::ops::Range;

use super::aligned::with_buffer;
use super::epilogue::{Addend, Epilogue, Finish, Output};
use super::layout::{Blocked, BlockedMut, BlockedRef, Source};
use super::pack::{Form, PackedBlocked, Panel, Panels, windows};
use super::tile::{At, Tile};
use super::{LANES, for_each_task, wanted};
use crate::Kernels;
use crate::geometry::{ConvGeometry, Window};
use crate::shared::Shared;
use crate::table::Isa;

/// Bytes of weights that stay in the second cache while the pixels stream past them.
const CACHED: usize = 600 << 10;

/// Flat pixels of a strip: its source stays in the first cache.
const STRIP: usize = 28;

/// Rows that a task interleaves.
const ROWS: usize = 16;

/// A source with all the padding that is met. Distances are in floats.
pub(super) struct Input<'a> {
    pub data: &'a [f32],
    /// Where the window of the first output begins.
    pub first: usize,
    pub image: usize,
    pub block: usize,
    pub row: usize,
    pub px: usize,
    /// Whether rows follow each other without a halo.
    flat: bool,
}

impl<'a> Input<'a> {
    fn new(src: BlockedRef<'a>, [down, across]: [Window; 2]) -> Input<'a> {
        let of = src.of;
        let first = of.at(0, src.c_offset / LANES, 0) - down.pad * of.row() - across.pad * LANES;
        let (image, block, row) = (of.image(), of.plane(), of.row());
        Input { data: src.data, first, image, block, row, px: LANES, flat: of.halo == 0 }
    }
}

impl Kernels {
    /// dst = epilogue(weights * src) in two dimensions. The interior of `dst` is written; its halo
    /// must be zero already.
    pub fn conv_blocked(
        &self,
        g: &ConvGeometry,
        src: Source<'_>,
        packed: &PackedBlocked,
        epilogue: Epilogue<'_>,
        dst: BlockedMut<'_>,
    ) {
        let axes = windows(g);
        assert_eq!(packed.isa, self.isa, "packed for another instruction set");
        let of = [packed.ic, packed.oc, packed.groups, packed.kernel[0], packed.kernel[1]];
        let wanted = [g.ic, g.oc, g.groups, axes[0].kernel, axes[1].kernel];
        assert_eq!(of, wanted, "packed for another geometry");
        for w in axes {
            let met = (w.output.max(1) - 1) * w.stride + (w.kernel.max(1) - 1) * w.dilation;
            assert!(met < w.input + 2 * w.pad, "windows reach beyond the padded input");
        }
        let shape = [g.n, g.oc, axes[0].output, axes[1].output];
        let output = Output::new(dst, shape);
        if shape.contains(&0) {
            return;
        }
        let finish = Finish::new(g.oc, epilogue.bias, epilogue.act);
        let add = Addend::new(epilogue.add, shape, &output);
        match &packed.form {
            Form::Depthwise(weights) => self.with_input(g, src, false, |input| {
                self.depthwise_blocked(g, &input, weights, &finish, add, &output);
            }),
            Form::Winograd(weights) => self.with_input(g, src, false, |input| {
                self.winograd(g, &input, weights, &finish, add, &output);
            }),
            Form::Panels(panels) => self.with_input(g, src, g.ic <= LANES, |input| {
                self.direct(g, &input, panels, &finish, add, &output);
            }),
        }
    }

    /// Hands `then` the source with its padding: as it is if its halo holds it, or a copy. Planes are
    /// interleaved pixel by pixel if `interleave`, else blocked.
    pub(super) fn with_input(
        &self,
        g: &ConvGeometry,
        src: Source<'_>,
        interleave: bool,
        then: impl FnOnce(Input<'_>),
    ) {
        let axes @ [down, across] = windows(g);
        let halo = axes.map(|w| w.reach()).into_iter().max().unwrap_or(0);
        let of = Blocked { n: g.n, c: g.ic, h: down.input, w: across.input, halo };
        match src {
            Source::Planes(src) if interleave => {
                assert_eq!(src.len(), g.input_len(), "src does not fit the geometry");
                let (px, row) = (g.ic, (across.input + 2 * across.pad) * g.ic);
                let image = (down.input + 2 * down.pad) * row;
                with_buffer(g.n * image, |copy| {
                    self.interleave_planes(g.ic, axes, src, copy);
                    let flat = down.pad + across.pad == 0;
                    then(Input { data: copy, first: 0, image, block: 0, row, px, flat });
                });
            }
            src => self.with_halo(of, src, |src| then(Input::new(src, axes))),
        }
    }

    /// Hands `then` a source in blocks with at least the halo of `of`: as it is, or a copy.
    pub(crate) fn with_halo(
        &self,
        of: Blocked,
        src: Source<'_>,
        then: impl FnOnce(BlockedRef<'_>),
    ) {
        match src {
            Source::Blocked(src) if src.of.halo >= of.halo => {
                src.check([of.n, of.c, of.h, of.w]);
                then(src);
            }
            src => with_buffer(of.len(), |copy| {
                match src {
                    Source::Planes(src) => self.to_blocked(src, of, copy),
                    Source::Blocked(src) => {
                        self.copy_blocked(src, BlockedMut::new(copy, of));
                        self.clear_halo(of, copy);
                    }
                }
                then(BlockedRef::new(copy, of));
            }),
        }
    }

    /// Planes to pixels of `ic` floats, with zeros around them.
    fn interleave_planes(
        &self,
        ic: usize,
        [down, across]: [Window; 2],
        src: &[f32],
        dst: &mut [f32],
    ) {
        let (h, w) = (down.input, across.input);
        let row = (w + 2 * across.pad) * ic;
        let rows = h + 2 * down.pad;
        let lines = dst.len() / row;
        let tasks = lines.div_ceil(ROWS);
        let shared = Shared::new(dst);
        for_each_task(tasks, lines * row, |task| {
            for i in task * ROWS..lines.min((task + 1) * ROWS) {
                // SAFETY: every task has rows of its own.
                let line = unsafe { shared.range(i * row, row) };
                let (n, y) = (i / rows, i % rows);
                if !(down.pad..down.pad + h).contains(&y) {
                    line.fill(0.0);
                    continue;
                }
                let (before, line) = line.split_at_mut(across.pad * ic);
                let (line, after) = line.split_at_mut(w * ic);
                before.fill(0.0);
                after.fill(0.0);
                let from = |c: usize| &src[((n * ic + c) * h + y - down.pad) * w..][..w];
                self.vectorize(
                    #[inline(always)]
                    || match ic {
                        1 => line.copy_from_slice(from(0)),
                        3 => interleave([from(0), from(1), from(2)], line.as_chunks_mut().0),
                        _ => {
                            for channel in 0..ic {
                                let to = line[channel..].iter_mut().step_by(ic);
                                to.zip(from(channel)).for_each(|(to, &from)| *to = from);
                            }
                        }
                    },
                );
            }
        });
    }

    pub(super) fn direct(
        &self,
        g: &ConvGeometry,
        input: &Input<'_>,
        panels: &Panels,
        finish: &Finish,
        add: Option<Addend>,
        output: &Output<'_>,
    ) {
        let [down, across] = windows(g);
        let (full, rest) = runs(g, input, panels);
        let pointwise = g.is_pointwise();
        let add_flat = add.is_none_or(|add| add.of.halo == 0);
        let dense = output.is_dense() && output.of.halo == 0;
        let flat = pointwise && input.flat && dense && add_flat;
        let add_row = add.map_or(0, |add| output.step[0] * add.of.row());
        let mut job = Job {
            isa: self.isa,
            rows: down.output,
            width: across.output,
            last: across.output,
            src_row: down.stride * input.row,
            dst_row: output.row(),
            add_row,
            tile: Tile {
                full: &full,
                full_len: LANES,
                rest: &rest,
                rest_len: rest_len(g, input),
                px: across.stride * input.px,
                row: down.stride * input.row,
                dst_px: output.px(),
                dst_row: output.row(),
                dst_block: output.of.plane(),
                add_px: output.px(),
                add_row,
                add_block: add.map_or(0, |add| add.of.plane()),
                low: finish.low,
                high: finish.high,
            },
            taps: g.kernel_len(),
            ic_blocks: g.ic.div_ceil(LANES),
            input,
            panels,
            finish,
            add,
            output,
        };
        if flat {
            let pixels = down.output * across.output;
            // Narrower strips where there are too few tasks otherwise.
            let few = wanted().div_ceil(g.n * panels.list.len());
            let most = pixels.div_ceil(self.isa.tile_width());
            let strips = pixels.div_ceil(STRIP).max(few.min(most));
            job.width = pixels.div_ceil(strips);
            job.rows = pixels.div_ceil(job.width);
            job.last = pixels - (job.rows - 1) * job.width;
            job.src_row = job.width * input.px;
            (job.dst_row, job.add_row) = (job.width * LANES, job.width * LANES);
        }
        let tasks = job.cut(g.n);
        for_each_task(tasks.len(), g.macs() as usize, |task| {
            let task = &tasks[task];
            if job.panels_inside() {
                for row in task.rows.clone().step_by(job.step()) {
                    let rows = row..task.rows.end.min(row + job.step());
                    for panel in &panels.list[task.panels.clone()] {
                        job.run(panel, task.n, rows.clone());
                    }
                }
            } else {
                for panel in &panels.list[task.panels.clone()] {
                    job.run(panel, task.n, task.rows.clone());
                }
            }
            if finish.sweeps() {
                self.vectorize(
                    #[inline(always)]
                    || job.sweep(task),
                );
            }
        });
    }
}

/// Where the runs of a full block begin, and those of the last, narrower one (see `Tile`).
fn runs(g: &ConvGeometry, input: &Input<'_>, panels: &Panels) -> (Vec<usize>, Vec<usize>) {
    let [down, across] = windows(g);
    let (rows, columns) = (down.dilation * input.row, across.dilation * input.px);
    if input.px != LANES && across.dilation == 1 {
        return (Vec::new(), (0..down.kernel).map(|ky| ky * rows).collect());
    }
    let taps = |block: usize| {
        let start = block * input.block;
        (0..down.kernel)
            .flat_map(move |ky| (0..across.kernel).map(move |kx| start + ky * rows + kx * columns))
    };
    if input.px != LANES {
        return (Vec::new(), taps(0).collect());
    }
    let most = panels.list.iter().map(|panel| panel.from.len()).max().unwrap_or(0);
    ((0..most).flat_map(taps).collect(), Vec::new())
}

fn rest_len(g: &ConvGeometry, input: &Input<'_>) -> usize {
    let [_, across] = windows(g);
    match input.px {
        LANES => g.ic % LANES,
        _ if across.dilation == 1 => g.ic * across.kernel,
        _ => g.ic,
    }
}

/// A part of the work: no other writes the same.
struct Task {
    panels: Range<usize>,
    n: usize,
    rows: Range<usize>,
}

/// A convolution on its way. Rows are those of the output, or strips of a plane that is walked as
/// if it were one row.
struct Job<'a> {
    isa: Isa,
    rows: usize,
    width: usize,
    /// Width of the last row.
    last: usize,
    src_row: usize,
    dst_row: usize,
    add_row: usize,
    tile: Tile<'a>,
    taps: usize,
    ic_blocks: usize,
    input: &'a Input<'a>,
    panels: &'a Panels,
    finish: &'a Finish,
    add: Option<Addend>,
    output: &'a Output<'a>,
}

impl Job<'_> {
    /// Rows computed at once.
    fn step(&self) -> usize {
        self.isa.tile_rows(self.width)
    }

    /// Whether all weights stay in cache, so that the source is walked once.
    fn panels_inside(&self) -> bool {
        self.panels.data.len() * size_of::<f32>() <= CACHED
    }

    /// Cuts the work; where it is cut changes no sum.
    fn cut(&self, n: usize) -> Vec<Task> {
        let wanted = wanted();
        let (panels, strips) = (self.panels.list.len(), self.rows.div_ceil(self.step()));
        let share = |parts: usize, most: usize| wanted.div_ceil(n * parts).clamp(1, most);
        let (panel_parts, strip_parts) = if self.panels_inside() {
            let strip_parts = share(1, strips);
            (share(strip_parts, panels), strip_parts)
        } else {
            let panel_parts = share(1, panels);
            (panel_parts, share(panel_parts, strips))
        };
        let mut tasks = Vec::new();
        for part in 0..panel_parts {
            let panels = part * panels / panel_parts..(part + 1) * panels / panel_parts;
            for n in 0..n {
                for part in 0..strip_parts {
                    let edge = |part| self.rows.min(part * strips / strip_parts * self.step());
                    tasks.push(Task {
                        panels: panels.clone(),
                        n,
                        rows: edge(part)..edge(part + 1),
                    });
                }
            }
        }
        tasks
    }

    fn width(&self, row: usize) -> usize {
        if row + 1 == self.rows { self.last } else { self.width }
    }

    /// Where a row of a block of output channels begins.
    fn dst(&self, n: usize, block: usize, row: usize) -> usize {
        self.output.at(n, block, 0) + row * self.dst_row
    }

    /// Computes the rows of a panel.
    fn run(&self, panel: &Panel, n: usize, rows: Range<usize>) {
        let mut tile = Tile { ..self.tile };
        if self.input.px == LANES {
            // The last block of input channels may be narrower.
            let narrow = self.tile.rest_len > 0 && panel.from.end == self.ic_blocks;
            let count = (panel.from.len() - usize::from(narrow)) * self.taps;
            (tile.full, tile.rest) = self.tile.full[..panel.from.len() * self.taps].split_at(count);
        }
        let src = self.input.first + n * self.input.image + panel.from.start * self.input.block;
        let mut row = rows.start;
        while row < rows.end {
            let count = self.step().min(rows.end - row);
            let width = self.width(row);
            let tiles = width.div_ceil(self.isa.tile_width());
            let mut x = 0;
            for i in 0..tiles {
                // As equal as possible.
                let w = (width - x).div_ceil(tiles - i);
                let kernel = self.isa.kernel(panel.blocks, count, w, tile.px);
                let channel = panel.block * LANES;
                let src = src + row * self.src_row + x * tile.px;
                let dst = self.dst(n, panel.block, row) + x * tile.dst_px;
                // SAFETY: `conv_blocked` has checked that the geometry's windows, the blobs and the
                // panels fit each other; the task has these rows of these blocks to itself.
                unsafe {
                    let add = self.add.map_or(std::ptr::null(), |add| {
                        let start = add.of.at(n, add.block + panel.block, 0);
                        add.data.add(start + row * self.add_row + x * tile.add_px)
                    });
                    let slopes = self.finish.slopes.as_ref();
                    let at = At {
                        src: self.input.data.as_ptr().add(src),
                        weights: self.panels.data.as_ptr().add(panel.at),
                        bias: self.finish.bias.as_ptr().add(channel),
                        slopes: slopes.map_or(std::ptr::null(), |s| s.as_ptr().add(channel)),
                        add,
                        dst: self.output.data.at(dst),
                    };
                    kernel(&tile, &at);
                }
                x += w;
            }
            row += count;
        }
    }

    /// What is done in memory after a task's tiles.
    #[inline(always)]
    fn sweep(&self, task: &Task) {
        for panel in &self.panels.list[task.panels.clone()] {
            for block in panel.block..panel.block + panel.blocks {
                for row in task.rows.clone() {
                    let (at, len) = (self.dst(task.n, block, row), self.width(row) * LANES);
                    // SAFETY: the task has these rows of these blocks to itself.
                    self.finish.sweep(block, unsafe { self.output.data.range(at, len) });
                }
            }
        }
    }
}

/// pixels\[x\]\[c\] = planes\[c\]\[x\]
#[inline(always)]
fn interleave<const N: usize>(planes: [&[f32]; N], pixels: &mut [[f32; N]]) {
    let planes = planes.map(|plane| &plane[..pixels.len()]);
    for (x, pixel) in pixels.iter_mut().enumerate() {
        for (to, plane) in pixel.iter_mut().zip(&planes) {
            *to = plane[x];
        }
    }
}
