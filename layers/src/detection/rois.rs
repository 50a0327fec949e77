//! Regions of interest: rows of item, x1, y1, x2, y2 in pixels of the picture.

use crate::common::index;
use crate::{LayerError, Shape, View};

/// A region with the item that it is of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Roi {
    pub item: usize,
    pub corners: [f32; 4],
}

/// Features N x C x H x W and regions R x 5: these numbers.
pub(super) fn check(features: &Shape, rois: &Shape) -> Result<([usize; 4], usize), LayerError> {
    let [n, c, h, w] = features[..] else {
        let why = format!("the features are N x C x H x W, found {features}");
        return Err(LayerError::bottom(0, why));
    };
    let count = rois.first().copied().unwrap_or(0);
    if rois.len() < 2 || rois.count_from(1) != 5 {
        let why = format!("the regions are R x 5 (item, x1, y1, x2, y2), found {rois}");
        return Err(LayerError::bottom(1, why));
    }
    Ok(([n, c, h, w], count))
}

/// The region of a row.
pub(super) fn at(rois: View<'_>, row: usize, items: usize) -> Result<Roi, LayerError> {
    let row_of = &rois.data[5 * row..5 * row + 5];
    let Some(item) = index(row_of[0], items) else {
        let why = format!("region {row} is of item {}, there are {items}", row_of[0]);
        return Err(LayerError::bottom(1, why));
    };
    Ok(Roi { item, corners: [row_of[1], row_of[2], row_of[3], row_of[4]] })
}

/// From `start` to `end`, inside of an axis.
pub(super) fn clipped(start: f32, end: f32, length: usize) -> std::ops::Range<usize> {
    let inside = |v: f32| (v.max(0.0) as usize).min(length);
    inside(start)..inside(end)
}
