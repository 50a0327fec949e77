//! Shape rules, for any sizes: windows counted one by one; elements neither lost nor made.

use cortado_layers::check::SingleLayer;
use cortado_layers::{LayerError, Phase, Registry, Shape, Tensor};
use proptest::collection::vec;
use proptest::prelude::*;

fn build(layer: &str, bottoms: Vec<Tensor>) -> Result<SingleLayer, LayerError> {
    SingleLayer::build(&Registry::builtin(), layer, Phase::Test, bottoms)
}

/// A tensor whose elements are their own positions.
fn counted(dims: &[usize]) -> Tensor {
    let mut tensor = Tensor::zeros(Shape::new(dims));
    tensor.data_mut().iter_mut().enumerate().for_each(|(i, value)| *value = i as f32);
    tensor
}

fn repeated(field: &str, values: impl Iterator<Item = usize>) -> String {
    values.map(|value| format!(" {field}: {value}")).collect()
}

/// A window along one axis.
#[derive(Clone, Copy, Debug)]
struct Axis {
    input: usize,
    kernel: usize,
    stride: usize,
    pad: usize,
    dilation: usize,
}

impl Axis {
    /// First to last element under the kernel.
    fn extent(&self) -> usize {
        self.dilation * (self.kernel - 1) + 1
    }

    /// Positions at which the kernel lies inside the padded input.
    fn convolved(&self) -> usize {
        let padded = self.input + 2 * self.pad;
        (0..padded).step_by(self.stride).filter(|start| start + self.extent() <= padded).count()
    }

    /// Elements that the kernels of all inputs touch, without the padding.
    fn deconvolved(&self) -> usize {
        let reached = (0..self.input).map(|i| i * self.stride + self.extent()).max();
        reached.unwrap_or(0).saturating_sub(2 * self.pad)
    }

    /// Windows until one reaches the end of the padded input; rounded down only whole ones.
    fn pooled(&self, ceil: bool, any_pad: bool) -> usize {
        let padded = self.input + 2 * self.pad;
        if self.input == 0 {
            return 0;
        }
        if self.kernel > padded {
            // The original's division rounds towards one clipped window, if less than a stride is missing.
            return usize::from(ceil && self.kernel - padded < self.stride);
        }
        let (mut start, mut count) = (0, 1);
        while start + self.kernel < padded {
            start += self.stride;
            count += 1;
        }
        let clipped = start + self.kernel > padded;
        let outside = any_pad && start >= self.input + self.pad;
        count - usize::from(outside || (clipped && !ceil))
    }
}

fn axes() -> impl Strategy<Value = Vec<Axis>> {
    let axis = (0..9_usize, 1..5_usize, 1..5_usize, 0..4_usize, 1..4_usize);
    let axis = axis.prop_map(|(input, kernel, stride, pad, dilation)| Axis {
        input,
        kernel,
        stride,
        pad,
        dilation,
    });
    vec(axis, 1..4)
}

/// The convolution parameters of the axes, and a bottom of 2 channels.
fn convolution(type_name: &str, axes: &[Axis]) -> (String, Vec<Tensor>) {
    let each = |field: &str, value: fn(&Axis) -> usize| repeated(field, axes.iter().map(value));
    let windows = [
        each("kernel_size", |axis| axis.kernel),
        each("stride", |axis| axis.stride),
        each("pad", |axis| axis.pad),
        each("dilation", |axis| axis.dilation),
    ]
    .concat();
    let layer = format!(
        r#"layer {{ name: "l" type: "{type_name}" bottom: "x" top: "y"
             convolution_param {{ num_output: 3{windows} }} }}"#
    );
    let dims: Vec<usize> = [1, 2].into_iter().chain(axes.iter().map(|axis| axis.input)).collect();
    (layer, vec![counted(&dims)])
}

/// The spatial axes of top 0, or nothing when the layer refuses.
fn spatial(layer: &str, bottoms: Vec<Tensor>) -> Option<Vec<usize>> {
    let mut single = build(layer, bottoms).ok()?;
    single.forward().expect("shapes were accepted");
    Some(single.tops[0].shape()[2..].to_vec())
}

/// Lengths, unless one of them is 0.
fn all(lengths: impl Iterator<Item = usize>) -> Option<Vec<usize>> {
    lengths.map(|length| (length > 0).then_some(length)).collect()
}

fn dims() -> impl Strategy<Value = Vec<usize>> {
    vec(0..5_usize, 1..5)
}

proptest! {
    #[test]
    fn a_convolution_has_an_output_per_position_of_its_kernel(axes in axes()) {
        let (layer, bottoms) = convolution("Convolution", &axes);
        let wanted = all(axes.iter().map(Axis::convolved));
        prop_assert_eq!(spatial(&layer, bottoms), wanted);
    }

    #[test]
    fn a_deconvolution_reaches_as_far_as_its_kernels(axes in axes()) {
        let (layer, bottoms) = convolution("Deconvolution", &axes);
        let wanted = all(axes.iter().map(Axis::deconvolved));
        prop_assert_eq!(spatial(&layer, bottoms), wanted);
    }

    #[test]
    fn a_pooling_has_an_output_per_window(
        axes in axes(), method in 0..2_usize, ceil in any::<bool>(), fork in any::<bool>(),
    ) {
        let axes: Vec<Axis> = axes.iter().map(|&a| Axis { dilation: 1, ..a }).collect();
        let Axis { kernel, stride, pad, .. } = axes[0];
        prop_assume!(pad < kernel);
        let pool = ["MAX", "AVE"][method];
        let round = match (fork, ceil) {
            (true, _) => format!("ceil_mode: {ceil}"),
            (false, true) => "round_mode: CEIL".to_owned(),
            (false, false) => "round_mode: FLOOR".to_owned(),
        };
        let layer = format!(
            r#"layer {{ name: "l" type: "Pooling" bottom: "x" top: "y" pooling_param {{ pool: {pool}
                 kernel_size: {kernel} stride: {stride} pad: {pad} {round} }} }}"#
        );
        // Pooling has one window for all axes.
        let alike = axes.iter().map(|axis| Axis { input: axis.input, ..axes[0] });
        let wanted = all(alike.map(|axis| axis.pooled(ceil, pad > 0)));
        let dims: Vec<usize> = [1, 2].into_iter().chain(axes.iter().map(|axis| axis.input)).collect();
        prop_assert_eq!(spatial(&layer, vec![counted(&dims)]), wanted);
    }

    #[test]
    fn a_flatten_multiplies_the_axes_it_takes(dims in dims(), a in 0..4_usize, b in 0..4_usize) {
        let (first, last) = (a.min(b), a.max(b));
        prop_assume!(last < dims.len());
        let layer = format!(
            r#"layer {{ name: "l" type: "Flatten" bottom: "x" top: "y"
                 flatten_param {{ axis: {first} end_axis: {} }} }}"#,
            last as i64 - dims.len() as i64
        );
        let mut single = build(&layer, vec![counted(&dims)]).expect("the axes exist");
        single.forward().expect("shapes were accepted");
        let mut wanted = dims[..first].to_vec();
        wanted.push(dims[first..=last].iter().product());
        wanted.extend(&dims[last + 1..]);
        prop_assert_eq!(&single.tops[0].shape()[..], &wanted[..]);
        prop_assert_eq!(single.tops[0].data(), single.bottoms[0].data());
    }

    #[test]
    fn a_reshape_finds_the_axis_left_open(
        dims in vec(1..5_usize, 1..5), open in 0..4_usize, copied in vec(any::<bool>(), 4),
    ) {
        prop_assume!(open < dims.len());
        let dim = |(i, &length): (usize, &usize)| match () {
            () if i == open => " dim: -1".to_owned(),
            () if copied[i] => " dim: 0".to_owned(),
            () => format!(" dim: {length}"),
        };
        let shape: String = dims.iter().enumerate().map(dim).collect();
        let layer = format!(
            r#"layer {{ name: "l" type: "Reshape" bottom: "x" top: "y" reshape_param {{ shape {{{shape} }} }} }}"#
        );
        let single = build(&layer, vec![counted(&dims)]).expect("the counts agree");
        prop_assert_eq!(&single.tops[0].shape()[..], &dims[..]);
    }

    #[test]
    fn a_reshape_keeps_the_count_or_refuses(
        dims in dims(), wanted in vec(-1..5_i64, 0..4), axis in -5..5_i64, num_axes in -1..4_i64,
    ) {
        let shape: String = wanted.iter().map(|dim| format!(" dim: {dim}")).collect();
        let layer = format!(
            r#"layer {{ name: "l" type: "Reshape" bottom: "x" top: "y"
                 reshape_param {{ axis: {axis} num_axes: {num_axes} shape {{{shape} }} }} }}"#
        );
        if let Ok(single) = build(&layer, vec![counted(&dims)]) {
            prop_assert_eq!(single.tops[0].shape().count(), dims.iter().product::<usize>());
        }
    }

    #[test]
    fn a_concat_of_the_slices_is_the_blob(
        dims in dims(), axis in 0..4_usize, points in vec(1..5_usize, 0..3),
    ) {
        prop_assume!(axis < dims.len());
        let mut points: Vec<usize> = points.into_iter().filter(|&p| p < dims[axis]).collect();
        points.sort_unstable();
        points.dedup();
        let parts = points.len() + 1;
        let names = |word: &str| -> String {
            (0..parts).map(|i| format!(r#" {word}: "p{i}""#)).collect()
        };
        let slice = format!(
            r#"layer {{ name: "l" type: "Slice" bottom: "x"{} slice_param {{ axis: {axis}{} }} }}"#,
            names("top"),
            repeated("slice_point", points.into_iter())
        );
        let mut slice = build(&slice, vec![counted(&dims)]).expect("the points are inside");
        slice.forward().expect("shapes were accepted");
        let concat = format!(
            r#"layer {{ name: "l" type: "Concat"{} top: "y" concat_param {{ axis: {} }} }}"#,
            names("bottom"),
            axis as i64 - dims.len() as i64
        );
        let mut concat = build(&concat, slice.tops).expect("the parts fit");
        concat.forward().expect("shapes were accepted");
        prop_assert_eq!(&concat.tops[0], &slice.bottoms[0]);
    }
}
