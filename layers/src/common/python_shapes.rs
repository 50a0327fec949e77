//! What the Python layers of published nets make, as shapes: for checks of files, in which nothing runs.

use crate::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerError, LayerKind, Reshape, Shape,
};

/// Stands in for the type Python where only shapes are asked for.
pub static KIND: LayerKind = LayerKind::new("Python", build, &super::python::DOC)
    .bottoms(Arity::at_least(0))
    .tops(Arity::at_least(0))
    .grads(GradBottoms::None)
    .ends_gradients();

/// Regions that detection nets train on at once.
const REGIONS: usize = 128;

/// Proposals that they look at.
const PROPOSALS: usize = 300;

/// Side of the masks that go with pooled features.
const POOLED: usize = 14;

/// Side of MNC's masks.
const MASK: usize = 21;

/// `'num_classes': 21` of a layer's `param_str`.
fn classes(def: &LayerDef) -> usize {
    let text = def.python_param.as_ref().map_or("", |p| p.param_str());
    let behind = text.split("num_classes").nth(1).unwrap_or_default();
    let digits = behind.trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok().filter(|n| (1..1 << 16).contains(n)).unwrap_or(21)
}

/// What a detection net calls by this name.
fn of_name(top: &str, classes: usize) -> Option<Shape> {
    let part = |part: &str| top.contains(part);
    Some(match () {
        () if top == "data" => Shape::from([1, 3, 600, 800]),
        () if part("im_info") => Shape::from([1, 3]),
        () if part("gt_boxes") => Shape::from([1, 5]),
        () if part("gt_masks") => Shape::from([1, MASK, MASK]),
        () if part("mask_info") => Shape::from([1, 12]),
        () if part("mask_proposal") => Shape::from([REGIONS, 1, MASK, MASK]),
        () if part("masks") => Shape::from([REGIONS, 1, POOLED, POOLED]),
        () if part("mask_targets") || part("mask_weight") => Shape::from([REGIONS, MASK * MASK]),
        () if part("bbox") => Shape::from([REGIONS, 4 * classes, 1, 1]),
        () if part("rois") || part("boxes") => Shape::from([REGIONS, 5, 1, 1]),
        () if part("label") || part("score") || part("prob") => Shape::from([REGIONS, 1, 1, 1]),
        () => return None,
    })
}

/// The tops of a Python layer that reads a detection data set.
pub fn of_data(def: &LayerDef) -> Option<Vec<Shape>> {
    let class = def.python_param.as_ref().map_or("", |p| p.layer());
    if !matches!(class, "RoIDataLayer" | "MNCDataLayer" | "CFMDataLayer") {
        return None;
    }
    def.top.iter().map(|top| of_name(top, classes(def))).collect()
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    if super::python::runs(def) {
        return super::python::build(def);
    }
    let Some(made) = made(def) else { return super::python::build(def) };
    let tops = def.top.iter().map(|top| of_name(top, classes(def))).collect();
    Ok(Box::new(ShapesLayer { made, tops }))
}

/// What a class makes, if it is known.
fn made(def: &LayerDef) -> Option<Made> {
    Some(match def.python_param.as_ref().map_or("", |p| p.layer()) {
        "AnchorTargetLayer" => Made::Anchors,
        "EuclideanLossLayer" => Made::Loss,
        "MaskLayer" => Made::Masks,
        "ProposalLayer" => Made::Proposals,
        "ProposalTargetLayer" | "StageBridgeLayer" => Made::ByName,
        _ => return None,
    })
}

/// Whether it is known what the class makes.
pub fn knows(def: &LayerDef) -> bool {
    made(def).is_some()
}

enum Made {
    /// One number.
    Loss,
    /// A label and four numbers for each anchor.
    Anchors,
    Proposals,
    ByName,
    Masks,
}

struct ShapesLayer {
    made: Made,
    /// What the names say.
    tops: Vec<Option<Shape>>,
}

impl Layer for ShapesLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let first = cx.bottoms.first().cloned().unwrap_or_default();
        for (i, top) in cx.tops.iter_mut().enumerate() {
            *top = match (&self.made, &first[..]) {
                (Made::Anchors, &[_, scores, h, w]) if i == 0 => {
                    Shape::from([1, 1, scores / 2 * h, w])
                }
                (Made::Anchors, &[_, scores, h, w]) => Shape::from([1, scores / 2 * 4, h, w]),
                (Made::Loss, _) => Shape::from([1]),
                (Made::Proposals, _) if i == 0 => Shape::from([PROPOSALS, 5]),
                (Made::Proposals, _) => Shape::from([PROPOSALS, 1]),
                (Made::Masks, &[regions, ..]) if i == 0 => Shape::from([regions, 1, MASK, MASK]),
                (Made::Masks, &[regions, ..]) => Shape::from([regions, 1]),
                _ => self.tops[i].clone().ok_or_else(|| {
                    LayerError::top(i, "what this Python class makes here is not known")
                })?,
            };
        }
        Ok(())
    }

    fn forward(&mut self, _: &mut Forward<'_>) -> Result<(), LayerError> {
        Err(LayerError::layer("a net that is checked does not run"))
    }

    fn backward(&mut self, _: &mut Backward<'_>) -> Result<(), LayerError> {
        Err(LayerError::layer("a net that is checked does not run"))
    }
}
