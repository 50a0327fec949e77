//! Means of pictures.

use std::path::Path;

use cortado_proto::caffe::BlobProto;
use cortado_proto::wire;

use super::ToolError;
use crate::data::{Item, Pixels};

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

    /// Writes the mean as the original does: a `BlobProto` with the four lengths of old.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn save(&self, path: &Path) -> Result<(), ToolError> {
        let [channels, height, width] = self.shape.map(|length| i32::try_from(length).ok());
        let (num, data) = (Some(1), self.mean());
        let blob = BlobProto { num, channels, height, width, data, ..BlobProto::default() };
        wire::save_message(path, &blob).map_err(|e| ToolError(e.to_string()))
    }
}

fn add<T: Copy + Into<f64>>(sum: &mut [f64], values: &[T]) {
    sum.iter_mut().zip(values).for_each(|(sum, &value)| *sum += value.into());
}
