//! LMDB databases, written.

use std::fs::File;
use std::path::Path;

use heed::types::Bytes;
use heed::{CommitOrAbort, Env, EnvFlags, EnvOpenOptions, Error, MdbError, PutFlags, WithoutTls};

use super::new::{Pair, Write};

/// The map grows from here as it fills.
const MAP: usize = 64 << 20;

/// A database.
pub struct NewLmdb {
    env: Env<WithoutTls>,
    map: usize,
}

impl NewLmdb {
    /// Begins a database in an empty folder.
    pub fn create(folder: &Path) -> Result<NewLmdb, String> {
        // LMDB itself would make a file that nobody else may read.
        File::create(folder.join("data.mdb")).map_err(|e| e.to_string())?;
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options.map_size(MAP);
        // SAFETY: without locks (and the lock file that would stay) because the folder is ours: its
        // maker holds a lock of its own on it. Without syncs because nothing is read from the folder
        // before everything in it was synced and it was renamed.
        unsafe { options.flags(EnvFlags::NO_LOCK | EnvFlags::NO_SYNC) };
        // SAFETY: the folder is ours, see above; nobody else maps or changes its file.
        let env = unsafe { options.open(folder) }.map_err(|e| e.to_string())?;
        Ok(NewLmdb { env, map: MAP })
    }

    fn put(&self, pairs: &[Pair]) -> Result<(), Error> {
        let txn = self.env.write_txn()?;
        self.env.create_databases_and_commit(txn, |opener, txn| {
            let db = opener.create_database::<Bytes, Bytes>(txn, None)?;
            for (key, value) in pairs {
                db.put_with_flags(txn, PutFlags::APPEND, key, value)?;
            }
            Ok::<_, Error>(CommitOrAbort::<_, ()>::Commit(db))
        })?;
        Ok(())
    }
}

impl Write for NewLmdb {
    fn write(&mut self, pairs: &[Pair]) -> Result<(), String> {
        loop {
            match self.put(pairs) {
                Ok(()) => return Ok(()),
                Err(Error::Mdb(MdbError::MapFull)) => {
                    let larger = self.map.checked_mul(2);
                    self.map = larger.ok_or("it grows beyond what memory can map")?;
                    // SAFETY: the only transactions are those of `put`, which has returned.
                    unsafe { self.env.resize(self.map) }.map_err(|e| e.to_string())?;
                }
                // LMDB reports a write that ended early, on a full disk, as this.
                Err(Error::Io(e)) => return Err(format!("{e}; is the disk full?")),
                Err(e) => return Err(e.to_string()),
            }
        }
    }

    fn close(self: Box<Self>) -> Result<(), String> {
        self.env.force_sync().map_err(|e| format!("{e}; is the disk full?"))?;
        self.env.prepare_for_closing().wait();
        Ok(())
    }
}
