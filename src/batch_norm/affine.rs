//! What a layer of normalisation does in TEST: y = scale · x + shift per channel.

use cortado_layers::norm::bn::{Dialect, dialect};
use cortado_proto::caffe::bn_parameter::BnMode;

use super::trained::{Blob, TrainedLayer};

/// One pair per channel, in double precision.
#[derive(Clone, Debug, PartialEq)]
pub struct Affine {
    pub scale: Vec<f64>,
    pub shift: Vec<f64>,
}

/// Types that may be affine per channel.
pub fn is_affine(type_name: &str) -> bool {
    matches!(type_name, "BatchNorm" | "BN" | "Scale" | "Bias")
}

fn values(blob: Option<&Blob>) -> Vec<f64> {
    blob.map(|b| b.data.iter().map(|&v| f64::from(v)).collect()).unwrap_or_default()
}

/// The layer as an affine map, or why it is none.
pub fn affine(layer: &TrainedLayer) -> Result<Affine, String> {
    let Some(shape) = layer.bottoms.first().filter(|shape| shape.len() >= 2) else {
        return Err("its bottom has no channels".to_owned());
    };
    let channels = shape[1];
    let blob = |i: usize| layer.blobs.get(i);
    let (scale, shift) = match layer.def.r#type() {
        "BatchNorm" => batch_norm(layer)?,
        "BN" => bn(layer)?,
        "Scale" => {
            let p = layer.def.scale_param.clone().unwrap_or_default();
            per_channel(layer, p.axis(), "factor")?;
            let scale = values(blob(0));
            // What was folded into it gave it a bias, whatever its definition says.
            let shift = blob(1).map_or_else(|| vec![0.0; scale.len()], |bias| values(Some(bias)));
            (scale, shift)
        }
        _ => {
            let p = layer.def.bias_param.clone().unwrap_or_default();
            per_channel(layer, p.axis(), "bias")?;
            let shift = values(blob(0));
            (vec![1.0; shift.len()], shift)
        }
    };
    let spread = |values: Vec<f64>| match values[..] {
        [one] => vec![one; channels],
        _ => values,
    };
    let (scale, shift) = (spread(scale), spread(shift));
    if scale.len() != channels || shift.len() != channels {
        return Err(format!("its parameters are not one per channel of {shape}"));
    }
    if let Some(c) = (0..channels).find(|&c| !(scale[c].is_finite() && shift[c].is_finite())) {
        return Err(format!("its values for channel {c} are not finite"));
    }
    Ok(Affine { scale, shift })
}

fn batch_norm(layer: &TrainedLayer) -> Result<(Vec<f64>, Vec<f64>), String> {
    let p = layer.def.batch_norm_param.clone().unwrap_or_default();
    if p.use_global_stats == Some(false) {
        return Err("it normalises by the batch in TEST too (`use_global_stats: false`)".to_owned());
    }
    if p.relu() {
        return Err(
            "a ReLU is part of it (`relu: true`); `cortado convert-bn` takes them apart".into()
        );
    }
    let blob = |i: usize| values(layer.blobs.get(i));
    let factor = blob(2).first().copied().unwrap_or_default();
    if factor == 0.0 {
        return Err("its factor is 0: no statistics were ever gathered".to_owned());
    }
    let eps = f64::from(p.eps());
    let mut scale: Vec<f64> = blob(1).iter().map(|v| 1.0 / (v / factor + eps).sqrt()).collect();
    let own = blob(3);
    scale.iter_mut().zip(&own).for_each(|(scale, own)| *scale *= own);
    let mut shift: Vec<f64> =
        blob(0).iter().zip(&scale).map(|(mean, scale)| -mean / factor * scale).collect();
    shift.iter_mut().zip(blob(4)).for_each(|(shift, own)| *shift += own);
    Ok((scale, shift))
}

fn bn(layer: &TrainedLayer) -> Result<(Vec<f64>, Vec<f64>), String> {
    let p = layer.def.bn_param.clone().unwrap_or_default();
    let blob = |i: usize| values(layer.blobs.get(i));
    let by_batch = || Err("it normalises by the batch in TEST too".to_owned());
    let eps = match dialect(&layer.def) {
        Dialect::Segnet if p.bn_mode() == BnMode::Inference => return Ok((blob(0), blob(1))),
        Dialect::Segnet => return by_batch(),
        Dialect::DuchaAiki if !p.moving_average() => return by_batch(),
        Dialect::DuchaAiki => p.var_eps(),
        Dialect::Pspnet => p.eps(),
    };
    let scale: Vec<f64> =
        blob(0).iter().zip(blob(3)).map(|(own, var)| own / (var + f64::from(eps)).sqrt()).collect();
    let shifts = blob(1).into_iter().zip(blob(2)).zip(&scale);
    let shift = shifts.map(|((own, mean), scale)| own - mean * scale).collect();
    Ok((scale, shift))
}

/// Scale and Bias: whether they cover the channels and nothing else.
fn per_channel(layer: &TrainedLayer, axis: i32, what: &str) -> Result<(), String> {
    if layer.def.bottom.len() > 1 {
        return Err(format!("its {what} is a bottom, not a parameter"));
    }
    let rank = layer.bottoms[0].len() as i32;
    let dims = layer.blobs.first().map_or(0, |blob| blob.shape.len());
    match (dims, if axis < 0 { axis + rank } else { axis }) {
        (0, _) | (1, 1) => Ok(()),
        _ => Err(format!("its {what} is not one number per channel")),
    }
}
