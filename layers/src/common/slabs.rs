//! Copies between a blob and parts of it along one axis: Concat, Slice and SPP.

use cortado_kernels::Write;

/// Copies (or adds) `outer` rows of `width` elements. Each side says where its first row begins and
/// how far apart the rows are.
pub(crate) fn copy_rows(
    outer: usize,
    width: usize,
    (from, from_at, from_step): (&[f32], usize, usize),
    (to, to_at, to_step): (&mut [f32], usize, usize),
    write: Write,
) {
    if width == 0 {
        return;
    }
    for row in 0..outer {
        let from = &from[from_at + row * from_step..][..width];
        let to = &mut to[to_at + row * to_step..][..width];
        match write {
            Write::Set => to.copy_from_slice(from),
            Write::Add => to.iter_mut().zip(from).for_each(|(to, from)| *to += from),
        }
    }
}
