//! V1's data layers carry scale, mean, crop and mirror in their own block; they move to
//! `transform_param`. Layers of today's form are left alone, as in the original.

use crate::caffe::v1_layer_parameter::LayerType;
use crate::caffe::{TransformationParameter, V1LayerParameter};
use crate::def::NetDef;

pub(super) fn needs(net: &NetDef) -> bool {
    net.param.layers.iter().any(|l| move_fields(&mut l.clone()))
}

pub(super) fn apply(net: &mut NetDef) -> String {
    let mut names = Vec::new();
    for layer in &mut net.param.layers {
        if move_fields(layer) {
            names.push(layer.name().to_string());
        }
    }
    format!("transformation fields moved to `transform_param`: {}", names.join(", "))
}

/// True when there was anything to move.
fn move_fields(layer: &mut V1LayerParameter) -> bool {
    let mut moved = TransformationParameter::default();
    macro_rules! take {
        ($block:ident) => {
            if let Some(p) = &mut layer.$block {
                moved.scale = p.scale.take();
                moved.mean_file = p.mean_file.take();
                moved.crop_size = p.crop_size.take();
                moved.mirror = p.mirror.take();
            }
        };
    }
    match layer.r#type() {
        LayerType::Data => take!(data_param),
        LayerType::ImageData => take!(image_data_param),
        LayerType::WindowData => take!(window_data_param),
        _ => return false,
    }
    if moved == TransformationParameter::default() {
        return false;
    }
    let transform = layer.transform_param.get_or_insert_default();
    transform.scale = moved.scale.or(transform.scale);
    transform.mean_file = moved.mean_file.or(transform.mean_file.take());
    transform.crop_size = moved.crop_size.or(transform.crop_size);
    transform.mirror = moved.mirror.or(transform.mirror);
    true
}
