//! A blob read in another order of its axes: Permute, ShuffleChannel and Reorg.

use cortado_kernels::Write;

/// An order of reading: each axis of the result with its length and its step in the source.
#[derive(Clone, Debug, Default)]
pub(super) struct Transpose {
    /// Outermost first.
    pub axes: Vec<(usize, usize)>,
}

impl Transpose {
    /// The source's own axes in this order.
    pub fn new(dims: &[usize], order: &[usize]) -> Transpose {
        let step = |axis: usize| dims[axis + 1..].iter().product();
        Transpose { axes: order.iter().map(|&axis| (dims[axis], step(axis))).collect() }
    }

    /// Calls `row(at, from, length, step)` for each run along the innermost axis.
    fn rows(&self, mut row: impl FnMut(usize, usize, usize, usize)) {
        let Some((&(length, step), outer)) = self.axes.split_last() else {
            return row(0, 0, 1, 1);
        };
        if self.axes.iter().any(|&(length, _)| length == 0) {
            return;
        }
        let mut counters = vec![0; outer.len()];
        let (mut at, mut from) = (0, 0);
        loop {
            row(at, from, length, step);
            at += length;
            let mut axis = outer.len();
            loop {
                let Some(next) = axis.checked_sub(1) else { return };
                axis = next;
                counters[axis] += 1;
                from += outer[axis].1;
                if counters[axis] < outer[axis].0 {
                    break;
                }
                from -= outer[axis].0 * outer[axis].1;
                counters[axis] = 0;
            }
        }
    }

    /// `to`, in order, from the places of `from`.
    pub fn gather(&self, from: &[f32], to: &mut [f32], write: Write) {
        self.rows(|at, start, length, step| {
            let to = to[at..at + length].iter_mut().enumerate();
            match write {
                Write::Set => to.for_each(|(i, to)| *to = from[start + i * step]),
                Write::Add => to.for_each(|(i, to)| *to += from[start + i * step]),
            }
        });
    }

    /// The other way: `from`, in order, to the places of `to`.
    pub fn scatter(&self, from: &[f32], to: &mut [f32], write: Write) {
        self.rows(|at, start, length, step| {
            let from = from[at..at + length].iter().enumerate();
            match write {
                Write::Set => from.for_each(|(i, &from)| to[start + i * step] = from),
                Write::Add => from.for_each(|(i, &from)| to[start + i * step] += from),
            }
        });
    }
}
