//! Blocked activations: every kernel against the plain loops on NCHW, with halos and spare lanes
//! zero afterwards.

mod support;

use cortado_kernels::*;
use proptest::prelude::*;
use support::*;

/// A blocked copy of NCHW values.
fn blocked(k: &Kernels, of: Blocked, values: &[f32]) -> AlignedVec {
    let mut data = AlignedVec::zeros(of.len());
    data.fill(f32::NAN);
    k.to_blocked(values, of, &mut data);
    data
}

/// The NCHW values of `c` channels from `c_offset` on; halo and spare lanes must be zero.
fn plain(k: &Kernels, of: Blocked, data: &[f32], c_offset: usize, c: usize) -> Vec<f32> {
    let (row, plane) = (of.row() / 16, of.plane() / 16);
    for (i, pixel) in data.chunks_exact(16).enumerate() {
        let (block, y, x) = (i / plane % of.blocks(), i % plane / row, i % row);
        let inside = |at: usize, len: usize| (of.halo..of.halo + len).contains(&at);
        let lanes = if inside(y, of.h) && inside(x, of.w) { of.c - block * 16 } else { 0 };
        let spare = &pixel[lanes.min(16)..];
        assert!(spare.iter().all(|&x| x == 0.0), "block {block} row {y} column {x}: {pixel:?}");
    }
    let mut values = vec![f32::NAN; of.n * c * of.h * of.w];
    k.from_blocked(BlockedRef { data, of, c_offset }, c, &mut values);
    values
}

fn activate(act: Act<'_>, c: usize, x: f32) -> f32 {
    match act {
        Act::None => x,
        Act::Relu(slope) => {
            if x > 0.0 {
                x
            } else {
                slope * x
            }
        }
        Act::PRelu(slopes) => {
            if x > 0.0 {
                x
            } else {
                slopes[c % slopes.len()] * x
            }
        }
        Act::Clip(low, high) => x.max(low).min(high),
        Act::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Act::TanH => x.tanh(),
    }
}

/// Which activation, over `c` channels.
fn act(which: usize, slopes: &[f32]) -> Act<'_> {
    match which {
        0 => Act::None,
        1 => Act::Relu(0.0),
        2 => Act::Relu(0.25),
        3 => Act::PRelu(slopes),
        4 => Act::PRelu(&slopes[..1]),
        5 => Act::Clip(-2.0, 6.0),
        6 => Act::Clip(1.0, 6.0),
        7 => Act::Sigmoid,
        _ => Act::TanH,
    }
}

/// (input, kernel, stride, pad, dilation)
type Axis = (usize, usize, usize, usize, usize);

fn geometry(
    n: usize,
    ic: usize,
    oc: usize,
    groups: usize,
    axes: [Axis; 2],
) -> Option<ConvGeometry> {
    let window = |(input, kernel, stride, pad, dilation): Axis| {
        let output = ConvGeometry::output_size(input, kernel, stride, pad, dilation)?;
        Some(Window { input, output, kernel, stride, pad, dilation })
    };
    let windows = axes.into_iter().map(window).collect::<Option<Vec<_>>>()?;
    Some(ConvGeometry { n, ic: ic * groups, oc: oc * groups, groups, windows })
}

/// How a convolution is asked for.
#[derive(Clone, Copy, Debug)]
struct Way {
    src_halo: usize,
    dst_halo: usize,
    /// Blocks of the destination before and after the channels written.
    around: usize,
    act: usize,
    /// 0 nothing, 1 the destination, 2 a blob with the halo of the source.
    add: usize,
    scaled: bool,
}

const PLAIN: Way = Way { src_halo: 0, dst_halo: 0, around: 0, act: 0, add: 0, scaled: false };

fn close(actual: &[f32], expected: &[f32], act: Act<'_>, what: &str) {
    // Sums of integers are exact.
    if !matches!(act, Act::Sigmoid | Act::TanH) {
        for (i, (a, e)) in actual.iter().zip(expected).enumerate() {
            assert_eq!(a, e, "element {i} of {what}");
        }
    }
    assert_close(actual, expected, 2e-6, 1e-6);
}

fn check_conv(g: &ConvGeometry, way: Way, algo: ConvAlgo, exact: bool) {
    let (x, w) = (integers(g.input_len(), 1), integers(g.weight_len(), 2));
    let (bias, scale) = (integers(g.oc, 3), integers(g.oc, 4));
    let slopes = integers(g.oc, 5);
    let other = integers(g.output_len(), 6);
    let act = act(way.act, &slopes);
    let per_channel = g.weight_len() / g.oc;
    let scaled: Vec<f32> = match way.scaled {
        true => w.iter().enumerate().map(|(i, w)| w * scale[i / per_channel]).collect(),
        false => w.clone(),
    };
    let channel = |i: usize| i / g.spatial_out() % g.oc;
    let mut y_e: Vec<f32> = (0..g.output_len()).map(|i| bias[channel(i)]).collect();
    reference::conv::forward(g, &x, &scaled, &mut y_e);
    for (i, y) in y_e.iter_mut().enumerate() {
        let sum = if way.add == 0 { *y } else { *y + other[i] };
        *y = activate(act, channel(i), sum);
    }
    let [down, across] = [g.windows[0], g.windows[1]];
    let from = Blocked { n: g.n, c: g.ic, h: down.input, w: across.input, halo: way.src_halo };
    let (h, wide) = (down.output, across.output);
    let around = if g.oc.is_multiple_of(16) { way.around } else { 0 };
    let c_offset = 16 * way.around;
    let c = c_offset + g.oc + 16 * around;
    let to = Blocked { n: g.n, c, h, w: wide, halo: way.dst_halo };
    let like = Blocked { n: g.n, c: g.oc, h, w: wide, halo: way.src_halo };
    for k in available() {
        let src = blocked(k, from, &x);
        let addend = blocked(k, like, &other);
        let packed = k.pack_blocked(g, &w, way.scaled.then_some(&scale[..]), algo);
        for source in [Source::Planes(&x), Source::Blocked(BlockedRef::new(&src, from))] {
            let mut dst = AlignedVec::zeros(to.len());
            let add = match way.add {
                0 => Add::Nothing,
                1 => {
                    let part = BlockedMut { data: &mut dst, of: to, c_offset };
                    k.copy_blocked(BlockedRef::new(&addend, like), part);
                    Add::Dst
                }
                _ => Add::Blob(BlockedRef::new(&addend, like)),
            };
            let epilogue = Epilogue { bias: Some(&bias), add, act };
            let part = BlockedMut { data: &mut dst, of: to, c_offset };
            k.conv_blocked(g, source, &packed, epilogue, part);
            let y = plain(k, to, &dst, c_offset, g.oc);
            match exact {
                true => close(&y, &y_e, act, &format!("{} {g:?} {way:?}", k.isa())),
                // Sums of up to 360 products of up to 27.
                false => assert_close(&y, &y_e, 1e-5, 2e-3),
            }
            let written: f32 = plain(k, to, &dst, 0, c).iter().map(|x| x.abs()).sum();
            let wanted: f32 = y.iter().map(|x| x.abs()).sum();
            assert!((written - wanted).abs() <= 1e-4 * wanted, "channels around are touched");
        }
    }
}

fn axis() -> impl Strategy<Value = Axis> {
    (1..18_usize, 1..6_usize, 1..4_usize, 0..6_usize, 1..4_usize)
}

fn way() -> impl Strategy<Value = Way> {
    (0..4_usize, 0..3_usize, 0..2_usize, 0..9_usize, 0..3_usize, any::<bool>()).prop_map(
        |(src_halo, dst_halo, around, act, add, scaled)| Way {
            src_halo,
            dst_halo,
            around,
            act,
            add,
            scaled,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn convolution_agrees(
        n in 1..5_usize, ic in 1..40_usize, oc in 1..70_usize,
        axes in prop::array::uniform2(axis()), way in way(),
    ) {
        if let Some(g) = geometry(n, ic, oc, 1, axes) {
            check_conv(&g, way, ConvAlgo::Direct, true);
        }
    }

    #[test]
    fn pointwise_convolution_agrees(
        n in 1..4_usize, ic in 1..70_usize, oc in 1..70_usize, h in 1..18_usize, w in 1..18_usize,
        stride in 1..3_usize, way in way(),
    ) {
        if let Some(g) = geometry(n, ic, oc, 1, [(h, 1, stride, 0, 1), (w, 1, stride, 0, 1)]) {
            check_conv(&g, way, ConvAlgo::Auto, true);
        }
    }

    #[test]
    fn grouped_convolution_agrees(
        n in 1..3_usize, ic in 1..20_usize, oc in 1..20_usize, groups in 2..6_usize,
        axes in prop::array::uniform2(axis()), way in way(),
    ) {
        if let Some(g) = geometry(n, ic, oc, groups, axes) {
            check_conv(&g, way, ConvAlgo::Direct, true);
        }
    }

    #[test]
    fn depthwise_convolution_agrees(
        n in 1..4_usize, channels in 2..50_usize, kernel in 1..5_usize, stride in 1..3_usize,
        sizes in prop::array::uniform2(1..20_usize), pad in 0..3_usize, way in way(),
    ) {
        let axes = sizes.map(|size| (size, kernel, stride, pad, 1));
        if let Some(g) = geometry(n, 1, 1, channels, axes) {
            check_conv(&g, way, ConvAlgo::Auto, true);
        }
    }

    #[test]
    fn depthwise_convolution_of_any_kind_agrees(
        channels in 2..20_usize, axes in prop::array::uniform2(axis()), way in way(),
    ) {
        if let Some(g) = geometry(2, 1, 1, channels, axes) {
            check_conv(&g, way, ConvAlgo::Auto, true);
        }
    }

    #[test]
    fn winograd_agrees(
        n in 1..5_usize, ic in 1..40_usize, oc in 1..70_usize,
        sizes in prop::array::uniform2((1..20_usize, 0..5_usize)), way in way(),
    ) {
        let axes = sizes.map(|(size, pad)| (size, 3, 1, pad, 1));
        if let Some(g) = geometry(n, ic, oc, 1, axes) {
            check_conv(&g, way, ConvAlgo::Winograd, false);
        }
    }

    #[test]
    fn halos_come_and_go(
        n in 1..4_usize, c in 1..40_usize, h in 1..8_usize, w in 1..8_usize,
        halos in prop::array::uniform2(0..4_usize),
    ) {
        let [from, to] = halos.map(|halo| Blocked { n, c, h, w, halo });
        let x = numbers(n * c * h * w, 1);
        for k in available() {
            let data = blocked(k, from, &x);
            assert_eq!(&plain(k, from, &data, 0, c), &x);
            let mut other = vec![f32::NAN; to.len()];
            k.reblock(from, &data, to, &mut other);
            assert_eq!(&plain(k, to, &other, 0, c), &x);
        }
    }

    #[test]
    fn pooling_agrees(
        n in 1..3_usize, c in 1..40_usize, halos in prop::array::uniform2(0..3_usize),
        axes in prop::array::uniform2((1..20_usize, 1..6_usize, 1..6_usize, 0..5_usize)),
        ceil in any::<bool>(),
    ) {
        let round = if ceil { Round::Ceil } else { Round::Floor };
        let any_pad = axes.iter().any(|&(_, kernel, _, pad)| pad.min(kernel - 1) > 0);
        let windows: Option<Vec<_>> = axes.iter().map(|&(input, kernel, stride, pad)| {
            let pad = pad.min(kernel - 1);
            let output = PoolGeometry::output_size(input, kernel, stride, pad, any_pad, round)?;
            Some(PoolWindow { input, output, kernel, stride, pad })
        }).collect();
        let Some(windows) = windows else { return Ok(()) };
        check_pool(&PoolGeometry { n, c, windows }, halos);
    }

    #[test]
    fn activations_and_affine_agree(
        n in 1..3_usize, c in 1..40_usize, h in 1..6_usize, w in 1..6_usize, halo in 0..3_usize,
        which in 0..9_usize, scaled in any::<bool>(), shifted in any::<bool>(), apart in any::<bool>(),
    ) {
        let of = Blocked { n, c, h, w, halo };
        let (x, scale, shift) = (integers(n * c * h * w, 1), integers(c, 2), integers(c, 3));
        let slopes = integers(c, 4);
        let act = act(which, &slopes);
        let y_e: Vec<f32> = x.iter().enumerate().map(|(i, &x)| {
            let c = i / (h * w) % c;
            let x = if scaled { x * scale[c] } else { x };
            activate(act, c, if shifted { x + shift[c] } else { x })
        }).collect();
        for k in available() {
            let mut src = blocked(k, of, &x);
            let mut dst = AlignedVec::zeros(of.len());
            let (scale, shift) = (scaled.then_some(&scale[..]), shifted.then_some(&shift[..]));
            let io = if apart { SrcDst::Apart(&src, &mut dst) } else { SrcDst::InPlace(&mut src) };
            k.affine_blocked(of, io, scale, shift, act);
            let y = plain(k, of, if apart { &dst } else { &src }, 0, c);
            close(&y, &y_e, act, "affine");
        }
    }

    #[test]
    fn lrn_agrees(
        n in 1..3_usize, c in 1..70_usize, h in 1..6_usize, w in 1..20_usize, halo in 0..3_usize,
        size in 1..24_usize, beta in prop_oneof![Just(0.75_f32), 0.1..1.5_f32],
    ) {
        let of = Blocked { n, c, h, w, halo };
        let x = numbers(n * c * h * w, 1);
        let lrn = reference::lrn::Lrn { size, alpha: 2.0, beta: beta.into(), k: 1.5 };
        let (mut scale, mut y_e) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        reference::lrn::lrn_across_forward([n, c, h * w], lrn, &x, &mut scale, &mut y_e);
        for k in available() {
            let (src, mut dst) = (blocked(k, of, &x), AlignedVec::zeros(of.len()));
            k.lrn_blocked(of, size, 2.0, beta, 1.5, &src, &mut dst);
            assert_close(&plain(k, of, &dst, 0, c), &y_e, 1e-5, 1e-6);
        }
    }

    #[test]
    fn inner_products_agree(
        n in 1..18_usize, ic in 1..100_usize, oc in 1..100_usize, which in 0..9_usize,
        trans in any::<bool>(),
    ) {
        let (x, w, bias) = (integers(n * ic, 1), integers(oc * ic, 2), integers(oc, 3));
        let slopes = integers(oc, 4);
        let act = act(which, &slopes);
        let at = |o: usize, i: usize| if trans { i * oc + o } else { o * ic + i };
        let y_e: Vec<f32> = (0..n * oc).map(|i| {
            let (image, o) = (i / oc, i % oc);
            let sum: f32 = (0..ic).map(|i| x[image * ic + i] * w[at(o, i)]).sum();
            activate(act, o, sum + bias[o])
        }).collect();
        for k in available() {
            let trans = if trans { Trans::Yes } else { Trans::No };
            let packed = k.pack_fc(trans, oc, ic, &w);
            let mut y = vec![f32::NAN; n * oc];
            k.fc(n, &x, &packed, Some(&bias), act, &mut y);
            close(&y, &y_e, act, "fc");
        }
    }
}

#[test]
fn long_inner_products_agree() {
    let (n, ic, oc) = (17, 5000, 70);
    let (x, w, bias) = (integers(n * ic, 1), integers(oc * ic, 2), integers(oc, 3));
    let mut y_e: Vec<f32> = (0..n * oc).map(|i| bias[i % oc]).collect();
    for (i, y) in y_e.iter_mut().enumerate() {
        *y += x[i / oc * ic..][..ic].iter().zip(&w[i % oc * ic..]).map(|(x, w)| x * w).sum::<f32>();
    }
    for k in available() {
        let packed = k.pack_fc(Trans::No, oc, ic, &w);
        let mut y = vec![f32::NAN; n * oc];
        k.fc(n, &x, &packed, Some(&bias), Act::None, &mut y);
        assert_eq!(y, y_e);
        assert_threads_do_not_matter(|| {
            let mut y = vec![f32::NAN; n * oc];
            k.fc(n, &numbers(n * ic, 4), &packed, None, Act::Sigmoid, &mut y);
            y
        });
    }
}

fn check_pool(g: &PoolGeometry, [src_halo, dst_halo]: [usize; 2]) {
    let [down, across] = [&g.windows[0], &g.windows[1]];
    let from = Blocked { n: g.n, c: g.c, h: down.input, w: across.input, halo: src_halo };
    let to = Blocked { n: g.n, c: g.c, h: down.output, w: across.output, halo: dst_halo };
    let x = numbers(g.input_len(), 1);
    let (mut max_e, mut ave_e) = (vec![0.0; g.output_len()], vec![0.0; g.output_len()]);
    reference::pool::max_pool_forward(g, &x, &mut max_e, &mut vec![0; g.output_len()]);
    reference::pool::ave_pool_forward(g, &x, &mut ave_e);
    for k in available() {
        let src = blocked(k, from, &x);
        let src = BlockedRef::new(&src, from);
        let mut dst = AlignedVec::zeros(to.len());
        k.max_pool_blocked(g, src, BlockedMut::new(&mut dst, to));
        assert_eq!(plain(k, to, &dst, 0, g.c), max_e, "{g:?}");
        let mut dst = AlignedVec::zeros(to.len());
        k.ave_pool_blocked(g, src, BlockedMut::new(&mut dst, to));
        assert_close(&plain(k, to, &dst, 0, g.c), &ave_e, 1e-5, 1e-5);
    }
}

#[test]
fn layers_of_known_networks_agree() {
    let square = |size, kernel, stride, pad| [(size, kernel, stride, pad, 1); 2];
    let halo = Way { src_halo: 1, dst_halo: 1, act: 1, ..PLAIN };
    for (g, way) in [
        (geometry(1, 3, 64, 1, square(38, 7, 2, 3)), Way { dst_halo: 1, act: 1, ..PLAIN }),
        (geometry(1, 64, 64, 1, square(28, 3, 1, 1)), halo),
        (geometry(1, 64, 96, 1, square(14, 1, 1, 0)), Way { add: 2, act: 1, ..PLAIN }),
        (geometry(2, 32, 48, 1, square(7, 3, 1, 1)), halo),
        (geometry(1, 48, 128, 2, square(13, 5, 1, 2)), Way { src_halo: 2, ..PLAIN }),
        (geometry(1, 3, 10, 1, square(12, 3, 1, 0)), Way { act: 3, ..PLAIN }),
        (geometry(5, 28, 28, 1, square(3, 2, 1, 0)), Way { act: 3, ..PLAIN }),
        (geometry(1, 1, 20, 1, square(28, 5, 1, 0)), PLAIN),
        (geometry(1, 4, 4, 32, square(14, 3, 1, 1)), halo),
        (geometry(1, 2, 2, 1, [(1, 3, 1, 9, 2); 2]), PLAIN),
        (geometry(1, 20, 40, 1, [(17, 7, 1, 3, 1), (17, 1, 1, 0, 1)]), halo),
    ] {
        check_conv(&g.expect("the kernels fit"), way, ConvAlgo::Direct, true);
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let square = |size, kernel, stride, pad| [(size, kernel, stride, pad, 1); 2];
    for g in [
        geometry(1, 3, 40, 1, square(40, 7, 2, 3)),
        geometry(3, 40, 100, 1, square(17, 3, 1, 1)),
        geometry(1, 256, 256, 1, square(14, 3, 1, 1)),
        geometry(1, 70, 200, 1, square(14, 1, 1, 0)),
        geometry(2, 1, 1, 64, square(40, 3, 1, 1)),
    ] {
        let g = g.expect("the kernels fit");
        let (x, w) = (numbers(g.input_len(), 1), numbers(g.weight_len(), 2));
        let [down, across] = [g.windows[0], g.windows[1]];
        let to = Blocked { n: g.n, c: g.oc, h: down.output, w: across.output, halo: 1 };
        for k in available() {
            assert_threads_do_not_matter(|| {
                let packed = k.pack_blocked(&g, &w, None, ConvAlgo::Auto);
                let mut dst = AlignedVec::zeros(to.len());
                let dst_of = BlockedMut::new(&mut dst, to);
                k.conv_blocked(&g, Source::Planes(&x), &packed, Epilogue::default(), dst_of);
                dst.to_vec()
            });
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit_of_the_others() {
    let of = Blocked { n: 2, c: 70, h: 40, w: 40, halo: 1 };
    let x = numbers(2 * 70 * 40 * 40, 1);
    let window = PoolWindow { input: 40, output: 20, kernel: 3, stride: 2, pad: 0 };
    let g = PoolGeometry { n: 2, c: 70, windows: vec![window.clone(), window] };
    let to = Blocked { h: 20, w: 20, ..of };
    for k in available() {
        assert_threads_do_not_matter(|| {
            let src = blocked(k, of, &x);
            let (mut max, mut ave) = (AlignedVec::zeros(to.len()), AlignedVec::zeros(to.len()));
            let (mut lrn, mut act) = (AlignedVec::zeros(of.len()), AlignedVec::zeros(of.len()));
            let from = BlockedRef::new(&src, of);
            k.max_pool_blocked(&g, from, BlockedMut::new(&mut max, to));
            k.ave_pool_blocked(&g, from, BlockedMut::new(&mut ave, to));
            k.lrn_blocked(of, 5, 1.0, 0.75, 1.0, &src, &mut lrn);
            k.affine_blocked(of, SrcDst::Apart(&src, &mut act), None, None, Act::Sigmoid);
            [plain(k, to, &max, 0, 70), plain(k, to, &ave, 0, 70), plain(k, of, &lrn, 0, 70)]
                .concat()
                .into_iter()
                .chain(plain(k, of, &act, 0, 70))
                .collect()
        });
    }
}
