//! What YOLO's layers share: their numbers read as boxes, the best boxes chosen, rows of detections.

use super::boxes::{BBox, best_first};
use crate::{Backward, Forward, Layer, LayerError, Measure, Reshape, Shape, View};

/// Numbers of a box: its place, its size, and whether it is an object; those of its classes follow.
pub(crate) const BOX: usize = 5;

pub(crate) fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// A count of a message that must be given and above 0.
pub(crate) fn count(message: &str, field: &str, given: Option<u32>) -> Result<usize, LayerError> {
    let count = given.filter(|count| (1..=1 << 20).contains(count));
    count.map(|count| count as usize).ok_or_else(|| {
        let found = given.map_or("none".to_owned(), |n| n.to_string());
        let why = format!("`{field}` must be given and above 0, found {found}");
        LayerError::field(format!("{message}.{field}"), why)
    })
}

/// Width and height of every anchor, from a list of numbers.
pub(crate) fn anchors(biases: &[f32]) -> Vec<[f32; 2]> {
    biases.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect()
}

/// Width and height of the anchors of the only list: as many as there are boxes to a place.
pub(crate) fn anchors_of(
    message: &str,
    biases: &[f32],
    boxes: usize,
) -> Result<Vec<[f32; 2]>, LayerError> {
    if biases.len() == 2 * boxes {
        return Ok(anchors(biases));
    }
    let why = format!(
        "`biases` holds a width and a height for each of {boxes} boxes, {} numbers; found {}",
        2 * boxes,
        biases.len()
    );
    Err(LayerError::field(format!("{message}.biases"), why))
}

/// A blob of so many boxes to a place must have as many channels.
pub(crate) fn expect_grid(
    at: usize,
    bottom: &Shape,
    items: usize,
    boxes: usize,
    classes: usize,
) -> Result<(), LayerError> {
    let channels = boxes * (BOX + classes);
    if bottom.len() == 4 && bottom[..2] == [items, channels] {
        return Ok(());
    }
    let why = format!("the bottom is {items} x {channels} x H x W, found {bottom}");
    Err(LayerError::bottom(at, why))
}

/// The numbers of one item: per anchor the planes of a box and its classes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid<'a> {
    x: &'a [f32],
    size: [usize; 2],
    classes: usize,
}

impl<'a> Grid<'a> {
    /// Of an item of a blob N x C x H x W.
    pub fn of(blob: View<'a>, item: usize, classes: usize) -> Grid<'a> {
        let count = blob.shape.count_from(1);
        let x = &blob.data[item * count..][..count];
        Grid { x, size: [blob.shape[2], blob.shape[3]], classes }
    }

    /// Positions of the plane.
    pub fn positions(&self) -> usize {
        self.size[0] * self.size[1]
    }

    fn at(&self, anchor: usize, position: usize, number: usize) -> f32 {
        self.x[(anchor * (BOX + self.classes) + number) * self.positions() + position]
    }

    /// The box of an anchor, whose width and height count positions, in parts of the picture.
    pub fn bbox(&self, anchor: usize, position: usize, [width, height]: [f32; 2]) -> BBox {
        let [h, w] = self.size;
        let at = |i| self.at(anchor, position, i);
        let cx = ((position % w) as f32 + logistic(at(0))) / w as f32;
        let cy = ((position / w) as f32 + logistic(at(1))) / h as f32;
        let half_w = at(2).exp() * width / w as f32 / 2.0;
        let half_h = at(3).exp() * height / h as f32 / 2.0;
        BBox([cx - half_w, cy - half_h, cx + half_w, cy + half_h])
    }

    /// How sure it is an object.
    pub fn object(&self, anchor: usize, position: usize) -> f32 {
        logistic(self.at(anchor, position, 4))
    }

    /// How sure it is of a class, each for itself.
    pub fn class(&self, anchor: usize, position: usize, class: usize) -> f32 {
        logistic(self.at(anchor, position, BOX + class))
    }

    /// The likeliest class and its part of the softmax over all; of equal ones the first.
    pub fn best_class(&self, anchor: usize, position: usize) -> (usize, f32) {
        let at = |class| self.at(anchor, position, BOX + class);
        let mut best = 0;
        for class in 1..self.classes {
            if at(class) > at(best) {
                best = class;
            }
        }
        let sum: f32 = (0..self.classes).map(|class| (at(class) - at(best)).exp()).sum();
        (best, 1.0 / sum)
    }
}

/// A box with its class and how sure it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Detection {
    pub class: usize,
    pub bbox: BBox,
}

/// The best boxes, whatever their class: best first, those left out that a better one overlaps by as
/// much as `overlap`, if that is given.
pub(crate) fn choose(
    mut found: Vec<(f32, Detection)>,
    overlap: Option<f32>,
) -> Vec<(f32, Detection)> {
    best_first(&mut found);
    let Some(overlap) = overlap else { return found };
    let mut kept: Vec<(f32, Detection)> = Vec::new();
    for (score, detection) in found {
        let near = |other: &(f32, Detection)| detection.bbox.overlap(&other.1.bbox) >= overlap;
        if !kept.iter().any(near) {
            kept.push((score, detection));
        }
    }
    kept
}

/// How classes are scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scores {
    /// Only the best one of each box, by softmax.
    Best,
    /// Each for itself.
    Each,
}

/// Detections from grids: one row per box kept.
pub(crate) struct DetectionsLayer {
    pub classes: usize,
    pub scores: Scores,
    pub confidence: f32,
    pub nms: f32,
    /// Width and height of those of each bottom, in positions.
    pub anchors: Vec<Vec<[f32; 2]>>,
    /// As measured before the last forward.
    pub rows: Vec<[f32; 7]>,
}

impl DetectionsLayer {
    fn read(&self, grid: Grid<'_>, anchors: &[[f32; 2]], found: &mut Vec<(f32, Detection)>) {
        for (anchor, &size) in anchors.iter().enumerate() {
            for position in 0..grid.positions() {
                let object = grid.object(anchor, position);
                let bbox = || grid.bbox(anchor, position, size);
                match self.scores {
                    Scores::Best => {
                        let (class, part) = grid.best_class(anchor, position);
                        let score = object * part;
                        if score >= self.confidence {
                            found.push((score, Detection { class, bbox: bbox() }));
                        }
                    }
                    Scores::Each => {
                        for class in 0..self.classes {
                            let score = object * grid.class(anchor, position, class);
                            if score > self.confidence {
                                found.push((score, Detection { class, bbox: bbox() }));
                            }
                        }
                    }
                }
            }
        }
    }
}

impl Layer for DetectionsLayer {
    /// As if nothing were found; `measure` knows better.
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let items = cx.bottoms[0].first().copied().unwrap_or(0);
        for (i, bottom) in cx.bottoms.iter().enumerate() {
            expect_grid(i, bottom, items, self.anchors[i].len(), self.classes)?;
        }
        cx.top(0, [1, 1, items, 7]);
        Ok(())
    }

    fn measure(&mut self, cx: &mut Measure<'_>) -> Result<Vec<Shape>, LayerError> {
        let items = cx.bottoms[0].shape[0];
        let mut rows = Vec::new();
        for item in 0..items {
            let mut found = Vec::new();
            for (bottom, anchors) in cx.bottoms.iter().zip(&self.anchors) {
                self.read(Grid::of(*bottom, item, self.classes), anchors, &mut found);
            }
            for (score, Detection { class, bbox }) in choose(found, Some(self.nms)) {
                let BBox([xmin, ymin, xmax, ymax]) = bbox;
                rows.push([item as f32, (class + 1) as f32, score, xmin, ymin, xmax, ymax]);
            }
        }
        if rows.is_empty() {
            rows.extend((0..items).map(|item| [item as f32, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0]));
        }
        self.rows = rows;
        Ok(vec![Shape::new(&[1, 1, self.rows.len(), 7])])
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        cx.tops[0].data.copy_from_slice(self.rows.as_flattened());
        Ok(())
    }

    fn backward(&mut self, _: &mut Backward<'_>) -> Result<(), LayerError> {
        Ok(())
    }
}
