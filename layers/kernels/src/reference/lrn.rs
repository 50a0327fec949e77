//! Local response normalisation across channels, element by element over `[outer, c, inner]`.

use super::Real;

/// The constants of the formula.
#[derive(Clone, Copy, Debug)]
pub struct Lrn {
    /// Channels in a window
    pub size: usize,
    /// Weight of the mean square
    pub alpha: f64,
    /// Exponent
    pub beta: f64,
    /// What the mean square is added to
    pub k: f64,
}

impl Lrn {
    /// Whether channel `other` is in the window of channel `ch`.
    fn sees(self, ch: usize, other: usize) -> bool {
        let first = ch as i64 - (self.size as i64 - 1) / 2;
        (first..first + self.size as i64).contains(&(other as i64))
    }
}

/// scale and y = x * scale^-beta
pub fn lrn_across_forward<T: Real>(
    [_, c, inner]: [usize; 3],
    lrn: Lrn,
    src: &[T],
    scale: &mut [T],
    dst: &mut [T],
) {
    for i in 0..src.len() {
        let (row, column) = (i / inner, i % inner);
        let (item, ch) = (row / c, row % c);
        let squares = (0..c).filter(|&other| lrn.sees(ch, other)).map(|other| {
            let x = src[(item * c + other) * inner + column].to_f64();
            x * x
        });
        let s = lrn.k + lrn.alpha / lrn.size as f64 * squares.sum::<f64>();
        scale[i] = T::from_f64(s);
        dst[i] = T::from_f64(src[i].to_f64() * s.powf(-lrn.beta));
    }
}

/// dx = sum over the windows that hold x of dy * dy/dx
pub fn lrn_across_backward<T: Real>(
    [_, c, inner]: [usize; 3],
    lrn: Lrn,
    src: &[T],
    scale: &[T],
    diff_dst: &[T],
    diff_src: &mut [T],
) {
    for i in 0..src.len() {
        let (row, column) = (i / inner, i % inner);
        let (item, ch) = (row / c, row % c);
        let x = src[i].to_f64();
        let mut dx = diff_dst[i].to_f64() * scale[i].to_f64().powf(-lrn.beta);
        for other in (0..c).filter(|&other| lrn.sees(other, ch)) {
            let at = (item * c + other) * inner + column;
            let slope = -lrn.beta * scale[at].to_f64().powf(-lrn.beta - 1.0) * src[at].to_f64();
            dx += diff_dst[at].to_f64() * slope * 2.0 * lrn.alpha / lrn.size as f64 * x;
        }
        diff_src[i] = T::from_f64(dx);
    }
}
