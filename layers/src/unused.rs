//! Known fields of forks that nothing here reads, and what is said of a file that asks for something by
//! one: results would differ, so that the net is refused; or only speed, labels or files, so that it is
//! warned of.

use cortado_proto::caffe::convolution_parameter::FusionType;
use cortado_proto::caffe::{LayerParameter, LossParameter, TransformationParameter, Type};

use crate::LayerKind;

/// One field, and what is said of it.
pub struct Unused {
    /// Its path inside the layer.
    pub path: &'static str,
    /// Whether results would differ.
    pub refused: bool,
    /// What follows its name in the message.
    pub why: &'static str,
    /// What to do about it.
    pub help: &'static str,
    /// The types it is about; none named: those that read the block.
    types: &'static [&'static str],
    /// Whether the layer asks for something by it.
    given: fn(&LayerParameter) -> bool,
}

impl Unused {
    /// The name of the field.
    pub fn name(&self) -> &'static str {
        self.path.rsplit('.').next().unwrap_or(self.path)
    }

    fn is_of(&self, kind: &LayerKind) -> bool {
        match (self.types, self.path.split_once('.')) {
            ([], Some((block, _))) => kind.doc.params.contains(&block),
            ([], None) => true,
            (types, _) => types.contains(&kind.type_name),
        }
    }
}

/// The fields by which a layer asks for something that it does not get.
pub fn unused(kind: &LayerKind, layer: &LayerParameter) -> impl Iterator<Item = &'static Unused> {
    FIELDS.iter().filter(move |field| field.is_of(kind) && (field.given)(layer))
}

/// Whether the type reads a field of one of its blocks.
pub(crate) fn is_read(kind: &LayerKind, block: &str, name: &str) -> bool {
    let is = |path: &str| path.split_once('.') == Some((block, name));
    !FIELDS.iter().any(|field| is(field.path) && field.is_of(kind))
}

type Given = fn(&LayerParameter) -> bool;

const fn refused(path: &'static str, given: Given, why: &'static str) -> Unused {
    Unused { path, refused: true, why, help: "", types: &[], given }
}

const fn warned(path: &'static str, given: Given, why: &'static str) -> Unused {
    Unused { refused: false, ..refused(path, given, why) }
}

impl Unused {
    const fn of(self, types: &'static [&'static str]) -> Unused {
        Unused { types, ..self }
    }

    const fn help(self, help: &'static str) -> Unused {
        Unused { help, ..self }
    }
}

fn loss(layer: &LayerParameter, given: fn(&LossParameter) -> bool) -> bool {
    layer.loss_param.as_ref().is_some_and(given)
}

fn transform(layer: &LayerParameter, given: fn(&TransformationParameter) -> bool) -> bool {
    layer.transform_param.as_ref().is_some_and(given)
}

/// Losses that count every class alike.
const UNWEIGHTED: &[&str] =
    &["InfogainLoss", "MultiBoxLoss", "SigmoidCrossEntropyLoss", "SmoothL1LossOHEM"];
const ALIKE: &str = "has no effect: only SoftmaxWithLoss has weights of classes";
const IN_FLOAT: &str = "has no effect: everything is computed in FLOAT";
const NUMBERS: &str = "has no effect: labels are numbers here";
const YOLO_V1: &str = "has no effect: it is of YOLO v1";
const THREE_AXES: &str = "gives each of three axes a number of its own, which is not built here";
const WITHOUT: &str = "without it the layer is Caffe's own";
const POOLING_ND: &str = "PoolingND has numbers per axis; Pooling's `kernel_size`, `stride` and `pad` \
                          stand for all spatial axes";

static FIELDS: &[Unused] = &[
    // What changes results.
    refused(
        "loss_param.label_smoothing",
        |l| loss(l, |p| p.label_smoothing() != 0.0),
        "spreads labels over all classes, which is not built here",
    )
    .of(&["SoftmaxWithLoss", "SoftmaxWithLossOHEM"])
    .help("without it the net trains on the labels as they are"),
    refused(
        "convolution_param.fusion_type",
        |l| {
            let p = l.convolution_param.as_ref();
            p.is_some_and(|p| p.fusion_type() == FusionType::SumFusion)
        },
        "adds a second bottom to the result, which is not built here",
    )
    .help("an Eltwise layer behind the convolution adds the two"),
    refused(
        "convolution_param.relu",
        |l| l.convolution_param.as_ref().is_some_and(|p| p.relu()),
        "is not built here for this type",
    )
    .of(&["Deconvolution"])
    .help("a ReLU layer behind it does the same"),
    refused(
        "elu_param.symmetric_mode",
        |l| l.elu_param.as_ref().is_some_and(|p| p.symmetric_mode()),
        "asks for a form of ducha-aiki's fork that is not built here",
    )
    .help(WITHOUT),
    refused(
        "elu_param.lambda",
        |l| l.elu_param.as_ref().is_some_and(|p| p.lambda() != 1.0),
        "asks for a form of NVIDIA's fork that is not built here",
    )
    .help(WITHOUT),
    refused(
        "reshape_param.pixelshuffler",
        |l| l.reshape_param.as_ref().is_some_and(|p| p.pixelshuffler() != 1),
        "moves elements between channels and space, which is not built here",
    )
    .help("Reshape, Permute and Reshape one after the other move them"),
    refused(
        "batch_norm_param.stats_batch_size",
        |l| l.batch_norm_param.as_ref().is_some_and(|p| p.stats_batch_size() != 0),
        "takes statistics over parts of the batch, which is not built here",
    )
    .help("a smaller `batch_size` with the solver's `iter_size` normalises by as few items"),
    refused(
        "pooling_param.kernel_size_3d",
        |l| l.pooling_param.as_ref().is_some_and(|p| !p.kernel_size_3d.is_empty()),
        THREE_AXES,
    )
    .help(POOLING_ND),
    refused(
        "pooling_param.stride_3d",
        |l| l.pooling_param.as_ref().is_some_and(|p| !p.stride_3d.is_empty()),
        THREE_AXES,
    )
    .help(POOLING_ND),
    refused(
        "pooling_param.pad_3d",
        |l| l.pooling_param.as_ref().is_some_and(|p| !p.pad_3d.is_empty()),
        THREE_AXES,
    )
    .help(POOLING_ND),
    refused(
        "image_data_param.short_side",
        |l| l.image_data_param.as_ref().is_some_and(|p| p.short_side() != 0),
        "scales pictures by their shorter side, which is not built here",
    )
    .help("`transform_param { resize_param { resize_mode: FIT_SMALL_SIZE … } }` does so"),
    refused(
        "multibox_loss_param.ignore_difficult_gt",
        |l| l.multibox_loss_param.as_ref().is_some_and(|p| p.ignore_difficult_gt()),
        "asks for a form of NVIDIA's fork that is not built here",
    )
    .help("`use_difficult_gt: false` leaves difficult boxes out"),
    // What published nets give, so that it must not stop them.
    warned(
        "image_data_param.min_height",
        |l| l.image_data_param.as_ref().is_some_and(|p| p.min_height() != 0),
        "has no effect: pictures stay as small as they are",
    ),
    warned(
        "image_data_param.min_width",
        |l| l.image_data_param.as_ref().is_some_and(|p| p.min_width() != 0),
        "has no effect: pictures stay as small as they are",
    ),
    warned("quantization_param", |l| l.quantization_param.is_some(), IN_FLOAT),
    // What changes no result, or only the order of data.
    warned("loss_param.class_weighting", |l| loss(l, |p| !p.class_weighting.is_empty()), ALIKE)
        .of(UNWEIGHTED),
    warned("loss_param.weight_by_label_freqs", |l| loss(l, |p| p.weight_by_label_freqs()), ALIKE)
        .of(UNWEIGHTED),
    warned(
        "loss_param.label_smoothing",
        |l| loss(l, |p| p.label_smoothing() != 0.0),
        "has no effect in this type",
    )
    .of(UNWEIGHTED),
    warned(
        "loss_param.class_weighting",
        |l| loss(l, |p| !p.class_weighting.is_empty() && !p.weight_by_label_freqs()),
        "has no effect without `weight_by_label_freqs: true`",
    )
    .of(&["SoftmaxWithLoss"]),
    warned("forward_type", |l| is_other(l.forward_type()), IN_FLOAT),
    warned("backward_type", |l| is_other(l.backward_type()), IN_FLOAT),
    warned("forward_math", |l| is_other(l.forward_math()), IN_FLOAT),
    warned("backward_math", |l| is_other(l.backward_math()), IN_FLOAT),
    warned(
        "dropout_param.random_seed",
        |l| l.dropout_param.as_ref().is_some_and(|p| p.random_seed() >= 0),
        "has no effect: the solver's `random_seed` counts",
    ),
    warned(
        "transform_param.random_seed",
        |l| transform(l, |p| p.random_seed() >= 0),
        "has no effect: the solver's `random_seed` counts",
    ),
    warned(
        "transform_param.use_gpu_transform",
        |l| transform(l, |p| p.use_gpu_transform()),
        "has no effect: pictures are transformed on the CPU",
    ),
    warned(
        "transform_param.interpolation_algo_down",
        |l| transform(l, |p| p.interpolation_algo_down.is_some()),
        "has no effect: `interp_mode` of `resize_param` says how pictures are scaled",
    ),
    warned(
        "transform_param.interpolation_algo_up",
        |l| transform(l, |p| p.interpolation_algo_up.is_some()),
        "has no effect: `interp_mode` of `resize_param` says how pictures are scaled",
    ),
    warned(
        "transform_param.allow_upscale",
        |l| transform(l, |p| p.allow_upscale()),
        "has no effect: nothing that it allows is built here",
    ),
    warned(
        "transform_param.display",
        |l| transform(l, |p| p.display()),
        "has no effect: no pictures are shown",
    ),
    warned(
        "data_param.shuffle_buffer_size",
        |l| l.data_param.as_ref().is_some_and(|p| p.shuffle_buffer_size() > 0),
        "has no effect: with `shuffle: true` every pass over the data has a new order",
    ),
    warned(
        "annotated_data_param.label_map_file",
        |l| l.annotated_data_param.as_ref().is_some_and(|p| p.label_map_file.is_some()),
        NUMBERS,
    ),
    warned(
        "yolo_detection_output_param.label_map_file",
        |l| l.yolo_detection_output_param.as_ref().is_some_and(|p| p.label_map_file.is_some()),
        NUMBERS,
    ),
    warned(
        "detection_output_param.save_output_param",
        |l| l.detection_output_param.as_ref().is_some_and(|p| p.save_output_param.is_some()),
        "has no effect: detections are written to no files",
    ),
    warned(
        "detection_output_param.visualize",
        |l| l.detection_output_param.as_ref().is_some_and(|p| p.visualize()),
        "has no effect: no pictures are shown",
    ),
    warned(
        "yolov3_detection_output_param.mask_group_num",
        |l| {
            let p = l.yolov3_detection_output_param.as_ref();
            p.and_then(|p| p.mask_group_num).is_some_and(|n| n as usize != l.bottom.len())
        },
        "has no effect: there are as many groups as bottoms",
    ),
    warned(
        "eval_detection_param.sqrt",
        |l| l.eval_detection_param.as_ref().is_some_and(|p| !p.sqrt()),
        YOLO_V1,
    ),
    warned(
        "eval_detection_param.constriant",
        |l| l.eval_detection_param.as_ref().is_some_and(|p| !p.constriant()),
        YOLO_V1,
    ),
    warned(
        "pairwise_param.q_threshold",
        |l| l.pairwise_param.as_ref().is_some_and(|p| p.q_threshold() != 15.0),
        "has no effect, as in the original",
    ),
    warned(
        "pairwise_param.q_lambda",
        |l| l.pairwise_param.as_ref().is_some_and(|p| p.q_lambda() != 0.0),
        "has no effect, as in the original",
    ),
];

fn is_other(kind: Type) -> bool {
    kind != Type::Float
}

#[cfg(test)]
mod tests {
    use super::{FIELDS, unused};
    use crate::BUILTIN;
    use cortado_proto::caffe::LayerParameter;
    use cortado_proto::schema::{Kind, schema};

    #[test]
    fn every_field_is_one_of_the_schema() {
        for field in FIELDS {
            let mut message = schema().message("LayerParameter");
            for name in field.path.split('.') {
                let found = message.and_then(|m| m.field(name));
                assert!(found.is_some(), "{}", field.path);
                message = match found.map(|found| found.kind) {
                    Some(Kind::Message(index)) => schema().messages.get(index),
                    _ => None,
                };
            }
        }
    }

    #[test]
    fn a_layer_that_gives_nothing_asks_for_nothing() {
        let bare = LayerParameter::default();
        let told = BUILTIN.iter().filter(|kind| unused(kind, &bare).next().is_some());
        assert_eq!(told.map(|kind| kind.type_name).collect::<Vec<_>>(), Vec::<&str>::new());
    }
}
