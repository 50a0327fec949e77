//! Layers that multiply with weights and add a bias: what an affine map before or after them does to
//! both.

use cortado_layers::Shape;

use super::affine::Affine;
use super::trained::{Blob, TrainedLayer};

/// How the weights lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// `[out][in / group][kernel]`
    Convolution,
    /// `[in][out / group][kernel]`
    Deconvolution,
    /// `[out][in]`, or the other way round.
    Inner { transposed: bool },
    /// `[channel]`
    Scale,
}

impl Product {
    /// What a layer is, or why nothing can be folded into it.
    pub fn of(layer: &TrainedLayer) -> Result<Product, String> {
        let (name, type_name) = (layer.def.name(), layer.def.r#type());
        if let Some(other) = &layer.shares {
            return Err(format!("`{name}` shares its weights with `{other}`"));
        }
        let multiplies = matches!(
            type_name,
            "Convolution"
                | "Deconvolution"
                | "ConvolutionDepthwise"
                | "DepthwiseConvolution"
                | "InnerProduct"
                | "Scale"
        );
        if multiplies && (layer.def.top.len() != 1 || layer.def.bottom.len() != 1) {
            return Err(format!("`{name}` has several bottoms or tops"));
        }
        match type_name {
            "Convolution" | "Deconvolution" | "ConvolutionDepthwise" | "DepthwiseConvolution" => {
                let axis = layer.def.convolution_param.as_ref().map_or(1, |p| p.axis());
                let rank = layer.bottoms[0].len() as i32;
                if axis != 1 && axis + rank != 1 {
                    return Err(format!("`{name}` has its channels on axis {axis}"));
                }
                let reversed = type_name == "Deconvolution";
                Ok(if reversed { Product::Deconvolution } else { Product::Convolution })
            }
            "InnerProduct" => {
                let p = layer.def.inner_product_param.clone().unwrap_or_default();
                if layer.tops.first().is_none_or(|top| top.len() != 2) {
                    return Err(format!("`{name}` keeps more axes than the batch's"));
                }
                Ok(Product::Inner { transposed: p.transpose() })
            }
            "Scale" => super::affine::affine(layer).and_then(|_| {
                match layer.blobs.first().map(|blob| blob.shape.len()) {
                    Some(1) => Ok(Product::Scale),
                    _ => Err(format!("`{name}` has one factor for all channels")),
                }
            }),
            _ => Err(format!("`{name}` ({type_name}) has no weights to fold into")),
        }
    }

    /// y = scale · (W x + b) + shift. False where the channels do not fit.
    pub fn after(self, layer: &mut TrainedLayer, map: &Affine) -> bool {
        let group = layer.def.convolution_param.as_ref().map_or(1, |p| p.group() as usize);
        let channels = map.scale.len();
        let mut blobs = std::mem::take(&mut layer.blobs).into_iter();
        let Some(mut weights) = blobs.next() else { return false };
        let bias = blobs.next();
        let shape = weights.shape.clone();
        let per_out = match self {
            Product::Deconvolution => shape.count_from(2),
            Product::Inner { transposed: true } => 1,
            _ => weights.data.len() / channels.max(1),
        };
        let (inputs, outputs) = match self {
            Product::Deconvolution => (shape[0] / group, shape[1]),
            _ => (1, channels),
        };
        for (i, row) in weights.data.chunks_mut(per_out.max(1)).enumerate() {
            let c = match self {
                // Row (in, out within the group).
                Product::Deconvolution => i / outputs / inputs.max(1) * outputs + i % outputs,
                _ => i % channels,
            };
            row.iter_mut().for_each(|w| *w = (f64::from(*w) * map.scale[c]) as f32);
        }
        let old = bias.map_or_else(|| vec![0.0; channels], |bias| bias.data);
        let moved = (0..channels).map(|c| f64::from(old[c]) * map.scale[c] + map.shift[c]);
        let data = moved.map(|v| v as f32).collect();
        layer.blobs = vec![weights, Blob { shape: Shape::from([channels]), data }];
        true
    }

    /// y = W (scale · x + shift) + b. The caller has seen that padding does not matter.
    pub fn before(self, layer: &mut TrainedLayer, map: &Affine) {
        let group = layer.def.convolution_param.as_ref().map_or(1, |p| p.group() as usize);
        let channels = map.scale.len();
        let mut blobs = std::mem::take(&mut layer.blobs).into_iter();
        let Some(mut weights) = blobs.next() else { return };
        let shape = weights.shape.clone();
        let outputs = match self {
            Product::Deconvolution => shape[1] * group,
            Product::Inner { transposed: true } => shape[1],
            _ => shape[0],
        };
        let mut added = vec![0f64; outputs];
        let kernel = shape.count_from(shape.len().min(2));
        for (i, w) in weights.data.iter_mut().enumerate() {
            let (out, input) = match self {
                Product::Convolution => {
                    let (out, within) = (i / kernel / shape[1], i / kernel % shape[1]);
                    (out, out / (outputs / group).max(1) * shape[1] + within)
                }
                Product::Deconvolution => {
                    let (input, within) = (i / kernel / shape[1], i / kernel % shape[1]);
                    (input / (shape[0] / group).max(1) * shape[1] + within, input)
                }
                Product::Inner { transposed } => {
                    let (out, k) = match transposed {
                        true => (i % shape[1], i / shape[1]),
                        false => (i / shape[1], i % shape[1]),
                    };
                    let inputs = if transposed { shape[0] } else { shape[1] };
                    (out, k / (inputs / channels).max(1))
                }
                Product::Scale => (i, i),
            };
            added[out] += f64::from(*w) * map.shift[input];
            *w = (f64::from(*w) * map.scale[input]) as f32;
        }
        let old = blobs.next().map_or_else(|| vec![0.0; outputs], |bias| bias.data);
        let data = added.iter().zip(old).map(|(a, b)| (a + f64::from(b)) as f32).collect();
        layer.blobs = vec![weights, Blob { shape: Shape::from([outputs]), data }];
    }

    /// The field that says whether there is a bias, with its block.
    pub fn bias_field(self) -> &'static str {
        match self {
            Product::Inner { .. } => "inner_product_param.bias_term",
            Product::Scale => "scale_param.bias_term",
            _ => "convolution_param.bias_term",
        }
    }

    /// Whether there is a bias when the field is absent.
    pub fn biased_unless_told(self) -> bool {
        self != Product::Scale
    }
}
