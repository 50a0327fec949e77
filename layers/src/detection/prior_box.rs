//! PriorBox: the boxes from which SSD's detections are told, some around each position of a blob.

use cortado_proto::caffe::PriorBoxParameter;

use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("PriorBox", build, &DOC)
    .bottoms(Arity::exactly(2))
    .needs(needs)
    .grads(GradBottoms::None)
    .ends_gradients()
    .dialect("ssd, intel, nvcaffe");

static DOC: LayerDoc = LayerDoc {
    params: &["prior_box_param"],
    bottoms: &["x: N x C x H x W, of which only H and W count", "data: N x C x height x width"],
    tops: &[
        "priors: 1 x 2 x (H · W · P · 4), boxes (xmin, ymin, xmax, ymax from 0 to 1), then variances",
    ],
    forward: "around ((w + offset) · step_w, (h + offset) · step_h), for each min_size: the square of that \
              side; the square of side √(min_size · max_size); for each other ratio r a box of width \
              min_size · √r and height min_size / √r",
    notes: "P is min_sizes · ratios + max_sizes. Ratio 1 is always there; each `aspect_ratio` counts once, \
            with `flip` followed by 1/r. `min_size` and `max_size` are cut to whole numbers, as in the \
            original. A step not given is image / layer, the image's size `img_size`, `img_h` and `img_w`, or \
            that of the second bottom.",
    example: r#"layer { name: "prior" type: "PriorBox" bottom: "conv4_3" bottom: "data" top: "prior"
  prior_box_param { min_size: 30 max_size: 60 aspect_ratio: 2 variance: 0.1 variance: 0.1
    variance: 0.2 variance: 0.2 step: 8 } }"#,
    source: "Liu et al. 2015 (SSD), section 2.2; prior_box_layer.cpp of Caffe's SSD branch",
    ..LayerDoc::new("Makes prior boxes around each position.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

/// About a field of the message.
fn wrong(field: &str, why: String) -> LayerError {
    LayerError::field(format!("prior_box_param.{field}"), why)
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let p = def.prior_box_param.clone().unwrap_or_default();
    if p.min_size.is_empty() {
        return Err(wrong("min_size", "`min_size` must be given".to_owned()));
    }
    if let Some(size) = p.min_size.iter().find(|&&size| !(size > 0.0)) {
        return Err(wrong("min_size", format!("`min_size` must be above 0, found {size}")));
    }
    let (mins, maxes) = (p.min_size.len(), p.max_size.len());
    if maxes != 0 && maxes != mins {
        let why = format!("there is one `max_size` per `min_size`, {mins}, or none; found {maxes}");
        return Err(wrong("max_size", why));
    }
    if let Some((min, max)) = p.min_size.iter().zip(&p.max_size).find(|(min, max)| !(max > min)) {
        return Err(wrong(
            "max_size",
            format!("`max_size` must be above `min_size` {min}, found {max}"),
        ));
    }
    if let Some(ratio) = p.aspect_ratio.iter().find(|&&ratio| !(ratio > 0.0)) {
        return Err(wrong(
            "aspect_ratio",
            format!("`aspect_ratio` must be above 0, found {ratio}"),
        ));
    }
    if !matches!(p.variance.len(), 0 | 1 | 4) {
        let why = format!("`variance` is given once or four times, found {}", p.variance.len());
        return Err(wrong("variance", why));
    }
    if let Some(variance) = p.variance.iter().find(|&&variance| !(variance > 0.0)) {
        return Err(wrong("variance", format!("`variance` must be above 0, found {variance}")));
    }
    if p.img_h.is_some() != p.img_w.is_some() {
        return Err(wrong(
            "img_h",
            "`img_h` and `img_w` go together, found one of them".to_owned(),
        ));
    }
    let ratios = ratios(&p);
    Ok(Box::new(PriorBoxLayer { p, ratios, layer: [0; 2], image: [0.0; 2] }))
}

/// The ratios but 1, each once.
fn ratios(p: &PriorBoxParameter) -> Vec<f32> {
    let mut ratios: Vec<f32> = vec![1.0];
    for &ratio in &p.aspect_ratio {
        if ratios.iter().any(|known| (ratio - known).abs() < 1e-6) {
            continue;
        }
        ratios.push(ratio);
        if p.flip() {
            ratios.push(1.0 / ratio);
        }
    }
    ratios.split_off(1)
}

struct PriorBoxLayer {
    p: PriorBoxParameter,
    ratios: Vec<f32>,
    /// Height and width of the first bottom, and of the image.
    layer: [usize; 2],
    image: [f32; 2],
}

impl PriorBoxLayer {
    fn per_position(&self) -> usize {
        self.p.min_size.len() * (1 + self.ratios.len()) + self.p.max_size.len()
    }

    /// Width and height of the boxes of each position.
    fn sizes(&self) -> Vec<[f32; 2]> {
        let mut sizes = Vec::with_capacity(self.per_position());
        for (i, &min) in self.p.min_size.iter().enumerate() {
            let min = min.trunc();
            sizes.push([min; 2]);
            if let Some(max) = self.p.max_size.get(i) {
                sizes.push([(min * max.trunc()).sqrt(); 2]);
            }
            sizes.extend(self.ratios.iter().map(|ratio| [min * ratio.sqrt(), min / ratio.sqrt()]));
        }
        sizes
    }

    /// Height and width of a step.
    fn steps(&self) -> [f32; 2] {
        let given = [self.p.step_h.or(self.p.step), self.p.step_w.or(self.p.step)];
        [0, 1].map(|axis| match given[axis].filter(|&step| step != 0.0) {
            Some(step) => step,
            None => self.image[axis] / self.layer[axis] as f32,
        })
    }
}

impl Layer for PriorBoxLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let mut sizes = [[0; 2]; 2];
        for (i, bottom) in cx.bottoms.iter().enumerate() {
            let [_, _, h, w] = bottom[..] else {
                let why = format!("the bottom is N x C x H x W, found {bottom}");
                return Err(LayerError::bottom(i, why));
            };
            sizes[i] = [h, w];
        }
        self.layer = sizes[0];
        let p = &self.p;
        self.image = match (p.img_size.unwrap_or(0), p.img_h, p.img_w) {
            (0, Some(h), Some(w)) => [h as f32, w as f32],
            (0, ..) => sizes[1].map(|length| length as f32),
            (size, ..) => [size as f32; 2],
        };
        if self.image.contains(&0.0) {
            let [h, w] = self.image;
            let why = format!("the image has a height and a width above 0, found {h} and {w}");
            return Err(LayerError::bottom(1, why));
        }
        let numbers = sizes[0][0].checked_mul(sizes[0][1]).and_then(|n| n.checked_mul(4));
        let numbers =
            numbers.and_then(|n| n.checked_mul(self.per_position())).unwrap_or(usize::MAX);
        let dims = [1, 2, i64::try_from(numbers).unwrap_or(i64::MAX)];
        let top = Shape::from_file(&dims).map_err(|why| LayerError::bottom(0, why))?;
        cx.top(0, top);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let top = &mut *cx.tops[0].data;
        let (boxes, variances) = top.split_at_mut(top.len() / 2);
        let ([step_h, step_w], [height, width]) = (self.steps(), self.image);
        let (sizes, offset) = (self.sizes(), self.p.offset());
        let per_position = sizes.len();
        for (i, to) in boxes.chunks_exact_mut(4).enumerate() {
            let position = i / per_position;
            let [h, w] = [position / self.layer[1], position % self.layer[1]];
            let (x, y) = ((w as f32 + offset) * step_w, (h as f32 + offset) * step_h);
            let [bw, bh] = sizes[i % per_position];
            to.copy_from_slice(&[
                (x - bw / 2.0) / width,
                (y - bh / 2.0) / height,
                (x + bw / 2.0) / width,
                (y + bh / 2.0) / height,
            ]);
        }
        if self.p.clip() {
            boxes.iter_mut().for_each(|v| *v = v.clamp(0.0, 1.0));
        }
        let given = &self.p.variance;
        let variance = |i: usize| given.get(i % given.len().max(1)).copied().unwrap_or(0.1);
        variances.iter_mut().enumerate().for_each(|(i, v)| *v = variance(i % 4));
        Ok(())
    }

    fn backward(&mut self, _: &mut Backward<'_>) -> Result<(), LayerError> {
        Ok(())
    }
}
