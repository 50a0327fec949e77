//! Looking into databases, and writing them anew: copied to another kind, or shuffled.

use std::path::Path;

use cortado_proto::wire;

use super::{Tell, ToolError};
use crate::data::db::{Payload, open_any};
use crate::data::{Backend, Color, Item, NewDb, Order, Source};

/// Records that are read at once.
const AT_ONCE: u64 = 256;

/// What a record says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its number, from 0.
    pub index: u64,
    /// Its key.
    pub key: String,
    /// Channels, height, width, as stored; zeros where it holds an encoded picture.
    pub shape: [i32; 3],
    /// Its class.
    pub label: i32,
    /// Whether it holds an encoded picture.
    pub encoded: bool,
    /// Bytes it takes.
    pub bytes: usize,
}

/// A database open for looking.
pub struct Db {
    source: Box<dyn Source>,
}

impl Db {
    /// Opens it, whatever its kind.
    ///
    /// # Errors
    /// There is none, or it is damaged.
    pub fn open(path: &Path) -> Result<Db, ToolError> {
        Ok(Db { source: open_any(path)? })
    }

    /// Number of records.
    pub fn records(&self) -> u64 {
        self.source.records()
    }

    /// Tells each of the first `limit` records; those that are no `Datum` with what is wrong.
    ///
    /// # Errors
    /// The database is damaged.
    pub fn list(
        &mut self,
        limit: u64,
        each: &mut dyn FnMut(Result<Entry, String>),
    ) -> Result<(), ToolError> {
        let count = self.records().min(limit);
        self.walk(count, &mut |index, key, bytes| {
            let entry = wire::decode_datum(&bytes).map(|datum| Entry {
                index,
                key: String::from_utf8_lossy(&key).into_owned(),
                shape: [datum.channels(), datum.height(), datum.width()],
                label: datum.label(),
                encoded: datum.encoded(),
                bytes: bytes.len(),
            });
            each(entry.map_err(|e| {
                format!("record {index} (key `{}`): {e}", String::from_utf8_lossy(&key))
            }));
            Ok(())
        })
    }

    /// Calls `each` with number, key and value of the first `count` records.
    fn walk(
        &mut self,
        count: u64,
        each: &mut dyn FnMut(u64, Vec<u8>, Vec<u8>) -> Result<(), ToolError>,
    ) -> Result<(), ToolError> {
        for start in (0..count).step_by(AT_ONCE as usize) {
            let numbers: Vec<u64> = (start..count.min(start + AT_ONCE)).collect();
            for record in self.source.read(&numbers)? {
                if let Payload::Datum(bytes) = record.payload {
                    each(record.index, record.key, bytes)?;
                }
            }
        }
        Ok(())
    }

    /// One item, by the number of its record or by its key.
    ///
    /// # Errors
    /// There is no such record, or it is damaged.
    pub fn item(&mut self, which: &str) -> Result<(Entry, Item), ToolError> {
        let count = self.records();
        let mut index = which.parse().ok().filter(|&index: &u64| index < count);
        // A key may look like a number: it counts first.
        self.walk(count, &mut |at, key, _| {
            if key == which.as_bytes() {
                index = Some(at);
            }
            Ok(())
        })?;
        let index = index.ok_or_else(|| {
            ToolError(format!(
                "there is no record `{which}`: give a key, or a number below {count}"
            ))
        })?;
        let mut entry = None;
        let record = self.source.read(&[index])?.pop();
        let record = record.ok_or_else(|| ToolError(format!("record {index} is not there")))?;
        if let Payload::Datum(bytes) = &record.payload {
            let datum =
                wire::decode_datum(bytes).map_err(|e| ToolError(format!("{record}: {e}")))?;
            entry = Some(Entry {
                index,
                key: String::from_utf8_lossy(&record.key).into_owned(),
                shape: [datum.channels(), datum.height(), datum.width()],
                label: datum.label(),
                encoded: datum.encoded(),
                bytes: bytes.len(),
            });
        }
        let entry = entry.ok_or_else(|| ToolError(format!("{record} holds no Datum")))?;
        Ok((entry, record.decode(Color::Native)?))
    }

    /// Decodes every record. What is wrong with each that is damaged.
    ///
    /// # Errors
    /// The database itself is damaged.
    pub fn verify(&mut self, tell: &mut Tell<'_>) -> Result<Vec<String>, ToolError> {
        use rayon::prelude::*;
        let count = self.records();
        let (mut bad, mut last) = (Vec::new(), None::<Vec<u8>>);
        for start in (0..count).step_by(AT_ONCE as usize) {
            let numbers: Vec<u64> = (start..count.min(start + AT_ONCE)).collect();
            let records = self.source.read(&numbers)?;
            for record in &records {
                if last.as_ref().is_some_and(|last| *last >= record.key) {
                    bad.push(format!("{record}: its key does not come after the one before"));
                }
                last = Some(record.key.clone());
            }
            let wrong: Vec<String> = records
                .into_par_iter()
                .filter_map(|record| record.decode(Color::Native).err())
                .collect();
            bad.extend(wrong);
            tell(count.min(start + AT_ONCE), Some(count));
        }
        Ok(bad)
    }
}

/// Copies a database, record by record as they are.
///
/// # Errors
/// The one can't be read, the other can't be written.
pub fn copy(
    from: &Path,
    to: &Path,
    backend: Backend,
    overwrite: bool,
    tell: &mut Tell<'_>,
) -> Result<u64, ToolError> {
    let mut db = Db::open(from)?;
    let count = db.records();
    let mut new = NewDb::create(to, backend, overwrite)?;
    db.walk(count, &mut |index, key, value| {
        new.put(&key, value)?;
        tell(index + 1, Some(count));
        Ok(())
    })?;
    Ok(new.finish()?)
}

/// Writes the records in a random order: keys are their new numbers with eight digits, then the old
/// keys, so that a reader meets them in the new order.
///
/// # Errors
/// The one can't be read, the other can't be written.
pub fn shuffle(
    from: &Path,
    to: &Path,
    backend: Backend,
    seed: u64,
    overwrite: bool,
    tell: &mut Tell<'_>,
) -> Result<u64, ToolError> {
    let mut db = Db::open(from)?;
    let count = db.records();
    let mut new = NewDb::create(to, backend, overwrite)?;
    let mut order = Order::new(count, "db shuffle", seed, true, 0);
    for start in (0..count).step_by(AT_ONCE as usize) {
        let places = start..count.min(start + AT_ONCE);
        let numbers: Vec<u64> = places.clone().map(|at| order.record(at)).collect();
        for (at, record) in places.zip(db.source.read(&numbers)?) {
            if let Payload::Datum(value) = record.payload {
                let mut key = format!("{at:08}_").into_bytes();
                key.extend(record.key);
                new.put(&key, value)?;
            }
            tell(at + 1, Some(count));
        }
    }
    Ok(new.finish()?)
}
