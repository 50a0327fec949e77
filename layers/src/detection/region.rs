//! Region: YOLO v2's numbers made places, certainties and probabilities, each where it stood.

use super::yolo::{count, logistic};
use crate::{
    Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape,
};

/// The layer type.
pub static KIND: LayerKind =
    LayerKind::new("Region", build, &DOC).needs(needs).grads(GradBottoms::None).dialect("yolo");

static DOC: LayerDoc = LayerDoc {
    params: &[MESSAGE],
    bottoms: &["x: N x (num · (coords + 1 + classes)) x H x W"],
    tops: &["y: the shape of x"],
    forward: "with σ the logistic function, for each of `num` boxes at each position:\n\
              y_0 = σ(x_0), y_1 = σ(x_1): the centre in its cell; y_2 = x_2, …: log of the size; \
              y_coords = σ(x_coords): whether it is an object; of the rest the softmax",
    notes: "What the last layer of darknet's YOLO v2 computes when a net is used; the loss of its training is \
            no part of it. `softmax: false` leaves the classes as they are. A box is found at \
            ((w + y_0) / W, (h + y_1) / H), with e^y_2 · anchor / W as its width: `anchors` are for who reads \
            the top. YoloDetectionOutput gives boxes.",
    example: r#"layer { name: "region" type: "Region" bottom: "conv_reg" top: "region"
  region_param { classes: 20 coords: 4 num: 5 } }"#,
    source: "Redmon, Farhadi 2016 (YOLO9000), section 2; darknet's region_layer.c",
    ..LayerDoc::new("Reads YOLO v2's numbers as boxes, certainties and classes.")
};

const MESSAGE: &str = "region_param";

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let p = def.region_param.clone().unwrap_or_default();
    let classes = count(MESSAGE, "classes", Some(p.classes()))?;
    let boxes = count(MESSAGE, "num", Some(p.num()))?;
    let coords = count(MESSAGE, "coords", Some(p.coords()))?;
    if coords < 2 {
        let why = format!("a place has 2 `coords` or more, found {coords}");
        return Err(LayerError::field(format!("{MESSAGE}.coords"), why));
    }
    Ok(Box::new(RegionLayer { classes, boxes, coords, softmax: p.softmax() }))
}

struct RegionLayer {
    classes: usize,
    boxes: usize,
    coords: usize,
    softmax: bool,
}

impl RegionLayer {
    /// Channels of a box.
    fn numbers(&self) -> usize {
        self.coords + 1 + self.classes
    }
}

impl Layer for RegionLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let bottom = cx.bottoms[0].clone();
        let channels = self.boxes * self.numbers();
        if bottom.len() != 4 || bottom[1] != channels {
            let why = format!("the bottom is N x {channels} x H x W, found {bottom}");
            return Err(LayerError::bottom(0, why));
        }
        cx.top(0, bottom);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let x = cx.bottom(0);
        let plane = x.shape.count_from(2);
        let y = &mut *cx.tops[0].data;
        y.copy_from_slice(x.data);
        if plane == 0 {
            return Ok(());
        }
        for numbers in y.chunks_exact_mut(self.numbers() * plane) {
            let (place, rest) = numbers.split_at_mut(self.coords * plane);
            let (object, classes) = rest.split_at_mut(plane);
            place[..2 * plane].iter_mut().for_each(|v| *v = logistic(*v));
            object.iter_mut().for_each(|v| *v = logistic(*v));
            if self.softmax {
                (0..plane).for_each(|position| softmax(classes, position, plane));
            }
        }
        Ok(())
    }

    fn backward(&mut self, _: &mut Backward<'_>) -> Result<(), LayerError> {
        Ok(())
    }
}

/// Over the classes of one position.
fn softmax(classes: &mut [f32], position: usize, plane: usize) {
    let of = || (position..classes.len()).step_by(plane);
    let most = of().map(|i| classes[i]).fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = of().map(|i| (classes[i] - most).exp()).sum();
    for i in (position..classes.len()).step_by(plane) {
        classes[i] = (classes[i] - most).exp() / sum;
    }
}
