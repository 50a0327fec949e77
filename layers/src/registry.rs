//! The list of layer types.

use std::collections::BTreeMap;

use crate::LayerKind;
use crate::{common, detection, loss, neuron, norm, recurrent, segmentation, vision};

/// Every type of this crate, sorted by type string.
pub static BUILTIN: &[&LayerKind] = &[
    &neuron::apl::KIND,
    &neuron::absval::KIND,
    &loss::accuracy::KIND,
    &common::argmax::KIND,
    &common::axpy::KIND,
    &norm::bn::KIND,
    &neuron::bnll::KIND,
    &norm::batch_norm::KIND,
    &common::batch_reindex::KIND,
    &norm::bias::KIND,
    &detection::box_annotator_ohem::KIND,
    &neuron::crelu::KIND,
    &loss::center_loss::KIND,
    &neuron::clip::KIND,
    &common::concat::KIND,
    &loss::contrastive_loss::KIND,
    &vision::convolution::KIND,
    &vision::depthwise::KIND,
    &common::crop::KIND,
    &vision::deconvolution::KIND,
    &vision::depthwise::OTHER,
    &detection::detection_evaluate::KIND,
    &detection::detection_output::KIND,
    &neuron::dropout::KIND,
    &neuron::elu::KIND,
    &common::eltwise::KIND,
    &norm::eltwise_affine::KIND,
    &vision::embed::KIND,
    &loss::euclidean_loss::KIND,
    &detection::eval_detection::KIND,
    &neuron::exp::KIND,
    &common::filter::KIND,
    &common::flatten::KIND,
    &vision::gated_max_ave::KIND,
    &loss::hashing_loss::KIND,
    &loss::hinge_loss::KIND,
    &vision::im2col::KIND,
    &loss::infogain_loss::KIND,
    &vision::inner_product::KIND,
    &common::input::KIND,
    &segmentation::interp::KIND,
    &loss::l1_loss::KIND,
    &vision::lrn::KIND,
    &recurrent::lstm::KIND,
    &recurrent::lstm_unit::KIND,
    &vision::local::KIND,
    &neuron::log::KIND,
    &recurrent::lstm_fork::KIND,
    &norm::mvn::KIND,
    &vision::margin_inner_product::KIND,
    &common::mask_pooling::KIND,
    &segmentation::mask_resize::KIND,
    &neuron::mish::KIND,
    &detection::multibox_loss::KIND,
    &loss::multinomial_logistic_loss::KIND,
    &norm::normalize::KIND,
    &neuron::prelu::KIND,
    &detection::psroi_pooling::KIND,
    &loss::pairwise_loss::KIND,
    &common::parameter::KIND,
    &common::permute::KIND,
    &vision::pooling::KIND,
    &vision::pooling_nd::KIND,
    &neuron::power::KIND,
    &detection::prior_box::KIND,
    &detection::proposal::KIND,
    &common::python::KIND,
    &recurrent::rnn::KIND,
    &detection::roi_align::KIND,
    &detection::roi_pooling::KIND,
    &detection::roi_warping::KIND,
    &neuron::rrelu::KIND,
    &neuron::relu::KIND,
    &neuron::relu6::KIND,
    &common::reduction::KIND,
    &detection::region::KIND,
    &common::reorg::KIND,
    &common::reshape::KIND,
    &segmentation::resize::KIND,
    &common::reverse::KIND,
    &vision::spp::KIND,
    &norm::scale::KIND,
    &neuron::scale_tanh::KIND,
    &common::shuffle_channel::KIND,
    &neuron::sigmoid::KIND,
    &loss::sigmoid_cross_entropy_loss::KIND,
    &common::silence::KIND,
    &common::slice::KIND,
    &loss::smooth_l1_loss::KIND,
    &loss::smooth_l1_loss_ohem::KIND,
    &common::softmax::KIND,
    &loss::softmax_loss::KIND,
    &loss::softmax_loss::OHEM,
    &neuron::spatial_dropout::KIND,
    &common::split::KIND,
    &neuron::swish::KIND,
    &neuron::tanh::KIND,
    &neuron::threshold::KIND,
    &common::tile::KIND,
    &common::permute::TRANSPOSE,
    &vision::treepool_kernel::KIND,
    &vision::gated_max_ave::OTHER,
    &segmentation::upsample::KIND,
    &detection::yolo_detection_output::KIND,
    &detection::yolov3_detection_output::KIND,
];

/// The layer types a net may use: a value, to which programs add their own.
#[derive(Clone, Debug)]
pub struct Registry {
    kinds: BTreeMap<&'static str, &'static LayerKind>,
}

impl Registry {
    /// The types of this crate.
    pub fn builtin() -> Registry {
        let kinds = BUILTIN.iter().map(|kind| (kind.type_name, *kind)).collect();
        Registry { kinds }
    }

    /// And one more, which replaces one of the same name.
    pub fn with(mut self, kind: &'static LayerKind) -> Registry {
        self.kinds.insert(kind.type_name, kind);
        self
    }

    /// The kind of a type string.
    pub fn get(&self, type_name: &str) -> Option<&'static LayerKind> {
        self.kinds.get(type_name).copied()
    }

    /// All kinds, sorted by type string.
    pub fn kinds(&self) -> impl Iterator<Item = &'static LayerKind> + '_ {
        self.kinds.values().copied()
    }
}
