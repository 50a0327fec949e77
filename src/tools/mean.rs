//! Means of pictures.

use std::path::Path;

use cortado_proto::caffe::BlobProto;
use cortado_proto::wire;

use rayon::prelude::*;

use super::npy::save_npy;
use super::{Tell, ToolError};
use crate::data::db::open_any;
use crate::data::{Color, Item, Pixels};

/// The sum of items of one shape.
#[derive(Clone, Debug, Default)]
pub struct MeanSum {
    shape: [usize; 3],
    sum: Vec<f64>,
    count: u64,
}

impl MeanSum {
    /// Adds an item.
    ///
    /// # Errors
    /// It has another shape than the first one.
    pub fn add(&mut self, item: &Item) -> Result<(), ToolError> {
        if self.count == 0 {
            self.shape = item.shape;
            self.sum = vec![0.0; item.shape.iter().product()];
        }
        if item.shape != self.shape {
            let show = |[c, h, w]: [usize; 3]| format!("{c}x{h}x{w}");
            return Err(ToolError(format!(
                "it is {}, the first one {}; a mean wants one size",
                show(item.shape),
                show(self.shape)
            )));
        }
        match &item.pixels {
            Pixels::U8(data) => add(&mut self.sum, data),
            Pixels::F32(data) => add(&mut self.sum, data),
        }
        self.count += 1;
        Ok(())
    }

    /// Number of items.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Channels, height, width.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// The mean of each value, channel by channel.
    pub fn mean(&self) -> Vec<f32> {
        let count = self.count.max(1) as f64;
        self.sum.iter().map(|sum| (sum / count) as f32).collect()
    }

    /// The mean of each channel.
    pub fn channels(&self) -> Vec<f32> {
        let plane = (self.shape[1] * self.shape[2]).max(1);
        let count = (self.count.max(1) * plane as u64) as f64;
        self.sum.chunks(plane).map(|sums| (sums.iter().sum::<f64>() / count) as f32).collect()
    }

    /// Writes the mean as the original does, a `BlobProto` with the four lengths of old, or, by the
    /// ending of the name, as `.npy`.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn save(&self, path: &Path) -> Result<(), ToolError> {
        if path.extension().is_some_and(|ending| ending == "npy") {
            return save_npy(path, &self.shape, &self.mean());
        }
        let [channels, height, width] = self.shape.map(|length| i32::try_from(length).ok());
        let (num, data) = (Some(1), self.mean());
        let blob = BlobProto { num, channels, height, width, data, ..BlobProto::default() };
        wire::save_message(path, &blob).map_err(|e| ToolError(e.to_string()))
    }
}

fn add<T: Copy + Into<f64>>(sum: &mut [f64], values: &[T]) {
    sum.iter_mut().zip(values).for_each(|(sum, &value)| *sum += value.into());
}

/// Records that are decoded at once.
const AT_ONCE: u64 = 512;

/// The mean of a database, whatever its kind.
///
/// # Errors
/// There is no database; a record is damaged or has another shape than the first one: named.
pub fn of_db(path: &Path, tell: &mut Tell<'_>) -> Result<MeanSum, ToolError> {
    let mut source = open_any(path)?;
    let count = source.records();
    let mut mean = MeanSum::default();
    for start in (0..count).step_by(AT_ONCE as usize) {
        let numbers: Vec<u64> = (start..count.min(start + AT_ONCE)).collect();
        let items: Vec<(String, Result<Item, String>)> = source
            .read(&numbers)?
            .into_par_iter()
            .map(|record| (record.to_string(), record.decode(Color::Native)))
            .collect();
        for (name, item) in items {
            mean.add(&item?).map_err(|ToolError(why)| ToolError(format!("{name}: {why}")))?;
            tell(mean.count, Some(count));
        }
    }
    Ok(mean)
}
