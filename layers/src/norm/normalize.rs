//! Normalize: each pixel (or item) divided by its Euclidean length, and scaled.

use cortado_kernels::Write;
use cortado_proto::caffe::NormalizeParameter;
use cortado_proto::defaults::filler_or;

use crate::{
    Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs, Reshape, SetUp,
    Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("Normalize", build, &DOC).needs(needs).dialect("ssd");

static DOC: LayerDoc = LayerDoc {
    params: &["norm_param"],
    bottoms: &["x: N x C x …"],
    tops: &["y: the shape of x"],
    blobs: &["scale: one number, or C without `channel_shared`"],
    forward: "y = scale · x / √(Σ x² + eps), the sum over the channels of each position, or with \
              `across_spatial` over the whole item",
    backward: "dx = scale · (dy − x · Σ(dy · x) / (Σ x² + eps)) / √(Σ x² + eps)   \
               dscale += Σ dy · x / √(Σ x² + eps)",
    notes: "As in the original, dx takes the scale of its own channel only, outside of the sum: with a scale \
            per channel it is the gradient only while the scales are equal.\n\n\
            `eps` stands under the root: a position of zeros gets a very large gradient with the default \
            1e-10. SSD starts the scale at 20 over conv4_3.",
    example: r#"layer { name: "norm4_3" type: "Normalize" bottom: "conv4_3" top: "norm4_3"
  norm_param { across_spatial: false channel_shared: false scale_filler { value: 20 } } }"#,
    source: "Liu, Rabinovich, Berg 2015 (ParseNet), section 3.3; normalize_layer.cpp of Caffe's SSD branch",
    ..LayerDoc::new("Divides by the Euclidean length and scales.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.norm_param.clone().unwrap_or_default();
    Ok(Box::new(NormalizeLayer { param, dims: [0; 3] }))
}

struct NormalizeLayer {
    param: NormalizeParameter,
    /// The bottom as [N, C, inner].
    dims: [usize; 3],
}

/// Blobs below are `[c, inner]`: one item.
impl NormalizeLayer {
    /// Into `sums` (one per position, or one): Σ f over what is normalised together.
    fn sums(&self, sums: &mut [f64], f: impl Fn(usize, usize) -> f64) {
        let [_, c, inner] = self.dims;
        sums.fill(0.0);
        for channel in 0..c {
            for i in 0..inner {
                sums[if self.param.across_spatial() { 0 } else { i }] += f(channel, i);
            }
        }
    }
}

impl Layer for NormalizeLayer {
    fn setup(&mut self, cx: &mut SetUp<'_>) -> Result<(), LayerError> {
        let channels = cx.bottoms[0].get(1).copied().unwrap_or(1);
        let shape = match self.param.channel_shared() {
            true => Shape::scalar(),
            false => Shape::new(&[channels]),
        };
        let filler = filler_or(self.param.scale_filler.as_ref(), 1.0);
        cx.weight_of("norm_param.scale_filler", shape, filler);
        Ok(())
    }

    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let bottom = cx.bottoms[0].clone();
        self.dims = bottom.around(bottom.axis(1, "bottom")?).into();
        let (scales, c) = (cx.params[0].count(), self.dims[1]);
        if !self.param.channel_shared() && scales != c {
            let why = format!("the scales are for {scales} channels, the bottom is {bottom}");
            return Err(LayerError::bottom(0, why));
        }
        // 1 / √(Σ x² + eps)
        let per_item = if self.param.across_spatial() { 1 } else { self.dims[2] };
        cx.save([self.dims[0], per_item]);
        cx.top(0, bottom);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let [_, c, inner] = self.dims;
        let (x, y, scales) = (cx.bottom(0).data, &mut *cx.tops[0].data, cx.weights[0].data);
        let kept = &mut cx.saved[0];
        let groups = kept.shape()[1];
        let mut sums = vec![0f64; groups];
        let items = x.chunks(self.item()).zip(y.chunks_mut(self.item()));
        for ((x, y), inverse) in items.zip(kept.data_mut().chunks_mut(groups.max(1))) {
            self.sums(&mut sums, |channel, i| f64::from(x[channel * inner + i]).powi(2));
            for (inverse, sum) in inverse.iter_mut().zip(&sums) {
                *inverse = (1.0 / (sum + f64::from(self.param.eps())).sqrt()) as f32;
            }
            for channel in 0..c {
                let scale = scales[channel % scales.len()];
                for i in 0..inner {
                    let at = channel * inner + i;
                    y[at] = x[at] * inverse[i % groups] * scale;
                }
            }
        }
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let [_, c, inner] = self.dims;
        let Some(dy) = cx.top_diffs[0] else { return Ok(()) };
        let (x, scales) = (cx.bottom(0).data, cx.weights[0].data);
        let kept = &cx.saved[0];
        let groups = kept.shape()[1];
        let mut sums = vec![0f64; groups];
        let mut dscales = vec![0f64; scales.len()];
        let items = x.chunks(self.item()).zip(dy.data.chunks(self.item()));
        for (n, (x, dy)) in items.enumerate() {
            let inverse = &kept.data()[n * groups..][..groups];
            for channel in 0..c {
                let dscale = &mut dscales[channel % scales.len()];
                for i in 0..inner {
                    let at = channel * inner + i;
                    *dscale += f64::from(dy[at] * x[at] * inverse[i % groups]);
                }
            }
            let Some(diff) = &mut cx.bottom_diffs[0] else { continue };
            let dx = &mut diff.data[n * self.item()..][..c * inner];
            self.sums(&mut sums, |channel, i| {
                let at = channel * inner + i;
                f64::from(dy[at]) * f64::from(x[at])
            });
            for channel in 0..c {
                let scale = scales[channel % scales.len()];
                for i in 0..inner {
                    let (at, inv) = (channel * inner + i, inverse[i % groups]);
                    let along = f64::from(x[at]) * sums[i % groups] * f64::from(inv).powi(2);
                    let value = (f64::from(dy[at]) - along) as f32 * inv * scale;
                    dx[at] = if diff.write == Write::Add { dx[at] + value } else { value };
                }
            }
        }
        if let Some(into) = &mut cx.weight_diffs[0] {
            into.data.iter_mut().zip(dscales).for_each(|(into, sum)| *into += sum as f32);
        }
        Ok(())
    }
}

impl NormalizeLayer {
    /// Elements per item.
    fn item(&self) -> usize {
        (self.dims[1] * self.dims[2]).max(1)
    }
}
