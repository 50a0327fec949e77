//! The weights of a convolution as a pass meets them: by channel that is written, channel that is
//! read, and element of the kernel.

use std::ops::Range;

use crate::geometry::ConvGeometry;

/// Weights and how they lie; distances are in floats.
pub(crate) struct Filters<'a> {
    data: &'a [f32],
    /// Channels of a group that are written and read.
    outs: usize,
    ins: usize,
    /// From a group, a channel that is written, one that is read, to the next.
    group: usize,
    out: usize,
    input: usize,
    /// Where the elements lie in a filter.
    taps: Vec<usize>,
}

impl<'a> Filters<'a> {
    /// As the forward pass meets them.
    pub fn forward(g: &ConvGeometry, data: &'a [f32]) -> Filters<'a> {
        assert_eq!(data.len(), g.weight_len(), "weights do not fit the geometry");
        let (outs, ins, len) = (g.oc / g.groups, g.ic / g.groups, g.kernel_len());
        let (group, out, taps) = (outs * ins * len, ins * len, (0..len).collect());
        Filters { data, outs, ins, group, out, input: len, taps }
    }

    /// As the data gradient meets them: output and input exchanged, of each filter the elements
    /// `taps`.
    pub fn backward(g: &ConvGeometry, data: &'a [f32], taps: Vec<usize>) -> Filters<'a> {
        let forward = Filters::forward(g, data);
        let Filters { outs, ins, out, input, .. } = forward;
        Filters { outs: ins, ins: outs, out: input, input: out, taps, ..forward }
    }

    /// An element of the first filter of a group.
    pub fn first(&self, group: usize, tap: usize) -> f32 {
        self.data[group * self.group + self.taps[tap]]
    }

    /// Copies the filters of some channels to `[taps][ins][width]`, of which it writes the first
    /// `outs.len()` of each row, where the channels are of one group.
    #[inline(always)]
    pub fn read(&self, outs: Range<usize>, ins: Range<usize>, width: usize, to: &mut [f32]) {
        let within = |range: &Range<usize>, group: usize, len: usize| {
            range.start.max(group * len)..range.end.min((group + 1) * len)
        };
        for group in outs.start / self.outs..outs.end.div_ceil(self.outs) {
            let (o, i) = (within(&outs, group, self.outs), within(&ins, group, self.ins));
            if i.is_empty() {
                continue;
            }
            let base = group * self.group
                + (o.start - group * self.outs) * self.out
                + (i.start - group * self.ins) * self.input;
            let corner = (i.start - ins.start) * width + o.start - outs.start;
            for (tap, &at) in self.taps.iter().enumerate() {
                let from = &self.data[base + at..];
                let to = &mut to[tap * ins.len() * width + corner..];
                // Along what lies closer together.
                if self.out < self.input {
                    for row in 0..i.len() {
                        let from = from[row * self.input..].iter().step_by(self.out);
                        let to = &mut to[row * width..][..o.len()];
                        to.iter_mut().zip(from).for_each(|(to, &from)| *to = from);
                    }
                } else {
                    for lane in 0..o.len() {
                        let from = from[lane * self.out..].iter().step_by(self.input);
                        let to = to[lane..].iter_mut().step_by(width).take(i.len());
                        to.zip(from).for_each(|(to, &from)| *to = from);
                    }
                }
            }
        }
    }
}
