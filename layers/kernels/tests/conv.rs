//! Convolutions and their gradients against their definition, on small whole numbers (exact in any
//! order of summation).

mod support;

use cortado_kernels::{ConvAlgo, ConvGeometry, Window, Write, available, reference};
use proptest::prelude::*;
use support::*;

/// (input, kernel, stride, pad, dilation)
type Axis = (usize, usize, usize, usize, usize);

fn geometry(n: usize, ic: usize, oc: usize, groups: usize, axes: &[Axis]) -> Option<ConvGeometry> {
    let window = |&(input, kernel, stride, pad, dilation): &Axis| {
        let output = ConvGeometry::output_size(input, kernel, stride, pad, dilation)?;
        Some(Window { input, output, kernel, stride, pad, dilation })
    };
    let windows = axes.iter().map(window).collect::<Option<Vec<_>>>()?;
    Some(ConvGeometry { n, ic: ic * groups, oc: oc * groups, groups, windows })
}

fn check(g: &ConvGeometry) {
    let (x, w) = (integers(g.input_len(), 1), integers(g.weight_len(), 2));
    let (bias, dy) = (integers(g.oc, 3), integers(g.output_len(), 4));
    let mut y_e: Vec<f32> = (0..g.output_len()).map(|i| bias[i / g.spatial_out() % g.oc]).collect();
    reference::conv::forward(g, &x, &w, &mut y_e);
    let mut dx_e = vec![0.0; g.input_len()];
    reference::conv::backward_data(g, &dy, &w, &mut dx_e);
    let mut dw_e = vec![1.0; g.weight_len()];
    reference::conv::backward_weights(g, &x, &dy, &mut dw_e);
    let raised: Vec<f32> = dx_e.iter().map(|v| v + 1.0).collect();
    for k in available() {
        let packed = k.pack_conv(g, &w, ConvAlgo::Direct, false);
        for packed in [None, Some(&packed)] {
            let mut y = vec![f32::NAN; y_e.len()];
            k.conv_forward(g, &x, &w, packed, Some(&bias), &mut y);
            assert_eq!(y, y_e, "forward {} {g:?}", k.isa());
        }
        let mut dx = vec![f32::NAN; dx_e.len()];
        k.conv_backward_data(g, &dy, &w, None, Write::Set, ConvAlgo::Direct, &mut dx);
        assert_eq!(dx, dx_e, "backward data {} {g:?}", k.isa());
        let mut dx = vec![1.0; dx_e.len()];
        k.conv_backward_data(g, &dy, &w, None, Write::Add, ConvAlgo::Direct, &mut dx);
        assert_eq!(dx, raised, "backward data, added {} {g:?}", k.isa());
        let mut dw = vec![1.0; dw_e.len()];
        k.conv_backward_weights(g, &x, &dy, &mut dw);
        assert_eq!(dw, dw_e, "backward weights {} {g:?}", k.isa());
    }
}

fn axis() -> impl Strategy<Value = Axis> {
    (1..14_usize, 1..6_usize, 1..4_usize, 0..6_usize, 1..4_usize)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    #[test]
    fn two_dimensions_agree(
        n in 1..5_usize, ic in 1..7_usize, oc in 1..20_usize, groups in 1..4_usize,
        axes in prop::array::uniform2(axis()),
    ) {
        if let Some(g) = geometry(n, ic, oc, groups, &axes) { check(&g); }
    }

    #[test]
    fn any_number_of_dimensions_agrees(
        n in 1..3_usize, ic in 1..4_usize, oc in 1..5_usize,
        axes in prop::collection::vec((1..6_usize, 1..4_usize, 1..3_usize, 0..3_usize, 1..3_usize), 0..4),
    ) {
        if let Some(g) = geometry(n, ic, oc, 1, &axes) { check(&g); }
    }

    #[test]
    fn many_channels_agree(
        n in 1..5_usize, ic in 13..36_usize, oc in 13..36_usize,
        axes in prop::array::uniform2(axis()),
    ) {
        if let Some(g) = geometry(n, ic, oc, 1, &axes) { check(&g); }
    }

    #[test]
    fn depthwise_agrees(
        n in 1..4_usize, multiplier in 1..3_usize, channels in 2..20_usize,
        axes in prop::array::uniform2(axis()),
    ) {
        if let Some(g) = geometry(n, 1, multiplier, channels, &axes) { check(&g); }
    }

    #[test]
    fn columns_and_back_agree(ic in 1..4_usize, n in 1..3_usize, axes in prop::array::uniform2(axis())) {
        let Some(g) = geometry(n, ic, 1, 1, &axes) else { return Ok(()) };
        // A kernel of ones per column row: the sum over all columns is a convolution with ones.
        let x = integers(g.input_len(), 5);
        let rows = g.ic * g.kernel_len();
        let ones = vec![1.0; g.weight_len()];
        let mut y_e = vec![0.0; g.output_len()];
        reference::conv::forward(&g, &x, &ones, &mut y_e);
        for k in available() {
            let mut col = vec![f32::NAN; g.n * rows * g.spatial_out()];
            k.im2col(&g, &x, &mut col);
            let spatial = g.spatial_out();
            let y: Vec<f32> = (0..g.n * spatial).map(|i| {
                let (image, at) = (i / spatial, i % spatial);
                (0..rows).map(|r| col[(image * rows + r) * spatial + at]).sum()
            }).collect();
            prop_assert_eq!(&y, &y_e);
            // Sending the columns of ones back counts how often each input is met.
            let counted = vec![1.0; col.len()];
            let dy = vec![1.0; g.output_len()];
            let (mut back, mut back_e) = (vec![2.0; x.len()], vec![0.0; x.len()]);
            reference::conv::backward_data(&g, &dy, &ones, &mut back_e);
            k.col2im(&g, &counted, Write::Set, &mut back);
            prop_assert_eq!(&back, &back_e);
        }
    }
}

#[test]
fn real_layers_agree() {
    let table = [
        geometry(2, 3, 20, 1, &[(33, 7, 2, 3, 1); 2]),
        geometry(1, 17, 33, 1, &[(30, 3, 1, 1, 1); 2]),
        geometry(3, 64, 31, 1, &[(14, 1, 1, 0, 1); 2]),
        geometry(2, 40, 24, 1, &[(14, 1, 2, 0, 1); 2]),
        geometry(1, 300, 10, 1, &[(5, 3, 1, 1, 1); 2]),
        geometry(17, 1, 2, 1, &[(1, 1, 1, 0, 1); 2]),
        geometry(1, 2, 2, 1, &[(1, 3, 1, 9, 2); 2]),
        geometry(1, 48, 64, 2, &[(13, 5, 1, 2, 1); 2]),
    ];
    for g in table {
        check(&g.expect("the kernels fit"));
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let table = [
        geometry(3, 8, 20, 2, &[(17, 3, 2, 1, 1); 2]),
        geometry(1, 64, 70, 1, &[(28, 3, 1, 1, 1); 2]),
        geometry(5, 16, 32, 1, &[(20, 3, 2, 1, 1); 2]),
        geometry(2, 1, 1, 64, &[(40, 3, 1, 1, 1); 2]),
    ];
    for g in table {
        let g = g.expect("the kernels fit");
        let (x, w) = (numbers(g.input_len(), 1), numbers(g.weight_len(), 2));
        let dy = numbers(g.output_len(), 4);
        for k in available() {
            assert_threads_do_not_matter(|| {
                let mut y = vec![0.0; dy.len()];
                k.conv_forward(&g, &x, &w, None, None, &mut y);
                let mut dx = vec![0.0; x.len()];
                k.conv_backward_data(&g, &dy, &w, None, Write::Set, ConvAlgo::Direct, &mut dx);
                let mut dw = vec![0.0; w.len()];
                k.conv_backward_weights(&g, &x, &dy, &mut dw);
                y.extend(dx);
                y.extend(dw);
                y
            });
        }
    }
}
