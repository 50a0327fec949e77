//! ZCA: the symmetric matrix that makes the values of pictures uncorrelated, of variance one.

use std::path::Path;

use cortado_proto::caffe::{BlobProto, BlobShape};
use cortado_proto::wire;
use rayon::prelude::*;

use super::ToolError;
use super::eigen::eigen;
use super::npy::save_npy;
use crate::data::MAX_WHITENED;

/// Rows of a product that are worked out together.
const ROWS: usize = 16;

/// Sums of the products of every two values of a picture.
#[derive(Clone, Debug)]
pub struct Products {
    side: usize,
    /// Row by row; only what is on the diagonal and left of it.
    sums: Vec<f64>,
    waiting: Vec<Vec<f64>>,
}

/// Pictures whose products are added at once.
const AT_ONCE: usize = 256;

impl Products {
    /// Of pictures with so many values.
    ///
    /// # Errors
    /// They are too many.
    pub fn new(side: usize) -> Result<Products, ToolError> {
        if side > MAX_WHITENED {
            let why = format!("a picture has {side} values; up to {MAX_WHITENED} can be whitened");
            return Err(ToolError(why));
        }
        Ok(Products { side, sums: vec![0.0; side * side], waiting: Vec::new() })
    }

    /// Adds a picture.
    pub fn add(&mut self, values: Vec<f64>) {
        self.waiting.push(values);
        if self.waiting.len() == AT_ONCE {
            self.settle();
        }
    }

    fn settle(&mut self) {
        let count = self.waiting.len();
        let mut columns = vec![0.0; self.side * count];
        for (n, picture) in std::mem::take(&mut self.waiting).into_iter().enumerate() {
            picture.into_iter().enumerate().for_each(|(i, value)| columns[i * count + n] = value);
        }
        gram(&mut self.sums, &columns, self.side);
    }

    /// (C + εI)^(−1/2), where C is the covariance and ε `share` of the mean variance.
    ///
    /// # Errors
    /// A value is not finite, or nothing varies.
    pub fn whitening(
        mut self,
        mean: &[f64],
        count: u64,
        share: f64,
    ) -> Result<Vec<f32>, ToolError> {
        self.settle();
        let side = self.side;
        let mut covariance = vec![0.0; side * side];
        for i in 0..side {
            for j in 0..=i {
                let value = self.sums[i * side + j] / count.max(1) as f64 - mean[i] * mean[j];
                (covariance[i * side + j], covariance[j * side + i]) = (value, value);
            }
        }
        let trace: f64 = (0..side).map(|i| covariance[i * side + i]).sum();
        let eps = share * trace / side.max(1) as f64;
        let parts = eigen(covariance, side).filter(|_| eps > 0.0).ok_or_else(|| {
            ToolError("the pictures do not vary, or hold values that are no numbers".to_owned())
        })?;
        // V Λ Vᵀ is the product of V √Λ with its own transpose.
        let factors: Vec<f64> =
            parts.values.iter().map(|value| (value.max(0.0) + eps).powf(-0.25)).collect();
        let mut rows = parts.vectors;
        for row in rows.chunks_mut(side) {
            row.iter_mut().zip(&factors).for_each(|(value, factor)| *value *= factor);
        }
        let mut lower = vec![0.0; side * side];
        gram(&mut lower, &rows, side);
        let at = |i: usize, j: usize| lower[i.max(j) * side + i.min(j)] as f32;
        Ok((0..side * side).map(|k| at(k / side, k % side)).collect())
    }
}

/// Adds the products of every two of `side` rows, for j ≤ i: sums[i][j] += row i · row j.
fn gram(sums: &mut [f64], rows: &[f64], side: usize) {
    let length = rows.len() / side.max(1);
    if length == 0 {
        return;
    }
    let row = |i: usize| &rows[i * length..(i + 1) * length];
    sums.par_chunks_mut(ROWS * side).enumerate().for_each(|(block, sums)| {
        let first = block * ROWS;
        for j in 0..(first + ROWS).min(side) {
            for (i, sums) in sums.chunks_mut(side).enumerate() {
                if first + i >= j {
                    sums[j] += dot(row(first + i), row(j));
                }
            }
        }
    });
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let (whole, rest) = (a.chunks_exact(8), a.chunks_exact(8).remainder());
    for (a, b) in whole.zip(b.chunks_exact(8)) {
        (0..8).for_each(|lane| lanes[lane] += a[lane] * b[lane]);
    }
    let rest: f64 = rest.iter().zip(&b[a.len() - rest.len()..]).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f64>() + rest
}

/// Writes a square matrix: a `BlobProto` of two axes or, by the ending of the name, `.npy`.
///
/// # Errors
/// The file can't be written.
pub fn save(path: &Path, matrix: Vec<f32>) -> Result<(), ToolError> {
    let side = matrix.len().isqrt();
    if path.extension().is_some_and(|ending| ending == "npy") {
        return save_npy(path, &[side, side], &matrix);
    }
    let shape = Some(BlobShape { dim: vec![side as i64; 2] });
    let blob = BlobProto { shape, data: matrix, ..BlobProto::default() };
    wire::save_message(path, &blob).map_err(|e| ToolError(e.to_string()))
}
