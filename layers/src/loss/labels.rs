//! Labels are numbers of a blob: they may be anything until they are checked.

use crate::LayerError;

/// The label at an item as a class below `classes`; `None` when it is the ignored one.
pub(super) fn class(
    labels: &[f32],
    item: usize,
    classes: usize,
    ignore: Option<i32>,
) -> Result<Option<usize>, LayerError> {
    let label = labels[item];
    if ignore.is_some_and(|ignore| label as i32 == ignore && !label.is_nan()) {
        return Ok(None);
    }
    if let Some(class) = crate::common::index(label, classes) {
        return Ok(Some(class));
    }
    let why = format!(
        "label {label} at item {item} is out of range: with {classes} classes labels are 0 to {}",
        classes.saturating_sub(1)
    );
    Err(LayerError::bottom(1, why))
}

/// At least one class; one label per item: as many as the scores have positions.
pub(super) fn check_count(
    labels: &crate::Shape,
    scores: &crate::Shape,
    axis: usize,
) -> Result<(), LayerError> {
    if scores[axis] == 0 {
        let why = format!("the scores, {scores}, hold no class: axis {axis} is empty");
        return Err(LayerError::bottom(0, why));
    }
    let wanted = scores.count_to(axis) * scores.count_from(axis + 1);
    if labels.count() == wanted {
        return Ok(());
    }
    let why = format!(
        "the labels must have one element per position of the scores, {wanted} for {scores}; found {labels}"
    );
    Err(LayerError::bottom(1, why)
        .help("with axis 1, scores N x C x H x W go with labels N x H x W (or N x 1 x H x W)"))
}

/// Bottom `index` holds one number per item of `items`; how many there are.
pub(super) fn check_items(
    index: usize,
    numbers: &crate::Shape,
    items: &crate::Shape,
) -> Result<usize, LayerError> {
    let wanted = items.first().copied().unwrap_or(1);
    if numbers.count() == wanted {
        return Ok(wanted);
    }
    let why = format!("{numbers} is not one number for each of the {wanted} items of {items}");
    Err(LayerError::bottom(index, why))
}
