//! What an item's labels are: a class, the objects on it, or a picture of the same size.

use cortado_layers::{Phase, Rng, Shape};

use super::annotated::{Annotated, VALUES};
use super::db::Payload;
use super::image::Color;
use super::order::below;
use super::{Item, Pixels, Record};

/// What the labels of a layer's items are.
#[derive(Clone, Debug, Default)]
pub enum Labels {
    /// A class per item.
    #[default]
    Classes,
    /// The objects on it.
    Boxes(Annotated),
    /// A class per pixel.
    Maps(Maps),
}

/// Pictures with maps of labels: how both are cut and mirrored alike.
#[derive(Clone, Copy, Debug, Default)]
pub struct Maps {
    /// Height and width cut out: at random in TRAIN, from the middle in TEST.
    pub crop: Option<[usize; 2]>,
    /// Whether every other pair, at random, is mirrored.
    pub mirror: bool,
    /// Whether maps are white on black, and come out as 1 and 0.
    pub binary: bool,
}

impl Labels {
    /// The shape of the labels of `items` items that come out as C x H x W, of which there are `values`.
    pub(super) fn shape(&self, items: usize, [_, h, w]: [usize; 3], values: usize) -> Shape {
        match self {
            Labels::Classes => Shape::from([items]),
            Labels::Boxes(_) => Shape::from([1, 1, values / VALUES, VALUES]),
            Labels::Maps(_) => Shape::from([items, 1, h, w]),
        }
    }
}

impl Maps {
    /// The picture of a record; what its map says is added to `labels`.
    ///
    /// # Errors
    /// One of the two can't be read, or they don't go together: names the record.
    pub(super) fn item(
        &self,
        record: Record,
        color: Color,
        phase: Phase,
        rng: &mut Rng,
        labels: &mut Vec<f32>,
    ) -> Result<Item, String> {
        let name = record.to_string();
        let named = |why: String| format!("{name}: {why}");
        let Payload::Pair([picture, map]) = record.payload else {
            return Err(named("it has no picture of labels".to_owned()));
        };
        let picture = picture.item(color).map_err(named)?;
        let map = map.item(Color::Gray).map_err(named)?;
        let [picture, map] = self.cut([picture, map], phase, rng).map_err(named)?;
        match map.pixels {
            Pixels::U8(values) if self.binary => {
                labels.extend(values.into_iter().map(|value| f32::from(value >> 7)));
            }
            Pixels::U8(values) => labels.extend(values.into_iter().map(f32::from)),
            Pixels::F32(values) => labels.extend(values),
        }
        Ok(picture)
    }

    fn cut(&self, both: [Item; 2], phase: Phase, rng: &mut Rng) -> Result<[Item; 2], String> {
        let ([_, h, w], [_, rows, columns]) = (both[0].shape, both[1].shape);
        if [h, w] != [rows, columns] {
            return Err(format!("the picture is {h}x{w}, that of its labels {rows}x{columns}"));
        }
        let mirror = self.mirror && below(rng, 2) == 1;
        let [ch, cw] = self.crop.unwrap_or([h, w]);
        if ch > h || cw > w {
            return Err(format!("the crop is {ch}x{cw}, the picture only {h}x{w}"));
        }
        let mut offset = |room: usize| match phase {
            Phase::Train => below(rng, room as u64 + 1) as usize,
            Phase::Test => room / 2,
        };
        let at = [offset(h - ch), offset(w - cw)];
        Ok(both.map(|item| part(item, at, [ch, cw], mirror)))
    }
}

/// A part of an item, mirrored where that is asked.
fn part(item: Item, at: [usize; 2], size: [usize; 2], mirror: bool) -> Item {
    let [c, h, w] = item.shape;
    let pixels = match item.pixels {
        Pixels::U8(data) => Pixels::U8(rows(&data, [h, w], at, size, mirror)),
        Pixels::F32(data) => Pixels::F32(rows(&data, [h, w], at, size, mirror)),
    };
    Item { shape: [c, size[0], size[1]], pixels, label: item.label }
}

fn rows<T: Copy>(
    data: &[T],
    [h, w]: [usize; 2],
    [top, left]: [usize; 2],
    [ch, cw]: [usize; 2],
    mirror: bool,
) -> Vec<T> {
    let mut out = Vec::with_capacity(data.len());
    for plane in data.chunks_exact((h * w).max(1)) {
        for y in top..top + ch {
            let row = &plane[y * w + left..][..cw];
            match mirror {
                true => out.extend(row.iter().rev()),
                false => out.extend(row),
            }
        }
    }
    out
}
