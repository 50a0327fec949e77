//! What is made of an item's labels: a number, the boxes on it, or a picture of them.

use std::sync::Arc;

use cortado_layers::{Phase, Rng};

use super::augment::Augment;
use super::boxes;
use super::db::Payload;
use super::image::Color;
use super::order::below;
use super::{Item, Pixels, Record};

/// How records become items with labels; by default a label is one number.
#[derive(Clone, Debug, Default)]
pub struct Making(Kind);

#[derive(Clone, Debug, Default)]
enum Kind {
    #[default]
    Labels,
    Boxes(Arc<Augment>),
    Maps(Maps),
}

/// How a picture and its map are cut and mirrored, both alike.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Maps {
    pub crop: Option<[usize; 2]>,
    pub mirror: bool,
    /// Labels are 0 and 255, and come out as 0 and 1.
    pub binary: bool,
}

/// Item, class, instance, x1, y1, x2, y2, difficult.
const ROW: usize = 8;

impl Making {
    /// Records are `AnnotatedDatum` messages; labels are rows of eight numbers.
    pub(super) fn boxes(augment: Augment) -> Making {
        Making(Kind::Boxes(Arc::new(augment)))
    }

    /// Records are pairs of pictures; the second ones are the labels.
    pub(super) fn maps(maps: Maps) -> Making {
        Making(Kind::Maps(maps))
    }

    /// The item of a record, the `i`th of its batch; its labels are added to `labels`.
    pub(super) fn item(
        &self,
        i: usize,
        record: Record,
        color: Color,
        phase: Phase,
        rng: &mut Rng,
        labels: &mut Vec<f32>,
    ) -> Result<Item, String> {
        let name = record.to_string();
        let named = |why: String| format!("{name}: {why}");
        match &self.0 {
            Kind::Labels => {
                let item = record.decode(color)?;
                labels.push(item.label as f32);
                Ok(item)
            }
            Kind::Boxes(augment) => {
                let Payload::Datum(bytes) = record.payload else {
                    return Err(named("a database of AnnotatedDatum is wanted".to_owned()));
                };
                let scene = boxes::decode(&bytes, color).map_err(named)?;
                let scene = augment.apply(scene, phase, rng).map_err(named)?;
                for object in &scene.objects {
                    labels.extend([i as f32, object.label as f32, object.instance as f32]);
                    labels.extend(object.rect.0);
                    labels.push(f32::from(u8::from(object.difficult)));
                }
                Ok(scene.item)
            }
            Kind::Maps(maps) => {
                let Payload::Pair([picture, map]) = record.payload else {
                    return Err(named(
                        "a picture and a picture of its labels are wanted".to_owned(),
                    ));
                };
                let item = picture.item(color).map_err(named)?;
                let map = map.item(Color::Gray).map_err(named)?;
                let (item, map) = maps.apply(item, map, phase, rng).map_err(named)?;
                match map.pixels {
                    Pixels::U8(values) if maps.binary => {
                        labels.extend(values.into_iter().map(|v| f32::from(v >> 7)));
                    }
                    Pixels::U8(values) => labels.extend(values.into_iter().map(f32::from)),
                    Pixels::F32(values) => labels.extend(values),
                }
                Ok(item)
            }
        }
    }

    /// The shape of a batch's labels; a batch without boxes gets a row that says so.
    pub(super) fn label_shape(
        &self,
        items: usize,
        [_, h, w]: [usize; 3],
        labels: &mut Vec<f32>,
    ) -> Vec<usize> {
        match &self.0 {
            Kind::Labels => vec![items],
            Kind::Boxes(_) => {
                if labels.is_empty() {
                    labels.resize(ROW, -1.0);
                }
                vec![1, 1, labels.len() / ROW, ROW]
            }
            Kind::Maps(_) => vec![items, 1, h, w],
        }
    }

    /// The shape of the labels of `items` items, from that of one.
    pub(super) fn of_batch(&self, mut one: Vec<usize>, items: usize) -> Vec<usize> {
        if !matches!(self.0, Kind::Boxes(_))
            && let Some(first) = one.first_mut()
        {
            *first = items;
        }
        one
    }
}

impl Maps {
    fn apply(
        self,
        item: Item,
        map: Item,
        phase: Phase,
        rng: &mut Rng,
    ) -> Result<(Item, Item), String> {
        let [_, h, w] = item.shape;
        if map.shape != [1, h, w] {
            let [_, rows, columns] = map.shape;
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
        let both = [item, map].map(|item| part(item, at, [ch, cw], mirror));
        let [item, map] = both;
        Ok((item, map))
    }
}

/// A part of an item, in a mirror where that is asked.
fn part(item: Item, [top, left]: [usize; 2], [ch, cw]: [usize; 2], mirror: bool) -> Item {
    let [c, h, w] = item.shape;
    let pixels = match item.pixels {
        Pixels::U8(data) => Pixels::U8(rows(&data, [h, w], [top, left], [ch, cw], mirror)),
        Pixels::F32(data) => Pixels::F32(rows(&data, [h, w], [top, left], [ch, cw], mirror)),
    };
    Item { shape: [c, ch, cw], pixels, label: item.label }
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
