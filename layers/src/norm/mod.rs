//! Normalisation, and the scales and biases that go with it.

pub mod batch_norm;
pub mod bias;
pub mod bn;
pub mod eltwise_affine;
pub mod mvn;
pub mod normalize;
pub mod scale;

use cortado_kernels::{Kernels, SrcDst, Write};

use crate::{LayerError, LowerCx, Shape};

/// The axes of a bottom from `axis` on, `num_axes` of them (−1: all).
fn covered(bottom: &Shape, axis: i32, num_axes: i32, message: &str) -> Result<Shape, LayerError> {
    if num_axes == 0 {
        return Ok(Shape::scalar());
    }
    let first = bottom.axis(axis, &format!("{message}.axis"))?;
    let count = match num_axes {
        -1 => bottom.len() - first,
        n if n > 0 && first + n as usize <= bottom.len() => n as usize,
        n => {
            let why =
                format!("`num_axes` {n} from axis {first} on does not fit the bottom, {bottom}");
            return Err(LayerError::field(format!("{message}.num_axes"), why));
        }
    };
    Ok(Shape::new(&bottom[first..first + count]))
}

/// The values of a parameter, one per channel, if it covers axis 1 or nothing and there is no second
/// bottom.
fn per_channel(cx: &LowerCx<'_>, param: usize, axis: i32) -> Option<Vec<f32>> {
    let (bottom, channels) = (cx.bottoms.first()?, cx.channels()?);
    let values = cx.param(param).filter(|_| cx.bottoms.len() == 1)?;
    let first = if axis < 0 { i64::from(axis) + bottom.len() as i64 } else { i64::from(axis) };
    match values.shape[..] {
        [] => Some(vec![values.data[0]; channels]),
        [c] if first == 1 && c == channels => Some(values.data.to_vec()),
        _ => None,
    }
}

/// The bottom as [outer, covered, inner], `covered` being the axes of `factor` from `axis` on.
fn around(
    bottom: &Shape,
    factor: &Shape,
    axis: i32,
    message: &str,
    is_bottom: bool,
) -> Result<[usize; 3], LayerError> {
    // A factor without axes covers nothing; the axis does not matter then.
    let first = match factor.is_empty() {
        true => 0,
        false => bottom.axis(axis, &format!("{message}.axis"))?,
    };
    let fits = bottom.get(first..first + factor.len()) == Some(&factor[..]);
    if !fits {
        let what = if is_bottom { "the second bottom" } else { "the blob" };
        let why = format!("{what}, {factor}, must equal the axes of {bottom} from axis {first} on");
        return Err(LayerError::bottom(usize::from(is_bottom), why));
    }
    let outer = bottom.count_to(first);
    Ok([outer, factor.count(), bottom.count_from(first + factor.len())])
}

/// dx = dy · factor per channel, written or added.
fn scale_channels(
    k: &Kernels,
    [outer, c, inner]: [usize; 3],
    factor: &[f32],
    diff: SrcDst<'_>,
    write: Write,
) {
    match (diff, write) {
        (SrcDst::Apart(dy, dx), Write::Add) => {
            let planes = dy.chunks(inner.max(1)).zip(dx.chunks_mut(inner.max(1)));
            for (i, (dy, dx)) in planes.enumerate() {
                k.axpy(factor[i % c], dy, dx);
            }
            debug_assert!(outer * c * inner == dy.len());
        }
        (io, _) => k.mul_channels(outer, c, inner, io, factor),
    }
}
