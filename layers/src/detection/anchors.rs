//! Anchors: the boxes from which region proposals are told, the same around each position.

/// Boxes of each ratio (height to width) at each scale, around a square of `base` pixels; sides of the
/// ratios are whole numbers.
pub(super) fn anchors(base: u32, ratios: &[f32], scales: &[f32]) -> Vec<[f32; 4]> {
    let base = f64::from(base);
    let centre = 0.5 * (base - 1.0);
    let mut anchors = Vec::with_capacity(ratios.len() * scales.len());
    for &ratio in ratios {
        let width = (base * base / f64::from(ratio)).sqrt().round_ties_even();
        let height = (width * f64::from(ratio)).round_ties_even();
        for &scale in scales {
            let [w, h] = [width, height].map(|side| 0.5 * (side * f64::from(scale) - 1.0));
            anchors.push([centre - w, centre - h, centre + w, centre + h].map(|v| v as f32));
        }
    }
    anchors
}

#[cfg(test)]
mod tests {
    use super::anchors;

    /// The nine boxes that the paper's program prints.
    #[test]
    fn the_nine_of_faster_rcnn() {
        let found = anchors(16, &[0.5, 1.0, 2.0], &[8.0, 16.0, 32.0]);
        assert_eq!(found.len(), 9);
        assert_eq!(found[0], [-84.0, -40.0, 99.0, 55.0]);
        assert_eq!(found[4], [-120.0, -120.0, 135.0, 135.0]);
        assert_eq!(found[8], [-168.0, -344.0, 183.0, 359.0]);
    }
}
