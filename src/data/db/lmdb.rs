//! LMDB databases, read only.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, Weak};
use std::time::Duration;

use cortado_layers::LayerError;
use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, RoTxn, WithoutTls};

use super::{Payload, Record, SOURCE, Source, lmdb_file};

/// A database, and where the last read ended.
pub struct Lmdb {
    env: Arc<Env<WithoutTls>>,
    path: PathBuf,
    records: u64,
    /// Number of the record after the one whose key is `last`.
    next: u64,
    last: Vec<u8>,
    /// All keys, from the first read on that does not follow the one before.
    keys: Vec<Box<[u8]>>,
}

impl Lmdb {
    /// Opens the folder `path`, which holds a data.mdb.
    pub fn open(path: &Path) -> Result<Lmdb, LayerError> {
        let env = environment(path)?;
        let records = look(&env, |db, txn| db.len(txn)).map_err(|e| failed(path, &e))?;
        if records == 0 {
            let why = format!("the LMDB database `{}` is empty", path.display());
            return Err(LayerError::field(SOURCE, why));
        }
        let path = path.to_path_buf();
        Ok(Lmdb { env, path, records, next: 0, last: Vec::new(), keys: Vec::new() })
    }

    /// The keys in order: a walk over the leaves, once.
    fn learn_keys(&mut self) -> Result<(), LayerError> {
        let walk = |db: &Database<Bytes, Bytes>, txn: &RoTxn<'_, WithoutTls>| {
            db.iter(txn)?.map(|entry| entry.map(|(key, _)| key.into())).collect()
        };
        self.keys = look(&self.env, walk).map_err(|e| failed(&self.path, &e))?;
        Ok(())
    }
}

impl Source for Lmdb {
    fn records(&self) -> u64 {
        self.records
    }

    fn read(&mut self, numbers: &[u64]) -> Result<Vec<Record>, LayerError> {
        let mut follows = self.next;
        let in_order = numbers.iter().all(|&number| {
            let fits = number == follows || number == 0;
            follows = number + 1;
            fits
        });
        if !in_order && self.keys.is_empty() {
            self.learn_keys()?;
        }
        let Lmdb { env, path, records, next, last, keys } = self;
        let read = |db: &Database<Bytes, Bytes>, txn: &RoTxn<'_, WithoutTls>| {
            let mut found = Vec::with_capacity(numbers.len());
            for &index in numbers {
                let entry = match keys.get(index as usize) {
                    Some(key) => db.get(txn, key)?.map(|value| (&key[..], value)),
                    None if index == 0 => db.first(txn)?,
                    None if index == *next => db.get_greater_than(txn, last)?,
                    None => None,
                };
                // Fewer records than were counted: the caller says so.
                let Some((key, value)) = entry else { break };
                last.clear();
                last.extend_from_slice(key);
                *next = index + 1;
                let key = key.to_vec();
                found.push(Record { index, key, payload: Payload::Datum(value.to_vec()) });
            }
            Ok(found)
        };
        let found = look(env, read).map_err(|e| failed(path, &e))?;
        match numbers.get(found.len()) {
            None => Ok(found),
            Some(number) => {
                let why = format!(
                    "record {number} of the LMDB database `{}` is not there, though it counts {records}",
                    path.display()
                );
                Err(LayerError::field(SOURCE, why))
            }
        }
    }
}

/// Reads inside a transaction of its own, so that no transaction lives long.
fn look<T>(
    env: &Env<WithoutTls>,
    read: impl FnOnce(&Database<Bytes, Bytes>, &RoTxn<'_, WithoutTls>) -> heed::Result<T>,
) -> heed::Result<T> {
    let outcome = env.open_databases_and_commit(env.read_txn()?, |opener, txn| {
        let db = opener.open_database::<Bytes, Bytes>(txn, None)?;
        let db = db.ok_or(heed::Error::Mdb(heed::MdbError::NotFound))?;
        Ok::<_, heed::Error>(CommitOrAbort::<(), T>::Abort(read(&db, txn)?))
    })?;
    match outcome {
        CommitOrAbort::Abort(value) => Ok(value),
        CommitOrAbort::Commit(()) => Err(heed::Error::Mdb(heed::MdbError::BadTxn)),
    }
}

fn failed(path: &Path, error: &heed::Error) -> LayerError {
    let why = format!("can't read the LMDB database `{}`: {error}", path.display());
    let damaged =
        matches!(error, heed::Error::Mdb(heed::MdbError::PageNotFound | heed::MdbError::Corrupted));
    match damaged {
        true => LayerError::field(SOURCE, why).help("the file is damaged: copy it anew"),
        false => LayerError::field(SOURCE, why),
    }
}

/// Databases that are open: LMDB wants each file opened once per program, several layers may read it.
static OPEN: LazyLock<Mutex<HashMap<PathBuf, Weak<Env<WithoutTls>>>>> =
    LazyLock::new(Mutex::default);

fn environment(path: &Path) -> Result<Arc<Env<WithoutTls>>, LayerError> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let mut open = OPEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(env) = open.get(&path).and_then(Weak::upgrade) {
        return Ok(env);
    }
    if let Some(closing) = heed::env_closing_event(&path) {
        closing.wait_timeout(Duration::from_secs(10));
    }
    let length = lmdb_file::check(&path.join("data.mdb")).map_err(|why| {
        let help = "copy it anew, or bring it into order with `mdb_copy -c`";
        LayerError::field(SOURCE, why).help(help)
    })?;
    let env = Arc::new(open_read_only(&path, length).map_err(|e| failed(&path, &e))?);
    open.retain(|_, env| env.strong_count() > 0);
    open.insert(path, Arc::downgrade(&env));
    Ok(env)
}

/// With locks where a lock file shows that somebody may write; without where there is none (nothing
/// is left behind in a folder of data then) or where it can't be opened for writing.
fn open_read_only(path: &Path, length: u64) -> heed::Result<Env<WithoutTls>> {
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    // As much as there is, not the terabyte that the original's tools write into the header.
    let page = 1 << 16;
    options
        .map_size(usize::try_from(length.next_multiple_of(page)).unwrap_or(usize::MAX & !0xffff));
    // SAFETY: READ_ONLY needs no care; heed asks for it because of flags that do.
    unsafe { options.flags(EnvFlags::READ_ONLY) };
    if path.join("lock.mdb").exists() {
        // SAFETY: the file is whole (checked by the caller), it is opened once per program, and
        // LMDB's own locks keep writers away from pages being read.
        match unsafe { options.open(path) } {
            Err(heed::Error::Io(e)) if is_write_protected(&e) => {}
            result => return result,
        }
    }
    // SAFETY: as above, but without locks. Nobody has the database open for writing: a writer would
    // have left a lock file, or can't write here at all. Every batch reads in a transaction of its
    // own, so that even a writer that comes later does not overtake one.
    unsafe {
        options.flags(EnvFlags::READ_ONLY | EnvFlags::NO_LOCK);
        options.open(path)
    }
}

fn is_write_protected(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem)
}
