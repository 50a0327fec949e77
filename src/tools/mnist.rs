//! MNIST's pair of files as a database: what the original's `convert_mnist_data` does.

use std::path::Path;

use super::{Tell, ToolError};
use crate::data::db::{Payload, datum, open_idx};
use crate::data::{Backend, NewDb, Pixels};

/// Records that are read at once.
const AT_ONCE: u64 = 1000;

/// Writes the database `to` of a file of images and one of labels, plain or gzipped; keys are the
/// numbers with eight digits. Number of records.
///
/// # Errors
/// The files are no such pair, or damaged; the database is there already or can't be written.
pub fn convert(
    images: &Path,
    labels: &Path,
    to: &Path,
    backend: Backend,
    overwrite: bool,
    tell: &mut Tell<'_>,
) -> Result<u64, ToolError> {
    let mut source = open_idx(images, labels)?;
    let count = source.records();
    let mut db = NewDb::create(to, backend, overwrite)?;
    for start in (0..count).step_by(AT_ONCE as usize) {
        let numbers: Vec<u64> = (start..count.min(start + AT_ONCE)).collect();
        for record in source.read(&numbers)? {
            let Payload::Item(item) = record.payload else { continue };
            if let Pixels::U8(pixels) = item.pixels {
                let key = format!("{:08}", record.index);
                db.put(key.as_bytes(), datum::encode(item.shape, pixels, item.label))?;
            }
            tell(record.index + 1, Some(count));
        }
    }
    Ok(db.finish()?)
}
