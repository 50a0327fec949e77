//! Dropout: in training, elements are left out at random.

use rand::RngExt;

use crate::{
    Affine, Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, LowerCx, Needs,
    Phase, Prim, Reshape,
};

/// The layer type.
pub static KIND: LayerKind =
    LayerKind::new("Dropout", build, &DOC).in_place().needs(needs).lower(lower);

static DOC: LayerDoc = LayerDoc {
    params: &["dropout_param"],
    bottoms: &["x: any shape"],
    tops: &["y: the shape of x"],
    forward: "TRAIN: y = x / (1 − dropout_ratio) with probability 1 − dropout_ratio, else 0   TEST: y = x",
    backward: "dx = dy / (1 − dropout_ratio) where x was kept, else 0",
    notes: "Scaled in training, so that TEST is a plain copy. What is dropped depends on the seed, the \
            layer's name and the number of the pass, never on threads.\n\n\
            **The forks' fields.** With `scale_train: false` (Faster R-CNN, R-FCN) what is kept stays as it \
            is, and TEST multiplies with 1 − dropout_ratio. With `sample_weights_test: true` (Bayesian \
            SegNet) elements are left out in TEST as in TRAIN.",
    example: r#"layer { name: "drop6" type: "Dropout" bottom: "fc6" top: "fc6" dropout_param { dropout_ratio: 0.5 } }"#,
    source: "Srivastava et al. 2014; Caffe's dropout_layer.cpp",
    ..LayerDoc::new("Leaves elements out at random while training.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn lower(cx: &LowerCx<'_>) -> Option<Prim> {
    let dropout = DropoutLayer::of(cx.def);
    match dropout.drops(cx.phase) {
        true => None,
        false if dropout.used == 1.0 => Some(Prim::Alias),
        false => {
            let c = cx.channels()?;
            Some(Prim::Affine(Affine { scale: vec![dropout.used; c], shift: vec![0.0; c] }))
        }
    }
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let layer = DropoutLayer::of(def);
    let ratio = layer.ratio;
    if !(0.0..1.0).contains(&ratio) {
        let why = format!("`dropout_ratio` is at least 0 and below 1, found {ratio}");
        return Err(LayerError::field("dropout_param.dropout_ratio", why));
    }
    Ok(Box::new(layer))
}

struct DropoutLayer {
    ratio: f32,
    /// What an element is multiplied with: where it is kept, and where nothing is left out.
    kept: f32,
    used: f32,
    /// Whether elements are left out in TEST, too.
    samples: bool,
}

impl DropoutLayer {
    fn of(def: &LayerDef) -> DropoutLayer {
        let param = def.dropout_param.unwrap_or_default();
        let (ratio, samples) = (param.dropout_ratio(), param.sample_weights_test());
        let scale = 1.0 / (1.0 - ratio);
        let (kept, used) = if param.scale_train() { (scale, 1.0) } else { (1.0, 1.0 / scale) };
        DropoutLayer { ratio, kept, used, samples }
    }

    /// Whether elements are left out.
    fn drops(&self, phase: Phase) -> bool {
        phase == Phase::Train || self.samples
    }
}

impl Layer for DropoutLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let bottom = cx.bottoms[0].clone();
        if self.drops(cx.phase) {
            cx.save(bottom.clone());
        }
        cx.top(0, bottom);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let k = cx.k;
        if !self.drops(cx.phase) {
            if self.used != 1.0 {
                k.affine(cx.src_dst(0), self.used, 0.0);
            } else if let Some(bottom) = cx.bottoms[0] {
                cx.tops[0].data.copy_from_slice(bottom.data);
            }
            return Ok(());
        }
        // The mask: 0, or what a kept element is multiplied with.
        let mask = std::mem::take(&mut cx.saved[0]);
        let mut mask = mask;
        let limit = (f64::from(self.ratio) * 2f64.powi(32)) as u32;
        for value in mask.data_mut() {
            *value = if cx.rng.random::<u32>() >= limit { self.kept } else { 0.0 };
        }
        let write = cortado_kernels::Write::Set;
        k.map2(cx.src_dst(0), mask.data(), write, |x, mask| x * mask);
        cx.saved[0] = mask;
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let k = cx.k;
        let saved = std::mem::take(&mut cx.saved);
        let (drops, used) = (self.drops(cx.phase), self.used);
        let Some((diff, write)) = cx.diff(0) else { return Ok(()) };
        match &*saved {
            [mask] if drops => k.map2(diff, mask.data(), write, |dy, mask| dy * mask),
            _ => match (diff, write) {
                (diff, cortado_kernels::Write::Set) if used != 1.0 => k.affine(diff, used, 0.0),
                (cortado_kernels::SrcDst::Apart(dy, dx), cortado_kernels::Write::Set) => {
                    dx.copy_from_slice(dy);
                }
                (cortado_kernels::SrcDst::Apart(dy, dx), _) => k.axpy(used, dy, dx),
                (cortado_kernels::SrcDst::InPlace(_), _) => {}
            },
        }
        Ok(())
    }
}
