//! The memory of blobs: made where the machine has it, told as an error where it has not.

use std::collections::TryReserveError;

use super::lifetimes::Place;
use super::{Net, NetError, NetErrorKind};

impl Net {
    /// Gives the memory that is `wanted` the size of its blobs, and the rest back.
    ///
    /// # Errors
    /// The machine has no memory left.
    pub(super) fn size_storages(&mut self, wanted: impl Fn(usize) -> bool) -> Result<(), NetError> {
        for blob in &self.blobs {
            let lent = [Place::Data(blob.storage), Place::Diff(blob.storage)];
            let [data_lent, diff_lent] = lent.map(|place| self.lent.lends(place));
            let storage = &mut self.storages[blob.storage];
            let mut full = Ok(());
            if !wanted(blob.storage) {
                storage.data = Vec::new();
            } else if !data_lent {
                full = sized(&mut storage.data, blob.shape.count());
            }
            if storage.diff_from_run {
                storage.diff = Vec::new();
            } else if storage.has_diff && !diff_lent {
                full = full.and_then(|()| sized(&mut storage.diff, blob.shape.count()));
            }
            full.map_err(|_| {
                let why = format!(
                    "the machine has no memory left for blob `{}`, {}",
                    blob.name, blob.shape
                );
                NetError::at(&self.nodes[blob.maker].def, None, NetErrorKind::Size(why))
            })?;
        }
        let Some(node) = self.nodes.iter().max_by_key(|node| node.scratch) else { return Ok(()) };
        self.scratch.truncate(node.scratch);
        sized(&mut self.scratch, node.scratch).map_err(|_| {
            let why = "the machine has no memory left for what this layer needs beside".to_owned();
            NetError::at(&node.def, None, NetErrorKind::Size(why))
        })
    }

    /// Gives every blob its memory, but for what is lent in each pass.
    pub(super) fn fill(&mut self) -> Result<(), NetError> {
        self.filled = 0;
        self.size_storages(|_| true)?;
        self.filled = self.nodes.len();
        Ok(())
    }
}

/// Gives values their number, new ones 0.
fn sized(values: &mut Vec<f32>, count: usize) -> Result<(), TryReserveError> {
    values.try_reserve_exact(count.saturating_sub(values.len()))?;
    values.resize(count, 0.0);
    Ok(())
}
