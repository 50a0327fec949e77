//! Losses that hold bottoms against each other, element by element.

use crate::{LayerError, Shape};

/// Number of items of bottoms that have as many elements each; at least 1, for it divides.
pub(super) fn paired_items(bottoms: &[Shape]) -> Result<usize, LayerError> {
    let [first, others @ ..] = bottoms else { return Ok(1) };
    for (i, other) in others.iter().enumerate() {
        if other.count() != first.count() || other.first() != first.first() {
            let why = format!(
                "every bottom has as many items and elements as the first, {first}; found {other}"
            );
            return Err(LayerError::bottom(i + 1, why));
        }
    }
    Ok(first.first().copied().unwrap_or(1).max(1))
}
