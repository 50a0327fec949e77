//! New databases, of the same form as the original's tools write.
//!
//! A database is written into `NAME.partial` beside its place and renamed when it is whole: under its
//! own name there is never half of one, whenever the program dies. What a killed program left is
//! removed by the next one that writes the same database.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use crate::data::paths::holds;
use crate::files::is_still;

/// Kinds of store that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// A folder with a data.mdb.
    Lmdb,
    /// A folder of tables.
    LevelDb,
}

impl Backend {
    /// By the name that the original's tools take.
    ///
    /// # Errors
    /// It is another.
    pub fn named(name: &str) -> Result<Backend, String> {
        match name.to_ascii_lowercase().as_str() {
            "lmdb" => Ok(Backend::Lmdb),
            "leveldb" => Ok(Backend::LevelDb),
            _ => Err(format!("`{name}` is no kind of database; lmdb and leveldb are")),
        }
    }
}

/// Key and value.
pub(super) type Pair = (Vec<u8>, Vec<u8>);

/// One kind of store, open for writing in a folder that is its own.
pub(super) trait Write {
    /// Writes pairs whose keys ascend.
    fn write(&mut self, pairs: &[Pair]) -> Result<(), String>;

    /// Brings everything into the files.
    fn close(self: Box<Self>) -> Result<(), String>;
}

/// Records and bytes that are written at once.
const RECORDS: usize = 1000;
const BYTES: usize = 32 << 20;

/// Name of the file, in the folder being written, whose lock keeps other writers out. One that a killed
/// program left means nothing, wherever it lies.
const LOCK: &str = "writing.lock";

/// Whether a file of this name is part of a database, finished or not.
fn is_known(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match name {
        LOCK | "data.mdb" | "lock.mdb" | "CURRENT" | "LOCK" | "LOG" | "LOG.old" => true,
        _ => match name.split_once(['.', '-']) {
            Some(("MANIFEST", number)) => is_number(number),
            Some((number, "log" | "ldb" | "sst" | "dbtmp")) => is_number(number),
            _ => false,
        },
    }
}

/// Something in a folder that is no part of a database.
fn foreign(folder: &Path) -> std::io::Result<Option<String>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() || !is_known(&name) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Whether a database may be put there: a folder is replaced if nothing but a database is lost.
fn check_place(to: &Path, overwrite: bool) -> Result<(), String> {
    let shown = to.display();
    if !to.exists() {
        return Ok(());
    }
    if !overwrite {
        return Err(format!("`{shown}` exists; remove it, or give --overwrite"));
    }
    if to.is_file() {
        return Err(format!("`{shown}` is a file; a database is a folder"));
    }
    let foreign = foreign(to).map_err(|e| format!("can't read the folder `{shown}`: {e}"))?;
    let empty = || fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_none());
    if !["data.mdb", "CURRENT"].iter().any(|name| to.join(name).exists()) && !empty() {
        return Err(format!("`{shown}` is no database: it {}; it is not replaced", holds(to)));
    }
    match foreign {
        None => Ok(()),
        Some(name) => Err(format!(
            "`{shown}` holds `{name}`, which is no part of a database; it is not replaced before that \
             is moved elsewhere"
        )),
    }
}

/// A database being written.
pub struct NewDb {
    to: PathBuf,
    /// Goes before the folder does.
    store: Option<Box<dyn Write>>,
    aside: Aside,
    pending: Vec<Pair>,
    bytes: usize,
    last: Option<Vec<u8>>,
    records: u64,
}

impl NewDb {
    /// Begins a database that is to be at `to`.
    ///
    /// # Errors
    /// Something is there and `overwrite` is not given; somebody else writes it; the folder can't be
    /// written.
    pub fn create(to: &Path, backend: Backend, overwrite: bool) -> Result<NewDb, String> {
        check_place(to, overwrite)?;
        let aside = Aside::create(to)?;
        // Whoever had the lock before may just have finished.
        check_place(to, overwrite)?;
        let store = match backend {
            Backend::Lmdb => lmdb(&aside.path),
            Backend::LevelDb => leveldb(&aside.path),
        };
        let store = store.map_err(|why| cannot_write(to, why))?;
        Ok(NewDb {
            to: to.to_path_buf(),
            store: Some(store),
            aside,
            pending: Vec::new(),
            bytes: 0,
            last: None,
            records: 0,
        })
    }

    /// Adds a record.
    ///
    /// # Errors
    /// Its key does not come after the one before, or the disk is full.
    pub fn put(&mut self, key: &[u8], value: Vec<u8>) -> Result<(), String> {
        if let Some(last) = &self.last
            && key <= &last[..]
        {
            return Err(format!(
                "can't write `{}`: key `{}` comes after `{}`; keys must ascend",
                self.to.display(),
                String::from_utf8_lossy(key),
                String::from_utf8_lossy(last)
            ));
        }
        self.last = Some(key.to_vec());
        self.records += 1;
        self.bytes += key.len() + value.len();
        self.pending.push((key.to_vec(), value));
        match self.pending.len() >= RECORDS || self.bytes >= BYTES {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// Number of records so far.
    pub fn records(&self) -> u64 {
        self.records
    }

    fn flush(&mut self) -> Result<(), String> {
        let written = match &mut self.store {
            Some(store) => store.write(&self.pending),
            None => Ok(()),
        };
        self.pending.clear();
        self.bytes = 0;
        written.map_err(|why| cannot_write(&self.to, why))
    }

    /// Writes what is left and puts the database into its place. Number of its records.
    ///
    /// # Errors
    /// It holds no records; the disk is full.
    pub fn finish(mut self) -> Result<u64, String> {
        if self.records == 0 {
            return Err(cannot_write(&self.to, "there are no records".to_owned()));
        }
        self.flush()?;
        let closed = self.store.take().map_or(Ok(()), |store| store.close());
        closed
            .and_then(|()| self.aside.put_into_place(&self.to).map_err(|e| e.to_string()))
            .map_err(|why| cannot_write(&self.to, why))?;
        Ok(self.records)
    }
}

fn cannot_write(to: &Path, why: String) -> String {
    format!("can't write the database `{}`: {why}", to.display())
}

/// The folder that is written; it goes when dropped.
struct Aside {
    path: PathBuf,
    lock: Option<File>,
}

impl Aside {
    fn create(to: &Path) -> Result<Aside, String> {
        let name = to.file_name().ok_or_else(|| format!("`{}` names no folder", to.display()))?;
        let mut name = name.to_os_string();
        name.push(".partial");
        let path = to.with_file_name(name);
        let shown = path.display();
        let failed = |e: std::io::Error| format!("can't write the folder `{shown}`: {e}");
        if path.exists()
            && let Some(name) = foreign(&path).map_err(failed)?
        {
            return Err(format!("`{shown}` is in the way: it holds `{name}`; move or remove it"));
        }
        let Some(lock) = claim(&path).map_err(failed)? else {
            return Err(format!("another program is writing `{}`", to.display()));
        };
        empty(&path).map_err(failed)?;
        Ok(Aside { path, lock: Some(lock) })
    }

    /// The lock goes along, so that nobody begins to write here before the folder has its name.
    fn put_into_place(&mut self, to: &Path) -> std::io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            File::open(entry?.path())?.sync_all()?;
        }
        sync_folder(&self.path)?;
        let replaces = to.exists();
        match replaces {
            true => exchange(&self.path, to)?,
            false => fs::rename(&self.path, to)?,
        }
        // Readers do not mind one that stays.
        let _ = fs::remove_file(to.join(LOCK));
        self.lock = None;
        let above = to.parent().filter(|above| !above.as_os_str().is_empty());
        sync_folder(above.unwrap_or(Path::new(".")))?;
        // Only now that the new one is safe may the old one go, unless somebody writes there already.
        if replaces {
            self.lock = claim(&self.path).unwrap_or_default();
        }
        Ok(())
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        let lock = self.path.join(LOCK);
        // Else the folder is in its place already.
        if self.lock.as_ref().is_some_and(|file| is_still(file, &lock)) {
            // Nothing more can be done about a leftover; the next writer removes it.
            let _ = empty(&self.path).and_then(|()| fs::remove_file(&lock));
            // Not if somebody has begun to write there since; a link to a folder goes as a file does.
            let _ = fs::remove_dir(&self.path).or_else(|_| fs::remove_file(&self.path));
        }
    }
}

/// Makes a folder, if it is not there, and takes its lock; `None` if somebody else has it.
fn claim(folder: &Path) -> std::io::Result<Option<File>> {
    let path = folder.join(LOCK);
    loop {
        fs::create_dir_all(folder)?;
        let file = File::create(&path)?;
        match file.try_lock() {
            Ok(()) if is_still(&file, &path) => return Ok(Some(file)),
            // Between opening and locking, whoever had it has finished.
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(e)) => return Err(e),
        }
    }
}

/// Removes all files but the lock.
fn empty(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name() != LOCK {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The new folder takes the name of the old one and the old one that of the new: at every moment
/// the name is that of a whole database.
#[cfg(target_os = "linux")]
fn exchange(new: &Path, old: &Path) -> std::io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, new, CWD, old, RenameFlags::EXCHANGE) {
        // File systems of the network may not know how.
        Err(_) => exchange_in_steps(new, old),
        Ok(()) => Ok(()),
    }
}

#[cfg(not(target_os = "linux"))]
fn exchange(new: &Path, old: &Path) -> std::io::Result<()> {
    exchange_in_steps(new, old)
}

/// A program killed in between leaves both whole, the old one as `NAME.partial.old`.
fn exchange_in_steps(new: &Path, old: &Path) -> std::io::Result<()> {
    let mut name = new.as_os_str().to_os_string();
    name.push(".old");
    let aside = PathBuf::from(name);
    fs::rename(old, &aside)?;
    if let Err(e) = fs::rename(new, old) {
        fs::rename(&aside, old)?;
        return Err(e);
    }
    fs::rename(&aside, new)
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(feature = "lmdb")]
fn lmdb(folder: &Path) -> Result<Box<dyn Write>, String> {
    Ok(Box::new(super::new_lmdb::NewLmdb::create(folder)?))
}

#[cfg(not(feature = "lmdb"))]
fn lmdb(_: &Path) -> Result<Box<dyn Write>, String> {
    Err("this program was built without the feature `lmdb`".to_owned())
}

#[cfg(feature = "leveldb")]
fn leveldb(folder: &Path) -> Result<Box<dyn Write>, String> {
    Ok(Box::new(super::leveldb::NewLevelDb::create(folder)?))
}

#[cfg(not(feature = "leveldb"))]
fn leveldb(_: &Path) -> Result<Box<dyn Write>, String> {
    Err("this program was built without the feature `leveldb`".to_owned())
}
