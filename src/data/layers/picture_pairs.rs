//! What the layers of pictures with pictures of their labels share.

use std::sync::Arc;

use cortado_layers::{Layer, LayerDef, LayerError};
use cortado_proto::caffe::TransformationParameter;

use super::batches::{Batches, Plan};
use super::image_data::{AHEAD, Entry, Look};
use crate::data::db::{Lazy, Payload};
use crate::data::labels::{Labels, Maps};
use crate::data::{Color, Folder, Record, Source, Transform};
use crate::files::read_lines;

/// What such a layer says.
pub(super) struct Setting {
    /// Name of its message.
    pub param: &'static str,
    pub source: String,
    pub root: String,
    pub batch: u32,
    pub shuffle: bool,
    pub rand_skip: u32,
    pub color: bool,
    pub size: Option<[usize; 2]>,
    pub maps: Maps,
    pub transform: TransformationParameter,
}

impl Setting {
    /// The layer of a setting.
    pub fn layer(self, def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
        let Setting { param, source, root, size, .. } = self;
        if self.batch == 0 {
            let why = "a batch holds at least one picture, found batch_size 0 or none";
            return Err(LayerError::field(format!("{param}.batch_size"), why));
        }
        let transform = Transform::new(&self.transform)?;
        if transform.augments() || self.transform.crop_h() > 0 || self.transform.pad() > 0 {
            let why = "of these fields only mean and scale leave a picture and its labels together";
            return Err(LayerError::field("transform_param", why));
        }
        let folder = Folder::of(def);
        let color = if self.color { Color::Bgr } else { Color::Gray };
        // What is black or white may be blended; other labels may not.
        let nearest = !self.maps.binary;
        let look = |color, nearest| Arc::new(Look { folder: folder.clone(), color, size, nearest });
        let looks = [look(color, false), look(Color::Gray, nearest)];
        Ok(Box::new(Batches::new(Plan {
            param,
            source: source.clone(),
            batch: self.batch,
            repeats: true,
            prefetch: AHEAD,
            shuffle: self.shuffle,
            rand_skip: self.rand_skip,
            transform,
            labels: Labels::Maps(self.maps),
            folder: folder.clone(),
            open: Box::new(move |_, _| {
                let field = format!("{param}.source");
                let path = folder.find(&field, &source)?;
                let shown = path.display();
                let wrong = |why: String| LayerError::field(field.clone(), why);
                let text =
                    read_lines(&path).map_err(|e| wrong(format!("can't read `{shown}`: {e}")))?;
                let lines =
                    entries(&text, &root).map_err(|why| wrong(format!("`{shown}` {why}")))?;
                Ok(Box::new(Pairs { lines, looks: looks.clone() }))
            }),
        })))
    }
}

/// The two paths of each line.
fn entries(text: &str, root: &str) -> Result<Vec<[String; 2]>, String> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [] => {}
            [picture, labels] => found.push([picture, labels].map(|path| format!("{root}{path}"))),
            _ => {
                let number = number + 1;
                return Err(format!("has `{line}` on line {number}; two paths are wanted"));
            }
        }
    }
    if found.is_empty() { Err("names no pictures".to_owned()) } else { Ok(found) }
}

struct Pairs {
    lines: Vec<[String; 2]>,
    looks: [Arc<Look>; 2],
}

impl Source for Pairs {
    fn records(&self) -> u64 {
        self.lines.len() as u64
    }

    fn read(&mut self, numbers: &[u64]) -> Result<Vec<Record>, LayerError> {
        let record = |&index: &u64| {
            let [picture, labels] = &self.lines[index as usize];
            let entry = |path: &String, look: &Arc<Look>| -> Arc<dyn Lazy> {
                Arc::new(Entry { path: path.clone(), label: 0, look: look.clone() })
            };
            let pair = [entry(picture, &self.looks[0]), entry(labels, &self.looks[1])];
            let key = picture.clone().into_bytes();
            Record { index, key, payload: Payload::Pair(pair) }
        };
        Ok(numbers.iter().map(record).collect())
    }
}
