//! V0 → V1: `layers { layer { name type kernelsize … } bottom top }`, every field of every type in one
//! message, becomes `layers { name type convolution_param { } }`. "padding" layers fold into the
//! convolution or pooling behind them.

use std::collections::HashMap;

use crate::caffe::v1_layer_parameter::LayerType;
use crate::caffe::{V0LayerParameter, V1LayerParameter};
use crate::def::NetDef;
use crate::error::{Diagnostic, Error, ErrorKind};

pub(super) fn needs(net: &NetDef) -> bool {
    net.param.layers.iter().any(|l| l.layer.is_some())
}

/// Drops from `index` (where each layer stood in the file) the layers that fold away.
pub(super) fn apply(net: &mut NetDef, index: &mut Vec<usize>) -> Result<String, Error> {
    let count = net.param.layers.len();
    fold_padding(net, index)?;
    let old = std::mem::take(&mut net.param.layers);
    for (layer, &i) in old.into_iter().zip(index.iter()) {
        let path = format!("layers[{i}]");
        let (layer, dropped) =
            convert(layer).map_err(|e| e.with_place(net.place.span_of(Some(&path))))?;
        if !dropped.is_empty() {
            let what = format!(
                "layer `{}`: {} mean nothing for its type and are dropped",
                layer.name(),
                dropped.iter().map(|d| format!("`{d}`")).collect::<Vec<_>>().join(", ")
            );
            net.notes.push(Diagnostic::warning(what, net.place.span_of(Some(&path))));
        }
        net.param.layers.push(layer);
    }
    Ok(format!("{count} layers of the oldest form (`layers {{ layer {{ }} }}`) were converted"))
}

fn v0(layer: &V1LayerParameter) -> Option<&V0LayerParameter> {
    layer.layer.as_ref()
}

/// A layer that reads a "padding" layer pads by itself and reads what that one read.
fn fold_padding(net: &mut NetDef, index: &mut Vec<usize>) -> Result<(), Error> {
    let old = std::mem::take(&mut net.param.layers);
    let is_padding = |l: &V1LayerParameter| v0(l).is_some_and(|v| v.r#type() == "padding");
    let mut makers: HashMap<&str, usize> = HashMap::new();
    let mut kept = Vec::with_capacity(old.len());
    let mut kept_index = Vec::with_capacity(old.len());
    for (i, layer) in old.iter().enumerate() {
        let mut new = layer.clone();
        for (j, bottom) in layer.bottom.iter().enumerate() {
            let Some(maker) = makers.get(bottom.as_str()).map(|&m| &old[m]) else { continue };
            if !is_padding(maker) {
                continue;
            }
            let kind = v0(layer).map_or("", |v| v.r#type());
            let single = layer.bottom.len() == 1 && maker.bottom.len() == 1 && maker.top.len() == 1;
            if !(matches!(kind, "conv" | "pool") && single) {
                let what =
                    "a padding layer goes in front of one convolution or pooling with one bottom";
                let place = net.place.span_of(Some(&format!("layers[{}]", index[i])));
                return Err(Error::new(ErrorKind::Conflict(what.into())).with_place(place));
            }
            if let (Some(v), Some(p)) = (&mut new.layer, v0(maker)) {
                v.pad = Some(p.pad());
            }
            new.bottom[j] = maker.bottom[0].clone();
        }
        for top in &layer.top {
            makers.insert(top, i);
        }
        if !is_padding(layer) {
            kept.push(new);
            kept_index.push(index[i]);
        }
    }
    net.param.layers = kept;
    *index = kept_index;
    Ok(())
}

/// V1's enum for a word of V0.
fn kind_of(word: &str) -> Option<LayerType> {
    Some(match word {
        "accuracy" => LayerType::Accuracy,
        "bnll" => LayerType::Bnll,
        "concat" => LayerType::Concat,
        "conv" => LayerType::Convolution,
        "data" => LayerType::Data,
        "dropout" => LayerType::Dropout,
        "euclidean_loss" => LayerType::EuclideanLoss,
        "flatten" => LayerType::Flatten,
        "hdf5_data" => LayerType::Hdf5Data,
        "hdf5_output" => LayerType::Hdf5Output,
        "im2col" => LayerType::Im2col,
        "images" => LayerType::ImageData,
        "infogain_loss" => LayerType::InfogainLoss,
        "innerproduct" => LayerType::InnerProduct,
        "lrn" => LayerType::Lrn,
        "multinomial_logistic_loss" => LayerType::MultinomialLogisticLoss,
        "pool" => LayerType::Pooling,
        "relu" => LayerType::Relu,
        "sigmoid" => LayerType::Sigmoid,
        "softmax" => LayerType::Softmax,
        "softmax_loss" => LayerType::SoftmaxLoss,
        "split" => LayerType::Split,
        "tanh" => LayerType::Tanh,
        "window_data" => LayerType::WindowData,
        _ => return None,
    })
}

/// One layer, and the names of fields that have no place in its type. Layers of V1 pass unchanged.
fn convert(layer: V1LayerParameter) -> Result<(V1LayerParameter, Vec<&'static str>), Error> {
    let V1LayerParameter { layer: Some(old), bottom, top, .. } = layer else {
        return Ok((layer, Vec::new()));
    };
    let mut new = V1LayerParameter { bottom, top, name: old.name, ..V1LayerParameter::default() };
    let word = old.r#type.unwrap_or_default();
    let word = word.as_str();
    if !word.is_empty() {
        let Some(kind) = kind_of(word) else {
            return Err(Error::value("type", format!("knows no \"{word}\" in the oldest form")));
        };
        new.r#type = Some(kind.into());
    }
    new.blobs = old.blobs;
    new.blobs_lr = old.blobs_lr;
    new.weight_decay = old.weight_decay;
    let mut dropped = Vec::new();
    // field → per type, where it goes; any other type drops it.
    macro_rules! place {
        ($($field:ident: { $($word:literal => $block:ident $how:ident $target:ident),+ };)+) => {$(
            if let Some(value) = old.$field {
                match word {
                    $($word => place!(@$how new.$block.get_or_insert_default().$target, value),)+
                    _ => dropped.push(stringify!($field)),
                }
            }
        )+};
        (@set $target:expr, $value:ident) => { $target = Some($value) };
        (@push $target:expr, $value:ident) => { $target.push($value) };
    }
    place! {
        num_output: { "conv" => convolution_param set num_output,
            "innerproduct" => inner_product_param set num_output };
        biasterm: { "conv" => convolution_param set bias_term,
            "innerproduct" => inner_product_param set bias_term };
        weight_filler: { "conv" => convolution_param set weight_filler,
            "innerproduct" => inner_product_param set weight_filler };
        bias_filler: { "conv" => convolution_param set bias_filler,
            "innerproduct" => inner_product_param set bias_filler };
        pad: { "conv" => convolution_param push pad, "pool" => pooling_param set pad };
        kernelsize: { "conv" => convolution_param push kernel_size,
            "pool" => pooling_param set kernel_size };
        group: { "conv" => convolution_param set group };
        stride: { "conv" => convolution_param push stride, "pool" => pooling_param set stride };
        // Both enums number MAX, AVE and STOCHASTIC alike.
        pool: { "pool" => pooling_param set pool };
        dropout_ratio: { "dropout" => dropout_param set dropout_ratio };
        local_size: { "lrn" => lrn_param set local_size };
        alpha: { "lrn" => lrn_param set alpha };
        beta: { "lrn" => lrn_param set beta };
        k: { "lrn" => lrn_param set k };
        source: { "data" => data_param set source, "hdf5_data" => hdf5_data_param set source,
            "images" => image_data_param set source, "window_data" => window_data_param set source,
            "infogain_loss" => infogain_loss_param set source };
        batchsize: { "data" => data_param set batch_size, "hdf5_data" => hdf5_data_param set batch_size,
            "images" => image_data_param set batch_size,
            "window_data" => window_data_param set batch_size };
        rand_skip: { "data" => data_param set rand_skip, "images" => image_data_param set rand_skip };
        shuffle_images: { "images" => image_data_param set shuffle };
        concat_dim: { "concat" => concat_param set concat_dim };
        det_fg_threshold: { "window_data" => window_data_param set fg_threshold };
        det_bg_threshold: { "window_data" => window_data_param set bg_threshold };
        det_fg_fraction: { "window_data" => window_data_param set fg_fraction };
        det_context_pad: { "window_data" => window_data_param set context_pad };
        det_crop_mode: { "window_data" => window_data_param set crop_mode };
    }
    for (value, name) in [(old.new_height, "new_height"), (old.new_width, "new_width")] {
        let Some(value) = value else { continue };
        match (word, u32::try_from(value)) {
            ("images", Ok(value)) => {
                let block = new.image_data_param.get_or_insert_default();
                let target =
                    if name == "new_height" { &mut block.new_height } else { &mut block.new_width };
                *target = Some(value);
            }
            ("images", Err(_)) => return Err(Error::value(name, format!("must not be {value}"))),
            _ => dropped.push(name),
        }
    }
    // These went to `transform_param` whatever the type.
    if old.scale.is_some()
        || old.meanfile.is_some()
        || old.cropsize.is_some()
        || old.mirror.is_some()
    {
        let transform = new.transform_param.get_or_insert_default();
        transform.scale = old.scale;
        transform.mean_file = old.meanfile;
        transform.crop_size = old.cropsize;
        transform.mirror = old.mirror;
    }
    if let Some(block) = old.hdf5_output_param {
        if word == "hdf5_output" {
            new.hdf5_output_param = Some(block);
        } else {
            dropped.push("hdf5_output_param");
        }
    }
    Ok((new, dropped))
}
