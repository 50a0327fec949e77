//! Types of single projects: poolings that learn, losses of codes and faces, sequences, masks.

use cortado_layers::check::{GradientCase, Values};

use super::{Gradient, Mistake};

const WINDOWS: &[(&[usize], Values)] = &[(&[2, 2, 5, 4], Values::Distinct(0.05))];

pub static GRADIENTS: &[Gradient] = &[
    (
        "GatedMaxAve",
        GradientCase::new(
            "a gate that reads on where a window is cut off",
            r#"layer { name: "l" type: "GatedMaxAve" bottom: "x" top: "y" convolution_param {
                 kernel_size: 3 stride: 2 weight_filler { type: "gaussian" std: 0.3 } } }"#,
            WINDOWS,
        ),
    ),
    (
        "TreepoolMaxAve",
        GradientCase::new(
            "a gate over windows that are cut off",
            r#"layer { name: "l" type: "TreepoolMaxAve" bottom: "x" top: "y" convolution_param {
                 kernel_size: 3 stride: 2 weight_filler { type: "gaussian" std: 0.3 } } }"#,
            WINDOWS,
        ),
    ),
    (
        "TreepoolKernel1L",
        GradientCase::new(
            "two filters and a split",
            r#"layer { name: "l" type: "TreepoolKernel1L" bottom: "x" top: "y" convolution_param {
                 kernel_size: 3 stride: 2 weight_filler { type: "gaussian" std: 0.5 } } }"#,
            &[(&[2, 2, 5, 4], Values::Normal)],
        ),
    ),
    (
        "SmoothL1LossOHEM",
        GradientCase::new(
            "weights of 0 and 1",
            r#"layer { name: "l" type: "SmoothL1LossOHEM" bottom: "a" bottom: "b" bottom: "w"
                 top: "y" top: "each" loss_weight: 1 loss_weight: 0 }"#,
            &[
                (&[3, 2, 2, 1], Values::Normal),
                (&[3, 2, 2, 1], Values::Uniform(3.0, 4.0)),
                (&[3, 2, 2, 1], Values::Given(&[1.0, 0.0, 1.0])),
            ],
        )
        .tops(1),
    ),
    (
        "SmoothL1LossOHEM",
        GradientCase::new(
            "a fixed divisor",
            r#"layer { name: "l" type: "SmoothL1LossOHEM" bottom: "a" bottom: "b" top: "y"
                 loss_param { normalization: PRE_FIXED pre_fixed_normalizer: 2.5 } }"#,
            &[(&[3, 4], Values::Uniform(-0.4, 0.4)), (&[3, 4], Values::Uniform(-0.4, 0.4))],
        ),
    ),
    (
        "SoftmaxWithLossOHEM",
        GradientCase::new(
            "one label ignored",
            r#"layer { name: "l" type: "SoftmaxWithLossOHEM" bottom: "x" bottom: "t" top: "y" top: "p"
                 top: "each" loss_weight: 1 loss_weight: 0 loss_weight: 0 loss_param { ignore_label: 2 } }"#,
            &[(&[3, 4, 2], Values::Normal), (&[3, 2], Values::Given(&[0.0, 1.0, 2.0, 3.0, 1.0]))],
        )
        .tops(1),
    ),
    (
        "CenterLoss",
        GradientCase::new(
            "two items of one class",
            r#"layer { name: "l" type: "CenterLoss" bottom: "x" bottom: "t" top: "y"
                 center_loss_param { num_output: 3 center_filler { type: "gaussian" } } }"#,
            &[(&[4, 5], Values::Normal), (&[4], Values::Given(&[0.0, 2.0, 2.0, 1.0]))],
        )
        .other_weights(),
    ),
    (
        "HashingLoss",
        GradientCase::new(
            "pairs of classes, by the half that the original gives",
            r#"layer { name: "l" type: "HashingLoss" bottom: "x" bottom: "t" top: "y"
                 hashing_loss_param { bi_margin: 8 tradeoff: 0 } }"#,
            &[(&[4, 3], Values::Normal), (&[4], Values::Given(&[0.0, 1.0, 1.0, 0.0]))],
        )
        .part(0.5),
    ),
    (
        "HashingLoss",
        GradientCase::new(
            "pairs that share labels, none left out, by a part of the derivative",
            r#"layer { name: "l" type: "HashingLoss" bottom: "x" bottom: "t" top: "y"
                 hashing_loss_param { bi_margin: 0.5 tradeoff: 0 nsim: 1 } }"#,
            &[
                (&[3, 4], Values::Normal),
                (&[3, 2], Values::Given(&[1.0, 0.0, 0.0, 1.0, 1.0, 1.0])),
            ],
        )
        .part(0.25),
    ),
    (
        "HashingLoss",
        GradientCase::new(
            "how far from −1 and 1",
            r#"layer { name: "l" type: "HashingLoss" bottom: "x" bottom: "t" top: "y"
                 hashing_loss_param { bi_margin: 0 tradeoff: 0.5 } }"#,
            &[
                (&[3, 4], Values::Uniform(-2.0, 2.0)),
                (&[3, 2], Values::Given(&[1.0, 0.0, 0.0, 1.0, 0.0, 0.0])),
            ],
        )
        .kinks(&[-1.0, 0.0, 1.0]),
    ),
    (
        "PairwiseLoss",
        GradientCase::new(
            "pairs of labels, by the double that the original gives",
            r#"layer { name: "l" type: "PairwiseLoss" bottom: "a" bottom: "s" bottom: "b" bottom: "t" top: "y"
                 pairwise_param { sigmoid_param: 0.5 class_num: 3 l_threshold: 15 } }"#,
            &[
                (&[3, 4], Values::Normal),
                (&[3, 2], Values::Given(&[1.0, 0.0, 0.0, 1.0, 1.0, 1.0])),
                (&[3, 4], Values::Normal),
                (&[3, 2], Values::Given(&[0.0, 1.0, 1.0, 0.0, 1.0, 1.0])),
            ],
        )
        .part(2.0),
    ),
    (
        "ScaleTanH",
        GradientCase::new(
            "a steepness of 2",
            r#"layer { name: "l" type: "ScaleTanH" bottom: "x" top: "y" scale_tanh_param { init_scale: 2 } }"#,
            &[(&[3, 4], Values::Uniform(-1.0, 1.0))],
        ),
    ),
    (
        "PoolingND",
        GradientCase::new(
            "the largest of volumes",
            r#"layer { name: "l" type: "PoolingND" bottom: "x" top: "y"
                 pooling_nd_param { kernel_size: 2 stride: 2 } }"#,
            &[(&[1, 2, 3, 4, 3], Values::Distinct(0.05))],
        ),
    ),
    (
        "PoolingND",
        GradientCase::new(
            "the mean, with padding, each axis its own way",
            r#"layer { name: "l" type: "PoolingND" bottom: "x" top: "y" pooling_nd_param { pool: AVE
                 kernel_size: 3 kernel_size: 2 stride: 2 stride: 1 pad: 1 pad: 0 } }"#,
            &[(&[2, 2, 5, 4], Values::Normal)],
        ),
    ),
    (
        "MarginInnerProduct",
        GradientCase::new(
            "without a margin",
            r#"layer { name: "l" type: "MarginInnerProduct" bottom: "x" bottom: "t" top: "y" top: "lambda"
                 margin_inner_product_param { num_output: 4 weight_filler { type: "gaussian" } } }"#,
            &[(&[3, 5], Values::Normal), (&[3], Values::Whole(4))],
        )
        .tops(1)
        .other_weights(),
    ),
    (
        "ROIWarping",
        GradientCase::new(
            "two regions, one partly outside",
            r#"layer { name: "l" type: "ROIWarping" bottom: "x" bottom: "r" top: "y"
                 roi_warping_param { pooled_h: 2 pooled_w: 3 spatial_scale: 0.5 } }"#,
            &[
                (&[2, 2, 4, 5], Values::Normal),
                (
                    &[2, 5],
                    Values::Given(&[0.0, 1.0, 1.0, 8.0, 6.0, 1.0, 4.0, -2.0, 14.0, 5.0]),
                ),
            ],
        ),
    ),
    (
        "MaskPooling",
        GradientCase::new(
            "features and mask",
            r#"layer { name: "l" type: "MaskPooling" bottom: "x" bottom: "m" top: "y" }"#,
            &[(&[2, 3, 2, 2], Values::Normal), (&[2, 1, 2, 2], Values::Normal)],
        ),
    ),
    (
        "MaskResize",
        GradientCase::new(
            "larger and smaller",
            r#"layer { name: "l" type: "MaskResize" bottom: "x" top: "y"
                 mask_resize_param { output_height: 5 output_width: 2 } }"#,
            &[(&[2, 1, 3, 4], Values::Normal)],
        ),
    ),
    (
        "Reverse",
        GradientCase::new(
            "the middle axis",
            r#"layer { name: "l" type: "Reverse" bottom: "x" top: "y" reverse_param { axis: 1 } }"#,
            &[(&[2, 3, 2], Values::Normal)],
        ),
    ),
    (
        "Transpose",
        GradientCase::new(
            "four axes",
            r#"layer { name: "l" type: "Transpose" bottom: "x" top: "y"
                 transpose_param { dim: 3 dim: 2 dim: 0 dim: -3 } }"#,
            &[(&[2, 3, 2, 4], Values::Normal)],
        ),
    ),
    (
        "Lstm",
        GradientCase::new(
            "three steps of two sequences",
            r#"layer { name: "l" type: "Lstm" bottom: "x" top: "y" lstm_param { num_output: 3
                 weight_filler { type: "gaussian" std: 0.5 } bias_filler { type: "gaussian" std: 0.5 } } }"#,
            &[(&[3, 2, 4], Values::Normal)],
        ),
    ),
    (
        "Lstm",
        GradientCase::new(
            "steps one after the other, a sequence begun anew",
            r#"layer { name: "l" type: "Lstm" bottom: "x" bottom: "c" top: "y" lstm_param { num_output: 2
                 batch_size: 2 weight_filler { type: "gaussian" std: 0.5 } } }"#,
            &[
                (&[6, 4], Values::Normal),
                (&[6], Values::Given(&[0.0, 0.0, 1.0, 0.0, 1.0, 1.0])),
            ],
        ),
    ),
];

pub static ERRORS: &[Mistake] = &[
    (
        r#"layer { name: "l" type: "GatedMaxAve" bottom: "x" top: "y" }"#,
        &[(&[1, 1, 3, 3], &[])],
        "Field(\"convolution_param.kernel_size\"): `kernel_size` must be given and from 1 to 1024, found 0",
    ),
    (
        r#"layer { name: "l" type: "TreepoolMaxAve" bottom: "x" top: "y"
             convolution_param { kernel_size: 2 stride: 3 } }"#,
        &[(&[1, 1, 3, 3], &[])],
        "Field(\"convolution_param.stride\"): `stride` is from 1 to `kernel_size`, 2; found 3",
    ),
    (
        r#"layer { name: "l" type: "TreepoolKernel1L" bottom: "x" top: "y"
             convolution_param { kernel_size: 4 } }"#,
        &[(&[1, 1, 3, 3], &[])],
        "Field(\"convolution_param.kernel_size\"): the window of 4 does not fit the bottom, 1x1x3x3",
    ),
    (
        r#"layer { name: "l" type: "TreepoolKernel1L" bottom: "x" top: "y"
             convolution_param { kernel_size: 2 pad: 1 } }"#,
        &[(&[1, 1, 3, 3], &[])],
        "Field(\"convolution_param.pad\"): this pooling has no padding, found 1",
    ),
    (
        r#"layer { name: "l" type: "CenterLoss" bottom: "x" bottom: "t" top: "y"
             center_loss_param { num_output: 2 } }"#,
        &[(&[2, 3], &[]), (&[2], &[1.0, 2.0])],
        "Bottom(1): label 2 at item 1 is out of range: with 2 classes labels are 0 to 1",
    ),
    (
        r#"layer { name: "l" type: "CenterLoss" bottom: "x" bottom: "t" top: "y" }"#,
        &[(&[2, 3], &[]), (&[2], &[])],
        "Field(\"center_loss_param.num_output\"): `num_output` must be given and above 0",
    ),
    (
        r#"layer { name: "l" type: "HashingLoss" bottom: "x" bottom: "t" top: "y" }"#,
        &[(&[2, 3], &[]), (&[3], &[])],
        "Bottom(1): one label or more for each item of 2x3 is wanted, found 3",
    ),
    (
        r#"layer { name: "l" type: "PairwiseLoss" bottom: "a" bottom: "s" bottom: "b" bottom: "t" top: "y" }"#,
        &[(&[2, 3], &[]), (&[2, 1], &[]), (&[2, 4], &[]), (&[2, 1], &[])],
        "Bottom(2): 2 x 3 is wanted, found 2x4",
    ),
    (
        r#"layer { name: "l" type: "ScaleTanH" bottom: "x" top: "y" scale_tanh_param { step_size: 0 } }"#,
        &[(&[2], &[])],
        "Field(\"scale_tanh_param.step_size\"): `step_size` must be above 0, found 0",
    ),
    (
        r#"layer { name: "l" type: "PoolingND" bottom: "x" top: "y" pooling_nd_param { kernel_size: 4 } }"#,
        &[(&[1, 1, 4, 3], &[])],
        "Field(\"pooling_nd_param.kernel_size\"): a window of 4 at steps of 1 with a padding of 0 does not fit \
         axis 1, of length 3",
    ),
    (
        r#"layer { name: "l" type: "PoolingND" bottom: "x" top: "y"
             pooling_nd_param { kernel_size: 2 kernel_size: 2 } }"#,
        &[(&[1, 1, 4, 3, 2], &[])],
        "Field(\"pooling_nd_param.kernel_size\"): `kernel_size` is given once or once for each of 3 axes, found 2",
    ),
    (
        r#"layer { name: "l" type: "MarginInnerProduct" bottom: "x" bottom: "t" top: "y"
             margin_inner_product_param { num_output: 2 type: DOUBLE } }"#,
        &[(&[1, 3], &[1.0]), (&[1], &[2.0])],
        "Bottom(1): label 2 at item 0 is out of range: labels are 0 to 1",
    ),
    (
        r#"layer { name: "l" type: "MarginInnerProduct" bottom: "x" bottom: "t" top: "y" }"#,
        &[(&[1, 3], &[]), (&[1], &[])],
        "Field(\"margin_inner_product_param.num_output\"): `num_output` must be given",
    ),
    (
        r#"layer { name: "l" type: "BoxAnnotatorOHEM" bottom: "r" bottom: "l" bottom: "t" bottom: "w"
             top: "a" top: "b" }"#,
        &[(&[1, 5], &[]), (&[1], &[]), (&[1], &[]), (&[1, 4], &[])],
        "Layer: `box_annotator_ohem_param { roi_per_img: … }` must be given",
    ),
    (
        r#"layer { name: "l" type: "BoxAnnotatorOHEM" bottom: "r" bottom: "l" bottom: "t" bottom: "w"
             top: "a" top: "b" box_annotator_ohem_param { roi_per_img: 1 } }"#,
        &[(&[2, 5], &[]), (&[3], &[]), (&[2], &[]), (&[2, 4], &[])],
        "Bottom(1): one number for each of the 2 regions is wanted, found 3",
    ),
    (
        r#"layer { name: "l" type: "ROIWarping" bottom: "x" bottom: "r" top: "y" }"#,
        &[(&[1, 1, 2, 2], &[]), (&[1, 5], &[])],
        "Field(\"roi_warping_param.pooled_h\"): `pooled_h` and `pooled_w` must be above 0, found 0 and 0",
    ),
    (
        r#"layer { name: "l" type: "MaskPooling" bottom: "x" bottom: "m" top: "y" }"#,
        &[(&[1, 2, 2, 2], &[]), (&[1, 2, 2, 2], &[])],
        "Bottom(1): the mask is 1x1x2x2 for features of 1x2x2x2, found 1x2x2x2",
    ),
    (
        r#"layer { name: "l" type: "MaskResize" bottom: "x" top: "y" }"#,
        &[(&[1, 1, 2, 2], &[])],
        "Field(\"mask_resize_param.output_height\"): `output_height` and `output_width` are from 1 to 65536, \
         found 0 and 0",
    ),
    (
        r#"layer { name: "l" type: "Transpose" bottom: "x" top: "y" transpose_param { dim: 0 dim: 0 } }"#,
        &[(&[2, 3], &[])],
        "Field(\"transpose_param.dim\"): `dim` names each of the 2 axes once, found [0, 0]",
    ),
    (
        r#"layer { name: "l" type: "Transpose" bottom: "x" top: "y" transpose_param { dim: 1 dim: 0 } }"#,
        &[(&[2, 3, 4], &[])],
        "Field(\"transpose_param.dim\"): `dim` names every axis of the bottom, 2x3x4; found 2",
    ),
    (
        r#"layer { name: "l" type: "Lstm" bottom: "x" top: "y" }"#,
        &[(&[2, 3, 4], &[])],
        "Field(\"lstm_param.num_output\"): `num_output` must be given and above 0",
    ),
    (
        r#"layer { name: "l" type: "Lstm" bottom: "x" top: "y" lstm_param { num_output: 2 batch_size: 4 } }"#,
        &[(&[6, 3], &[])],
        "Field(\"lstm_param.batch_size\"): `batch_size` 4 must divide the items of the bottom, 6x3",
    ),
];
