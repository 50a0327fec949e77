//! Means of pictures, standard deviations, whitening.

use std::path::Path;

use cortado_proto::caffe::BlobProto;
use cortado_proto::wire;

use rayon::prelude::*;

use super::npy::save_npy;
use super::whitening::{self, Products};
use super::{Tell, ToolError};
use crate::data::db::open_any;
use crate::data::{Color, Item, Pixels};

/// Sums over items of one shape.
#[derive(Clone, Debug, Default)]
pub struct MeanSum {
    shape: [usize; 3],
    sum: Vec<f64>,
    squares: Vec<f64>,
    whitens: bool,
    products: Option<Products>,
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
            self.squares = self.sum.clone();
            if self.whitens {
                self.products = Some(Products::new(self.sum.len())?);
            }
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
            Pixels::U8(data) => self.add_values(data),
            Pixels::F32(data) => self.add_values(data),
        }
        self.count += 1;
        Ok(())
    }

    fn add_values<T: Copy + Into<f64>>(&mut self, values: &[T]) {
        let sums = self.sum.iter_mut().zip(&mut self.squares);
        for ((sum, squares), &value) in sums.zip(values) {
            let value = value.into();
            *sum += value;
            *squares += value * value;
        }
        if let Some(products) = &mut self.products {
            products.add(values.iter().map(|&value| value.into()).collect());
        }
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

    /// The standard deviation of each value, channel by channel.
    pub fn deviation(&self) -> Vec<f32> {
        let count = self.count.max(1) as f64;
        let sums = self.sum.iter().zip(&self.squares);
        sums.map(|(&sum, &squares)| deviation(sum, squares, count)).collect()
    }

    /// The standard deviation of each channel, over pictures and places.
    pub fn channel_deviations(&self) -> Vec<f32> {
        let plane = (self.shape[1] * self.shape[2]).max(1);
        let count = (self.count.max(1) * plane as u64) as f64;
        let sums = self.sum.chunks(plane).zip(self.squares.chunks(plane));
        sums.map(|(s, q)| deviation(s.iter().sum(), q.iter().sum(), count)).collect()
    }

    /// Writes the matrix of [`Products::whitening`], if the sums were gathered for it.
    ///
    /// # Errors
    /// Nothing varies; the file can't be written.
    pub fn save_whitening(&mut self, path: &Path, share: f64) -> Result<(), ToolError> {
        let Some(products) = self.products.take() else { return Ok(()) };
        let count = self.count.max(1) as f64;
        let mean: Vec<f64> = self.sum.iter().map(|sum| sum / count).collect();
        whitening::save(path, products.whitening(&mean, self.count, share)?)
    }

    /// Writes the mean as the original does, a `BlobProto` with the four lengths of old, or, by the
    /// ending of the name, as `.npy`.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn save(&self, path: &Path) -> Result<(), ToolError> {
        self.save_picture(path, self.mean())
    }

    /// The same for the standard deviations.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn save_deviation(&self, path: &Path) -> Result<(), ToolError> {
        self.save_picture(path, self.deviation())
    }

    fn save_picture(&self, path: &Path, data: Vec<f32>) -> Result<(), ToolError> {
        if path.extension().is_some_and(|ending| ending == "npy") {
            return save_npy(path, &self.shape, &data);
        }
        let [channels, height, width] = self.shape.map(|length| i32::try_from(length).ok());
        let num = Some(1);
        let blob = BlobProto { num, channels, height, width, data, ..BlobProto::default() };
        wire::save_message(path, &blob).map_err(|e| ToolError(e.to_string()))
    }
}

fn deviation(sum: f64, squares: f64, count: f64) -> f32 {
    let mean = sum / count;
    (squares / count - mean * mean).max(0.0).sqrt() as f32
}

/// Records that are decoded at once.
const AT_ONCE: u64 = 512;

/// The mean of a database, whatever its kind.
///
/// # Errors
/// There is no database; a record is damaged or has another shape than the first one: named.
pub fn of_db(path: &Path, tell: &mut Tell<'_>) -> Result<MeanSum, ToolError> {
    gathered(path, false, tell)
}

/// The same with what [`MeanSum::save_whitening`] needs.
///
/// # Errors
/// As [`of_db`]; the pictures are too large.
pub fn whitening_of_db(path: &Path, tell: &mut Tell<'_>) -> Result<MeanSum, ToolError> {
    gathered(path, true, tell)
}

fn gathered(path: &Path, whitens: bool, tell: &mut Tell<'_>) -> Result<MeanSum, ToolError> {
    let mut source = open_any(path)?;
    let count = source.records();
    let mut mean = MeanSum { whitens, ..MeanSum::default() };
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
