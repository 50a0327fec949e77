//! Winograd's F(4x4, 3x3) (Lavin and Gray 2015, *Fast Algorithms for Convolutional Neural Networks*):
//! a tile of 4 x 4 results from 36 products per pair of channels instead of 144.
//!
//! The transforms interpolate at 0, ±sqrt(1/2), ±sqrt(2) and infinity, which loses fewer bits than
//! whole numbers do and leaves small factors: the product of both squares is 1.

use std::f32::consts::{FRAC_1_SQRT_2, SQRT_2};
use std::ops::Range;

use super::aligned::with_buffer;
use super::conv::Input;
use super::epilogue::{Addend, Finish, Output};
use super::filters::Filters;
use super::lanes::{Lanes, WithLanes};
use super::pack::windows;
use super::tile::{At, Tile};
use super::{AlignedVec, LANES, for_each_task, wanted};
use crate::Kernels;
use crate::geometry::ConvGeometry;
use crate::shared::Shared;

/// Results of a tile along an axis, and inputs that they meet.
const OUT: usize = 4;
const IN: usize = 6;
/// Products of a tile and pair of channels.
const POINTS: usize = IN * IN;

/// Floats of transformed tiles that stay in the second cache.
const CACHED: usize = 128 << 10;
/// Tiles that are worth a task of their own, and those whose products stay in the second cache.
const FEW: usize = 14;
const MANY: usize = 64;

/// 16 kernels at all points.
#[inline(always)]
fn transform_kernel(kernel: &[[f64; LANES]; 9]) -> [[f32; LANES]; POINTS] {
    let mut rows = [[[0.0; LANES]; IN]; 3];
    for (row, kernel) in rows.iter_mut().zip(kernel.as_chunks::<3>().0) {
        for lane in 0..LANES {
            let points = transform_weights(kernel.map(|column| column[lane]));
            row.iter_mut().zip(points).for_each(|(to, point)| to[lane] = point);
        }
    }
    let mut points = [[0.0; LANES]; POINTS];
    for x in 0..IN {
        for lane in 0..LANES {
            let column = transform_weights([rows[0][x][lane], rows[1][x][lane], rows[2][x][lane]]);
            for (y, value) in column.into_iter().enumerate() {
                points[y * IN + x][lane] = value as f32;
            }
        }
    }
    points
}

/// Transformed weights: `[panels][36][ic][16 · blocks]`.
#[derive(Clone, Debug)]
pub(super) struct Transformed {
    pub data: AlignedVec,
}

/// Whether the algorithm applies.
pub(super) fn applies(g: &ConvGeometry) -> bool {
    g.groups == 1 && g.windows.iter().all(|w| (w.kernel, w.stride, w.dilation) == (3, 1, 1))
}

/// Whether it is the faster one.
pub(super) fn pays(g: &ConvGeometry) -> bool {
    let tiles: usize = g.windows.iter().map(|w| w.output.div_ceil(OUT)).product();
    // The transforms must be few beside the products, and the weights, 4 times as large and often read
    // from memory, spread over enough tiles.
    let cheap = g.ic >= 2 * LANES && g.oc >= 2 * LANES;
    cheap && (g.n * tiles >= 16 || g.ic * g.oc <= 128 * 128)
}

/// The weights of a pair of channels at the points along an axis: g(p) / prod of (p - other points).
#[inline(always)]
fn transform_weights([a, b, c]: [f64; 3]) -> [f64; IN] {
    let (small, large) = (0.5_f64.sqrt(), 2.0_f64.sqrt());
    // 2 p² (p² - q²) for the two pairs of points.
    let (by_small, by_large) = (2.0 * 0.5 * (0.5 - 2.0), 2.0 * 2.0 * (2.0 - 0.5));
    [
        a,
        (a + b * small + c * 0.5) / by_small,
        (a - b * small + c * 0.5) / by_small,
        (a + b * large + c * 2.0) / by_large,
        (a - b * large + c * 2.0) / by_large,
        c,
    ]
}

impl Kernels {
    pub(super) fn transform_filters(
        &self,
        g: &ConvGeometry,
        filters: &Filters<'_>,
        scale: Option<&[f32]>,
    ) -> Transformed {
        let (blocks, panel) = (g.oc.div_ceil(LANES), self.isa.tile_blocks());
        let mut data = AlignedVec::zeros(POINTS * g.ic * blocks * LANES);
        let (len, shared) = (data.len(), Shared::new(&mut data));
        for_each_task(blocks, len, |block| {
            let outs = block * LANES..g.oc.min((block + 1) * LANES);
            let mut scales = [1.0; LANES];
            if let Some(scale) = scale {
                let scale = &scale[outs.clone()];
                scales.iter_mut().zip(scale).for_each(|(to, &from)| *to = f64::from(from));
            }
            let width = panel.min(blocks - block / panel * panel) * LANES;
            let first = POINTS * g.ic * (block / panel * panel) * LANES + block % panel * LANES;
            // SAFETY: every task has the lanes of its block.
            let write = |at: usize, values: [f32; LANES]| unsafe {
                shared.range(first + at * width, LANES).copy_from_slice(&values)
            };
            self.vectorize(
                #[inline(always)]
                || {
                    let mut kernels = [0.0; 9 * LANES * LANES];
                    for ins in (0..g.ic).step_by(LANES) {
                        let ins = ins..g.ic.min(ins + LANES);
                        let kernels = &mut kernels[..9 * ins.len() * LANES];
                        filters.read(outs.clone(), ins.clone(), LANES, kernels);
                        for i in ins.clone() {
                            let of = |tap: usize| (tap * ins.len() + i - ins.start) * LANES;
                            let kernel = std::array::from_fn(|tap| {
                                std::array::from_fn(|lane| {
                                    scales[lane] * f64::from(kernels[of(tap) + lane])
                                })
                            });
                            for (point, values) in transform_kernel(&kernel).into_iter().enumerate()
                            {
                                write(point * g.ic + i, values);
                            }
                        }
                    }
                },
            );
        });
        Transformed { data }
    }

    pub(super) fn winograd(
        &self,
        g: &ConvGeometry,
        input: &Input<'_>,
        weights: &Transformed,
        finish: &Finish,
        add: Option<Addend>,
        output: &Output<'_>,
    ) {
        let [down, across] = windows(g);
        let grid = [down.output.div_ceil(OUT), across.output.div_ceil(OUT)];
        let tiles = g.n * grid[0] * grid[1];
        let job = Job { k: self, g, input, weights, finish, add, output, grid };
        let (blocks, panels) = (g.ic.div_ceil(LANES), job.panels());
        let wanted = wanted();
        let most = (CACHED / (POINTS * g.ic)).max(self.isa.tile_width());
        let chunks = tiles.div_ceil(tiles.div_ceil(wanted).min(most));
        let chunk = tiles.div_ceil(chunks);
        let work = g.macs() as usize;
        // Chunks that go through all phases by themselves read all weights each. Tiles that wait for
        // each other are read by every panel of weights.
        if chunks > 1 && (chunks - 1) * g.oc > panels * tiles {
            return with_buffer(POINTS * blocks * LANES * tiles, |v| {
                let v = Tiles { first: 0, count: tiles, data: Shared::new(v) };
                let parts = |others: usize| wanted.div_ceil(others).min(tiles.div_ceil(FEW));
                let part = |i: usize, parts: usize| i * tiles / parts..(i + 1) * tiles / parts;
                let cuts = parts(blocks);
                for_each_task(blocks * cuts, work, |task| {
                    job.transform(task / cuts, part(task % cuts, cuts), v);
                });
                let cuts = parts(panels).max(tiles.div_ceil(MANY));
                for_each_task(panels * cuts, work, |task| {
                    job.multiply(task / cuts, part(task % cuts, cuts), v);
                });
            });
        }
        for_each_task(chunks, work, |task| {
            let tiles = task * chunk..tiles.min((task + 1) * chunk);
            with_buffer(POINTS * blocks * LANES * tiles.len(), |v| {
                let v = Tiles { first: tiles.start, count: tiles.len(), data: Shared::new(v) };
                (0..blocks).for_each(|block| job.transform(block, tiles.clone(), v));
                (0..panels).for_each(|panel| job.multiply(panel, tiles.clone(), v));
            });
        });
    }
}

/// Transformed tiles, `[36][ic blocks][count][16]`, and which the first is.
#[derive(Clone, Copy)]
struct Tiles<'a> {
    first: usize,
    count: usize,
    data: Shared<'a>,
}

/// A convolution on its way.
struct Job<'a> {
    k: &'a Kernels,
    g: &'a ConvGeometry,
    input: &'a Input<'a>,
    weights: &'a Transformed,
    finish: &'a Finish,
    add: Option<Addend>,
    output: &'a Output<'a>,
    /// Tiles down and across.
    grid: [usize; 2],
}

impl Job<'_> {
    fn panels(&self) -> usize {
        self.g.oc.div_ceil(self.k.isa.tile_blocks() * LANES)
    }

    /// Image, row and column of a tile.
    fn place(&self, tile: usize) -> [usize; 3] {
        let [down, across] = self.grid;
        [tile / (down * across), tile / across % down, tile % across]
    }

    /// Transforms a block of input channels.
    fn transform(&self, block: usize, tiles: Range<usize>, v: Tiles<'_>) {
        self.k.with_lanes(Transform { job: self, block, tiles, v });
    }

    /// All products of a panel of output channels, and its results.
    fn multiply(&self, panel: usize, tiles: Range<usize>, v: Tiles<'_>) {
        let (ic, isa) = (self.g.ic, self.k.isa);
        let blocks = ic.div_ceil(LANES);
        let first = panel * isa.tile_blocks();
        let lanes = isa.tile_blocks().min(self.g.oc.div_ceil(LANES) - first) * LANES;
        let runs: Vec<usize> = (0..blocks).map(|block| block * v.count * LANES).collect();
        let start = tiles.start - v.first;
        let (full, rest) = runs.split_at(ic / LANES);
        let tile = Tile {
            full,
            full_len: LANES,
            rest,
            rest_len: ic % LANES,
            px: LANES,
            row: 0,
            dst_px: lanes,
            dst_row: 0,
            dst_block: LANES,
            add_px: LANES,
            add_row: 0,
            add_block: 0,
            low: f32::NEG_INFINITY,
            high: f32::INFINITY,
        };
        let zeros = [0.0; 2 * LANES];
        let weights = &self.weights.data[first * LANES * POINTS * ic..][..lanes * POINTS * ic];
        with_buffer(POINTS * tiles.len() * lanes, |products| {
            for (point, products) in products.chunks_exact_mut(tiles.len() * lanes).enumerate() {
                let weights = &weights[point * ic * lanes..][..ic * lanes];
                let count = tiles.len().div_ceil(isa.tile_width());
                let mut at = 0;
                for i in 0..count {
                    let width = (tiles.len() - at).div_ceil(count - i);
                    // SAFETY: the transformed tiles, the weights of a point and its products are as
                    // long as their shapes above say, and this tile lies inside.
                    unsafe {
                        let at = At {
                            src: v.data.at((point * blocks * v.count + start + at) * LANES),
                            weights: weights.as_ptr(),
                            bias: zeros.as_ptr(),
                            slopes: std::ptr::null(),
                            add: std::ptr::null(),
                            dst: products[at * lanes..].as_mut_ptr(),
                        };
                        isa.kernel(lanes / LANES, 1, width, LANES)(&tile, &at);
                    }
                    at += width;
                }
            }
            for block in 0..lanes / LANES {
                let products = &products[block * LANES..];
                let block = first + block;
                let tiles = tiles.clone();
                self.k.with_lanes(Results { job: self, block, tiles, products, lanes });
            }
        });
    }
}

#[inline(always)]
fn column<T: Copy, const R: usize, const C: usize>(rows: &[[T; C]; R], x: usize) -> [T; R] {
    let mut column = [rows[0][x]; R];
    for (to, row) in column.iter_mut().zip(rows) {
        *to = row[x];
    }
    column
}

/// Six inputs at the points.
///
/// # Safety
/// The instruction set is there.
#[inline(always)]
unsafe fn at_points<L: Lanes>(d: [L; IN]) -> [L; IN] {
    // SAFETY: passed on.
    unsafe {
        let times = |x: L, factor: f32, plus: L| plus.add_product(x, L::splat(factor));
        let even_small = times(d[2], -2.0, d[4]);
        let odd_small = times(d[1], -2.0, d[3]).mul(L::splat(FRAC_1_SQRT_2));
        let even_large = times(d[2], -0.5, d[4]);
        let odd_large = times(d[1], -0.5, d[3]).mul(L::splat(SQRT_2));
        [
            times(d[2], -2.5, d[0].add(d[4])),
            even_small.add(odd_small),
            even_small.sub(odd_small),
            even_large.add(odd_large),
            even_large.sub(odd_large),
            times(d[3], -2.5, d[1].add(d[5])),
        ]
    }
}

/// Four results from the products at the points.
///
/// # Safety
/// The instruction set is there.
#[inline(always)]
unsafe fn from_points<L: Lanes>(m: [L; IN]) -> [L; OUT] {
    // SAFETY: passed on.
    unsafe {
        let (sum_small, difference_small) = (m[1].add(m[2]), m[1].sub(m[2]));
        let (sum_large, difference_large) = (m[3].add(m[4]), m[3].sub(m[4]));
        let both = |x: L, small: f32, y: L, large: f32| {
            x.mul(L::splat(small)).add_product(y, L::splat(large))
        };
        [
            m[0].add(sum_small).add(sum_large),
            both(difference_small, FRAC_1_SQRT_2, difference_large, SQRT_2),
            both(sum_small, 0.5, sum_large, 2.0),
            both(difference_small, 0.5 * FRAC_1_SQRT_2, difference_large, 2.0 * SQRT_2).add(m[5]),
        ]
    }
}

struct Transform<'a> {
    job: &'a Job<'a>,
    block: usize,
    tiles: Range<usize>,
    v: Tiles<'a>,
}

impl WithLanes for Transform<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Transform { job, block, tiles, v } = self;
        let (input, [down, across]) = (job.input, windows(job.g));
        let blocks = job.g.ic.div_ceil(LANES);
        // Rows and columns with the padding.
        let (height, width) = (down.output + 2, across.output + 2);
        for tile in tiles {
            let [n, ty, tx] = job.place(tile);
            let (y, x) = (ty * OUT, tx * OUT);
            let src = input.first + n * input.image + block * input.block;
            let src = &input.data[src + y * input.row + x * LANES..];
            let (rows, columns) = (IN.min(height - y), IN.min(width - x));
            // SAFETY: loads are from bounds-checked rows; the stores are to this tile's part of `v`,
            // which this task alone writes.
            unsafe {
                let zero = L::splat(0.0);
                let mut d = [[zero; IN]; IN];
                for (row, d) in d.iter_mut().enumerate().take(rows) {
                    let row = &src[row * input.row..][..columns * LANES];
                    if columns == IN {
                        for (column, d) in d.iter_mut().enumerate() {
                            *d = L::load(row.as_ptr().add(column * LANES));
                        }
                    } else {
                        for (d, pixel) in d.iter_mut().zip(row.chunks_exact(LANES)) {
                            *d = L::load(pixel.as_ptr());
                        }
                    }
                }
                for row in &mut d {
                    *row = at_points(*row);
                }
                for px in 0..IN {
                    let column = at_points(column(&d, px));
                    for (py, value) in column.into_iter().enumerate() {
                        let point = py * IN + px;
                        let to = ((point * blocks + block) * v.count + tile - v.first) * LANES;
                        value.store(v.data.at(to));
                    }
                }
            }
        }
    }
}

struct Results<'a> {
    job: &'a Job<'a>,
    block: usize,
    tiles: Range<usize>,
    /// `[36][tiles][lanes]`, from this block's first lane on.
    products: &'a [f32],
    lanes: usize,
}

impl WithLanes for Results<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Results { job, block, tiles, products, lanes } = self;
        let ([down, across], output) = (windows(job.g), job.output);
        let count = tiles.len();
        // SAFETY: every place is inside: `at` checks the stores, slices the loads; tasks differ in
        // tiles or blocks, so the results are this task's alone.
        unsafe {
            let tail = job.finish.tail::<L>(block);
            for (i, tile) in tiles.enumerate() {
                let [n, ty, tx] = job.place(tile);
                let products = &products[i * lanes..][..(POINTS - 1) * count * lanes + LANES];
                let products = products.as_ptr();
                let mut rows = [[L::splat(0.0); OUT]; IN];
                for (py, row) in rows.iter_mut().enumerate() {
                    let mut m = [L::splat(0.0); IN];
                    for (px, m) in m.iter_mut().enumerate() {
                        *m = L::load(products.add((py * IN + px) * count * lanes));
                    }
                    *row = from_points(m);
                }
                let (y, x) = (ty * OUT, tx * OUT);
                let (height, width) = (OUT.min(down.output - y), OUT.min(across.output - x));
                for column in 0..OUT {
                    let results = from_points(self::column(&rows, column));
                    if column >= width {
                        break;
                    }
                    for (row, &sum) in results.iter().enumerate().take(height) {
                        let to = output.of.at(n, output.block + block, y + row);
                        let place = (x + column) * LANES;
                        let add = job
                            .add
                            .map_or(std::ptr::null(), |add| add.row(n, block, y + row).add(place));
                        tail.apply(sum, add).store(output.data.at(to + place));
                    }
                }
                if job.finish.sweeps() {
                    for row in 0..height {
                        let at = output.of.at(n, output.block + block, y + row) + x * LANES;
                        job.finish.sweep(block, output.data.range(at, width * LANES));
                    }
                }
            }
        }
    }
}
