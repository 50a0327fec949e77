//! Random matrices whose rows (or columns) have length one and stand at right angles to each other.
//! Saxe, McClelland, Ganguli 2014, *Exact solutions to the nonlinear dynamics of learning in deep
//! linear neural networks*.

use cortado_kernels::{Kernels, Trans, kernels};

use super::normal;
use crate::{LayerError, Rng, Shape};

/// Rows made orthogonal to all before them at once.
const BLOCK: usize = 128;

/// Fills a matrix of one row per index of the first axis. Where there are more rows than columns
/// the columns are made orthonormal.
pub(super) fn orthonormal(
    kind: &str,
    shape: &Shape,
    data: &mut [f32],
    rng: &mut Rng,
) -> Result<(), LayerError> {
    if shape.len() < 2 {
        let why = format!("{kind} fills 2 axes or more, found {shape}");
        return Err(LayerError::field("type", why));
    }
    let (rows, columns) = (shape[0], shape.count_from(1));
    if data.is_empty() {
        return Ok(());
    }
    normal(0.0, 1.0, data, rng);
    if rows <= columns {
        make_orthonormal(columns, data);
        return Ok(());
    }
    // The filled memory as columns x rows, made orthonormal row by row, then turned.
    let mut turned = data.to_vec();
    make_orthonormal(rows, &mut turned);
    for (i, value) in data.iter_mut().enumerate() {
        *value = turned[i % columns * rows + i / columns];
    }
    Ok(())
}

/// Gram-Schmidt by blocks of rows, each done twice: the second time removes what rounding left.
fn make_orthonormal(length: usize, rows: &mut [f32]) {
    let k = kernels();
    let count = rows.len() / length;
    let mut along = vec![0.0; BLOCK * count];
    for start in (0..count).step_by(BLOCK) {
        let height = BLOCK.min(count - start);
        let (before, rest) = rows.split_at_mut(start * length);
        let block = &mut rest[..height * length];
        for _ in 0..2 {
            let along = &mut along[..height * start];
            k.gemm(Trans::No, Trans::Yes, height, start, length, 1.0, block, before, 0.0, along);
            k.gemm(Trans::No, Trans::No, height, length, start, -1.0, along, before, 1.0, block);
            one_by_one(k, length, block);
        }
    }
}

fn one_by_one(k: &Kernels, length: usize, rows: &mut [f32]) {
    for start in (0..rows.len()).step_by(length) {
        let (before, rest) = rows.split_at_mut(start);
        let row = &mut rest[..length];
        for other in before.chunks_exact(length) {
            k.axpy(-k.dot(row, other) as f32, other, row);
        }
        let norm = k.sum_sq(row).sqrt();
        if norm > 0.0 {
            k.scale((1.0 / norm) as f32, row);
        }
    }
}
