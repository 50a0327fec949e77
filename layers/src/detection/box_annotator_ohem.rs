//! BoxAnnotatorOHEM: keeps the labels of the regions with the largest losses, ignores the rest.

use crate::common::index;
use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("BoxAnnotatorOHEM", build, &DOC)
    .bottoms(Arity::exactly(4))
    .tops(Arity::exactly(2))
    .needs(needs)
    .grads(GradBottoms::None)
    .ends_gradients()
    .dialect("rfcn, intel");

static DOC: LayerDoc = LayerDoc {
    params: &["box_annotator_ohem_param"],
    bottoms: &[
        "regions: R x 5: item, x1, y1, x2, y2",
        "losses: R, of each region",
        "labels: R",
        "weights: R x C, of the box regression",
    ],
    tops: &["labels: the shape of the labels", "weights: the shape of the weights"],
    forward: "of each item the `roi_per_img` regions of the largest losses keep label and weights; the others \
              get `ignore_label` and weights of 0",
    notes: "Of equal losses the earlier region comes first.",
    example: r#"layer { name: "annotator" type: "BoxAnnotatorOHEM" bottom: "rois" bottom: "loss"
  bottom: "labels" bottom: "weights" top: "labels_ohem" top: "weights_ohem"
  box_annotator_ohem_param { roi_per_img: 128 ignore_label: -1 } }"#,
    source: "Shrivastava, Gupta, Girshick 2016 (Training Region-based Object Detectors with Online Hard \
             Example Mining); Dai, Li, He, Sun 2016 (R-FCN)",
    ..LayerDoc::new("Keeps the labels of the regions that are learned worst.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let Some(p) = def.box_annotator_ohem_param else {
        let why = "`box_annotator_ohem_param { roi_per_img: … }` must be given";
        return Err(LayerError::layer(why));
    };
    let (kept, ignore) = (p.roi_per_img as usize, p.ignore_label() as f32);
    Ok(Box::new(BoxAnnotatorLayer { kept, ignore, regions: 0 }))
}

/// No batch holds as many items.
const ITEMS: usize = 1 << 16;

struct BoxAnnotatorLayer {
    /// Regions kept of each item.
    kept: usize,
    ignore: f32,
    regions: usize,
}

impl Layer for BoxAnnotatorLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let [regions, losses, labels, weights] = cx.bottoms else { return Ok(()) };
        self.regions = regions.first().copied().unwrap_or(0);
        if regions.count() != 5 * self.regions {
            let why = format!("the regions are R x 5 (item, x1, y1, x2, y2), found {regions}");
            return Err(LayerError::bottom(0, why));
        }
        for (i, one) in [(1, losses), (2, labels)] {
            if one.count() != self.regions {
                let why = format!(
                    "one number for each of the {} regions is wanted, found {one}",
                    self.regions
                );
                return Err(LayerError::bottom(i, why));
            }
        }
        if weights.first() != Some(&self.regions) {
            let why = format!(
                "a row for each of the {} regions is wanted, found {weights}",
                self.regions
            );
            return Err(LayerError::bottom(3, why));
        }
        let (labels, weights) = (labels.clone(), weights.clone());
        cx.top(0, labels);
        cx.top(1, weights);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (regions, losses) = (cx.bottom(0).data, cx.bottom(1).data);
        let (labels, weights) = (cx.bottom(2).data, cx.bottom(3).data);
        let [kept_labels, kept_weights] = &mut *cx.tops else { return Ok(()) };
        kept_labels.data.fill(self.ignore);
        kept_weights.data.fill(0.0);
        let mut order: Vec<usize> = (0..self.regions).collect();
        order.sort_by(|&a, &b| losses[b].total_cmp(&losses[a]));
        let mut taken: Vec<usize> = Vec::new();
        let width = weights.len() / self.regions.max(1);
        for region in order {
            let Some(item) = index(regions[5 * region], ITEMS) else {
                let why =
                    format!("region {region} is of item {}, below {ITEMS}", regions[5 * region]);
                return Err(LayerError::bottom(0, why));
            };
            if taken.len() <= item {
                taken.resize(item + 1, 0);
            }
            if taken[item] < self.kept {
                taken[item] += 1;
                kept_labels.data[region] = labels[region];
                let row = region * width..(region + 1) * width;
                kept_weights.data[row.clone()].copy_from_slice(&weights[row]);
            }
        }
        Ok(())
    }

    fn backward(&mut self, _: &mut Backward<'_>) -> Result<(), LayerError> {
        Ok(())
    }
}
