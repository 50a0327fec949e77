//! A matrix that every picture is multiplied with, as `cortado compute-mean --zca` writes it.

use std::path::Path;
use std::sync::Arc;

use super::mean::{blob, read_file};
use super::{Item, Pixels};

/// Most values of a picture that can be whitened: the matrix has the square of it.
pub const MAX_WHITENED: usize = 4096;

/// Bytes of the largest matrix, and a little more.
const MAX_BYTES: u64 = (MAX_WHITENED * MAX_WHITENED * 4 + 1024) as u64;

/// A symmetric matrix with a row for each value of a picture.
#[derive(Clone, Debug)]
pub struct Whitening {
    pub(super) side: usize,
    matrix: Arc<Vec<f32>>,
}

impl Whitening {
    /// Reads a matrix.
    ///
    /// # Errors
    /// It can't be read, is no `BlobProto`, or no symmetric matrix.
    pub fn read(path: &Path) -> Result<Whitening, String> {
        let bytes = read_file(path, MAX_BYTES)?;
        let bad = |why: String| format!("`{}` is no whitening matrix: {why}", path.display());
        let (dims, matrix) = blob(&bytes).map_err(bad)?;
        let side = match dims[..] {
            [h, w] if h == w && h > 0 => h as usize,
            _ => return Err(bad(format!("its shape is {dims:?}; a square is wanted"))),
        };
        if side.checked_mul(side) != Some(matrix.len()) {
            return Err(bad(format!("it has {side} rows and {} values", matrix.len())));
        }
        let skew = (0..side * side).any(|k| matrix[k] != matrix[k % side * side + k / side]);
        if skew {
            return Err(bad("it is not symmetric".to_owned()));
        }
        Ok(Whitening { side, matrix: Arc::new(matrix) })
    }

    /// The item less its mean, times the matrix.
    pub fn apply(&self, item: &Item, mean: &[f32]) -> Item {
        let mut out = vec![0f32; self.side];
        let mut add = |j: usize, value: f32| {
            let row = &self.matrix[j * self.side..(j + 1) * self.side];
            out.iter_mut().zip(row).for_each(|(out, w)| *out += value * w);
        };
        let values = mean.iter().enumerate();
        match &item.pixels {
            Pixels::U8(data) => {
                values.zip(data).for_each(|((j, mean), &x)| add(j, f32::from(x) - mean));
            }
            Pixels::F32(data) => values.zip(data).for_each(|((j, mean), &x)| add(j, x - mean)),
        }
        Item { shape: item.shape, pixels: Pixels::F32(out), label: item.label }
    }
}
