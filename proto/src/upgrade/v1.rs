//! V1 → today: `layers { type: ENUM blobs_lr weight_decay param blob_share_mode }` becomes
//! `layer { type: "String" param { } }`. The parameter blocks have kept their names.

use super::types::type_of_v1;
use crate::caffe::{LayerParameter, ParamSpec, V1LayerParameter};
use crate::def::{LayerDef, NetDef, Origin};

pub(super) fn needs(net: &NetDef) -> bool {
    !net.param.layers.is_empty()
}

/// `index` holds where each layer stood in the file.
pub(super) fn apply(net: &mut NetDef, index: &[usize]) -> String {
    let old = std::mem::take(&mut net.param.layers);
    let count = old.len();
    let mut converted = Vec::with_capacity(count);
    for (layer, &i) in old.into_iter().zip(index) {
        let place = net.place.part(&format!("layers[{i}]")).derived(Origin::Upgrade("V1".into()));
        let extensions = net.v1_extensions.remove(&i).unwrap_or_default();
        let mut param = convert(layer);
        let path = place.path();
        if let Some(word) = net.unknown.iter().find(|f| f.name == "type" && f.path == path) {
            param.r#type = word.word();
        }
        converted.push(LayerDef { param, place, extensions });
    }
    let done = format!("{count} layers of the old form (`layers`) became `layer`");
    if net.layers.is_empty() {
        net.layers = converted;
        return done;
    }
    // The original refuses the mix. In text the order of the file is known; binary keeps the two
    // lists apart, and the older one goes first.
    converted.append(&mut net.layers);
    net.layers = converted;
    net.layers.sort_by_key(|layer| layer.place.span_of(None).map_or(0, |place| place.span.start));
    format!("{done}; they stand among layers of today's form, which the original refuses")
}

fn convert(old: V1LayerParameter) -> LayerParameter {
    let counts =
        [old.param.len(), old.blob_share_mode.len(), old.blobs_lr.len(), old.weight_decay.len()];
    let specs = counts.into_iter().max().unwrap_or(0);
    let param = (0..specs).map(|i| ParamSpec {
        name: old.param.get(i).cloned(),
        // Both enums spell STRICT 0 and PERMISSIVE 1.
        share_mode: old.blob_share_mode.get(i).copied(),
        lr_mult: old.blobs_lr.get(i).copied(),
        decay_mult: old.weight_decay.get(i).copied(),
    });
    LayerParameter {
        param: param.collect(),
        r#type: old.r#type.map(|t| type_of_v1(t).unwrap_or_default().to_string()),
        name: old.name,
        bottom: old.bottom,
        top: old.top,
        loss_weight: old.loss_weight,
        blobs: old.blobs,
        include: old.include,
        exclude: old.exclude,
        transform_param: old.transform_param,
        loss_param: old.loss_param,
        accuracy_param: old.accuracy_param,
        argmax_param: old.argmax_param,
        concat_param: old.concat_param,
        contrastive_loss_param: old.contrastive_loss_param,
        convolution_param: old.convolution_param,
        data_param: old.data_param,
        dropout_param: old.dropout_param,
        dummy_data_param: old.dummy_data_param,
        eltwise_param: old.eltwise_param,
        exp_param: old.exp_param,
        hdf5_data_param: old.hdf5_data_param,
        hdf5_output_param: old.hdf5_output_param,
        hinge_loss_param: old.hinge_loss_param,
        image_data_param: old.image_data_param,
        infogain_loss_param: old.infogain_loss_param,
        inner_product_param: old.inner_product_param,
        lrn_param: old.lrn_param,
        memory_data_param: old.memory_data_param,
        mvn_param: old.mvn_param,
        pooling_param: old.pooling_param,
        power_param: old.power_param,
        relu_param: old.relu_param,
        sigmoid_param: old.sigmoid_param,
        softmax_param: old.softmax_param,
        slice_param: old.slice_param,
        tanh_param: old.tanh_param,
        threshold_param: old.threshold_param,
        window_data_param: old.window_data_param,
        ..LayerParameter::default()
    }
}
