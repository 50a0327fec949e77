//! Bilinear resize as OpenCV's `INTER_LINEAR` on bytes: pixel centres, weights of 11 bits, and for
//! exactly half the size in both directions the mean of 2x2.

use super::Picture;

/// The bytes of a picture, lying pixel by pixel or as planes.
pub(super) struct Raster<'a> {
    pub bytes: &'a [u8],
    /// Height, width.
    pub size: [usize; 2],
    /// From a pixel to the next one of its row.
    pub step: usize,
    /// Where each channel begins.
    pub channels: Vec<usize>,
}

/// Bits of a weight.
const BITS: i32 = 11;

/// Where an output row or column comes from: two neighbours and their weights, which sum to 2^11.
struct Tap {
    from: [usize; 2],
    weight: [i16; 2],
}

impl Raster<'_> {
    /// The picture in another size; one without pixels stays one.
    pub fn resized(&self, height: usize, width: usize) -> Picture {
        let [h, w] = self.size;
        let shape = [self.channels.len(), height, width];
        let mut data = Vec::with_capacity(shape.iter().product());
        if h == 0 || w == 0 || height == 0 || width == 0 {
            data.resize(shape.iter().product(), 0);
        } else if [h, w] == [2 * height, 2 * width] {
            self.channels.iter().for_each(|&channel| self.halve(channel, &mut data));
        } else {
            let mut columns = taps(w, width, true);
            columns.iter_mut().for_each(|tap| tap.from = tap.from.map(|at| at * self.step));
            let rows = taps(h, height, false);
            self.channels.iter().for_each(|&at| self.blend(at, &columns, &rows, &mut data));
        }
        Picture { shape, data }
    }

    /// A row, from its first pixel's byte of the channel to its last one's.
    fn row(&self, channel: usize, y: usize) -> &[u8] {
        let [_, w] = self.size;
        &self.bytes[channel + y * w * self.step..][..(w - 1) * self.step + 1]
    }

    fn blend(&self, channel: usize, columns: &[Tap], rows: &[Tap], out: &mut Vec<u8>) {
        let mut kept = [(); 2].map(|()| (usize::MAX, vec![0; columns.len()]));
        for Tap { from, weight } in rows {
            // The second row of one pair is often the first of the next.
            if kept[0].0 != from[0] {
                kept.swap(0, 1);
            }
            for ((at, blended), &y) in kept.iter_mut().zip(from) {
                if *at != y {
                    across(self.row(channel, y), columns, blended);
                    *at = y;
                }
            }
            let part =
                |weight: i16, value: i16| ((i32::from(weight) * i32::from(value)) >> 16) as i16;
            out.extend(kept[0].1.iter().zip(&kept[1].1).map(|(&above, &below)| {
                let sum = part(weight[0], above) + part(weight[1], below);
                ((sum + 2) >> 2).clamp(0, 255) as u8
            }));
        }
    }

    fn halve(&self, channel: usize, out: &mut Vec<u8>) {
        let [h, _] = self.size;
        for y in (0..h).step_by(2) {
            let pairs = |y: usize| self.row(channel, y).chunks(2 * self.step);
            out.extend(pairs(y).zip(pairs(y + 1)).map(|(above, below)| {
                let of = |row: &[u8]| u16::from(row[0]) + u16::from(row[self.step]);
                ((of(above) + of(below) + 2) >> 2) as u8
            }));
        }
    }
}

/// A row in its new width, without the lowest 4 of its bits.
fn across(row: &[u8], columns: &[Tap], out: &mut [i16]) {
    for (out, Tap { from, weight }) in out.iter_mut().zip(columns) {
        let part = |i: usize| i32::from(weight[i]) * i32::from(row[from[i]]);
        *out = ((part(0) + part(1)) >> 4) as i16;
    }
}

/// `clip` gives the border pixel all the weight where a column lies beyond the centres of the first
/// and last ones; for rows OpenCV keeps the weights and takes the border twice.
fn taps(from: usize, to: usize, clip: bool) -> Vec<Tap> {
    let scale = from as f64 / to as f64;
    let last = from as i64 - 1;
    let tap = |i: usize| {
        let centre = ((i as f64 + 0.5) * scale - 0.5) as f32;
        let (mut at, mut part) = (centre.floor() as i64, centre - centre.floor());
        if clip && (at < 0 || at >= last) {
            (at, part) = (at.clamp(0, last), 0.0);
        }
        let fixed = |weight: f32| (weight * (1 << BITS) as f32).round_ties_even() as i16;
        let neighbour = |at: i64| at.clamp(0, last) as usize;
        Tap { from: [neighbour(at), neighbour(at + 1)], weight: [fixed(1.0 - part), fixed(part)] }
    };
    (0..to).map(tap).collect()
}
