//! Mean pictures, as `compute_image_mean` writes them: one `BlobProto` in a file.

use std::path::Path;

use cortado_proto::caffe::BlobProto;
use prost::Message;

use crate::machine;

/// What is subtracted from every pixel.
#[derive(Clone, Debug, PartialEq)]
pub struct MeanPicture {
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// C x H x W values.
    pub data: Vec<f32>,
}

/// The original reads no larger message.
const MAX_BYTES: u64 = i32::MAX as u64;

/// A mean file takes no more. One byte of a damaged one may be the length of an axis, which takes eight
/// in memory, and twice that while their list grows.
fn most_bytes() -> u64 {
    MAX_BYTES.min(machine::memory() / 16)
}

impl MeanPicture {
    /// Reads a mean file.
    ///
    /// # Errors
    /// It can't be read, is no `BlobProto`, or holds something else than one picture.
    pub fn read(path: &Path) -> Result<MeanPicture, String> {
        let shown = path.display();
        let bytes = read_file(path, most_bytes())?;
        if bytes.starts_with(b"\x93NUMPY") {
            return Err(format!("`{shown}` is a numpy file; a binaryproto file is wanted"));
        }
        MeanPicture::decode(&bytes).map_err(|why| format!("`{shown}` is no mean picture: {why}"))
    }

    /// The mean of each channel.
    pub fn channels(&self) -> Vec<f32> {
        let plane = (self.shape[1] * self.shape[2]).max(1);
        self.data.chunks(plane).map(|values| values.iter().sum::<f32>() / plane as f32).collect()
    }

    /// Takes the picture out of the bytes of a `BlobProto`.
    ///
    /// # Errors
    /// They are none, or hold something else than one picture.
    pub fn decode(bytes: &[u8]) -> Result<MeanPicture, String> {
        let (dims, data) = blob(bytes)?;
        let shown = dims.iter().map(i64::to_string).collect::<Vec<_>>().join("x");
        // Leading axes of length 1 say nothing: the original writes 1 x C x H x W.
        let picture = dims.iter().rev().take(3).rev();
        let leading = dims.len().saturating_sub(3);
        let lengths: Vec<usize> = picture.filter_map(|&dim| usize::try_from(dim).ok()).collect();
        let [c, h, w] = lengths[..] else {
            return Err(format!("its shape is {shown}; channels, height and width are wanted"));
        };
        if dims[..leading].iter().any(|&dim| dim != 1) {
            return Err(format!("its shape is {shown}; one picture is wanted"));
        }
        let wanted = c.checked_mul(h).and_then(|n| n.checked_mul(w));
        if wanted != Some(data.len()) || data.is_empty() {
            return Err(format!("its shape is {shown}, it holds {} values", data.len()));
        }
        Ok(MeanPicture { shape: [c, h, w], data })
    }
}

/// The bytes of a file that holds up to so many.
pub(super) fn read_file(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let unreadable = |e: std::io::Error| format!("can't read `{shown}`: {e}");
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > most {
        return Err(format!("`{shown}` has {size} bytes; up to {most} are wanted"));
    }
    cortado_proto::read_file(path, most).map_err(unreadable)
}

/// Shape and values of a `BlobProto`.
pub(super) fn blob(bytes: &[u8]) -> Result<(Vec<i64>, Vec<f32>), String> {
    let blob = BlobProto::decode(bytes).map_err(|_| "it is no BlobProto message".to_owned())?;
    let dims = match &blob.shape {
        Some(shape) => shape.dim.clone(),
        None => [blob.num(), blob.channels(), blob.height(), blob.width()].map(i64::from).into(),
    };
    let data = match blob.double_data.is_empty() {
        true => blob.data,
        false => blob.double_data.iter().map(|&value| value as f32).collect(),
    };
    Ok((dims, data))
}
