//! LMDB databases, read only.

use std::path::{Path, PathBuf};

use cortado_layers::LayerError;

use super::lmdb_file::{LmdbFile, Page};
use super::{Payload, Record, SOURCE, Source};

/// A database, and where the last read ended.
pub struct Lmdb {
    file: LmdbFile,
    path: PathBuf,
    /// The pages with records, in their order.
    leaves: Vec<u64>,
    /// For each of them the number of its first record, from the first read on that does not follow the
    /// one before.
    starts: Vec<u64>,
    at: Place,
}

/// A place among the records.
#[derive(Default)]
struct Place {
    /// Number of the record.
    number: u64,
    /// Position of its page among the leaves, and of the record on the page.
    leaf: usize,
    index: usize,
    page: Option<Page>,
}

impl Lmdb {
    /// Opens the folder `path`, which holds a data.mdb.
    pub fn open(path: &Path) -> Result<Lmdb, LayerError> {
        let file = LmdbFile::open(&path.join("data.mdb")).map_err(failed)?;
        if file.entries == 0 {
            let why = format!("the LMDB database `{}` is empty", path.display());
            return Err(LayerError::field(SOURCE, why));
        }
        let leaves = file.leaves().map_err(failed)?;
        let (path, starts, at) = (path.to_path_buf(), Vec::new(), Place::default());
        Ok(Lmdb { file, path, leaves, starts, at })
    }

    /// Where the pages begin: looks at each of them, once.
    fn learn_starts(&mut self) -> Result<(), String> {
        let mut starts = Vec::with_capacity(self.leaves.len());
        let mut number = 0;
        for &leaf in &self.leaves {
            starts.push(number);
            number += self.file.count(leaf)? as u64;
        }
        self.starts = starts;
        Ok(())
    }

    /// Record `number`; `None` behind the last one.
    fn record(&mut self, number: u64) -> Result<Option<Record>, String> {
        if number == 0 {
            self.at = Place::default();
        } else if number != self.at.number {
            if self.starts.is_empty() {
                self.learn_starts()?;
            }
            // The page whose first record is at or before it.
            let leaf = self.starts.partition_point(|&start| start <= number).saturating_sub(1);
            // None at all, if somebody has taken all records out since.
            let Some(start) = self.starts.get(leaf) else { return Ok(None) };
            let index = (number - start) as usize;
            let page = self.at.page.take().filter(|_| self.at.leaf == leaf);
            self.at = Place { number, leaf, index, page };
        }
        loop {
            let Some(&leaf) = self.leaves.get(self.at.leaf) else { return Ok(None) };
            let page = match self.at.page.take() {
                Some(page) => page,
                None => self.file.leaf(leaf)?,
            };
            if self.at.index >= page.len() {
                self.at = Place { number, leaf: self.at.leaf + 1, ..Place::default() };
                continue;
            }
            let (key, value) = self.file.record(&page, self.at.index)?;
            self.at.number = number + 1;
            self.at.index += 1;
            self.at.page = Some(page);
            return Ok(Some(Record { index: number, key, payload: Payload::Datum(value) }));
        }
    }

    fn records_of(&mut self, numbers: &[u64]) -> Result<Vec<Record>, String> {
        // Somebody may have written since.
        if self.file.renew()? || self.leaves.is_empty() {
            // Listing them may fail; then the next read tries again.
            self.leaves.clear();
            self.starts.clear();
            self.leaves = self.file.leaves()?;
            // Nobody asks for this number next.
            self.at = Place { number: u64::MAX, ..Place::default() };
        }
        let mut found = Vec::with_capacity(numbers.len());
        for &number in numbers {
            // Fewer records than were counted: the caller says so.
            let Some(record) = self.record(number)? else { break };
            found.push(record);
        }
        Ok(found)
    }
}

impl Source for Lmdb {
    fn records(&self) -> u64 {
        self.file.entries
    }

    fn read(&mut self, numbers: &[u64]) -> Result<Vec<Record>, LayerError> {
        let found = self.records_of(numbers).map_err(|why| {
            // Another try looks again.
            self.at = Place { number: u64::MAX, ..Place::default() };
            failed(why)
        })?;
        match numbers.get(found.len()) {
            None => Ok(found),
            Some(number) => {
                let why = format!(
                    "record {number} of the LMDB database `{}` is not there, though it counts {}",
                    self.path.display(),
                    self.file.entries
                );
                Err(LayerError::field(SOURCE, why))
            }
        }
    }
}

fn failed(why: String) -> LayerError {
    LayerError::field(SOURCE, why).help("copy it anew, or bring it into order with `mdb_copy -c`")
}
