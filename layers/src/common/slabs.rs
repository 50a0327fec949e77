//! Copies between a blob and parts of it along one axis: Concat and Slice.

use cortado_kernels::Write;

/// Copies (or adds) `outer` rows of `width` elements; rows begin `from_step` and `to_step` apart.
pub(super) fn copy_rows(
    outer: usize,
    width: usize,
    (from, from_step): (&[f32], usize),
    (to, to_step): (&mut [f32], usize),
    write: Write,
) {
    if width == 0 {
        return;
    }
    for row in 0..outer {
        let from = &from[row * from_step..][..width];
        let to = &mut to[row * to_step..][..width];
        match write {
            Write::Set => to.copy_from_slice(from),
            Write::Add => to.iter_mut().zip(from).for_each(|(to, from)| *to += from),
        }
    }
}
